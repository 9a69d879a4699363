//! What is said to those who wait.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::model::{LeaseId, Revision};
use crate::semaphore::{Holder, Place, Progress, Queue, Slots, Ticket};

fn place(service: &str, token: i64, held: bool) -> Place {
    let service: crate::model::ServiceId = service.parse().unwrap();
    Place {
        ticket: Some(Ticket {
            service_id: service.clone(),
            host: "one".parse().unwrap(),
            since: Timestamp::UNIX_EPOCH,
            held,
        }),
        service,
        lease: Some(LeaseId(token)),
        token: Revision(token),
        at: Revision(token),
    }
}

fn progress() -> Progress {
    let places = vec![
        place("a", 2, true),
        place("b", 3, false),
        place("c", 4, false),
    ];
    Progress {
        holders: vec![Holder::new(&places[0], Some(Duration::from_secs(183)))],
        queue: Some(Queue {
            revision: Revision(9),
            slots: None,
            places,
        }),
        allowed: 1,
        token: Some(Revision(4)),
        ..Progress::default()
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_told_who_is_ahead_and_who_holds_for_how_long() {
    assert_eq!(Progress::default().to_string(), "queueing up");
    assert_eq!(
        progress().to_string(),
        "waiting, 1 ahead in the queue; 1 may hold; held by a on one for 183 s still, if not \
         renewed"
    );
    tokio::time::advance(Duration::from_secs(100)).await;
    let mut later = progress();
    later.holders[0].ends = Some(Instant::now() + Duration::from_secs(83));
    later.token = Some(Revision(3));
    later.requeued = 2;
    assert_eq!(
        later.to_string(),
        "waiting, next in the queue, queued up anew as the entry had ended (2 x); 1 may hold; \
         held by a on one for 83 s still, if not renewed"
    );
}

#[test]
fn what_is_odd_is_told_as_well() {
    let mut odd = progress();
    odd.holders[0].ends = None;
    odd.holders[0].host_since = None;
    odd.token = None;
    odd.queue.as_mut().unwrap().slots = Some(Slots {
        number: Err("two".to_owned()),
        at: Revision(1),
    });
    assert_eq!(
        odd.to_string(),
        "waiting for the entry of the same service ID; slots is \"two\" and no number, so 1 may \
         hold; held by a until somebody deletes its key: it has no lease"
    );
    odd.trouble = Some("etcd at e does not answer: refused".to_owned());
    assert_eq!(
        odd.to_string(),
        "waiting: etcd at e does not answer: refused"
    );
}
