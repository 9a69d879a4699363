//! What the documents say is so: commands, flags, targets, links, metrics.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use testbed::aws::Aws;
use testbed::etcd::Etcd;
use testbed::process::{Program, workspace_binary};
use testbed::{http, ports, wait};

const DEADLINE: Duration = Duration::from_mins(1);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The documents with their paths.
fn documents() -> Vec<(PathBuf, String)> {
    let mut paths = Vec::new();
    for directory in [root(), root().join("docs")] {
        let files = fs::read_dir(directory).unwrap();
        let files = files.map(|file| file.unwrap().path());
        paths.extend(files.filter(|path| path.extension().is_some_and(|end| end == "md")));
    }
    assert!(paths.len() >= 8, "documents are missing: {paths:?}");
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// Everything that is set as code, a line or a span each. A span that goes
/// over the end of a line is one.
fn code(text: &str) -> Vec<String> {
    let is_block = |line: &str| line.starts_with("    ");
    let blocks = text.lines().filter(|line| is_block(line));
    let blocks = blocks.map(|line| line.trim_start_matches([' ', '$']).to_owned());
    let prose: Vec<&str> = text.lines().filter(|line| !is_block(line)).collect();
    let prose = prose.join(" ");
    let spans = prose.split('`').skip(1).step_by(2).map(str::to_owned);
    blocks.chain(spans).collect()
}

#[test]
fn commands_and_flags_exist() {
    let lbmanager = workspace_binary("lbmanager").unwrap();
    let mut pages: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut help = |subcommand: &str| -> Option<String> {
        let ask = || {
            let mut command = Command::new(&lbmanager);
            let output = command.args([subcommand, "--help"]).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            output.status.success().then_some(text)
        };
        let page = pages.entry(subcommand.to_owned()).or_insert_with(ask);
        page.clone()
    };
    let mut seen = 0;
    for (path, text) in documents() {
        for command in code(&text) {
            let mut words = command.split_whitespace();
            if words.next() != Some("lbmanager") {
                continue;
            }
            let Some(subcommand) = words.next().filter(|word| !word.starts_with('-')) else {
                continue;
            };
            seen += 1;
            let page = help(subcommand);
            let page = page.unwrap_or_else(|| panic!("{}: `{command}`", path.display()));
            for flag in words.filter(|word| word.starts_with("--")) {
                let flag = flag.split('=').next().unwrap();
                assert!(
                    page.contains(flag),
                    "{}: `{command}`: {flag}",
                    path.display()
                );
            }
        }
    }
    assert!(seen > 20, "only {seen} commands were found");
    assert_eq!(help("no-such-subcommand"), None);
}

#[test]
fn targets_of_make_exist() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let mut seen = 0;
    for (path, text) in documents() {
        for command in code(&text) {
            if let Some(target) = command.strip_prefix("make ") {
                let target = target.split_whitespace().next().unwrap();
                let rule = format!("\n{target}:");
                assert!(
                    makefile.contains(&rule),
                    "{}: make {target}",
                    path.display()
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 5, "only {seen} targets were found");
}

#[test]
fn links_lead_somewhere() {
    let mut seen = 0;
    for (path, text) in documents() {
        let links = text.split("](").skip(1);
        for link in links.filter_map(|rest| rest.split_once(')').map(|(link, _)| link)) {
            if link.starts_with("http") {
                continue;
            }
            let target = path.parent().unwrap().join(link);
            assert!(target.exists(), "{}: {link}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 5, "only {seen} links were found");
}

/// Names of metrics, without what the kinds of them add.
fn names(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_name(c));
    words
        .filter(|word| word.starts_with("lbmanager_"))
        .map(|word| {
            let ends = ["_total", "_bucket", "_sum", "_count", "_info"];
            let end = ends.iter().find_map(|end| word.strip_suffix(end));
            end.unwrap_or(word).to_owned()
        })
        .collect()
}

#[tokio::test]
async fn the_metrics_are_those_that_are_listed() {
    let etcd = Etcd::start().await.unwrap();
    let aws = Aws::start().await.unwrap();
    let web = aws.create("eu-west-1", "web");
    let key = "/lbManager/elb/eu-west-1/web/multiple/i-00000001";
    etcd.put(key, "").await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", ports::free().unwrap());
    let _manager = Program::new(workspace_binary("lbmanager").unwrap())
        .args(["run", "--listen", &address, "--state-dir"])
        .arg(state.path())
        .env("ETCDCTL_ENDPOINTS", etcd.endpoint())
        .env("AWS_ENDPOINT_URL", aws.url())
        .env("AWS_ACCESS_KEY_ID", "id")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .start()
        .await
        .unwrap();
    let registered = |_: &Aws| web.registered().contains("i-00000001");
    aws.wait_until("i-00000001 to be registered", registered, DEADLINE)
        .await
        .unwrap();
    let listed = fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let listed = names(&listed);
    wait::until(
        "all metrics that docs/metrics.md lists",
        DEADLINE,
        || async {
            let page = http::get(&format!("http://{address}/metrics")).await;
            let served = names(&page.map_err(|error| error.to_string())?.body);
            let differ: Vec<_> = served.symmetric_difference(&listed).cloned().collect();
            if differ.is_empty() {
                Ok(())
            } else {
                Err(differ.join(" "))
            }
        },
    )
    .await
    .unwrap();
}

#[test]
fn only_soak_tests_are_ignored() {
    let mut folders = vec![root()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                seen += 1;
                let text = fs::read_to_string(&path).unwrap();
                let lines = text.lines().map(str::trim);
                for line in lines.filter(|line| line.starts_with("#[ignore")) {
                    assert_eq!(line, "#[ignore = \"soak\"]", "{}", path.display());
                }
            }
        }
    }
    assert!(seen > 50, "only {seen} sources were found");
}
