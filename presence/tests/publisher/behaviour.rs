use presence::publisher::{Content, Others, Standing};
use presence::store::{Event, Store, Transaction, Watch, WatchMessage};
use serde_json::json;

use crate::{KEY, Running, TTL, delete, entry, options, vanished, weight};

pub async fn writes_on_its_lease_and_keeps_it_alive(store: impl Store) {
    let mut publisher = Running::start(&store, &[(KEY, weight(1))]);
    let (at, lease) = publisher.published(KEY, None).await;
    let written = entry(&store, KEY).await.unwrap();
    assert_eq!((written.mod_revision, written.lease), (at, Some(lease)));
    assert_eq!(options(&written), json!({"weight": 1}));

    // That nothing happens for longer than the lease lasts can only be seen
    // by waiting for so long.
    tokio::time::sleep(TTL * 2).await;
    assert_eq!(entry(&store, KEY).await.unwrap(), written);
    publisher.stop().await;
    assert_eq!(entry(&store, KEY).await, None);
    assert!(
        store.lease_exists(lease).await.unwrap(),
        "it is never revoked"
    );
}

pub async fn takes_over_and_the_other_returns_with_its_rank(store: impl Store) {
    let mut old = Running::start(&store, &[(KEY, weight(1))]);
    let (first, _) = old.published(KEY, None).await;
    let mut new = Running::start(&store, &[(KEY, weight(2))]);
    new.published(KEY, None).await;
    old.standing_by(KEY).await;
    assert_eq!(
        options(&entry(&store, KEY).await.unwrap()),
        json!({"weight": 2})
    );
    new.stop().await;
    old.published(KEY, Some(first)).await;
    let returned = options(&entry(&store, KEY).await.unwrap());
    assert_eq!(returned, json!({"weight": 1, "since": first.0}));

    let mut crashing = Running::start(&store, &[(KEY, weight(3))]);
    let (at, _) = crashing.published(KEY, None).await;
    old.standing_by(KEY).await;
    crashing.crash().await;
    old.published(KEY, Some(at)).await;
    old.stop().await;
}

pub async fn the_old_ones_stop_leaves_the_new_ones_key_alone(store: impl Store) {
    let mut old = Running::start(&store, &[(KEY, weight(1))]);
    old.published(KEY, None).await;
    let mut new = Running::start(&store, &[(KEY, weight(2))]);
    let (at, lease) = new.published(KEY, None).await;
    old.stop().await;
    let kept = entry(&store, KEY).await.unwrap();
    assert_eq!((kept.mod_revision, kept.lease), (at, Some(lease)));
    new.stop().await;
}

pub async fn an_operators_deletion_holds_until_told(store: impl Store) {
    let mut publisher = Running::start(&store, &[(KEY, weight(1))]);
    let (first, _) = publisher.published(KEY, None).await;
    delete(&store, KEY).await;
    let withdrawn = |report: &presence::publisher::Report| matches!(report.keys[KEY], Standing::Withdrawn { at } if at > first);
    publisher.until("withdrawal", withdrawn).await;
    publisher.want(&[(KEY, weight(2))], 0);
    tokio::time::sleep(TTL).await;
    assert_eq!(entry(&store, KEY).await, None);

    publisher.want(&[(KEY, weight(2))], 1);
    publisher.published(KEY, None).await;
    let again = options(&entry(&store, KEY).await.unwrap());
    assert_eq!(again, json!({"weight": 2}), "a new incarnation");
    publisher.stop().await;
}

pub async fn a_lease_that_is_revoked_is_replaced(store: impl Store) {
    let keys = ["/lbManager/a/1", "/lbManager/a/2"];
    let wanted = keys.map(|key| (key, weight(1)));
    let mut publisher = Running::start(&store, &wanted);
    let mut firsts = Vec::new();
    for key in keys {
        firsts.push(publisher.published(key, None).await);
    }
    store.revoke(firsts[0].1).await.unwrap();
    for (key, (first, lease)) in keys.into_iter().zip(firsts) {
        let (_, another) = publisher.published(key, Some(first)).await;
        assert_ne!(another, lease);
        let again = options(&entry(&store, key).await.unwrap());
        assert_eq!(again, json!({"weight": 1, "since": first.0}));
    }
    publisher.stop().await;
}

