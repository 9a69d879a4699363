//! A frozen state is visible wherever somebody may look.

use testbed::notify::NotifySocket;

use crate::real::{A, B, Rig, SOON};
use crate::world::{has_metric, listen, release_all, succeeds, until_frozen, until_page};

fn notified(rig: &mut Rig) -> NotifySocket {
    let socket = NotifySocket::bind().unwrap();
    let (name, path) = socket.env();
    rig.set(|launch| launch.env(name, path));
    socket
}

async fn until_visible(rig: &Rig, socket: &NotifySocket, url: &str) {
    let says = |state: &str| state.starts_with("STATUS=") && state.contains("frozen");
    let status = socket.wait_for(says, SOON).await;
    status.unwrap_or_else(|error| panic!("{error}\n{}", rig.log()));
    rig.until_log("frozen").await;
    let metrics = format!("{url}/metrics");
    until_page(&metrics, "a metric of the freeze", |page| {
        has_metric(page, "history_replaced")
    })
    .await;
    let shown = succeeds(rig, &["status"]).await.to_lowercase();
    assert!(shown.contains("frozen"), "{shown}");
    let json = succeeds(rig, &["status", "--format=json"])
        .await
        .to_lowercase();
    assert!(json.contains("frozen"), "{json}");
}

#[tokio::test]
async fn a_freeze_shows_at_every_start_in_the_log_in_status_in_the_units_status_and_in_a_metric() {
    let mut rig = Rig::idle().await;
    let socket = notified(&mut rig);
    let url = listen(&mut rig);
    rig.aws.create(crate::real::REGION, "web");
    rig.run().await;
    rig.put("web", &[A, B]).await;
    rig.until_serving("web", &[A, B]).await;
    rig.etcd.wipe().await.unwrap();
    rig.put("web", &[A]).await;
    until_frozen(&rig).await;
    until_visible(&rig, &socket, &url).await;

    for _ in 0..2 {
        rig.stop().await;
        let socket = notified(&mut rig);
        rig.run().await;
        until_visible(&rig, &socket, &url).await;
    }
    release_all(&rig).await;
    rig.until_registered("web", &[A]).await;
    let metrics = format!("{url}/metrics");
    until_page(&metrics, "no metric of a freeze", |page| {
        !has_metric(page, "history_replaced")
    })
    .await;
    let shown = succeeds(&rig, &["status"]).await.to_lowercase();
    assert!(!shown.contains("frozen"), "{shown}");
}
