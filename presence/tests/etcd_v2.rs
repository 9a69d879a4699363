//! Keys of the v2 API, on an etcd that still serves it.
#![allow(clippy::unwrap_used, missing_docs)]

use presence::store::etcd::{EtcdConfig, count_v2_keys};
use testbed::etcd::Etcd;

#[tokio::test]
async fn keys_of_the_v2_api_are_counted_where_it_is_served() {
    let etcd = Etcd::builder().arg("--enable-v2").start().await.unwrap();
    let config = EtcdConfig::plain([etcd.endpoint()]);
    assert_eq!(count_v2_keys(&config, "/lbManager").await, None);
    for member in ["i-00000001", "i-00000002"] {
        let path = format!("v2/keys/lbManager/elb/us-east-1/web/multiple/{member}");
        let url = format!("{}/{path}", etcd.endpoint());
        let written = reqwest::Client::new().put(url).send().await.unwrap();
        assert!(written.status().is_success());
    }
    assert_eq!(count_v2_keys(&config, "/lbManager").await, Some(2));
}

#[tokio::test]
async fn an_etcd_without_the_v2_api_has_none() {
    let etcd = Etcd::start().await.unwrap();
    let config = EtcdConfig::plain([etcd.endpoint()]);
    assert_eq!(count_v2_keys(&config, "/lbManager").await, None);
}
