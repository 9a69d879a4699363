//! The container's output, by Docker's own account.

use testbed::contained::Steer;
use testbed::process::{Signal, Stream};

use crate::instance::Instance;
use crate::{DEADLINE, Rig};

/// To each stream: enough to be in the middle when something happens.
const LINES: usize = 3000;
const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

/// What a process has handed on of the lines that the container wrote.
fn handed_on(web: &Instance<'_>, stream: Stream) -> Vec<String> {
    let lines = web.process().lines().into_iter();
    let of_container = lines.filter(|line| line.stream == stream && line.text.starts_with("line"));
    of_container.map(|line| line.text).collect()
}

/// What `docker logs` has of it: stdout, and then stderr.
pub async fn judged(rig: &Rig, container: &str) -> Vec<String> {
    let logs = rig.docker.run(&["logs", container]).await.unwrap();
    let lines = logs.lines().filter(|line| line.starts_with("line"));
    lines.map(str::to_owned).collect()
}

pub async fn each_line_once_though_launcher_is_killed(rig: &Rig) {
    let mut web = rig.ready("").await;
    let chat = format!("chat/{LINES}/line");
    let killing = async {
        let halfway = format!("line {}", LINES / 2);
        let halfway = web
            .process()
            .wait_for_line(|line| line == halfway, DEADLINE);
        halfway.await.unwrap();
        web.process().signal(Signal::SIGKILL).unwrap();
    };
    tokio::join!(web.steer(&chat), killing);
    web.wait(DEADLINE).await.unwrap();
    let before = STREAMS.map(|stream| handed_on(&web, stream));
    // While nobody looks after it.
    web.steer("say/out/3/line-while-away").await;
    web.again().await;
    web.wait_ready(DEADLINE).await.unwrap();
    web.steer("say/err/1/line-at-last").await;
    let last = |line: &str| line == "line-at-last 1";
    web.process().wait_for_line(last, DEADLINE).await.unwrap();
    let expected = judged(rig, &web.container().await).await;
    assert_eq!(expected.len(), 2 * LINES + 4);
    let [out, err] = before;
    let after = STREAMS.map(|stream| handed_on(&web, stream));
    let [out_after, err_after] = after;
    let mut all = [out, out_after, err, err_after].concat();
    // Only what is hit between two system calls in a row comes again, once on each stream.
    let again = all.len() - expected.len();
    assert!(again <= 2, "{again} lines came again");
    all.dedup();
    assert!(all == expected);
    web.end().await;
}

/// A program that says why it ends, and ends at once.
pub async fn nothing_lost_at_the_end(rig: &Rig) {
    let mut web = rig.ready("").await;
    let address = web.address().await;
    web.steer(&format!("chat/{LINES}/line")).await;
    Steer::Exit(7).at(&address).await.unwrap();
    web.ends_with(7).await;
    let written: Vec<String> = (1..=LINES).map(|number| format!("line {number}")).collect();
    let [out, err] = STREAMS.map(|stream| handed_on(&web, stream));
    assert!(out == written);
    assert!(err.starts_with(&written));
    // And then launcher's last words, which repeat the last of it.
    assert_eq!(err.last(), written.last());
    assert!((1..=20).contains(&(err.len() - LINES)));
}
