//! The subcommands as processes, on a real etcd.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use launcher::instance::{InstanceState, State};
use serde_json::Value;
use tempfile::TempDir;
use testbed::etcd::Etcd;
use testbed::process::{Program, Stream};

const SOON: Duration = Duration::from_mins(1);

struct Rig {
    etcd: Etcd,
    files: TempDir,
}

#[derive(Debug)]
struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
}

async fn launcher(endpoint: &str, arguments: &[&str]) -> Answer {
    // Nothing of the environment of the test may matter.
    let program = Program::new(env!("CARGO_BIN_EXE_launcher"))
        .env_clear()
        .env("ETCDCTL_ENDPOINTS", endpoint)
        .args(arguments);
    let mut running = program.start().await.unwrap();
    let status = running.wait(SOON).await.unwrap();
    Answer {
        code: status.code().unwrap(),
        stdout: running.text(Stream::Stdout),
        stderr: running.text(Stream::Stderr),
    }
}

impl Rig {
    async fn start() -> Self {
        Self {
            etcd: Etcd::start().await.unwrap(),
            files: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.files.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    async fn run(&self, arguments: &[&str]) -> Answer {
        launcher(&self.etcd.endpoint(), arguments).await
    }

    /// Runs what is expected to exit 0, and gives its stdout.
    async fn ok(&self, arguments: &[&str]) -> String {
        let answer = self.run(arguments).await;
        assert_eq!(answer.code, 0, "{arguments:?}: {answer:?}");
        answer.stdout
    }

    /// Runs what is expected to fail so, and gives its stderr.
    async fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let answer = self.run(arguments).await;
        assert_eq!(answer.code, code, "{arguments:?}: {answer:?}");
        assert_eq!(answer.stdout, "", "data of what failed");
        answer.stderr
    }

    async fn put(&self, file: &str) -> String {
        let revision = self.ok(&["put", file]).await;
        revision.trim_end().to_owned()
    }
}

#[tokio::test]
async fn what_is_put_is_got_as_it_was() {
    let rig = Rig::start().await;
    let text = "# the shop\nimage: web:1 # first\nport: 80\n";
    let web = rig.file("web.yaml", text);
    let first = rig.put(&web).await;
    assert_eq!(rig.ok(&["get", "web"]).await, text);
    let stored = rig.etcd.get("/launcher/services/web").await.unwrap();
    assert_eq!(stored.as_deref(), Some(text));
    let second = rig.put(&rig.file("web.yaml", "image: web:2\n")).await;
    assert_ne!(first, second);
    assert_eq!(rig.ok(&["get", "web"]).await, "image: web:2\n");
    assert_eq!(rig.ok(&["get", "web", &first]).await, text);
    rig.etcd.compact_now().await.unwrap();
    assert_eq!(rig.ok(&["get", "web", &first]).await, text);
    let unknown = rig.fails(1, &["get", "web", "7-0a1b2c3d"]).await;
    assert_eq!(
        unknown,
        format!("launcher: there is no revision 7-0a1b2c3d of web; there are: {second} {first}\n")
    );
    let unknown = rig.fails(1, &["get", "wbe"]).await;
    assert_eq!(
        unknown,
        "launcher: there is no definition of wbe in /launcher/services/; did you mean web?\n"
    );
}

#[tokio::test]
async fn the_same_again_is_no_rollout() {
    let rig = Rig::start().await;
    let first = rig.put(&rig.file("web.yaml", "image: web:1\n")).await;
    let before = rig.etcd.revision().await.unwrap();
    let answer = rig
        .run(&["put", &rig.file("web.yaml", "{image: 'web:1'}")])
        .await;
    assert_eq!((answer.code, answer.stdout), (0, format!("{first}\n")));
    assert_eq!(
        answer.stderr,
        "launcher: web is defined so already; nothing was written\n"
    );
    assert_eq!(rig.etcd.revision().await.unwrap(), before);
}

#[tokio::test]
async fn of_two_who_change_the_same_revision_one_is_told_so() {
    let rig = Rig::start().await;
    let first = rig.put(&rig.file("web.yaml", "image: web:0")).await;
    let tied = format!("--if-revision={first}");
    let files =
        [1, 2].map(|number| rig.file(&format!("{number}.yaml"), &format!("image: web:{number}")));
    let put = files
        .each_ref()
        .map(|file| ["put", file, "--name=web", &tied]);
    let (one, other) = tokio::join!(rig.run(&put[0]), rig.run(&put[1]));
    let (won, lost) = if one.code == 0 {
        (one, other)
    } else {
        (other, one)
    };
    assert_eq!((won.code, lost.code), (0, 1), "{won:?} {lost:?}");
    let in_force = won.stdout.trim_end();
    assert_eq!(
        lost.stderr,
        format!(
            "launcher: the definition of web is not {first} any more: {in_force} is in force; \
             nothing was written\n"
        )
    );
}

#[tokio::test]
async fn whose_definition_it_is_is_known_or_asked_for() {
    let rig = Rig::start().await;
    for (file, text, arguments, name) in [
        ("web.yaml", "image: x", &[][..], "web"),
        ("any.yaml", "{image: x, name: shop}", &[], "shop"),
        ("any.yaml", "image: x", &["--name=other"], "other"),
    ] {
        let file = rig.file(file, text);
        rig.ok(&[&["put", &file], arguments].concat()).await;
        let key = format!("/launcher/services/{name}");
        assert!(rig.etcd.get(&key).await.unwrap().is_some(), "{name}");
    }
    let file = rig.file("any.yaml", "{image: x, name: shop}");
    let message = rig.fails(64, &["put", &file, "--name=web"]).await;
    assert_eq!(
        message,
        format!("launcher: {file} says that its name is shop, --name says web\n")
    );
    let file = rig.file("-web.yaml", "image: x");
    let message = rig.fails(64, &["put", &file]).await;
    assert!(
        message.contains("give --name: service name \"-web\""),
        "{message}"
    );
}

#[tokio::test]
async fn what_is_wrong_or_refused_is_not_written() {
    let rig = Rig::start().await;
    let file = rig.file("web.yaml", "imgae: x");
    let message = rig.fails(78, &["put", &file]).await;
    assert!(
        message.starts_with(&format!("{file}:1:1: unknown key")),
        "{message}"
    );
    let file = rig.file("web.yaml", "image: x\nprivileged: true");
    let policy = rig.file("policy.yaml", "{}");
    let message = rig.fails(78, &["put", &file, "--policy", &policy]).await;
    assert!(message.starts_with(&format!("{file}:2:13: ")), "{message}");
    let absolute = "image: x\npublish: [/lbManager/elb/us-east-1/web/multiple/$INSTANCE_ID]";
    let absolute = rig.file("absolute.yaml", absolute);
    let message = rig.fails(78, &["put", &absolute, "--prefix=/two"]).await;
    let place = format!("{absolute}:2:11: publish[0]: invalid key ");
    assert!(message.starts_with(&place), "{message}");
    assert_eq!(rig.etcd.count("/launcher/").await.unwrap(), 0);
    rig.ok(&["put", &file]).await;
    rig.ok(&["put", &absolute]).await;
}

#[tokio::test]
async fn the_history_is_a_table_or_json() {
    let rig = Rig::start().await;
    let first = rig.put(&rig.file("web.yaml", "image: web:1")).await;
    let second = rig
        .put(&rig.file("web.yaml", "{image: 'web:1', port: 80}"))
        .await;
    let table = rig.ok(&["history", "web"]).await;
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("REVISION"), "{table}");
    assert!(lines[1].starts_with(&second) && lines[1].ends_with("web:1  port (in force)"));
    assert!(
        lines[2].starts_with(&first) && lines[2].ends_with("web:1  -"),
        "{table}"
    );
    let json = rig.ok(&["history", "web", "--format=json"]).await;
    let lines: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["revision"], second);
    assert_eq!(lines[0]["changed"], serde_json::json!(["port"]));
    assert_eq!(lines[0]["in_force"], true);
    assert_eq!(lines[1]["changed"], Value::Null);
    rig.etcd.del("/launcher/services/web").await.unwrap();
    let table = rig.ok(&["history", "web"]).await;
    assert!(
        !table.contains("in force") && table.contains(&second),
        "{table}"
    );
    let message = rig.fails(1, &["history", "wbe"]).await;
    assert!(
        message.contains("there is no definition of wbe"),
        "{message}"
    );
}

