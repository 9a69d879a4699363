use std::time::Duration;

use presence::store::{Store, Transaction};
use testbed::wait;

use crate::{Acquiring, DEADLINE, claim, delete, entry_of, hold, labelled, semaphore};

pub async fn the_first_holds_at_once_and_the_others_follow_in_order<S: Store>(store: S) {
    let semaphore = semaphore(&store);
    let mut before = hold(&semaphore, claim("a")).await;
    let mut waiting = Vec::new();
    for (n, service) in ["d", "c", "b"].into_iter().enumerate() {
        let mut next = Acquiring::start(&semaphore, claim(service));
        let told = next.waits_behind(n).await;
        assert_eq!(told.holders[0].service.as_str(), "a", "{told}");
        assert!(
            told.to_string().contains("held by a on one for 23"),
            "{told}"
        );
        waiting.push(next);
    }
    for next in waiting {
        assert!(next.waits());
        let token = before.token();
        before.release().await.unwrap();
        before = next.held().await;
        assert!(before.token() > token);
    }
}

pub async fn as_many_hold_as_there_are_slots<S: Store>(store: S) {
    let semaphore = semaphore(&store);
    semaphore.set_slots(2).await.unwrap();
    let first = hold(&semaphore, claim("a")).await;
    hold(&semaphore, claim("b")).await;
    let mut third = Acquiring::start(&semaphore, claim("c"));
    third.waits_behind(0).await;
    let mut fourth = Acquiring::start(&semaphore, claim("d"));
    fourth.waits_behind(1).await;
    first.release().await.unwrap();
    third.held().await;
    assert!(fourth.waits());
    semaphore.set_slots(3).await.unwrap();
    fourth.held().await;
}

pub async fn fewer_slots_let_nobody_new_on<S: Store>(store: S) {
    let semaphore = semaphore(&store);
    semaphore.set_slots(3).await.unwrap();
    let mut holding = Vec::new();
    for service in ["a", "b", "c"] {
        holding.push(hold(&semaphore, claim(service)).await);
    }
    semaphore.set_slots(1).await.unwrap();
    let mut next = Acquiring::start(&semaphore, claim("d"));
    while let Some(one) = holding.pop() {
        next.waits_behind(0).await;
        assert_eq!(
            semaphore.queue().await.unwrap().holders().count(),
            holding.len() + 1
        );
        one.release().await.unwrap();
    }
    next.held().await;
}

pub async fn the_key_wins_over_the_claim<S: Store>(store: S) {
    let semaphore = semaphore(&store);
    let two = |service| presence::semaphore::Claim {
        slots: 2,
        ..claim(service)
    };
    hold(&semaphore, two("a")).await;
    hold(&semaphore, two("b")).await;
    semaphore.set_slots(1).await.unwrap();
    let mut third = Acquiring::start(
        &semaphore,
        presence::semaphore::Claim {
            slots: 9,
            ..two("c")
        },
    );
    third
        .until("word of one slot", |now| now.allowed == 1)
        .await;
    store
        .commit(Transaction::put("/service-monitor/web/lease/slots", "many"))
        .await
        .unwrap();
    let odd = third.until("word of what it is", |now| {
        now.to_string().contains("\"many\"")
    });
    assert_eq!(odd.await.allowed, 1);
    delete(&store, "/service-monitor/web/lease/slots").await;
    third.held().await;
}

pub async fn what_the_service_holds_is_renewed_by_another_process<S: Store>(store: S) {
    let semaphore = semaphore(&store);
    let short = presence::semaphore::Claim {
        ttl: Duration::from_secs(30),
        ..claim("a")
    };
    let first = hold(&semaphore, short).await;
    semaphore.set_slots(0).await.unwrap();
    let again = hold(&semaphore, claim("a")).await;
    assert_eq!(again.token(), first.token());
    let queue = semaphore.queue().await.unwrap();
    let holders = semaphore.holders(&queue).await.unwrap();
    let left = holders[0]
        .ends
        .unwrap()
        .duration_since(tokio::time::Instant::now());
    assert!(left > Duration::from_mins(3), "{left:?}");
    first.release().await.unwrap();
    assert_eq!(
        semaphore.queue().await.unwrap().holders().count(),
        1,
        "it is the other's now"
    );
}

pub async fn a_process_of_the_same_service_waits_for_the_turn_of_the_first<S: Store>(store: S) {
    let semaphore = semaphore(&store);
    let other = hold(&semaphore, claim("b")).await;
    let mut first = Acquiring::start(&semaphore, claim("a"));
    first.waits_behind(0).await;
    let mut second = Acquiring::start(&semaphore, claim("a"));
    let told = second
        .until("word of the first", |now| now.queue.is_some())
        .await;
    assert!(told.to_string().contains("the same service ID"), "{told}");
    other.release().await.unwrap();
    let first = first.held().await;
    assert_eq!(second.held().await.token(), first.token());
}

pub async fn the_same_service_id_on_another_host_waits<S: Store>(store: S) {
    let semaphore = semaphore(&store);
    let held = hold(&semaphore, claim("a")).await;
    let elsewhere = presence::semaphore::Claim {
        host: "two".parse().unwrap(),
        ..claim("a")
    };
    let mut other = Acquiring::start(&semaphore, elsewhere);
    other
        .until("word of the first", |now| now.queue.is_some())
        .await;
    assert_eq!(semaphore.queue().await.unwrap().places.len(), 1);
    let token = held.token();
    held.release().await.unwrap();
    assert!(other.held().await.token() > token);
}

