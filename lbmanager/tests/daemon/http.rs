use testbed::http;
use testbed::wait;

use crate::real::{A, B, REGION, Rig, SOON};

struct Served {
    rig: Rig,
    url: String,
}

async fn served() -> Served {
    let mut rig = Rig::idle().await;
    let port = testbed::ports::free().unwrap();
    rig.set(|launch| launch.arg(format!("--listen=127.0.0.1:{port}")));
    Served {
        rig,
        url: format!("http://127.0.0.1:{port}"),
    }
}

impl Served {
    /// Waits until the page has all these lines or words.
    async fn until(&self, path: &str, status: u16, words: &[&str]) {
        let url = format!("{}{path}", self.url);
        let look = || async {
            let answer = http::get(&url).await.map_err(|error| error.to_string())?;
            let all = words.iter().all(|words| answer.body.contains(words));
            if answer.status.as_u16() == status && all {
                return Ok(());
            }
            Err(format!("{} {}", answer.status, answer.body))
        };
        let what = format!("{words:?} at {path}");
        wait::until(&what, SOON, look).await.unwrap();
    }
}

#[tokio::test]
async fn readyz_says_why_not_and_healthz_is_fine_all_along() {
    let mut served = served().await;
    served.rig.etcd.stop().await.unwrap();
    served.rig.run().await;
    let waiting = ["not ready: waiting for etcd, nothing is changed"];
    served.until("/readyz", 503, &waiting).await;
    served.until("/healthz", 200, &["ok"]).await;
    served.rig.etcd.restart().await.unwrap();
    served.until("/readyz", 200, &["ready"]).await;
    served.rig.etcd.kill().await.unwrap();
    let away = ["not ready: etcd is away, members stay as they are"];
    served.until("/readyz", 503, &away).await;
    served.until("/healthz", 200, &["ok"]).await;
    served.rig.etcd.restart().await.unwrap();
    served.until("/readyz", 200, &["ready"]).await;
}

#[tokio::test]
async fn metrics_count_load_balancers_members_and_calls() {
    let mut served = served().await;
    served.rig.run().await;
    let rig = &served.rig;
    rig.aws.create(REGION, "web");
    rig.put("web", &[A, B]).await;
    rig.put("ghost", &[A]).await;
    rig.until_serving("web", &[A, B]).await;
    let words = [
        "lbmanager_build_info{version=",
        "lbmanager_balancers{state=\"in_sync\"} 1\n",
        "lbmanager_balancers_with_errors{class=\"not_found\"} 1\n",
        "lbmanager_members{state=\"serving\"} 2\n",
        "lbmanager_removals_withheld 0\n",
        "lbmanager_history_replaced 0\n",
        "lbmanager_keys_malformed 0\n",
        "operation=\"RegisterInstancesWithLoadBalancer\",outcome=\"ok\"} ",
        "# EOF\n",
    ];
    served.until("/metrics", 200, &words).await;

    let lease = rig.etcd.lease_grant(600).await.unwrap();
    for member in [A, B] {
        let key = crate::real::key("web", member);
        rig.etcd.put_with_lease(&key, "", lease).await.unwrap();
    }
    let revision = rig.mod_revision(&crate::real::key("web", B)).await;
    let seen = format!("lbmanager_tree_revision {revision}\n");
    served.until("/metrics", 200, &[&seen]).await;
    rig.etcd.lease_revoke(lease).await.unwrap();
    let held = ["lbmanager_removals_withheld 1\n"];
    served.until("/metrics", 200, &held).await;
    served.rig.etcd.wipe().await.unwrap();
    let replaced = ["lbmanager_history_replaced 1\n"];
    served.until("/metrics", 200, &replaced).await;
}

#[tokio::test]
async fn the_number_of_series_does_not_grow_with_the_load_balancers() {
    let mut served = served().await;
    served.rig.run().await;
    let rig = &served.rig;
    rig.aws.create(REGION, "lb0");
    rig.put("lb0", &[A]).await;
    rig.until_serving("lb0", &[A]).await;
    let series = || async {
        let metrics = http::get(&format!("{}/metrics", served.url)).await.unwrap();
        metrics
            .body
            .lines()
            .filter(|line| !line.starts_with('#'))
            .count()
    };
    let before = series().await;
    for number in 1..6 {
        rig.aws.create(REGION, &format!("lb{number}"));
        rig.put(&format!("lb{number}"), &[A]).await;
    }
    rig.until_serving("lb5", &[A]).await;
    let all = ["lbmanager_members{state=\"serving\"} 6\n"];
    served.until("/metrics", 200, &all).await;
    assert_eq!(series().await, before);
}