#[tokio::test]
async fn the_instances_are_listed_as_their_launchers_say() {
    let rig = Rig::start().await;
    let state = InstanceState {
        state: State::Unhealthy,
        since: "2026-11-20T12:00:00Z".parse().unwrap(),
        container: Some("0a1b".to_owned()),
        image: "web:1".to_owned(),
        address: None,
        keys: BTreeSet::new(),
        message: Some("it answers 503".to_owned()),
    };
    let value = String::from_utf8(state.encode()).unwrap();
    for (key, value) in [
        ("/launcher/instances/web/host-1/42-0a1b2c3d", value.as_str()),
        ("/launcher/instances/web/host-2/42-0a1b2c3d", "?"),
        ("/launcher/instances/web-2/host-1/7-0a1b2c3d", &value),
        ("/launcher/instances/web/odd", "{}"),
    ] {
        rig.etcd.put(key, value).await.unwrap();
    }
    let table = rig.ok(&["ps"]).await;
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    assert!(
        lines[0].starts_with("NAME") && lines[0].ends_with("SINCE"),
        "{table}"
    );
    let words: Vec<_> = lines[1].split_whitespace().collect();
    assert_eq!(words[..4], ["web-2", "host-1", "7-0a1b2c3d", "unhealthy"]);
    assert!(lines[1].ends_with("  it answers 503"), "{table}");
    assert!(
        lines[3].contains("  \"?\" is no state of an instance: "),
        "{table}"
    );
    let json = rig.ok(&["ps", "web", "--format=json"]).await;
    let lines: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "those of web-2 are others");
    assert_eq!(lines[0]["host"], "host-1");
    assert_eq!(lines[0]["state"], "unhealthy");
    assert!(lines[1]["error"].is_string() && lines[1].get("state").is_none());
    assert_eq!(rig.ok(&["ps", "nobody", "--format=json"]).await, "");
    let heading = rig.ok(&["ps", "nobody"]).await;
    assert_eq!(heading, "NAME  HOST  REVISION  STATE  SINCE\n");
}