pub async fn who_gives_up_deletes_its_own_entry_alone<S: Store>(store: S) {
    let semaphore = semaphore(&store);
    let _held = hold(&semaphore, claim("a")).await;
    let mut first = Acquiring::start(&semaphore, claim("b"));
    first.waits_behind(0).await;
    let mut second = Acquiring::start(&semaphore, claim("c"));
    second.waits_behind(1).await;
    first.give_up().await;
    let queue = semaphore.queue().await.unwrap();
    let left: Vec<_> = queue
        .places
        .iter()
        .map(|place| place.service.as_str())
        .collect();
    assert_eq!(left, ["a", "c"]);
    second.waits_behind(0).await;
}

pub async fn a_place_that_was_deleted_is_taken_anew_at_the_end<S: Store>(store: S) {
    let semaphore = semaphore(&store);
    let held = hold(&semaphore, claim("a")).await;
    let mut robbed = Acquiring::start(&semaphore, claim("b"));
    robbed.waits_behind(0).await;
    let mut other = Acquiring::start(&semaphore, claim("c"));
    other.waits_behind(1).await;
    delete(&store, &entry_of("b")).await;
    let told = robbed.waits_behind(1).await;
    assert_eq!(told.requeued, 1);
    assert!(told.to_string().contains("queued up anew"), "{told}");
    held.release().await.unwrap();
    let other = other.held().await;
    assert!(robbed.waits());
    other.release().await.unwrap();
    robbed.held().await;
}

pub async fn a_release_is_of_what_was_seen<S: Store>(store: S) {
    let semaphore = semaphore(&store);
    let (service, host) = ("a".parse().unwrap(), "one".parse().unwrap());
    assert_eq!(semaphore.held_by(&service, &host).await, Ok(None));
    hold(&semaphore, claim("a")).await;
    assert_eq!(
        semaphore.held_by(&service, &"two".parse().unwrap()).await,
        Ok(None)
    );
    let seen = semaphore.held_by(&service, &host).await.unwrap().unwrap();
    hold(&semaphore, claim("a")).await;
    assert_eq!(
        semaphore.release(&seen).await,
        Ok(false),
        "it was renewed since"
    );
    let mut next = Acquiring::start(&semaphore, claim("b"));
    next.waits_behind(0).await;
    let waits = semaphore.held_by(&"b".parse().unwrap(), &host).await;
    assert_eq!(waits, Ok(None), "who waits holds nothing");
    let seen = semaphore.held_by(&service, &host).await.unwrap().unwrap();
    assert_eq!(semaphore.release(&seen).await, Ok(true));
    next.held().await;
    assert_eq!(semaphore.release(&seen).await, Ok(false));
}

pub async fn what_cannot_be_read_counts_as_held<S: Store>(store: S) {
    let semaphore = semaphore(&store);
    let odd = Transaction::put(entry_of("odd"), "by hand");
    store.commit(odd).await.unwrap();
    let mut next = Acquiring::start(&semaphore, claim("a"));
    let told = next.waits_behind(0).await;
    assert!(
        told.to_string()
            .contains("held by odd until somebody deletes"),
        "{told}"
    );
    delete(&store, &entry_of("odd")).await;
    next.held().await;
}

pub async fn the_queue_tells_who_holds_and_who_waits<S: Store>(store: S) {
    let semaphore = semaphore(&store);
    let begin = jiff::Timestamp::now();
    let held = hold(&semaphore, claim("a")).await;
    let mut next = Acquiring::start(&semaphore, claim("b"));
    next.waits_behind(0).await;
    let queue = semaphore.queue().await.unwrap();
    let shown = queue.places.iter().map(|place| {
        let ticket = place.ticket.clone().unwrap();
        assert!(ticket.since >= begin && ticket.since <= jiff::Timestamp::now());
        assert_eq!(ticket.service_id, place.service);
        (
            place.service.to_string(),
            ticket.host.to_string(),
            ticket.held,
        )
    });
    let shown: Vec<_> = shown.collect();
    let one = |service: &str, held| (service.to_owned(), "one".to_owned(), held);
    assert_eq!(shown, [one("a", true), one("b", false)]);
    assert_eq!(queue.places[0].token, held.token());
    assert_eq!(queue.places[0].lease, Some(held.lease()));
}

pub async fn semaphores_do_not_hinder_each_other<S: Store>(store: S) {
    hold(&semaphore(&store), claim("a")).await;
    hold(&labelled(&store, "web2"), claim("a")).await;
    hold(&labelled(&store, "we"), claim("b")).await;
}

pub async fn what_is_left_held_ends_with_its_lease<S: Store>(store: S) {
    let semaphore = semaphore(&store);
    let short = presence::semaphore::Claim {
        ttl: Duration::from_secs(5),
        ..claim("a")
    };
    let begin = tokio::time::Instant::now();
    drop(hold(&semaphore, short).await);
    hold(&semaphore, claim("b")).await;
    let waited = begin.elapsed();
    let expected = Duration::from_secs(5)..Duration::from_secs(10);
    assert!(expected.contains(&waited), "{waited:?}");
    let gone = || async { store.get(&entry_of("a")).await.unwrap().entry.is_none() };
    wait::until_true("the entry to end", DEADLINE, gone)
        .await
        .unwrap();
}
