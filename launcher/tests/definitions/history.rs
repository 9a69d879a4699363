//! Every definition that was ever in force.

use launcher::definitions::history::{self, Line, MOST};
use launcher::definitions::network;
use launcher::instance::InstanceName;
use presence::store::memory::MemoryStore;
use presence::store::{Store, Transaction};

use crate::host::{Host, version, web};

async fn lines(host: &Host<MemoryStore>) -> Vec<Line> {
    let past = history::list(&host.store, &web()).await.unwrap();
    let newest = network::find(&host.store, &web(), InstanceName::Newest)
        .await
        .ok();
    history::lines(&web(), past, newest.as_ref())
}

fn changed(lines: &[Line]) -> Vec<Option<String>> {
    let changed = lines.iter().map(|line| line.changed.as_ref());
    changed
        .map(|changed| changed.map(|changed| changed.join(" ")))
        .collect()
}

#[tokio::test]
async fn whoever_starts_one_writes_it_once() {
    let host = Host::new();
    let revision = host.write(&version(1)).await;
    let found = host.find(None).await;
    host.definitions.record(&found).await.unwrap();
    let key = format!("/launcher/history/web/{revision}");
    let first = host.store.peek(&key).unwrap();
    let value: history::Past = serde_json::from_slice(&first.value).unwrap();
    assert_eq!(value.text, version(1));
    host.definitions.record(&found).await.unwrap();
    assert_eq!(host.store.peek(&key), Some(first), "it was written again");
}

#[tokio::test]
async fn the_last_ones_are_kept_and_the_one_that_is_started() {
    let host = Host::new();
    let mut revisions = Vec::new();
    for number in 0..MOST + 7 {
        revisions.push(host.put(&version(number)).await);
    }
    let kept = || async {
        let list = history::list(&host.store, &web()).await.unwrap();
        let mut kept: Vec<_> = list.into_iter().map(|(revision, _)| revision).collect();
        kept.reverse();
        kept
    };
    assert_eq!(kept().await, revisions[7..]);
    // The first is started again while a new one means the same.
    let again = host.put(&version(0)).await;
    let first = host.find(Some(revisions[0])).await;
    host.definitions.record(&first).await.unwrap();
    let kept = kept().await;
    assert_eq!((kept[0], kept[kept.len() - 1]), (revisions[0], again));
}

#[tokio::test]
async fn each_line_says_what_differs_from_the_one_before() {
    let host = Host::new();
    let texts = [
        "image: web:1",
        "{image: 'web:2', port: 80}",
        "{image: 'web:2', port: 80, environment: {A: 1}}",
        "{image: 'web:2', port: 80, environment: {A: 2}, drain: 5s}",
    ];
    for text in texts {
        host.put(text).await;
    }
    let all = lines(&host).await;
    let expected = ["drain environment", "environment", "image port"];
    let expected: Vec<_> = expected.map(|it| Some(it.to_owned())).into();
    assert_eq!(changed(&all), [expected, vec![None]].concat());
    let images: Vec<_> = all
        .iter()
        .map(|line| line.image.as_deref().unwrap())
        .collect();
    assert_eq!(images, ["web:2", "web:2", "web:2", "web:1"]);
    let in_force: Vec<_> = all.iter().map(|line| line.in_force).collect();
    assert_eq!(in_force, [true, false, false, false]);
    assert!(all.iter().all(|line| line.at.is_some()));
}

#[tokio::test]
async fn what_nobody_noted_is_a_line_as_well() {
    let host = Host::new();
    host.put(&version(1)).await;
    let by_hand = host.write(&version(2)).await;
    let all = lines(&host).await;
    let newest = Line {
        revision: by_hand,
        at: None,
        image: Some("web:2".to_owned()),
        changed: Some(vec!["image".to_owned()]),
        in_force: true,
    };
    assert_eq!((&all[0], all.len()), (&newest, 2));
}

#[tokio::test]
async fn what_cannot_be_read_hides_nothing_else() {
    let host = Host::new();
    host.put(&version(1)).await;
    for (key, value) in [
        ("/launcher/history/web/3-0a1b2c3d", "?"),
        ("/launcher/history/web/odd", "{}"),
    ] {
        host.store
            .commit(Transaction::put(key, value))
            .await
            .unwrap();
    }
    host.put(&version(2)).await;
    let all = lines(&host).await;
    assert_eq!(changed(&all), [None, None, None], "nothing to compare with");
    let images: Vec<_> = all.iter().map(|line| line.image.as_deref()).collect();
    assert_eq!(images, [Some("web:2"), None, Some("web:1")]);
}
