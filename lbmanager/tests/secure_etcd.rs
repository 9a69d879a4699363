//! etcd with TLS, client certificates, users and passwords, for real.
#![allow(clippy::unwrap_used)]

#[path = "support/real.rs"]
mod real;

use std::ops::Deref;
use std::time::Duration;

use tempfile::TempDir;
use testbed::certs::{Certificates, KeyPair};
use testbed::etcd::{Client, Etcd};
use testbed::notify::NotifySocket;
use testbed::process::Stream;
use tokio::time::sleep;

use real::{A, B, C, Launch, REGION, Rig};

const ROOT: &str = "secret-of-root";
const PASSWORD: &str = "secret-of-lb";

struct Secure {
    rig: Rig,
    certificates: Certificates,
    _directory: TempDir,
}

impl Deref for Secure {
    type Target = Rig;

    fn deref(&self) -> &Rig {
        &self.rig
    }
}

impl Secure {
    /// etcd that wants a certificate and a password, and a manager that has
    /// both and has not been started.
    async fn idle() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let certificates = Certificates::new(directory.path()).unwrap();
        let etcd = Etcd::builder().tls(&certificates).auth(ROOT);
        let etcd = etcd.start().await.unwrap();
        etcd.add_user("lb", PASSWORD, "/lbManager").await.unwrap();
        let endpoint = etcd.endpoint();
        let mut rig = Rig::on(etcd, &endpoint).await;
        rig.set(|launch| {
            let launch = launch
                .env("ETCDCTL_USER", "lb")
                .env("ETCDCTL_PASSWORD", PASSWORD)
                .env("ETCDCTL_CACERT", certificates.ca.display().to_string());
            with_certificate(launch, &certificates.client)
        });
        rig.aws.create(REGION, "web");
        rig.put("web", &[A]).await;
        Self {
            rig,
            certificates,
            _directory: directory,
        }
    }
}

fn with_certificate(launch: Launch, own: &KeyPair) -> Launch {
    launch
        .env("ETCDCTL_CERT", own.cert.display().to_string())
        .env("ETCDCTL_KEY", own.key.display().to_string())
}

/// Everything that a process shows to others.
fn shown<S: Deref<Target = Client>>(rig: &Rig<S>) -> String {
    let manager = rig.manager();
    let arguments = std::fs::read(format!("/proc/{}/cmdline", manager.pid())).unwrap();
    format!(
        "{}{}{}",
        String::from_utf8_lossy(&arguments),
        manager.text(Stream::Stdout),
        manager.text(Stream::Stderr)
    )
}

#[tokio::test]
async fn certificates_and_password_are_used_and_never_shown() {
    let mut secure = Secure::idle().await;
    let notify = NotifySocket::bind().unwrap();
    let port = testbed::ports::free().unwrap();
    let (name, path) = notify.env();
    secure.rig.set(|launch| {
        launch
            .env(name, path)
            .env("AWS_SESSION_TOKEN", "a-token-of-aws")
            .env("RUST_LOG", "trace")
            .arg(format!("--listen=127.0.0.1:{port}"))
    });
    secure.rig.run().await;
    secure.until_serving("web", &[A]).await;
    secure.rig.etcd.restart().await.unwrap();
    secure.put("web", &[B]).await;
    secure.del("web", A).await;
    secure.until_registered("web", &[B]).await;

    let mut all = shown(&secure);
    for path in ["metrics", "healthz", "readyz"] {
        let url = format!("http://127.0.0.1:{port}/{path}");
        all += &testbed::http::get(&url).await.unwrap().body;
    }
    let tree = secure.etcd.get_prefix("/lbManager").await.unwrap();
    let all = format!("{all}\n{tree:?}\n{:?}", notify.received());
    for secret in [PASSWORD, "a-secret-of-aws", "a-token-of-aws", "PRIVATE KEY"] {
        let found = all.lines().find(|line| line.contains(secret));
        assert_eq!(found, None, "{secret} is shown");
    }
}

#[tokio::test]
async fn a_password_may_come_from_a_file() {
    let mut secure = Secure::idle().await;
    let file = secure.state.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    secure.rig.set(|launch| {
        launch
            .without("ETCDCTL_PASSWORD")
            .arg(format!("--password-file={}", file.display()))
    });
    secure.rig.run().await;
    secure.until_serving("web", &[A]).await;
}

#[tokio::test]
async fn a_password_that_is_wrong_is_told_and_not_shown() {
    let mut secure = Secure::idle().await;
    let wrong = "hunter2";
    secure.rig.set(|launch| {
        launch
            .env("ETCDCTL_PASSWORD", wrong)
            .env("RUST_LOG", "trace")
    });
    secure.rig.run().await;
    secure.until_log("authentication failed").await;
    let all = shown(&secure);
    assert!(all.contains("user lb"), "{all}");
    assert!(!all.contains(wrong), "{all}");
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_told_and_waited_for() {
    let mut secure = Secure::idle().await;
    let right = secure.rig.launch.clone();
    let certificates = secure.certificates.clone();
    let endpoint = secure.etcd.endpoint();
    let no_certificate = right.clone().without("ETCDCTL_CERT").without("ETCDCTL_KEY");
    let other_ca = certificates.other_ca.display().to_string();
    for (launch, words) in [
        (
            right.clone().env("ETCDCTL_CACERT", other_ca),
            "UnknownIssuer",
        ),
        (no_certificate, "does it accept our --cert?"),
        (
            with_certificate(right.clone(), &certificates.expired),
            "does it accept our --cert?",
        ),
        (
            with_certificate(right.clone(), &certificates.untrusted),
            "does it accept our --cert?",
        ),
        (
            right
                .clone()
                .env("ETCDCTL_ENDPOINTS", endpoint.replace("https", "http")),
            "does it want TLS",
        ),
    ] {
        secure.rig.launch = launch;
        secure.rig.run().await;
        secure.until_log(words).await;
        secure.rig.stop().await;
    }
    assert!(secure.aws.calls().is_empty());
    secure.rig.launch = right;
    secure.rig.run().await;
    secure.until_serving("web", &[A]).await;
}

#[tokio::test]
async fn tokens_that_end_all_the_time_are_renewed() {
    let etcd = Etcd::builder().auth(ROOT).arg("--auth-token-ttl=1");
    let etcd = etcd.start().await.unwrap();
    etcd.add_user("lb", PASSWORD, "/lbManager").await.unwrap();
    let endpoint = etcd.endpoint();
    let mut rig = Rig::on(etcd, &endpoint).await;
    rig.set(|launch| {
        launch
            .env("ETCDCTL_USER", "lb")
            .env("ETCDCTL_PASSWORD", PASSWORD)
            .arg("--resync=2s")
    });
    rig.aws.create(REGION, "web");
    rig.put("web", &[A]).await;
    rig.run().await;
    rig.until_serving("web", &[A]).await;
    for member in [B, C] {
        // Longer than the token lives and a check of the history takes.
        sleep(Duration::from_secs(8)).await;
        rig.put("web", &[member]).await;
        rig.aws
            .wait_until(
                member,
                |aws| aws.in_service(REGION, "web").contains(member),
                real::SOON,
            )
            .await
            .unwrap();
    }
    rig.until_serving("web", &[A, B, C]).await;
    rig.assert_kept("web", &[A, B, C]);
    let lost = rig.log().matches("cannot be followed").count();
    assert!(lost < 20, "{lost} times: {}", rig.log());
}