pub async fn a_new_value_keeps_the_rank(store: impl Store) {
    let mut publisher = Running::start(&store, &[(KEY, weight(1))]);
    let (first, lease) = publisher.published(KEY, None).await;
    publisher.want(&[(KEY, weight(2))], 0);
    let (_, same) = publisher.published(KEY, Some(first)).await;
    assert_eq!(same, lease);
    let rewritten = entry(&store, KEY).await.unwrap();
    assert_eq!(options(&rewritten), json!({"weight": 2, "since": first.0}));
    assert_eq!(rewritten.create_revision, first);
    publisher.stop().await;
}

/// Each in a revision of its own: two at once would be a purge. Each is
/// announced.
pub async fn what_is_wanted_no_longer_is_deleted_alone(store: impl Store) {
    let keys = ["/lbManager/a/1", "/lbManager/a/2", "/lbManager/a/3"];
    let wanted = keys.map(|key| (key, weight(1)));
    let mut publisher = Running::start(&store, &wanted);
    let mut last = presence::model::Revision(0);
    for key in keys {
        last = last.max(publisher.published(key, None).await.0);
    }
    let mut watch = store.watch("/lbManager/", last).await.unwrap();
    publisher.want(&wanted[..1], 0);
    publisher
        .until("two gone", |report| report.keys.len() == 1)
        .await;
    for key in &keys[1..] {
        assert_eq!(entry(&store, key).await, None);
    }
    assert!(entry(&store, keys[0]).await.is_some());
    publisher.stop().await;
    let mut gone = Vec::new();
    while gone.len() < keys.len() {
        let WatchMessage::Events { events, .. } = watch.next().await.unwrap() else {
            continue;
        };
        for event in events {
            if let Event::Delete {
                revision, previous, ..
            } = event
            {
                let previous = options(&previous.unwrap());
                assert_eq!(previous["leaving"], json!(true), "{previous}");
                gone.push(revision);
            }
        }
    }
    gone.dedup();
    assert_eq!(gone.len(), keys.len());
}

pub async fn a_key_that_is_the_beginning_of_another_is_no_trouble(store: impl Store) {
    let longer = format!("{KEY}0");
    let mut publisher = Running::start(&store, &[(KEY, weight(1)), (&longer, weight(2))]);
    publisher.published(KEY, None).await;
    publisher.published(&longer, None).await;
    delete(&store, &longer).await;
    let withdrawn = |report: &presence::publisher::Report| {
        matches!(report.keys[&longer], Standing::Withdrawn { .. })
    };
    let report = publisher.until("withdrawal", withdrawn).await;
    assert!(matches!(report.keys[KEY], Standing::Published { .. }));
    publisher.stop().await;
}

pub async fn a_plain_value_stays_as_it_is(store: impl Store) {
    let plain = |text: &str| [(KEY, Content::Plain(text.as_bytes().to_vec()))];
    let mut publisher = Running::start(&store, &plain("{}"));
    let (at, _) = publisher.published(KEY, None).await;
    publisher.want(&plain("{\"since\":\"noon\"}"), 0);
    publisher.published(KEY, Some(at)).await;
    let value = entry(&store, KEY).await.unwrap().value;
    assert_eq!(&*value, b"{\"since\":\"noon\"}");
    publisher.crash().await;
    vanished(&store, KEY).await;
}

pub async fn one_key_that_cannot_be_written_hinders_no_other(store: impl Store) {
    let large = Content::Plain(vec![0; 1_700_000]);
    let mut publisher = Running::start(&store, &[("/a/large", large), ("/b", weight(1))]);
    publisher.published("/b", None).await;
    let told = |report: &presence::publisher::Report| {
        matches!(&report.keys["/a/large"], Standing::Pending { trouble: Some(trouble) }
            if trouble.contains("too large"))
    };
    publisher.until("trouble with one", told).await;
    store.commit(Transaction::put("/x", "")).await.unwrap();
    publisher.stop().await;
    assert_eq!(entry(&store, "/b").await, None);
}

