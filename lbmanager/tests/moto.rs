//! The plain cases against moto: an AWS that others wrote, so that our reading
//! of the wire is judged by somebody else.
#![allow(clippy::unwrap_used)]

#[path = "support/real.rs"]
mod real;

use testbed::moto::Moto;
use testbed::wait;

use real::{A, REGION, Rig, SOON, key, set, single};

struct Theirs {
    rig: Rig,
    moto: Moto,
    instances: Vec<String>,
}

impl Theirs {
    /// A manager that works on moto, where there are a load balancer and some
    /// instances.
    async fn start() -> Self {
        Self::with_resync("2s").await
    }

    async fn with_resync(resync: &str) -> Self {
        let moto = Moto::start().await.unwrap();
        moto.create_load_balancer(REGION, "web").await.unwrap();
        let mut instances = Vec::new();
        for _ in 0..3 {
            instances.push(moto.run_instance(REGION).await.unwrap());
        }
        instances.sort();
        let mut rig = Rig::idle().await;
        rig.set(|launch| {
            launch
                .env("AWS_ENDPOINT_URL", moto.url())
                .arg(format!("--resync={resync}"))
        });
        rig.run().await;
        Self {
            rig,
            moto,
            instances,
        }
    }

    fn instances(&self) -> [&str; 3] {
        [0, 1, 2].map(|number| self.instances[number].as_str())
    }

    /// Waits until moto has these, and nobody else.
    async fn until_registered(&self, members: &[&str]) {
        let wanted = set(members);
        let what = format!("{members:?} registered with moto");
        wait::until(&what, SOON, || async {
            match self.moto.instances(REGION, "web").await {
                Ok(found) if found == wanted => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await
        .unwrap_or_else(|error| panic!("{error}: {}", self.rig.log()));
    }
}

#[tokio::test]
async fn members_come_and_go() {
    let theirs = Theirs::start().await;
    let [a, b, c] = theirs.instances();
    let rig = &theirs.rig;
    rig.put("web", &[a]).await;
    theirs.until_registered(&[a]).await;
    rig.until_serving("web", &[a]).await;
    let rest = [b, c].map(|member| (key("web", member), ""));
    rig.etcd.put_many(rest).await.unwrap();
    rig.until_serving("web", &[a, b, c]).await;
    theirs.until_registered(&[a, b, c]).await;
    rig.del("web", b).await;
    theirs.until_registered(&[a, c]).await;
    rig.del("web", a).await;
    rig.del("web", c).await;
    theirs.until_registered(&[]).await;
}

#[tokio::test]
async fn the_newest_single_member_takes_over() {
    let theirs = Theirs::start().await;
    let [a, b, _] = theirs.instances();
    let rig = &theirs.rig;
    rig.etcd.put(&single("web", a), "").await.unwrap();
    rig.until_serving("web", &[a]).await;
    rig.etcd.put(&single("web", b), "").await.unwrap();
    theirs.until_registered(&[b]).await;
    rig.etcd.put(&single("web", a), "").await.unwrap();
    theirs.until_registered(&[a]).await;
}

#[tokio::test]
async fn drift_is_repaired_and_strangers_leave() {
    let theirs = Theirs::start().await;
    let [a, b, c] = theirs.instances();
    let rig = &theirs.rig;
    rig.put("web", &[a, b]).await;
    rig.until_serving("web", &[a, b]).await;
    theirs.moto.deregister(REGION, "web", &[a]).await.unwrap();
    theirs.until_registered(&[a, b]).await;
    theirs.moto.register(REGION, "web", &[c]).await.unwrap();
    theirs.until_registered(&[a, b]).await;
}

#[tokio::test]
async fn a_load_balancer_that_does_not_exist_is_told() {
    let theirs = Theirs::start().await;
    let [a, ..] = theirs.instances();
    let rig = &theirs.rig;
    rig.put("ghost", &[A]).await;
    rig.put("web", &[a]).await;
    theirs.until_registered(&[a]).await;
    rig.until_status("ghost", "it is not found", |status| {
        let what = status["error"]["what"].as_str().unwrap_or_default();
        what.contains("LoadBalancerNotFound") && what.contains("ghost")
    })
    .await;
    theirs
        .moto
        .create_load_balancer(REGION, "ghost")
        .await
        .unwrap();
    rig.until_status("ghost", "it is found", |status| status["error"].is_null())
        .await;
}

#[tokio::test]
async fn one_deregistered_by_hand_is_back_before_another_that_is_deleted_leaves() {
    let theirs = Theirs::with_resync("1h").await;
    let [a, b, _] = theirs.instances();
    let rig = &theirs.rig;
    rig.put("web", &[a, b]).await;
    rig.until_serving("web", &[a, b]).await;
    theirs.moto.deregister(REGION, "web", &[a]).await.unwrap();
    rig.del("web", b).await;
    theirs.until_registered(&[a]).await;
    rig.until_serving("web", &[a]).await;
    let log = rig.log();
    let place = |words: String| {
        log.rfind(&words)
            .unwrap_or_else(|| panic!("{words}: {log}"))
    };
    let (registered, deregistered) = (
        place(format!("registered {a}")),
        place(format!("deregistered {b}")),
    );
    assert!(registered < deregistered, "{log}");
}
