//! A new definition comes into force.

use launcher::definitions::{Put, PutError, history, put};
use presence::store::memory::MemoryStore;
use presence::store::{Store, Transaction};

use crate::host::{Host, definition, version, web};

#[tokio::test]
async fn the_same_in_other_words_is_no_rollout() {
    let host = Host::new();
    let first = host.put("image: web:1\nport: 80\n").await;
    let (revision, writes) = (host.store.revision(), host.store.counts().writes);
    let text = "{port: '80', image: web:1}";
    let done = put(&host.store, &web(), &definition(text), text, None).await;
    assert_eq!(done.unwrap(), Put::Same(first));
    assert_eq!(host.store.revision(), revision);
    assert_eq!(host.store.counts().writes, writes, "nothing was written");
    assert_eq!(host.find(None).await.text, "image: web:1\nport: 80\n");
}

#[tokio::test]
async fn what_it_takes_the_place_of_is_in_the_history() {
    let host = Host::new();
    let by_hand = host.write(&version(1)).await;
    let put = host.put(&version(2)).await;
    let past = history::list(&host.store, &web()).await.unwrap();
    let past: Vec<_> = past
        .into_iter()
        .map(|(revision, past)| (revision, past.unwrap().text))
        .collect();
    assert_eq!(past, [(put, version(2)), (by_hand, version(1))]);
}

#[tokio::test]
async fn what_is_no_definition_gives_way() {
    let host = Host::new();
    let write = Transaction::put("/launcher/services/web", "imgae: x");
    host.store.commit(write).await.unwrap();
    let revision = host.put(&version(1)).await;
    assert_eq!(host.find(None).await.revision, revision);
}

#[tokio::test]
async fn it_is_written_only_if_what_was_expected_is_in_force() {
    let host = Host::new();
    let (first, text) = (host.put(&version(1)).await, version(2));
    let (service, two) = (web(), definition(&text));
    let write = |expected| put(&host.store, &service, &two, &text, Some(expected));
    let Put::Written(second) = write(first).await.unwrap() else {
        panic!("it is another definition");
    };
    let error = write(first).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the definition of web is not {first} any more: {second} is in force; \
             nothing was written"
        )
    );
    assert_eq!(write(second).await.unwrap(), Put::Same(second));
}

#[tokio::test]
async fn of_two_writers_who_expect_the_same_one_wins() {
    let host = Host::new();
    let first = host.put(&version(0)).await;
    let (one, other) = (version(1), version(2));
    let write =
        async |text: &str| put(&host.store, &web(), &definition(text), text, Some(first)).await;
    let (one, other) = tokio::join!(write(&one), write(&other));
    let won = [&one, &other].map(|done| matches!(done, Ok(Put::Written(_))));
    assert_eq!(
        won.iter().filter(|won| **won).count(),
        1,
        "{one:?} {other:?}"
    );
    let lost = [one, other].into_iter().find_map(Result::err);
    assert!(matches!(lost, Some(PutError::Other { .. })), "{lost:?}");
}

#[tokio::test]
async fn of_many_writers_all_are_in_the_history_and_the_last_is_in_force() {
    let store = MemoryStore::new();
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..8 {
        let store = store.clone();
        writers.spawn(async move {
            let text = version(number);
            put(&store, &web(), &definition(&text), &text, None).await
        });
    }
    let mut written = Vec::new();
    for done in writers.join_all().await {
        let Put::Written(revision) = done.unwrap() else {
            panic!("all are different");
        };
        written.push(revision);
    }
    written.sort_by(|one, other| other.cmp(one));
    let host = Host::on(store);
    assert_eq!(host.find(None).await.revision, written[0]);
    let past = history::list(&host.store, &web()).await.unwrap();
    let past: Vec<_> = past.into_iter().map(|(revision, _)| revision).collect();
    assert_eq!(past, written);
}