#[tokio::test]
async fn without_etcd_they_exit_69_and_say_why() {
    let rig = Rig::start().await;
    let file = rig.file("web.yaml", "image: x");
    let endpoint = format!("http://127.0.0.1:{}", testbed::ports::free().unwrap());
    for arguments in [
        &["put", file.as_str()][..],
        &["get", "web"],
        &["get", "web", "7-0a1b2c3d"],
        &["history", "web"],
        &["ps"],
    ] {
        let answer = launcher(&endpoint, arguments).await;
        assert_eq!(answer.code, 69, "{arguments:?}: {answer:?}");
        let reason = format!("etcd at {endpoint} does not answer");
        assert!(answer.stderr.contains(&reason), "{answer:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_meant_exits_64_and_says_what_could() {
    for (arguments, words) in [
        (&["get"][..], "<NAME>"),
        (&["get", "-web"], "unexpected argument"),
        (
            &["get", "a/b"],
            "1 to 100 of A-Z a-z 0-9 . _ - are expected",
        ),
        (&["get", "web", "42-"], "such as 42-0a1b2c3d"),
        (&["put", "/nowhere.yaml"], "cannot read /nowhere.yaml"),
        (&["put", "x", "--if-revision=42"], "such as 42-0a1b2c3d"),
        (&["ps", "--format=xml"], "table, json"),
    ] {
        let answer = launcher("", arguments).await;
        assert_eq!(answer.code, 64, "{arguments:?}: {answer:?}");
        assert!(answer.stderr.contains(words), "{arguments:?}: {answer:?}");
    }
}

#[tokio::test]
async fn each_shows_an_example() {
    for command in ["put", "get", "history", "ps"] {
        let answer = launcher("", &[command, "--help"]).await;
        let example = format!("\n  launcher {command}");
        assert!(answer.stdout.contains(&example), "{}", answer.stdout);
    }
}
