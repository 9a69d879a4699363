//! A launcher that is killed, and the next one.

use presence::store::memory::MemoryStore;

use super::*;

const REVISION: &str = "7-0a1b2c3d";
const STATE_KEY: &str = "/launcher/instances/web/host-1/7-0a1b2c3d";
const IPVS: &str = "/lbManager/ipvs/$HOSTNAME/172.18.0.1:7001/multiple/$CONTAINER_IP:$PORT";

fn ipvs(container_ip: &str) -> String {
    format!("/lbManager/ipvs/host-1/172.18.0.1:7001/multiple/{container_ip}:80")
}

fn published(publish: &str, store: &MemoryStore, directory: &Path) -> Running {
    let mut running = Running::start(store, REVISION, publish, directory);
    running.publication.state(state(State::Starting));
    running.want(Publish::Ready);
    running
}

#[tokio::test]
async fn an_adopted_container_stays_published() {
    let (store, state) = (MemoryStore::new(), tempfile::tempdir().unwrap());
    let publish = format!("[{IPVS}, {{service: web}}]");
    let mut before = published(&publish, &store, state.path());
    before.served().await;
    let key = ipvs("172.17.0.2");
    let first = store.peek(&key).unwrap();
    before.kill().await;

    let mut next = Running::start(&store, REVISION, &publish, state.path());
    // The member, the label, nothing of the state.
    next.until("what is left", |now| now.keys.present == 2)
        .await;
    assert!(!next.standing.borrow().keys.served);
    next.want(Publish::Ready);
    next.served().await;
    assert_eq!(store.peek(&key), Some(first), "not even written again");
    next.stop().await;
    for key in [
        key.as_str(),
        STATE_KEY,
        "/service-monitor/web/hosts/host-1.web",
    ] {
        assert_eq!(store.peek(key), None, "{key}");
    }
}

#[tokio::test]
async fn what_another_container_had_goes_when_the_new_one_is_published() {
    let (store, state) = (MemoryStore::new(), tempfile::tempdir().unwrap());
    let publish = format!("[{IPVS}]");
    let mut before = published(&publish, &store, state.path());
    before.served().await;
    before.kill().await;
    let mut next = Running::start(&store, REVISION, &publish, state.path());
    next.want_at(Publish::Ready, "172.17.0.3");
    next.served().await;
    vanished(&store, &ipvs("172.17.0.2")).await;
    assert!(store.peek(&ipvs("172.17.0.3")).is_some());
    next.stop().await;
}

#[tokio::test]
async fn what_is_left_goes_when_nothing_is_to_be_there() {
    let (store, state) = (MemoryStore::new(), tempfile::tempdir().unwrap());
    let publish = format!("[{IPVS}]");
    let mut before = published(&publish, &store, state.path());
    before.served().await;
    before.kill().await;
    let mut next = Running::start(&store, REVISION, &publish, state.path());
    next.publication.want(Publish::Nothing, None).unwrap();
    next.until("withdrawn", |now| {
        now.keys.present == 0 && now.keys.withdrawn
    })
    .await;
    assert_eq!(store.peek(&ipvs("172.17.0.2")), None);
    next.stop().await;
}

#[tokio::test]
async fn the_state_is_there_from_the_beginning_to_the_end() {
    let (store, directory) = (MemoryStore::new(), tempfile::tempdir().unwrap());
    let mut running = Running::start(&store, REVISION, "[]", directory.path());
    running.publication.state(state(State::Starting));
    let there = || async { store.peek(STATE_KEY).is_some() };
    wait::until_true("the state", DEADLINE, there)
        .await
        .unwrap();
    running.want(Publish::Ready);
    let standing = running.served().await;
    assert_eq!(
        (standing.keys.present, standing.keys.words.as_str()),
        (0, "")
    );
    running.publication.state(state(State::Running));
    let runs = || async { json(&store.peek(STATE_KEY).unwrap())["state"] == "running" };
    wait::until_true("the new state", DEADLINE, runs)
        .await
        .unwrap();
    running.want(Publish::Nothing);
    running
        .until("out", |now| now.keys.withdrawn && now.drained)
        .await;
    assert!(store.peek(STATE_KEY).is_some());
    running.stop().await;
    assert_eq!(store.peek(STATE_KEY), None);
}

#[tokio::test]
async fn one_definition_is_published_in_the_tree_of_each_prefix() {
    let (store, directory) = (MemoryStore::new(), tempfile::tempdir().unwrap());
    let publish = "[ipvs/$HOSTNAME/172.18.0.1:7001/multiple/$CONTAINER_IP:$PORT]";
    for prefix in ["/lbManager", "/two"] {
        let state = directory.path().join(&prefix[1..]);
        let instance = instance(REVISION);
        let mut running = Running::start_in(&store, prefix, instance, publish, &state);
        running.want(Publish::Ready);
        running.served().await;
        let key = format!("{prefix}/ipvs/host-1/172.18.0.1:7001/multiple/172.17.0.2:80");
        let entries = store.list("/", None).await.unwrap().entries;
        let keys: Vec<_> = entries.into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [key]);
        running.want(Publish::Nothing);
        running.until("out", |now| now.keys.withdrawn).await;
        running.stop().await;
    }
}