pub async fn killed_it_goes_on_with_its_lease_and_its_keys(store: impl Store) {
    let memory = tempfile::tempdir().unwrap();
    let wanted = [(KEY, weight(1))];
    let mut publisher = Running::resume(&store, &wanted, Others::Go, memory.path());
    let (first, lease) = publisher.published(KEY, None).await;
    publisher.crash().await;
    let mut again = Running::resume(&store, &wanted, Others::Go, memory.path());
    assert_eq!(again.published(KEY, None).await, (first, lease));
    again.want(&[(KEY, weight(2))], 0);
    again.published(KEY, Some(first)).await;
    let rewritten = entry(&store, KEY).await.unwrap();
    assert_eq!(
        rewritten.create_revision, first,
        "it was there all the time"
    );
    assert_eq!(options(&rewritten), json!({"weight": 2, "since": first.0}));
    again.crash().await;
    let mut third = Running::resume(&store, &[(KEY, weight(3))], Others::Go, memory.path());
    third.published(KEY, Some(rewritten.mod_revision)).await;
    let value = options(&entry(&store, KEY).await.unwrap());
    assert_eq!(value, json!({"weight": 3, "since": first.0}));
    third.stop().await;
    assert_eq!(entry(&store, KEY).await, None);
}

pub async fn what_an_earlier_life_left_goes_when_it_is_known_not_to_be_wanted(store: impl Store) {
    let memory = tempfile::tempdir().unwrap();
    let other = "/lbManager/elbv2/eu-west-1/web/multiple/i-2";
    let before = [(KEY, weight(1)), (other, weight(1))];
    let mut publisher = Running::resume(&store, &before, Others::Go, memory.path());
    let (first, lease) = publisher.published(KEY, None).await;
    publisher.published(other, None).await;
    publisher.crash().await;
    let mut again = Running::resume(&store, &[], Others::Stay, memory.path());
    let report = again.until("what is left", |report| report.keys.len() == 2);
    assert_eq!(report.await.keys[other], Standing::Left);
    assert!(entry(&store, other).await.is_some());
    again.want(&before[..1], 0);
    assert_eq!(again.published(KEY, None).await, (first, lease));
    again.want(&[], 0);
    let first_gone = |report: &presence::publisher::Report| report.gone.contains_key(KEY);
    again
        .until("the end of what it never wrote", first_gone)
        .await;
    assert_eq!(entry(&store, KEY).await, None);
    let gone = |report: &presence::publisher::Report| report.gone.contains_key(other);
    again.until("the end of the other", gone).await;
    assert_eq!(entry(&store, other).await, None);
    again.stop().await;
}

pub async fn who_goes_on_leaves_alone_what_others_wrote_since(store: impl Store) {
    let memory = tempfile::tempdir().unwrap();
    let mut old = Running::resume(&store, &[(KEY, weight(1))], Others::Go, memory.path());
    let (_, lease) = old.published(KEY, None).await;
    let mut new = Running::start(&store, &[(KEY, weight(2))]);
    let (second, _) = new.published(KEY, None).await;
    old.crash().await;
    // Whether the lease still lives makes no difference.
    for lives in [true, false] {
        if !lives {
            store.revoke(lease).await.unwrap();
        }
        let mut again = Running::resume(&store, &[(KEY, weight(1))], Others::Go, memory.path());
        again.standing_by(KEY).await;
        assert_eq!(entry(&store, KEY).await.unwrap().mod_revision, second);
        again.crash().await;
    }
    new.stop().await;
    let mut again = Running::resume(&store, &[(KEY, weight(1))], Others::Go, memory.path());
    again.published(KEY, None).await;
    again.stop().await;
}

pub async fn an_ordinary_end_is_no_life_to_go_on_with(store: impl Store) {
    let memory = tempfile::tempdir().unwrap();
    let wanted = [(KEY, weight(1))];
    let mut old = Running::resume(&store, &wanted, Others::Go, memory.path());
    old.published(KEY, None).await;
    let mut new = Running::start(&store, &[(KEY, weight(2))]);
    new.published(KEY, None).await;
    old.stop().await;
    let mut again = Running::resume(&store, &wanted, Others::Go, memory.path());
    again.published(KEY, None).await;
    new.standing_by(KEY).await;
    again.stop().await;
    new.published(KEY, None).await;
    new.stop().await;
}
