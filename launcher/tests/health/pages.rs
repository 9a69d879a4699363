//! Pages of `monitor`, and how they go with the health check.

use std::time::Duration;

use testbed::certs::Certificates;
use testbed::wait;
use testbed::web::{Act, Web};

use super::Rig;

fn answer(status: u16, body: &str) -> Act {
    Act::Answer(status, body.to_owned())
}

#[tokio::test]
async fn a_page_takes_the_container_out_until_it_is_as_expected() {
    let rig = Rig::start(false).await;
    let web = Web::start().await.unwrap();
    let port = web.address().port();
    web.set(answer(500, "no"));
    let pages = "[{path: /page, frequency: 100ms, expected: {status: 200, body: \"yes\\n\"}}]";
    let keys = format!("port: {port}\nhealth_check: tcp\nmonitor: {{check_http: {pages}}}");
    let mut checked = rig.check(&keys).await;
    let words = "monitor /page: 500 Internal Server Error, 200 is expected";
    assert_eq!(checked.down().await, words);
    web.set(answer(200, "yes\n"));
    checked.up().await;
    web.set(answer(200, "yes"));
    let words = checked.down().await;
    assert!(
        words.contains("is not the 4 bytes that are expected: \"yes\""),
        "{words}"
    );
    web.set(answer(200, "yes\n"));
    checked.up().await;
}

#[tokio::test]
async fn one_that_hangs_holds_no_other_up() {
    let rig = Rig::start(false).await;
    let web = Web::start().await.unwrap();
    let port = web.address().port();
    // The second is answered whatever becomes of the first.
    let pages = "[{path: /page, frequency: 100ms}, {path: /ok, frequency: 100ms}]";
    let keys = format!("port: {port}\nhealth_check: none\nmonitor: {{check_http: {pages}}}");
    let mut checked = rig.check(&keys).await;
    checked.up().await;
    web.set(Act::Hang);
    let before = web.requests();
    // One attempt at the first takes 10 s.
    let soon = Duration::from_secs(9);
    let asked = wait::until("the second page to be asked for", soon, || async {
        let requests = web.requests() - before;
        (requests >= 10).then_some(()).ok_or(requests)
    });
    asked.await.unwrap();
    assert_eq!(checked.down().await, "monitor /page: no answer within 10s");
}

#[tokio::test]
async fn a_file_is_read_each_time() {
    let rig = Rig::start(false).await;
    let web = Web::start().await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "one").unwrap();
    web.set(answer(200, "two"));
    let (port, path) = (web.address().port(), file.path().display().to_string());
    let page = format!("[{{path: /, frequency: 100ms, expected: {{body_file: {path}}}}}]");
    let keys = format!("port: {port}\nhealth_check: none\nmonitor: {{check_http: {page}}}");
    let mut checked = rig.check(&keys).await;
    let words = checked.down().await;
    assert!(
        words.starts_with("monitor /: 200 OK, but the body is not"),
        "{words}"
    );
    std::fs::write(file.path(), "two").unwrap();
    checked.up().await;
    drop(file);
    let words = checked.down().await;
    let start = format!("monitor /: body_file {path} cannot be read on this host: No such");
    assert!(words.starts_with(&start), "{words}");
}

/// Nobody certifies the address of a container.
#[tokio::test]
async fn any_certificate_will_do() {
    let rig = Rig::start(false).await;
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::new(directory.path()).unwrap();
    let web = Web::start_tls(&certificates).await.unwrap();
    let port = web.address().port();
    let keys = format!("port: {port}\nhealth_check: {{http: {{scheme: https}}}}");
    rig.check(&keys).await.up().await;
}
