//! What docs/launcher-commands.md shows is so.

use std::path::Path;

use testbed::documents;
use testbed::etcd::Etcd;
use testbed::terminal::Terminal;

#[tokio::test]
async fn the_session_of_the_page_goes_as_it_is_shown() {
    let etcd = Etcd::start().await.unwrap();
    let session = documents::session(&documents::one("docs/launcher-commands.md").unwrap());
    assert!(session.len() > 8, "{session:?}");
    let directory = tempfile::tempdir().unwrap();
    let binaries = Path::new(env!("CARGO_BIN_EXE_launcher")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let terminal = Terminal::at(directory.path())
        .env("PATH", &format!("{}:{path}", binaries.display()))
        .env("ETCDCTL_API", "3")
        .env("ETCDCTL_ENDPOINTS", &etcd.endpoint());
    // The heading is as wide as the times, and those grow.
    let terminal = terminal.mask("  WHEN", "IMAGE").mask("  2026-", "web:");
    let mut terminal = terminal.mask("\"at\":\"", "\"");
    terminal.enter(&session).await.unwrap();
}
