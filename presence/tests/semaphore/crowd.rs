//! Many at once: in order, and without a herd.

use presence::store::etcd::EtcdConfig;
use testbed::etcd::Etcd;

use crate::site::Site;
use crate::{Acquiring, claim, connected, hold, semaphore};

const WAITERS: usize = 200;

/// What all of them together cost etcd, for each of them.
#[derive(Debug)]
struct Cost {
    requests: f64,
    /// Messages of all watches: changes, and one as each begins.
    messages: f64,
}

async fn counted(etcd: &Etcd) -> Cost {
    let member = etcd.member();
    let watches = |name| async move { member.metric(name, "\"Watch\"").await.unwrap() };
    Cost {
        requests: member
            .metric("grpc_server_started_total", "")
            .await
            .unwrap(),
        messages: watches("grpc_server_msg_sent_total").await,
    }
}

/// So many queue up, hold one after the other, and let go.
async fn served(waiters: usize) -> Cost {
    let etcd = Etcd::start().await.unwrap();
    let store = connected(EtcdConfig::plain([etcd.endpoint()])).await;
    let first = hold(&semaphore(&store), claim("first")).await;
    let mut waiting = Vec::new();
    for n in 0..waiters {
        let store = connected(EtcdConfig::plain([etcd.endpoint()])).await;
        // Keys that begin alike.
        let claim = claim(&format!("node-{n}"));
        let mut next = Acquiring::start(&semaphore(&store), claim);
        next.waits_behind(n).await;
        waiting.push(next);
    }
    let site = Site::new();
    let mut waiting = waiting.into_iter();
    first.release().await.unwrap();
    while let Some(next) = waiting.next() {
        let held = next.held().await;
        assert!(site.enter(&held, 1));
        assert!(waiting.as_slice().iter().all(Acquiring::waits));
        site.leave(held.token());
        held.release().await.unwrap();
    }
    assert_eq!(site.grants(), waiters);
    assert_eq!(etcd.count("/service-monitor/").await.unwrap(), 0);
    let all = counted(&etcd).await;
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let each = |sum: f64| sum / waiters as f64;
    Cost {
        requests: each(all.requests),
        messages: each(all.messages),
    }
}

#[tokio::test]
async fn two_hundred_are_served_in_order_and_cost_no_more_each_than_fifty() {
    let few = served(WAITERS / 4).await;
    let many = served(WAITERS).await;
    println!("{few:?} each of 50, {many:?} each of 200");
    // Who waits for longer renews its place more often: once a second here.
    assert!(many.requests < few.requests + 20.0, "{few:?} {many:?}");
    assert!(many.messages < few.messages + 1.0, "{few:?} {many:?}");
    assert!(many.messages < 10.0, "{many:?}");
}
