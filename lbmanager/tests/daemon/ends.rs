use std::time::Duration;

use testbed::aws::{Effect, Fault};
use testbed::process::Signal;
use tokio::time::{Instant, sleep};

use crate::real::{A, B, REGION, Rig, SOON};

/// A pass in the middle is given 10 s; a loaded machine takes some itself.
const SECONDS: Duration = Duration::from_secs(15);

async fn ends(rig: &mut Rig, signal: Signal) -> (Option<i32>, Duration) {
    let begin = Instant::now();
    rig.manager().signal(signal).unwrap();
    let status = rig.manager_mut().wait(SOON).await.unwrap();
    (status.code(), begin.elapsed())
}

async fn ends_cleanly(rig: &mut Rig, signal: Signal) {
    let (code, time) = ends(rig, signal).await;
    assert_eq!(code, Some(0), "{}", rig.log());
    assert!(time < SECONDS, "{time:?}: {}", rig.log());
}

#[tokio::test]
async fn term_and_int_end_it_cleanly_while_etcd_is_away() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut rig = Rig::idle().await;
        rig.etcd.stop().await.unwrap();
        rig.run().await;
        rig.until_log("waiting for etcd, nothing is changed").await;
        ends_cleanly(&mut rig, signal).await;
    }
}

#[tokio::test]
async fn term_ends_it_cleanly_while_etcd_is_frozen() {
    let mut rig = Rig::serving("web", &[A]).await;
    rig.etcd.pause().unwrap();
    ends_cleanly(&mut rig, Signal::SIGTERM).await;
    rig.assert_kept("web", &[A]);
}

#[tokio::test]
async fn term_ends_it_cleanly_when_nothing_goes_on() {
    let mut rig = Rig::serving("web", &[A]).await;
    let (code, time) = ends(&mut rig, Signal::SIGTERM).await;
    assert_eq!(code, Some(0));
    assert!(time < Duration::from_secs(5), "{time:?}");
    rig.assert_kept("web", &[A]);
}

#[tokio::test]
async fn term_ends_it_cleanly_while_aws_hangs() {
    for operation in ["DescribeLoadBalancers", "RegisterInstancesWithLoadBalancer"] {
        let mut rig = Rig::start().await;
        rig.aws.create(REGION, "web");
        rig.aws
            .faults()
            .add(Fault::new(Effect::Hang).operation(operation));
        rig.put("web", &[A]).await;
        rig.until_called(operation).await;
        ends_cleanly(&mut rig, Signal::SIGTERM).await;
        // What was begun is gone on with.
        rig.aws.faults().clear();
        rig.run().await;
        rig.until_serving("web", &[A]).await;
        rig.assert_kept("web", &[A]);
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut rig = Rig::start().await;
    rig.aws.create(REGION, "web");
    let register = "RegisterInstancesWithLoadBalancer";
    rig.aws
        .faults()
        .add(Fault::new(Effect::Hang).operation(register));
    rig.put("web", &[A]).await;
    rig.until_called(register).await;
    rig.manager().signal(Signal::SIGTERM).unwrap();
    rig.until_log("a second signal ends the process at once")
        .await;
    let (code, time) = ends(&mut rig, Signal::SIGINT).await;
    assert_eq!(code, Some(128 + Signal::SIGINT as i32));
    assert!(time < Duration::from_secs(2), "{time:?}");
}

#[tokio::test]
async fn term_at_any_moment_ends_it_cleanly_and_what_is_left_is_done_after() {
    let mut rig = Rig::idle().await;
    rig.aws
        .create(REGION, "web")
        .health_delay(Duration::from_millis(300));
    rig.put("web", &[A]).await;
    for round in 0..8 {
        rig.run().await;
        rig.put("web", &[B]).await;
        // Early moments more often than late ones.
        sleep(Duration::from_millis(fastrand::u64(0..8 << round))).await;
        let (code, time) = ends(&mut rig, Signal::SIGTERM).await;
        // Before the signal is looked for it ends the process as it always does.
        assert!(matches!(code, Some(0) | None), "{code:?}: {}", rig.log());
        assert!(time < SECONDS, "{time:?}: {}", rig.log());
        rig.del("web", B).await;
    }
    rig.run().await;
    rig.until_serving("web", &[A]).await;
    rig.until_registered("web", &[A]).await;
    rig.assert_kept("web", &[A]);
}
