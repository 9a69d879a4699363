//! How the key of what is stopped goes, and who confirms it.

use presence::keys::Tree;
use presence::keys::status::ManagerRole;
use presence::model::{BalancerId, Kind, MemberId, Revision};
use presence::status::record::{MemberRecord, Role, State};
use presence::status::{Claim, Record};
use presence::store::etcd::{EtcdConfig, EtcdStore};
use presence::store::{Event, Store, Watch, WatchMessage};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::instance::{key, name, publish};
use crate::{DEADLINE, Rig};

async fn store(rig: &Rig) -> EtcdStore {
    let config = EtcdConfig::plain(rig.etcd.endpoints().to_vec());
    EtcdStore::connect(config).await.unwrap()
}

/// Why a key is deleted can be read from its last value, also when its lease is gone by then.
pub async fn announced(rig: &Rig) {
    let name = name();
    let web = rig.ready(&publish(&name)).await;
    let store = store(rig).await;
    let key = key(&name);
    let now = store.get(&key).await.unwrap().header.revision;
    let mut watch = store.watch_key(&key, now).await.unwrap();
    web.end().await;
    let mut last = None;
    let deleted = async {
        loop {
            let WatchMessage::Events { events, .. } = watch.next().await.unwrap() else {
                continue;
            };
            for event in events {
                match event {
                    Event::Put { entry, .. } => last = Some(entry),
                    Event::Delete { previous, .. } => return previous,
                }
            }
        }
    };
    let previous = timeout(DEADLINE, deleted).await.unwrap().unwrap();
    let value: Value = serde_json::from_slice(&previous.value).unwrap();
    assert_eq!(value["leaving"], true, "{value}");
    assert_eq!(last, Some(previous), "written on its own before");
}

/// A balancer of another prefix, so that no other test meets its manager.
pub async fn add_only(rig: &Rig) {
    let name = name();
    let balancer: BalancerId = format!("elb/us-east-1/{name}").parse().unwrap();
    let prefix = format!("/tree-of-{name}");
    let definition = format!("publish: [{balancer}/multiple/i-00000001]\ndrain: 1s");
    let launch = rig.launch(&name, &definition).args(["--prefix", &prefix]);
    let status = Tree::new(&prefix).unwrap().status();
    let host = "lb-1".parse().unwrap();
    let claim = Claim::new("machine".to_owned(), [Kind::Elb], &[]);
    let put = async |key: &str, value: Vec<u8>| {
        let value = String::from_utf8(value).unwrap();
        rig.etcd.put(key, &value).await.unwrap();
    };
    put(&status.manager(&host, ManagerRole::Aws), claim.to_json()).await;

    let mut web = rig.started(launch).await;
    let words = format!("elb us-east-1/{name}: the manager has not");
    web.wait_for_status(&words, DEADLINE).await.unwrap();
    let store = store(rig).await;
    let member = format!("{prefix}/{balancer}/multiple/i-00000001");
    let written = store.get(&member).await.unwrap().entry.unwrap();
    let known = MemberRecord {
        mod_revision: Some(written.mod_revision),
        wanted: Role::Serve,
        state: State::Serving,
        ..MemberRecord::default()
    };
    let ours = MemberId::parse(Kind::Elb, "i-00000001").unwrap();
    let record = Record {
        revision: Revision(written.mod_revision.0),
        options: json!({"ownership": "add-only"}).as_object().cloned(),
        members: [(ours, known)].into_iter().collect(),
        ..Record::default()
    };
    put(&status.balancer(&host, &balancer), record.to_json()).await;
    web.wait_ready(DEADLINE).await.unwrap();

    let stopped = web.stop(DEADLINE).await.unwrap();
    assert_eq!(stopped.code(), Some(0), "{}", web.log());
    assert_eq!(rig.etcd.get(&member).await.unwrap(), None);
    let why = format!(
        "elb us-east-1/{name}: its ownership is add-only, so that lbmanager does not remove it"
    );
    let log = web.log();
    let warned = format!("{why}: waiting the whole drain; requests reach the stopped container");
    assert!(log.contains(&warned), "{log}");
    let told = web.notify().received().into_iter();
    let status = format!("; not confirmed: {why}");
    let mut draining = told.filter(|told| told.state.contains("STATUS=draining"));
    assert!(draining.any(|told| told.state.contains(&status)), "{log}");
    web.check_left().await;
}
