//! What the documents say is so: commands, flags, targets, links, metrics.

use std::fs;
use std::time::Duration;

use testbed::aws::Aws;
use testbed::etcd::Etcd;
use testbed::process::{Program, workspace_binary};
use testbed::{documents, http, ports, wait};

const DEADLINE: Duration = Duration::from_mins(1);

#[test]
fn commands_and_flags_exist() {
    let lbmanager = workspace_binary("lbmanager").unwrap();
    let seen = documents::check_commands("lbmanager", &lbmanager).unwrap();
    assert!(seen > 20, "only {seen} commands were found");
}

#[test]
fn targets_of_make_exist() {
    let makefile = documents::one("Makefile").unwrap();
    let mut seen = 0;
    for (path, text) in documents::all().unwrap() {
        for command in documents::code(&text) {
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
    for (path, text) in documents::all().unwrap() {
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
    let names = |text: &str| documents::metrics("lbmanager_", text);
    let listed = names(&documents::one("docs/metrics.md").unwrap());
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
    let mut folders = vec![documents::root()];
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
