//! etcd is away when a service is to be started.

use std::time::Duration;

use launcher::definitions::FindError;
use launcher::instance::InstanceName;
use presence::model::DefinitionRevision;
use presence::process::state_file::StateDir;
use presence::store::etcd::{EtcdConfig, EtcdStore};
use presence::store::memory::MemoryStore;
use presence::store::{Store, Transaction};
use testbed::etcd::Etcd;
use tokio::time::{Instant, timeout};

use crate::host::{Host, tree, version, web};

/// How long etcd is given, and a little.
const A_FEW_SECONDS: Duration = Duration::from_millis(3100);

/// Starts both versions, the newer one last, and gives their revisions.
async fn started<S: Store>(host: &Host<S>) -> [DefinitionRevision; 2] {
    let mut revisions = Vec::new();
    for number in [1, 2] {
        host.put(&version(number)).await;
        let found = host.find(None).await;
        host.definitions.keep(&found).await.unwrap();
        revisions.push(found.revision);
    }
    revisions.try_into().unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_was_started_here_is_started_again_and_that_is_said() {
    let host = Host::new();
    let [old, new] = started(&host).await;
    host.store.set_unavailable(true);
    for (instance, revision, text) in [
        (None, new, version(2)),
        (Some(new), new, version(2)),
        (Some(old), old, version(1)),
    ] {
        let begin = Instant::now();
        let (found, said) = host.try_find(instance).await;
        let found = found.unwrap();
        assert!(begin.elapsed() <= A_FEW_SECONDS, "{:?}", begin.elapsed());
        assert_eq!((found.revision, found.text), (revision, text));
        assert!(found.from_cache);
        let first = "waiting for the definition of web: etcd at memory does not answer: ";
        assert!(said[0].starts_with(first), "{said:?}");
        let last = format!("taking web {revision} as it was kept here: etcd does not answer");
        assert_eq!(said.last().unwrap(), &last);
    }
}

#[tokio::test(start_paused = true)]
async fn an_etcd_that_hangs_is_one_that_is_away() {
    let host = Host::new();
    let [_, new] = started(&host).await;
    host.store.freeze();
    let begin = Instant::now();
    let found = host.find(None).await;
    assert!(begin.elapsed() <= A_FEW_SECONDS, "{:?}", begin.elapsed());
    assert!(found.from_cache && found.revision == new);
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_is_waited_for() {
    let host = Host::new();
    let [_, new] = started(&host).await;
    host.store.fail_next(2);
    let found = host.find(None).await;
    assert!(!found.from_cache && found.revision == new);
}

#[tokio::test(start_paused = true)]
async fn what_was_never_started_here_waits_for_etcd_however_long() {
    let host = Host::new();
    let unknown = host.put(&version(1)).await;
    host.store.set_unavailable(true);
    for instance in [None, Some(unknown)] {
        let mut said = 0;
        let service = web();
        let find = host
            .definitions
            .find(&service, crate::host::named(instance), |_| said += 1);
        timeout(Duration::from_hours(1), find).await.unwrap_err();
        // The pauses grow to 10 s, and are random by half.
        assert!((300..800).contains(&said), "said {said} times");
    }
    let back = async {
        tokio::time::sleep(Duration::from_mins(2)).await;
        host.store.set_unavailable(false);
    };
    let (found, ()) = tokio::join!(host.find(None), back);
    assert!(!found.from_cache && found.revision == unknown);
}

#[tokio::test(start_paused = true)]
async fn another_revision_than_those_that_were_started_is_waited_for() {
    let host = Host::new();
    started(&host).await;
    let new = host.put(&version(3)).await;
    host.store.set_unavailable(true);
    let service = web();
    let find = host
        .definitions
        .find(&service, InstanceName::Revision(new), |_| ());
    timeout(Duration::from_mins(10), find).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_etcd_has_forgotten_is_started_again() {
    let host = Host::new();
    let [old, new] = started(&host).await;
    host.store.wipe();
    for revision in [new, old] {
        let (found, said) = host.try_find(Some(revision)).await;
        let found = found.unwrap();
        assert!(found.from_cache && found.revision == revision);
        let expected = format!(
            "taking web {revision} as it was kept here: there is no revision {revision} of web; \
             there is none at all"
        );
        assert_eq!(said, [expected]);
        // A revision of another history is none of this one.
        host.definitions.record(&found).await.unwrap();
        assert_eq!(host.store.revision().0, 1);
        host.definitions.keep(&found).await.unwrap();
    }
    let error = host.error(None).await;
    assert!(matches!(error, FindError::Missing { .. }), "{error}");
    host.store.set_unavailable(true);
    assert_eq!(host.find(None).await.revision, new, "not the last started");
}

#[tokio::test(start_paused = true)]
async fn the_newest_is_the_one_that_was_in_force_last_whatever_its_number() {
    let host = Host::new();
    started(&host).await;
    host.store.wipe();
    host.put(&version(3)).await;
    let newest = host.find(None).await;
    host.definitions.keep(&newest).await.unwrap();
    // An old instance that is started again does not become it.
    let old = host.find(Some(newest.revision)).await;
    host.definitions.keep(&old).await.unwrap();
    host.store.set_unavailable(true);
    assert_eq!(host.find(None).await.text, version(3));
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_is_held_to_the_policy_of_today() {
    let host = Host::new();
    started(&host).await;
    let strict = launcher::policy::Policy {
        images: Some(vec!["shop:*".to_owned()]),
        ..Default::default()
    };
    let state = StateDir::open(host.state.path()).unwrap();
    let source = launcher::definitions::Source::Etcd;
    let definitions = launcher::definitions::Definitions::new(
        host.store.clone(),
        source,
        Some(strict),
        tree(),
        &state,
    );
    host.store.set_unavailable(true);
    let error = definitions
        .find(&web(), InstanceName::Newest, |_| ())
        .await
        .unwrap_err();
    assert!(matches!(error, FindError::Refused { .. }), "{error}");
}

pub async fn real(etcd: &Etcd) -> Host<EtcdStore> {
    let config = EtcdConfig::plain([etcd.endpoint()]);
    Host::on(EtcdStore::connect(config).await.unwrap())
}

#[tokio::test]
async fn a_real_etcd_that_is_killed_is_done_without_if_it_was_asked_once() {
    let mut etcd = Etcd::start().await.unwrap();
    let host = real(&etcd).await;
    let revision = host.put(&version(1)).await;
    let found = host.find(None).await;
    assert!(!found.from_cache);
    etcd.kill().await.unwrap();
    // A host that never started it waits, and goes on by itself.
    let other = real(&etcd).await;
    let service = web();
    let mut said = Vec::new();
    let waiting = other
        .definitions
        .find(&service, InstanceName::Newest, |words| said.push(words));
    let kept = host.definitions.keep(&found).await.unwrap();
    let here = async {
        let again = host.find(Some(revision)).await;
        assert!(again.from_cache && again.text == version(1));
        etcd.restart().await.unwrap();
    };
    let (waited, ()) = tokio::join!(waiting, here);
    assert_eq!(waited.unwrap().revision, revision);
    let first = "waiting for the definition of web: etcd at ";
    assert!(said[0].starts_with(first), "{said:?}");
    assert!(!host.find(None).await.from_cache, "etcd is back");
    drop(kept);
}

#[tokio::test]
async fn whoever_etcd_does_not_let_in_starts_what_was_kept() {
    let store = MemoryStore::new();
    let host = Host::on(store.clone());
    started(&host).await;
    let etcd = Etcd::builder().auth("secret").start().await.unwrap();
    let state = StateDir::open(host.state.path()).unwrap();
    let locked_out = EtcdStore::connect(EtcdConfig::plain([etcd.endpoint()])).await;
    let source = launcher::definitions::Source::Etcd;
    let definitions =
        launcher::definitions::Definitions::new(locked_out.unwrap(), source, None, tree(), &state);
    let mut said = Vec::new();
    let found = definitions
        .find(&web(), InstanceName::Newest, |words| said.push(words))
        .await;
    assert!(found.unwrap().from_cache);
    assert!(said[0].contains("check ETCDCTL_USER"), "{said:?}");
}

#[tokio::test]
async fn the_history_outlives_a_compaction() {
    let etcd = Etcd::start().await.unwrap();
    let host = real(&etcd).await;
    let old = host.write(&version(1)).await;
    let found = host.find(None).await;
    host.definitions.record(&found).await.unwrap();
    host.write(&version(2)).await;
    let delete = Transaction::delete("/launcher/services/web");
    host.store.commit(delete).await.unwrap();
    etcd.compact_now().await.unwrap();
    assert_eq!(host.find(Some(old)).await.text, version(1));
}
