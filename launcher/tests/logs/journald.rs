//! A journald, and what journalctl shows of it.

use std::path::{Path, PathBuf};

use launcher::runtime::Stream;
use serde_json::Value;
use testbed::process::{Running, installed};
use testbed::wait;

use crate::DEADLINE;
use crate::journal::sink;
use crate::memory::Rig;
use crate::real::{Real, to_the_end};

const INSTALL: &str = "apt-get install systemd, or run `make test-tools`";
/// With a directory of its own in the place of the machine's.
const START: &str = "mount -t tmpfs none /run
mkdir -p /run/systemd/journald.conf.d /run/log/journal
printf '[Journal]\\nStorage=volatile\\nReadKMsg=no\\nAudit=no\\nRateLimitIntervalSec=0\\n' \
    > /run/systemd/journald.conf.d/test.conf
exec /lib/systemd/systemd-journald";

struct Journald(Running);

impl Journald {
    async fn start() -> Self {
        let unshare = installed("unshare", "apt-get install util-linux").unwrap();
        let unshare = unshare.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        let this = Self(unshare.args(["sh", "-ec", START]).start().await.unwrap());
        let listens = || async {
            if this.socket().exists() {
                Ok(())
            } else {
                Err(this.0.last_words())
            }
        };
        wait::until("journald to listen", DEADLINE, listens)
            .await
            .unwrap();
        this
    }

    /// A place in its own directory.
    fn run(&self, path: &str) -> PathBuf {
        Path::new(&format!("/proc/{}/root/run", self.0.pid())).join(path)
    }

    fn socket(&self) -> PathBuf {
        self.run("systemd/journal/socket")
    }

    /// The messages of a service, each with its priority. What is no text comes as numbers.
    async fn messages(&self, service: &str) -> Vec<(String, Vec<u8>)> {
        let journalctl = installed("journalctl", INSTALL).unwrap();
        let journalctl = journalctl.args(["--output=json", "--all", "--no-pager", "--directory"]);
        let journalctl = journalctl
            .arg(self.run("log/journal"))
            .arg(format!("SERVICE={service}"));
        let mut shown = journalctl.start().await.unwrap();
        shown.wait(DEADLINE).await.unwrap();
        let lines = shown.lines().into_iter();
        lines
            .map(|line| message(&serde_json::from_str(&line.text).unwrap()))
            .collect()
    }
}

fn message(entry: &Value) -> (String, Vec<u8>) {
    let bytes = match &entry["MESSAGE"] {
        Value::String(text) => text.clone().into_bytes(),
        numbers => serde_json::from_value(numbers.clone()).unwrap(),
    };
    (entry["PRIORITY"].as_str().unwrap().to_owned(), bytes)
}

/// Many at once, so that it is waited for; and one that no datagram holds.
pub async fn as_journalctl_shows_it(_: &Real) {
    let (journald, mut rig) = (Journald::start().await, Rig::new().await);
    let mut expected: Vec<(String, Vec<u8>)> = (1..=5000)
        .map(|number| ("6".to_owned(), format!("line = {number}").into_bytes()))
        .collect();
    expected.push(("6".to_owned(), vec![b'x'; 1 << 20]));
    expected.push(("3".to_owned(), b"\0\xff\x1b[1m".to_vec()));
    for (priority, bytes) in &expected {
        let stream = if priority == "3" {
            Stream::Stderr
        } else {
            Stream::Stdout
        };
        rig.put(stream, bytes, true);
    }
    rig.exit();
    to_the_end(rig.follower_to(sink(&rig, &journald.socket()))).await;
    let taken = || async {
        let found = journald.messages("web").await;
        if found.len() < expected.len() {
            Err(found.len())
        } else {
            Ok(found)
        }
    };
    let found = wait::until("journald to take them", DEADLINE, taken)
        .await
        .unwrap();
    assert!(found == expected);
}
