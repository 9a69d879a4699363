use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use testbed::aws::Aws;
use testbed::wait;

use crate::real::{A, B, C, REGION, Rig, SOON, key, set, status_key};

const DESCRIBE: &str = "DescribeLoadBalancers";
const HEALTH: &str = "DescribeInstanceHealth";

fn instance(number: usize) -> String {
    format!("i-1000{number:04x}")
}

#[tokio::test]
async fn a_burst_of_changes_is_one_describe_one_register_and_one_deregister() {
    let rig = Rig::serving("web", &[A, B, C]).await;
    rig.aws.clear_calls();
    let burst = (0..100).map(|number| (key("web", &instance(number)), ""));
    rig.etcd.put_many(burst).await.unwrap();
    let all = |aws: &Aws| aws.in_service(REGION, "web").len() == 103;
    rig.aws.wait_until("all", all, SOON).await.unwrap();
    let calls = rig.aws.calls();
    assert_eq!(calls.clone().writes().len(), 1, "{calls:#?}");
    assert!(calls.of(DESCRIBE).len() <= 1);

    rig.until_status("web", "all serve", |status| {
        crate::real::serving(status).len() == 103
    })
    .await;
    rig.aws.clear_calls();
    let swap = (0..50).map(|number| {
        let (old, new) = (instance(number), instance(number + 1000));
        format!("del {}\nput {} \"\"", key("web", &old), key("web", &new))
    });
    let swap = swap.collect::<Vec<_>>().join("\n");
    let swap = format!("mod(\"{}\") > \"0\"\n\n{swap}\n\n\n\n", key("web", A));
    rig.etcd.txn(&swap).await.unwrap();
    let swapped = |aws: &Aws| {
        let registered = aws.registered(REGION, "web");
        registered.len() == 103 && registered.contains(&instance(1049))
    };
    rig.aws.wait_until("the swap", swapped, SOON).await.unwrap();
    let calls = rig.aws.calls();
    assert_eq!(calls.clone().writes().len(), 2, "{calls:#?}");
    assert!(calls.of(DESCRIBE).len() <= 1);
    rig.assert_kept("web", &[A, B, C]);
}

#[tokio::test]
async fn a_resync_of_what_is_in_sync_asks_once_and_writes_nothing() {
    let mut rig = Rig::idle().await;
    rig.set(|launch| launch.arg("--resync=1s"));
    rig.run().await;
    rig.aws.create(REGION, "web");
    rig.put("web", &[A, B]).await;
    rig.until_serving("web", &[A, B]).await;
    rig.aws.clear_calls();
    let revision = rig.etcd.revision().await.unwrap();
    let resyncs = |aws: &Aws| aws.calls().of(DESCRIBE).len() >= 4;
    rig.aws
        .wait_until("four resyncs", resyncs, SOON)
        .await
        .unwrap();
    let calls = rig.aws.calls();
    assert!(calls.clone().writes().is_empty(), "{calls:#?}");
    let health = calls.of(HEALTH).len();
    assert!(health <= 1, "at one resync of six: {health}");
    let now = rig.etcd.revision().await.unwrap();
    assert_eq!(now, revision, "a status that says the same is not written");
    assert_eq!(rig.lb("web").registered(), set(&[A, B]));
}

/// A thousand load balancers with one member each, as a manager left them.
async fn thousand() -> Rig {
    let mut rig = Rig::serving("lb0", &[A]).await;
    rig.stop().await;
    let names = || (1..1000).map(|number| format!("lb{number}"));
    for name in names() {
        rig.aws.create(REGION, &name).instances([A]);
    }
    let mut record = rig.status("lb0").await;
    rig.etcd
        .put_many(names().map(|name| (key(&name, A), "")))
        .await
        .unwrap();
    let listing = rig.etcd.revision().await.unwrap();
    record["revision"] = json!(listing);
    // Sorted by key, as etcd lists them.
    let keys: BTreeSet<String> = names().map(|name| key(&name, A)).collect();
    let below = format!("/lbManager/elb/{REGION}/");
    let revisions = rig.mod_revisions(&below).await;
    let revisions = revisions.into_iter().skip(1);
    let statuses = keys.iter().zip(revisions).map(|(key, revision)| {
        let name = key.split('/').nth(4).unwrap();
        record["members"][A]["mod_revision"] = json!(revision);
        (status_key(name), record.to_string())
    });
    rig.etcd.put_many(statuses).await.unwrap();
    rig.aws.clear_calls();
    rig
}

