//! The program as it is started.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_launcher");

fn launcher(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Exit code, stdout and stderr of `check` with this on stdin.
fn check(definition: &[u8]) -> (i32, String, String) {
    check_with(&[], definition)
}

fn check_with(arguments: &[&str], definition: &[u8]) -> (i32, String, String) {
    let mut child = Command::new(BINARY)
        .args(["check", "-"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(definition).unwrap();
    let output = child.wait_with_output().unwrap();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn a_definition_that_is_fine_is_summed_up() {
    let (code, out, err) = check(b"{image: nginx, port: 80, health_check: http}");
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        out,
        "<stdin>: fine: nginx, health by http, published nowhere\n"
    );
}

#[test]
fn a_key_outside_of_the_prefix_is_an_error_that_says_what_to_write() {
    let member = "elb/us-east-1/web/multiple/$INSTANCE_ID";
    let relative = format!("{{image: x, publish: [{member}]}}");
    let absolute = format!("{{image: x, publish: [/lbManager/{member}]}}");
    let fine = "<stdin>: fine: x, health by image or none, published in one place\n".to_owned();
    let fine = (0, fine, String::new());
    let two = &["--prefix=/two/"][..];
    for (arguments, text) in [(&[][..], &relative), (two, &relative), (&[], &absolute)] {
        assert_eq!(check_with(arguments, text.as_bytes()), fine, "{text}");
    }
    let error = format!(
        "<stdin>:1:22: publish[0]: invalid key \"/lbManager/{member}\": expected a key below \
         \"/two/\"; write it relative to the prefix: {member}\n"
    );
    let found = check_with(two, absolute.as_bytes());
    assert_eq!(found, (78, String::new(), error));
    for prefix in ["", "/", "/two-status"] {
        let (code, _, error) = check_with(&["--prefix", prefix], relative.as_bytes());
        assert_eq!(code, 64, "{error}");
        assert!(
            error.contains(&format!("prefix {prefix:?} is not valid")),
            "{error}"
        );
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let (code, out, err) = check(b"imgae: nginx\nport: x\n");
    assert_eq!((code, out.as_str()), (78, ""));
    assert_eq!(
        err,
        "<stdin>:1:1: unknown key \"imgae\"; did you mean \"image\"?\n\
         <stdin>:2:7: port: \"x\" is no port: a number from 1 to 65535 is expected\n"
    );
    let (code, _, err) = check(b"image: \xff");
    assert_eq!(code, 78);
    assert_eq!(
        err,
        "launcher: cannot read <stdin>: it is no UTF-8 text from byte 7 on\n"
    );
}

#[test]
fn a_policy_refuses_what_is_right_otherwise() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let web = path("web.yaml", "image: x\nprivileged: true\n");
    assert_eq!(
        launcher(&["check", &web]).status.code(),
        Some(0),
        "a file is trusted"
    );
    let policy = path("policy.yaml", "{}");
    let refused = launcher(&["check", "--policy", &policy, &web]);
    assert_eq!(refused.status.code(), Some(78));
    let message = "privileged: it may do all that the host may; privileged: true allows it";
    assert_eq!(text(&refused.stderr), format!("{web}:2:13: {message}\n"));
    let allowing = path("allowing.yaml", "privileged: true");
    assert_eq!(
        launcher(&["check", "--policy", &allowing, &web])
            .status
            .code(),
        Some(0)
    );
    let wrong = path("wrong.yaml", "privileged: yes");
    let output = launcher(&["check", "--policy", &wrong, &web]);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).starts_with(&format!("{wrong}:1:13: ")));
}

#[test]
fn a_wrong_command_line_exits_64() {
    for arguments in [
        &["check"][..],
        &["check", "/nowhere/web.yaml"],
        &["chekc", "x"],
        &[],
    ] {
        let output = launcher(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
    let output = launcher(&["check", "/nowhere/web.yaml"]);
    let expected = "launcher: cannot read /nowhere/web.yaml: No such file or directory";
    assert!(text(&output.stderr).starts_with(expected));
}

/// Whatever else it ends with is the container's.
#[test]
fn failures_of_run_are_125() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let file = |name: &str, text: &str| {
        std::fs::write(path(name), text).unwrap();
        path(name)
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let wrong = file("policy.yaml", "privileged: maybe");
    let (no_directory, state) = (file("file", ""), path("state"));
    for (arguments, code, words) in [
        (["--listen", &taken], 125, &taken),
        (["--policy", &wrong], 125, &wrong),
        (["--state-dir", &no_directory], 125, &no_directory),
        (
            ["--cacert", "/nowhere.pem"],
            125,
            &"/nowhere.pem".to_owned(),
        ),
        (["--ttl", "1s"], 64, &"whole seconds".to_owned()),
    ] {
        let run = ["run", "web"];
        let state = ["--state-dir", &state];
        let state = if arguments[0] == state[0] {
            &[][..]
        } else {
            &state
        };
        let output = launcher(&[&run, &arguments[..], state].concat());
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {err}");
        assert!(err.contains(words), "{err}");
        assert!(!err.contains("launcher: \n"), "{err}");
    }
}

#[test]
fn it_tells_of_itself() {
    let version = text(&launcher(&["--version"]).stdout);
    assert_eq!(
        version,
        format!("launcher {}\n", presence::process::VERSION)
    );
    assert_eq!(
        text(&launcher(&["schema"]).stdout),
        launcher::definition::schema()
    );
    let completions = text(&launcher(&["completions", "bash"]).stdout);
    assert!(completions.contains("_launcher"), "{completions}");
    let directory = tempfile::tempdir().unwrap();
    let man = directory.path().join("man1");
    assert!(launcher(&["man", man.to_str().unwrap()]).status.success());
    assert!(man.join("launcher-check.1").exists());
    for subcommand in ["check", "schema", "completions"] {
        let help = text(&launcher(&[subcommand, "--help"]).stdout);
        assert!(help.contains("Example"), "{help}");
    }
}
