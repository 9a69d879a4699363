use std::time::Duration;

use testbed::aws::{Effect, Fault};

use crate::real::{A, B, C, REGION, Rig, key};

const REGISTER: &str = "RegisterInstancesWithLoadBalancer";

/// Load balancers that are well, beside the one that is not.
fn others() -> Vec<String> {
    (0..20).map(|number| format!("lb{number}")).collect()
}

async fn put_all(rig: &Rig, member: &str) {
    let mut names = others();
    names.push("web".to_owned());
    let keys = names.iter().map(|name| (key(name, member), ""));
    rig.etcd.put_many(keys).await.unwrap();
}

async fn rig() -> Rig {
    let rig = Rig::start().await;
    for name in others() {
        rig.aws.create(REGION, &name);
    }
    rig.aws.create(REGION, "web");
    rig
}

#[tokio::test]
async fn a_load_balancer_that_never_answers_delays_nobody() {
    let rig = rig().await;
    let hang = Fault::new(Effect::Hang).load_balancer("web");
    rig.aws.faults().add(hang);
    put_all(&rig, A).await;
    for name in others() {
        rig.until_registered(&name, &[A]).await;
    }
    rig.until_status("web", "it does not answer", |status| {
        let what = status["error"]["what"].as_str().unwrap_or_default();
        what.contains("did not answer within 2 s")
    })
    .await;
    // By now it is known who is to be asked alone.
    rig.aws.clear_calls();
    rig.change_all().await;
    for name in others() {
        for call in rig.aws.calls().to(&name).iter() {
            let together = call.load_balancers.iter().any(|other| other == "web");
            assert!(!together, "{call:?}");
        }
    }
    rig.aws.faults().clear();
    rig.until_registered("web", &[A, B]).await;
}

impl Rig {
    /// A change of everything.
    async fn change_all(&self) {
        put_all(self, B).await;
        for name in others() {
            self.until_registered(&name, &[A, B]).await;
        }
    }
}

#[tokio::test]
async fn a_write_that_never_ends_delays_nobody_else() {
    let rig = rig().await;
    let hang = Fault::new(Effect::Hang).operation(REGISTER);
    rig.aws.faults().add(hang.load_balancer("web"));
    put_all(&rig, A).await;
    for name in others() {
        rig.until_registered(&name, &[A]).await;
    }
    assert!(rig.lb("web").registered().is_empty());
    rig.aws.faults().clear();
    rig.until_serving("web", &[A]).await;
    rig.assert_kept("web", &[A]);
}

#[tokio::test]
async fn a_write_that_arrives_late_does_no_harm() {
    let rig = Rig::serving("web", &[A]).await;
    // Later than it is waited for.
    let late = Effect::Delay(Duration::from_secs(13));
    let late = Fault::new(late).operation(REGISTER).times(1);
    rig.aws.faults().add(late);
    rig.put("web", &[B]).await;
    rig.until_called(REGISTER).await;
    rig.put("web", &[C]).await;
    rig.until_serving("web", &[A, B, C]).await;
    rig.aws
        .wait_until(
            "the late one to arrive",
            |aws| {
                aws.calls()
                    .of(REGISTER)
                    .iter()
                    .all(|call| call.answered.is_some())
            },
            crate::real::SOON,
        )
        .await
        .unwrap();
    rig.until_registered("web", &[A, B, C]).await;
    rig.assert_kept("web", &[A, B, C]);
}

#[tokio::test]
async fn a_page_that_takes_too_long_is_asked_for_in_parts_and_not_again_at_each_resync() {
    let mut rig = Rig::idle().await;
    let names: Vec<String> = (0..100).map(|number| format!("lb{number}")).collect();
    for name in &names {
        rig.aws.create(REGION, name);
    }
    let slow = Effect::DelayEach(Duration::from_millis(30));
    rig.aws
        .faults()
        .add(Fault::new(slow).operation("DescribeLoadBalancers"));
    let keys = names.iter().map(|name| (key(name, A), ""));
    rig.etcd.put_many(keys).await.unwrap();
    rig.set(|launch| launch.arg("--resync=5s"));
    rig.run().await;
    for name in &names {
        rig.until_registered(name, &[A]).await;
    }
    rig.aws.clear_calls();
    let answered = |aws: &testbed::aws::Aws| {
        let calls = aws.calls().of("DescribeLoadBalancers");
        calls.iter().filter(|call| call.is_ok()).count()
    };
    rig.aws
        .wait_until("two resyncs", |aws| answered(aws) >= 4, crate::real::SOON)
        .await
        .unwrap();
    let abandoned = |call: &&testbed::aws::Call| call.outcome == testbed::aws::Outcome::Abandoned;
    let calls = rig.aws.calls().of("DescribeLoadBalancers");
    let given_up = calls.iter().filter(abandoned).count();
    assert_eq!(given_up, 0, "{calls:#?}");
}
