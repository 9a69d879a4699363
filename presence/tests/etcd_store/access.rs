use presence::store::Store;
use presence::store::etcd::{EtcdConfig, Secret};
use testbed::certs::{Certificates, KeyPair};
use testbed::etcd::Etcd;

use crate::{connected, denied, next, put, put_in_the_end, started, unavailable};

const PASSWORD: &str = "correct horse";

fn as_user(mut config: EtcdConfig, user: &str, password: &str) -> EtcdConfig {
    config.user = Some(user.to_owned());
    config.password = Some(Secret::from(password.to_owned()));
    config
}

fn with_tls(etcd: &Etcd, certificates: &Certificates, own: Option<&KeyPair>) -> EtcdConfig {
    let mut config = EtcdConfig::plain([etcd.endpoint().replace("https://", "")]);
    config.ca = Some(certificates.ca.clone());
    config.cert = own.map(|own| own.cert.clone());
    config.key = own.map(|own| own.key.clone());
    config
}

async fn with_auth() -> Etcd {
    let etcd = Etcd::builder().auth(PASSWORD).start().await.unwrap();
    etcd.add_user("reader", "secret", "/mine/").await.unwrap();
    etcd
}

#[tokio::test]
async fn knows_the_user_and_keeps_to_the_role() {
    let etcd = with_auth().await;
    let config = EtcdConfig::plain([etcd.endpoint()]);
    let store = connected(as_user(config, "reader", "secret")).await;
    let at = put(&store, "/mine/1").await.unwrap();
    denied(put(&store, "/other").await, "/other");
    denied(store.list("/other/", None).await, "permission denied");
    denied(store.watch("/other/", at).await.map(drop), "/other/");
    let mut watch = store.watch("/mine/", at).await.unwrap();
    put(&store, "/mine/2").await.unwrap();
    assert!(next(&mut watch).await.is_ok());
}

#[tokio::test]
async fn a_wrong_password_is_told_and_never_shown() {
    let etcd = with_auth().await;
    let config = EtcdConfig::plain([etcd.endpoint()]);
    let store = connected(as_user(config, "reader", "hunter2")).await;
    let error = store.list("/mine/", None).await;
    let shown = format!("{error:?} {store:?}");
    denied(error, "user reader");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn nobody_is_denied_where_users_are_asked_for() {
    let etcd = with_auth().await;
    let store = connected(EtcdConfig::plain([etcd.endpoint()])).await;
    denied(put(&store, "/mine/1").await, "user name is empty");
    denied(store.list("/mine/", None).await, "ETCDCTL_USER");
}

#[tokio::test]
async fn the_token_is_renewed_when_etcd_has_forgotten_it() {
    let mut etcd = with_auth().await;
    let config = EtcdConfig::plain([etcd.endpoint()]);
    let store = connected(as_user(config, "reader", "secret")).await;
    let at = put_in_the_end(&store, "/mine/1").await;
    etcd.restart().await.unwrap();
    put(&store, "/mine/2").await.unwrap();
    etcd.restart().await.unwrap();
    let mut watch = store.watch("/mine/", at).await.unwrap();
    assert!(next(&mut watch).await.is_ok());
    etcd.restart().await.unwrap();
    let lease = store
        .grant(std::time::Duration::from_mins(1))
        .await
        .unwrap();
    etcd.restart().await.unwrap();
    assert!(store.keep_alive(lease).await.unwrap());
}

#[tokio::test]
async fn a_user_does_no_harm_where_none_is_asked_for_yet() {
    let (etcd, _) = started().await;
    let config = EtcdConfig::plain([etcd.endpoint()]);
    let store = connected(as_user(config, "root", PASSWORD)).await;
    put(&store, "/a").await.unwrap();
    for command in [
        &["user", "add", &format!("root:{PASSWORD}")][..],
        &["user", "grant-role", "root", "root"],
        &["auth", "enable"],
    ] {
        etcd.etcdctl(command).await.unwrap();
    }
    put(&store, "/a").await.unwrap();
}

#[tokio::test]
async fn a_password_that_was_changed_is_told() {
    let etcd = with_auth().await;
    let config = EtcdConfig::plain([etcd.endpoint()]);
    let store = connected(as_user(config, "reader", "secret")).await;
    put(&store, "/mine/1").await.unwrap();
    let change = ["user", "passwd", "--interactive=false", "reader"];
    etcd.etcdctl_with_input(&change, "other\n").await.unwrap();
    denied(put(&store, "/mine/1").await, "authentication failed");
}

#[tokio::test]
async fn tls_with_a_certificate_of_ours_and_a_user() {
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::new(directory.path()).unwrap();
    let builder = Etcd::builder().tls(&certificates).auth(PASSWORD);
    let mut etcd = builder.start().await.unwrap();
    let config = with_tls(&etcd, &certificates, Some(&certificates.client));
    let store = connected(as_user(config, "root", PASSWORD)).await;
    let at = put(&store, "/a/1").await.unwrap();
    let mut watch = store.watch("/a/", at).await.unwrap();
    put(&store, "/a/2").await.unwrap();
    assert!(next(&mut watch).await.is_ok());
    assert_eq!(store.list("/a/", None).await.unwrap().entries.len(), 2);
    etcd.restart().await.unwrap();
    put_in_the_end(&store, "/a/1").await;
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::new(directory.path()).unwrap();
    let etcd = Etcd::builder().tls(&certificates).start().await.unwrap();

    let mut distrusting = with_tls(&etcd, &certificates, Some(&certificates.client));
    distrusting.ca = Some(certificates.other_ca.clone());
    let cases = [
        (distrusting, "UnknownIssuer"),
        (with_tls(&etcd, &certificates, None), "--cert"),
        (
            with_tls(&etcd, &certificates, Some(&certificates.untrusted)),
            "--cert",
        ),
        (
            with_tls(&etcd, &certificates, Some(&certificates.expired)),
            "--cert",
        ),
        (
            EtcdConfig::plain([etcd.endpoint().replace("https", "http")]),
            "http",
        ),
    ];
    for (config, words) in cases {
        let error = connected(config).await.get("/a").await;
        unavailable(error, words);
    }
}
