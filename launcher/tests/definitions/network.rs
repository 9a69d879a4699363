//! What etcd has, and what it has not.

use launcher::definitions::{FindError, Origin};
use presence::model::DefinitionRevision;
use presence::store::{Store, Transaction};
use proptest::prelude::*;

use crate::host::{Host, definition, name, version, web};

async fn put<S: Store>(host: &Host<S>, key: &str, value: impl Into<Vec<u8>>) {
    let write = Transaction::put(key, value);
    host.store.commit(write).await.unwrap();
}

#[tokio::test]
async fn without_an_instance_it_is_the_newest() {
    let host = Host::new();
    host.put(&version(1)).await;
    let newest = host.put(&version(2)).await;
    let (found, said) = host.try_find(None).await;
    let found = found.unwrap();
    assert_eq!(found.revision, newest);
    assert_eq!(found.text, version(2), "comments and all");
    assert_eq!(found.definition, definition(&version(2)));
    assert_eq!(found.place, "/launcher/services/web");
    assert_eq!(found.origin, Origin::Network);
    assert!(found.is_newest && !found.from_cache);
    assert_eq!(said, [""; 0], "nothing is out of the ordinary");
}

#[tokio::test]
async fn an_instance_is_that_very_revision() {
    let host = Host::new();
    let old = host.put(&version(1)).await;
    host.put(&version(2)).await;
    let found = host.find(Some(old)).await;
    assert_eq!((found.revision, found.text), (old, version(1)));
    assert_eq!(found.place, format!("/launcher/history/web/{old}"));
    assert!(!found.is_newest);
}

#[tokio::test]
async fn an_instance_of_the_same_definition_as_the_newest_is_that() {
    let host = Host::new();
    let old = host.write(&version(1)).await;
    let again = host.write("{image: web:1}").await;
    assert!(old != again && old.is_same_definition(again));
    let found = host.find(Some(old)).await;
    assert_eq!(found.revision, old, "as it was asked for");
    assert_eq!(found.text, "{image: web:1}");
    assert!(found.is_newest);
}

#[tokio::test]
async fn what_is_not_there_is_said_with_what_is() {
    let host = Host::new();
    assert_eq!(
        host.refused(None).await,
        "there is no definition of web in /launcher/services/; there is none at all"
    );
    put(&host, "/launcher/services/shop", "image: x").await;
    let message = host.refused(None).await;
    assert!(message.ends_with("; there are: shop"), "{message}");
    put(&host, "/launcher/services/wbe", "image: x").await;
    let message = host.refused(None).await;
    assert!(message.ends_with("; did you mean wbe?"), "{message}");
    let unknown = "7-0a1b2c3d".parse().unwrap();
    assert_eq!(
        host.refused(Some(unknown)).await,
        "there is no revision 7-0a1b2c3d of web; there is none at all"
    );
    let (first, second) = (host.put(&version(1)).await, host.write(&version(2)).await);
    assert_eq!(
        host.refused(Some(unknown)).await,
        format!("there is no revision 7-0a1b2c3d of web; there are: {second} {first}")
    );
}

#[tokio::test]
async fn what_the_policy_refuses_is_not_started_and_says_where() {
    let host = Host::new();
    let bad = host.write("image: x\nprivileged: true\npid: host\n").await;
    for instance in [None, Some(bad)] {
        let message = host.refused(instance).await;
        assert!(
            message.starts_with(
                "the policy of this host refuses it: /launcher/services/web:2:13: privileged: "
            ),
            "{message}"
        );
        assert!(message.contains("; /launcher/services/web:3:6: pid: "));
    }
    let found = host.error(Some(bad)).await;
    assert!(matches!(found, FindError::Refused { problems, .. } if problems.len() == 2));
}

#[tokio::test]
async fn what_is_published_outside_of_the_tree_is_not_started_and_says_what_to_write() {
    let host = Host::new();
    let member = "elb/us-east-1/web/multiple/i-01234567";
    let text = format!("image: x\npublish: [/two/{member}]\n");
    let bad = host.write(&text).await;
    for instance in [None, Some(bad)] {
        assert_eq!(
            host.refused(instance).await,
            format!(
                "/launcher/services/web:2:11: publish[0]: invalid key \"/two/{member}\": expected \
                 a key below \"/lbManager/\"; write it relative to the prefix: {member}"
            )
        );
    }
    host.write(&format!("image: x\npublish: [{member}]\n"))
        .await;
    host.find(None).await;
}

