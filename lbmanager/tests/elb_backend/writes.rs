//! Registering and deregistering.

use std::collections::BTreeSet;
use std::sync::Arc;

use lbmanager::backend::aws::{Aws as Client, Counters};
use lbmanager::backend::elb::Elb;
use lbmanager::backend::{Backend, BackendError};
use testbed::aws::{Aws, Bucket, Class, Effect, Fault};

use crate::{REGION, done, id, ids, members, settings, start};

#[tokio::test]
async fn a_burst_of_changes_is_three_calls() {
    let (aws, elb) = start().await;
    let old = members(0..500);
    let web = aws.create(REGION, "web").instances(ids(&old));
    let described = elb.describe(&id("web")).await.unwrap();
    assert_eq!(described.registered, old);
    let new = members(500..1000);
    assert_eq!(elb.register(&id("web"), &new).await, done(new.clone()));
    assert_eq!(elb.deregister(&id("web"), &old).await, done(old.clone()));
    assert_eq!(web.registered(), ids(&new));
    assert_eq!(aws.calls().len(), 3);
}

#[tokio::test]
async fn throttling_is_everybodys() {
    let (aws, elb) = start().await;
    aws.create(REGION, "web");
    let none = Bucket {
        burst: 0.0,
        per_second: 0.0,
    };
    aws.throttle(Class::Describe, Some(none));
    let (web, other) = (id("web"), id("other"));
    let answers = tokio::join!(elb.describe(&web), elb.describe(&other));
    for answer in [answers.0, answers.1] {
        let error = answer.unwrap_err();
        assert!(matches!(error, BackendError::Throttled(_)), "{error:?}");
        assert!(error.is_temporary());
    }
    assert_eq!(aws.calls().len(), 1);
    aws.throttle(Class::Describe, None);
    aws.throttle(Class::Write, Some(none));
    let outcome = elb.register(&web, &members(0..9)).await;
    assert!(matches!(outcome.error, Some(BackendError::Throttled(_))));
    assert_eq!(aws.calls().writes().len(), 1, "nothing is retried here");
}

#[tokio::test]
async fn a_rejected_instance_holds_up_nobody() {
    let (aws, elb) = start().await;
    let web = aws.create(REGION, "web");
    let (good, bad) = (members(0..20), members([100, 101]));
    for instance in ids(&good) {
        aws.instances().add(&instance);
    }
    aws.instances().strict(true);
    let all = good.union(&bad).cloned().collect();
    let outcome = elb.register(&id("web"), &all).await;
    assert_eq!(outcome.done, good);
    assert_eq!(outcome.error, None);
    assert_eq!(
        outcome.rejected.keys().cloned().collect::<BTreeSet<_>>(),
        bad
    );
    for why in outcome.rejected.values() {
        assert!(
            why.contains("InvalidInstance: Could not find EC2 instance"),
            "{why}"
        );
    }
    assert_eq!(web.registered(), ids(&good));
    assert_eq!(aws.calls().len(), 2);

    // What is rejected is not done, here neither.
    let outcome = elb.deregister(&id("web"), &all).await;
    assert_eq!(outcome.done, good);
    assert_eq!(outcome.error, None);
    assert_eq!(
        outcome.rejected.keys().cloned().collect::<BTreeSet<_>>(),
        bad
    );
    assert_eq!(web.registered(), BTreeSet::new());
}

#[tokio::test]
async fn an_unclear_write_says_so() {
    let (aws, elb) = start().await;
    let web = aws.create(REGION, "web");
    aws.faults().add(Fault::new(Effect::ApplyThenFail).writes());
    let outcome = elb.register(&id("web"), &members([1])).await;
    assert_eq!(outcome.done, BTreeSet::new());
    assert!(matches!(outcome.error, Some(BackendError::Unavailable(_))));
    assert_eq!(web.registered(), ids(&members([1])));
    assert_eq!(aws.calls().len(), 1);
}

#[tokio::test]
async fn nothing_is_written_behind_the_fence() {
    let aws = Aws::start().await.unwrap();
    let web = aws.create(REGION, "web");
    let fence = || Err("another manager writes to AWS now".to_owned());
    let elb = Elb::new(Client::new(
        settings(&aws.url()),
        Counters::default(),
        Arc::new(fence),
    ));
    assert!(elb.describe(&id("web")).await.is_ok());
    let outcome = elb.register(&id("web"), &members([1])).await;
    let error = outcome.error.unwrap();
    assert!(
        error.to_string().contains("not sent: another manager"),
        "{error}"
    );
    assert_eq!(web.registered(), BTreeSet::new());
    assert_eq!(aws.calls().writes().len(), 0);
}
