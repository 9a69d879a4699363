//! What the documents say of service-monitor is so.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::path::Path;
use std::time::Duration;

use testbed::etcd::Etcd;
use testbed::process::Program;
use testbed::terminal::Terminal;
use testbed::{documents, http, ports, wait};

const DEADLINE: Duration = Duration::from_mins(1);
const BINARY: &str = env!("CARGO_BIN_EXE_service-monitor");

#[test]
fn commands_and_flags_exist() {
    let seen = documents::check_commands("service-monitor", Path::new(BINARY)).unwrap();
    assert!(seen > 10, "only {seen} commands were found");
}

/// A terminal where service-monitor is found, in a directory of its own.
fn terminal(etcd: &Etcd, directory: &Path) -> Terminal {
    let binaries = Path::new(BINARY).parent().unwrap().display();
    let path = format!("{binaries}:{}", std::env::var("PATH").unwrap());
    Terminal::at(directory)
        .env("PATH", &path)
        .env("ETCDCTL_API", "3")
        .env("ETCDCTL_ENDPOINTS", &etcd.endpoint())
}

#[tokio::test]
async fn the_session_of_the_page_goes_as_it_is_shown() {
    let etcd = Etcd::start().await.unwrap();
    let page = documents::one("docs/service-monitor.md").unwrap();
    let session = documents::session(&page);
    // The last one is for a host that has the image.
    let session: Vec<_> = session
        .into_iter()
        .filter(|entered| !entered.command.starts_with("docker "))
        .collect();
    assert!(session.len() > 12, "{session:?}");
    let directory = tempfile::tempdir().unwrap();
    let port = ports::free().unwrap().to_string();
    let terminal = terminal(&etcd, directory.path());
    let mut terminal = terminal.replace("8000", &port).mask("\"since\":\"", "\"");
    terminal = terminal.mask("\"token\":", "}");
    terminal.enter(&session).await.unwrap();
}

#[tokio::test]
async fn the_metrics_are_those_that_are_listed() {
    let etcd = Etcd::start().await.unwrap();
    let address = format!("127.0.0.1:{}", ports::free().unwrap());
    let watch = [
        "watch",
        "--label=web",
        "--service-id=web-1",
        "--monitor-url=exec:true",
    ];
    let _watch = Program::new(BINARY)
        .args(watch)
        .args(["--host-ip=10.0.0.7", "--listen", &address])
        .env("ETCDCTL_ENDPOINTS", etcd.endpoint())
        .start()
        .await
        .unwrap();
    let names = |text: &str| documents::metrics("service_monitor_", text);
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