#[tokio::test]
async fn what_is_no_definition_of_the_service_is_said_with_its_place() {
    let host = Host::new();
    let key = "/launcher/services/web";
    for (value, message) in [
        (
            &b"imgae: x"[..],
            "/launcher/services/web:1:1: unknown key \"imgae\"; did you mean \"image\"?",
        ),
        (
            b"image: \xff",
            "/launcher/services/web is no UTF-8 text from byte 7 on",
        ),
        (
            b"{image: x, name: shop}",
            "/launcher/services/web says that its name is shop; web is expected there",
        ),
    ] {
        put(&host, key, value).await;
        let found = host.refused(None).await;
        assert!(found.starts_with(message), "{found}");
    }
    put(&host, key, "{image: x, name: web}").await;
    assert_eq!(host.find(None).await.name, name("web"));
}

#[tokio::test]
async fn an_old_one_is_found_also_if_the_newest_is_wrong() {
    let host = Host::new();
    let old = host.put(&version(1)).await;
    put(&host, "/launcher/services/web", "imgae: x").await;
    assert_eq!(host.find(Some(old)).await.text, version(1));
    assert!(matches!(host.error(None).await, FindError::Wrong { .. }));
}

#[tokio::test]
async fn a_past_that_was_changed_by_hand_is_not_started() {
    let host = Host::new();
    let old = host.put(&version(1)).await;
    host.put(&version(2)).await;
    let key = format!("/launcher/history/web/{old}");
    let other = definition("image: evil").revision(old.mod_revision());
    for (value, why) in [
        (
            r#"{"at":"2026-11-20T12:00:00Z","text":"image: evil"}"#.to_owned(),
            format!("it holds {other}"),
        ),
        (
            r#"{"at":"2026-11-20T12:00:00Z","text":"imgae: x"}"#.to_owned(),
            "it holds no definition: 1:1: unknown key \"imgae\"".to_owned(),
        ),
        (
            "image: web:1".to_owned(),
            "expected value at line 1".to_owned(),
        ),
    ] {
        put(&host, &key, value).await;
        let message = host.refused(Some(old)).await;
        let expected = format!("{key} has been changed: {why}");
        assert!(message.starts_with(&expected), "{message}");
    }
}

/// What may happen to the key of a definition.
#[derive(Debug, Clone)]
enum Change {
    /// `launcher put`.
    Put(usize),
    /// `etcdctl put`, and a start.
    Start(usize),
    /// `etcdctl del`.
    Delete,
    Compact,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (0..4_usize).prop_map(Change::Put),
        (0..4_usize).prop_map(Change::Start),
        Just(Change::Delete),
        Just(Change::Compact),
    ]
}

async fn carry_out(
    host: &Host<presence::store::memory::MemoryStore>,
    change: &Change,
) -> Option<(DefinitionRevision, usize)> {
    match *change {
        Change::Put(number) => Some((host.put(&version(number)).await, number)),
        Change::Start(number) => {
            host.write(&version(number)).await;
            let found = host.find(None).await;
            host.definitions.record(&found).await.unwrap();
            Some((found.revision, number))
        }
        Change::Delete => {
            let delete = Transaction::delete("/launcher/services/web");
            host.store.commit(delete).await.unwrap();
            None
        }
        Change::Compact => {
            host.store.compact(host.store.revision());
            None
        }
    }
}

proptest! {
    #[test]
    fn whatever_was_put_or_started_is_found_again(
        changes in prop::collection::vec(change(), 1..20)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let host = Host::new();
            let mut known = Vec::new();
            for change in &changes {
                known.extend(carry_out(&host, change).await);
                for (revision, number) in &known {
                    let found = host.find(Some(*revision)).await;
                    assert_eq!(found.revision, *revision);
                    assert_eq!(found.definition, definition(&version(*number)));
                    assert!(!found.from_cache);
                }
            }
            let listed = launcher::definitions::history::list(&host.store, &web()).await.unwrap();
            assert!(known.iter().all(|(revision, _)| listed.iter().any(|(it, _)| it == revision)));
        });
    }
}
