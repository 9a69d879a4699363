//! What systemd is told of a watch.

use testbed::notify::NotifySocket;
use testbed::web::{Act, Web};

use crate::rig::{Rig, SOON, terminate};

async fn heard(socket: &NotifySocket, words: &str) -> usize {
    let heard = socket.wait_for(|state| state.contains(words), SOON);
    heard.await.unwrap().datagram
}

#[tokio::test]
async fn ready_comes_when_it_is_published_and_stopping_before_the_end() {
    let mut rig = Rig::start().await;
    let web = Web::start().await.unwrap();
    let socket = NotifySocket::bind().unwrap();
    let (name, path) = socket.env();
    rig.etcd.stop().await.unwrap();
    let program = rig.watch_program("web-1", &web.url(), &["--interval=200ms"]);
    let program = program.env(name, path).env("WATCHDOG_USEC", "2000000");
    let mut watch = program.start().await.unwrap();
    heard(&socket, "200 OK; not published: etcd at").await;
    heard(&socket, "WATCHDOG=1").await;
    assert!(!socket.received().iter().any(|said| said.state == "READY=1"));
    rig.etcd.restart().await.unwrap();
    let ready = heard(&socket, "READY=1").await;
    web.set(Act::Answer(404, String::new()));
    let down = heard(&socket, "STATUS=down since 20").await;
    assert!(ready < down, "{:?}", socket.received());
    terminate(&mut watch).await;
    heard(&socket, "STOPPING=1").await;
    let states = socket.received();
    let ready = states.iter().filter(|said| said.state == "READY=1");
    assert_eq!(ready.count(), 1, "{states:?}");
}

#[tokio::test]
async fn a_probe_s_command_is_not_told_where_systemd_is() {
    let rig = Rig::start().await;
    let root = tempfile::tempdir().unwrap();
    let seen = root.path().join("seen");
    let socket = NotifySocket::bind().unwrap();
    let (name, path) = socket.env();
    let url = format!("exec:/usr/bin/env >{}", seen.display());
    let program = rig.watch_program("web-1", &url, &[]).env("VISIBLE", "yes");
    let program = program.env(name, path).env("WATCHDOG_USEC", "60000000");
    let _watch = program.start().await.unwrap();
    rig.until("web-1", "up").await;
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains("VISIBLE=yes"), "{seen}");
    for hidden in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
        assert!(!seen.contains(hidden), "{seen}");
    }
}
