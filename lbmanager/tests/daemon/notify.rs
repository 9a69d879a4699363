use std::time::Duration;

use testbed::etcd::Etcd;
use testbed::notify::NotifySocket;
use testbed::proxy::{Mode, Proxy};

use crate::real::{A, B, REGION, Rig, SOON};

fn notified(rig: &mut Rig) -> NotifySocket {
    let socket = NotifySocket::bind().unwrap();
    let (name, path) = socket.env();
    rig.set(|launch| launch.env(name, path).env("WATCHDOG_USEC", "4000000"));
    socket
}

async fn heard(socket: &NotifySocket, words: &str) -> usize {
    let heard = socket.wait_for(|state| state.contains(words), SOON);
    heard.await.unwrap().datagram
}

#[tokio::test]
async fn ready_comes_after_the_first_snapshot_and_stopping_before_the_end() {
    let etcd = Etcd::start().await.unwrap();
    let proxy = Proxy::start(&etcd.endpoint()).await.unwrap();
    proxy.set(Mode::Refuse).await.unwrap();
    let mut rig = Rig::on(etcd, &proxy.url()).await;
    let socket = notified(&mut rig);
    rig.aws.create(REGION, "web");
    rig.put("web", &[A]).await;
    rig.run().await;
    let waiting = heard(&socket, "STATUS=waiting for etcd, nothing is changed").await;
    heard(&socket, "WATCHDOG=1").await;
    assert!(!socket.received().iter().any(|said| said.state == "READY=1"));
    assert!(rig.aws.calls().is_empty());

    proxy.set(Mode::Forward).await.unwrap();
    let ready = heard(&socket, "READY=1").await;
    let in_sync = heard(&socket, "STATUS=1 load balancers: 1 in sync, 0 busy").await;
    assert!(
        waiting < ready && ready < in_sync,
        "{:?}",
        socket.received()
    );

    proxy.set(Mode::Refuse).await.unwrap();
    heard(&socket, "STATUS=etcd is away, members stay as they are").await;
    proxy.set(Mode::Forward).await.unwrap();
    rig.put("web", &[B]).await;
    rig.until_serving("web", &[A, B]).await;

    rig.stop().await;
    heard(&socket, "STOPPING=1").await;
    let states = socket.received();
    let ready = states.iter().filter(|said| said.state == "READY=1");
    assert_eq!(ready.count(), 1, "{states:?}");
    rig.assert_kept("web", &[A, B]);
}

#[tokio::test]
async fn the_watchdog_is_fed_also_while_etcd_is_frozen() {
    let mut rig = Rig::idle().await;
    let socket = notified(&mut rig);
    rig.run().await;
    heard(&socket, "READY=1").await;
    rig.etcd.pause().unwrap();
    let fed = |socket: &NotifySocket| {
        let states = socket.received().into_iter();
        states.filter(|said| said.state == "WATCHDOG=1").count()
    };
    // Past the time after which a silent connection is given up.
    heard(&socket, "STATUS=etcd is away").await;
    let before = fed(&socket);
    testbed::wait::until("more of them", SOON, || async {
        let now = fed(&socket);
        if now > before + 2 { Ok(()) } else { Err(now) }
    })
    .await
    .unwrap();
    let times: Vec<_> = socket
        .received()
        .into_iter()
        .filter(|said| said.state == "WATCHDOG=1")
        .map(|said| said.at)
        .collect();
    let gap = times.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(gap.unwrap() < Duration::from_secs(4), "{gap:?}");
}