/// With how many calls all were asked for, each time. A listing names nobody;
/// those that come late on a busy machine are asked for by name.
fn asked(aws: &Aws) -> Vec<usize> {
    let mut times = Vec::new();
    for call in aws.calls().of(DESCRIBE) {
        if call.load_balancers.is_empty() && call.marker.is_none() {
            times.push(0);
        }
        if let Some(calls) = times.last_mut() {
            *calls += 1;
        }
    }
    times
}

#[tokio::test]
async fn a_thousand_in_sync_cost_three_calls() {
    let mut rig = thousand().await;
    let port = testbed::ports::free().unwrap();
    rig.set(|launch| {
        launch
            .arg("--resync=5s")
            .arg(format!("--listen=127.0.0.1:{port}"))
    });
    rig.run().await;
    let url = format!("http://127.0.0.1:{port}/metrics");
    wait::until("all in sync", SOON, || async {
        let metrics = testbed::http::get(&url)
            .await
            .map_err(|error| error.to_string())?;
        if metrics
            .body
            .contains("lbmanager_balancers{state=\"in_sync\"} 1000\n")
        {
            return Ok(());
        }
        Err(metrics.body)
    })
    .await
    .unwrap();
    let calls = rig.aws.calls();
    assert!(
        calls.clone().of(HEALTH).is_empty(),
        "their health is on record"
    );
    assert!(calls.clone().writes().is_empty(), "{:#?}", calls.writes());
    // Those that come late on a busy machine are asked for after the others.
    assert!(calls.len() <= 10, "{} calls at the start", calls.len());

    rig.aws.clear_calls();
    rig.aws
        .wait_until("four resyncs", |aws| asked(aws).len() >= 4, SOON)
        .await
        .unwrap();
    let mut asked = asked(&rig.aws);
    // It has just begun.
    asked.pop();
    assert_eq!(asked.iter().min(), Some(&3), "{asked:?}");
    assert!(asked.iter().all(|calls| *calls <= 6), "{asked:?}");
    // Of each resync a sixth of them is asked for health.
    let calls = rig.aws.calls();
    let health = calls.clone().of(HEALTH).len();
    let resyncs = asked.len() + 1;
    assert!(health <= resyncs * 167, "{health} in {resyncs} resyncs");
    let describes = calls.clone().of(DESCRIBE).len();
    assert_eq!(describes + health, calls.len(), "{calls:#?}");
}

#[tokio::test]
async fn a_thousand_in_sync_cost_next_to_nothing() {
    const MINDED: Duration = Duration::from_secs(10);
    let mut rig = thousand().await;
    rig.run().await;
    rig.until_log("the tree has been read").await;
    let describes = |aws: &Aws| !asked(aws).is_empty();
    rig.aws
        .wait_until("all asked", describes, SOON)
        .await
        .unwrap();
    // The manager's own first look is over when it wrote what it found.
    wait::until("it is at rest", SOON, || async {
        let before = rig.cpu();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let used = rig.cpu().saturating_sub(before);
        let is_at_rest = used < Duration::from_millis(50);
        is_at_rest
            .then_some(())
            .ok_or(format!("{used:?} of CPU in a second"))
    })
    .await
    .unwrap();
    let (revision, cpu) = (rig.etcd.revision().await.unwrap(), rig.cpu());
    rig.aws.clear_calls();
    tokio::time::sleep(MINDED).await;
    let calls = rig.aws.calls();
    assert!(calls.is_empty(), "{calls:#?}");
    assert_eq!(rig.etcd.revision().await.unwrap(), revision, "no writes");
    rig.assert_idle(cpu, MINDED);
}
