//! What the documents say of launcher is so.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::slice;
use std::time::Duration;

use clap::CommandFactory as _;
use testbed::docker::Docker;
use testbed::etcd::Etcd;
use testbed::process::Program;
use testbed::terminal::Terminal;
use testbed::{documents, http, ports, wait};

const DEADLINE: Duration = Duration::from_mins(1);
const BINARY: &str = env!("CARGO_BIN_EXE_launcher");
const PAGE: &str = "docs/launcher.md";

#[test]
fn commands_and_flags_exist() {
    let seen = documents::check_commands("launcher", Path::new(BINARY)).unwrap();
    assert!(seen > 20, "only {seen} commands were found");
}

/// A terminal where launcher is found.
fn terminal(directory: &Path, etcd: &Etcd) -> Terminal {
    let binaries = Path::new(BINARY).parent().unwrap().display();
    let path = format!("{binaries}:{}", std::env::var("PATH").unwrap());
    Terminal::at(directory)
        .env("PATH", &path)
        .env("ETCDCTL_API", "3")
        .env("ETCDCTL_ENDPOINTS", &etcd.endpoint())
}

/// The flags of a table whose first column has them, each with what the second one says.
fn listed(page: &str) -> BTreeMap<String, String> {
    let rows = page.lines().filter(|line| line.starts_with("| `--"));
    let rows = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let flags = rows.flat_map(|row| {
        let flags = row[1].split(", ").map(|flag| flag.trim_matches('`'));
        let flags: Vec<_> = flags
            .map(|flag| (flag.to_owned(), row[2].to_owned()))
            .collect();
        flags
    });
    flags.collect()
}

#[test]
fn the_flags_of_run_are_those_that_are_listed() {
    let command = launcher::cli::Cli::command();
    let run = command.find_subcommand("run").unwrap();
    // The table of --definitions has the same first column, and no flag in it.
    let mut listed = listed(&documents::one(PAGE).unwrap());
    for argument in run.get_arguments() {
        let Some(long) = argument.get_long() else {
            continue;
        };
        let shown = listed.remove(&format!("--{long}"));
        let shown = shown.unwrap_or_else(|| panic!("--{long} is not in {PAGE}"));
        if let [default] = argument.get_default_values() {
            assert_eq!(shown, format!("`{}`", default.display()), "--{long}");
        }
    }
    assert!(listed.is_empty(), "launcher run has none of {listed:?}");
}

/// As far as it goes without a host: the definition, and its revision.
#[tokio::test]
async fn the_example_of_the_readme_is_fine() {
    let etcd = Etcd::start().await.unwrap();
    let session = documents::session(&documents::one("README.md").unwrap());
    let begin = session
        .iter()
        .position(|entered| entered.command == "cat web.yaml");
    let [file, put, ..] = &session[begin.unwrap()..] else {
        panic!("{session:?}");
    };
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("web.yaml"), &file.output).unwrap();
    terminal(directory.path(), &etcd)
        .enter(slice::from_ref(put))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_session_of_the_page_goes_as_it_is_shown() {
    let docker = Docker::start_linked().await.unwrap();
    let image = docker.contained(&[]).await.unwrap();
    let shown = "registry.example/web:1.4";
    docker.run(&["tag", image.tag(), shown]).await.unwrap();
    let etcd = Etcd::start().await.unwrap();
    let session = documents::session(&documents::one(PAGE).unwrap());
    assert!(session.len() > 15, "{session:?}");
    let directory = tempfile::tempdir().unwrap();
    let (variable, socket) = docker.env().unwrap();
    let terminal = terminal(directory.path(), &etcd).env(variable, &socket);
    // The heading is as wide as the times, and those grow.
    let terminal = terminal.mask("  WHEN", "IMAGE").mask("  2026-", "web:");
    let mut terminal = terminal.mask("\"at\":\"", "\"");
    terminal.enter(&session).await.unwrap();
}

#[tokio::test]
async fn the_metrics_are_those_that_are_listed() {
    let address = format!("127.0.0.1:{}", ports::free().unwrap());
    let state = tempfile::tempdir().unwrap();
    // It waits for etcd.
    let nobody = format!("http://127.0.0.1:{}", ports::free().unwrap());
    let _launcher = Program::new(BINARY)
        .args(["run", "web", "--listen", &address, "--endpoints", &nobody])
        .arg("--state-dir")
        .arg(state.path())
        .start()
        .await
        .unwrap();
    let names = |text: &str| documents::metrics("launcher_", text);
    let listed = names(&documents::one("docs/metrics.md").unwrap());
    assert!(!listed.is_empty());
    let listening = wait::until("the metrics", DEADLINE, || async {
        let page = http::get(&format!("http://{address}/metrics")).await;
        page.map_err(|error| error.to_string())
    });
    let served: BTreeSet<_> = names(&listening.await.unwrap().body);
    assert_eq!(served, listed);
}
