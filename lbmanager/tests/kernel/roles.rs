//! An AWS manager and an IPVS manager on one host with one host ID.

use serde_json::{Value, json};
use testbed::wait;

use crate::aws::{AwsManager, REGION, elb_key};
use crate::witness::until_servers;
use crate::world::{HOST, SOON, VIP, World, key};

const X: &str = "i-0000000a";
const Y: &str = "i-0000000b";
const Z: &str = "i-0000000c";
const A: &str = "10.8.1.1:8080";
const B: &str = "10.8.1.2:8080";
const C: &str = "10.8.1.3:8080";
const OTHER: &str = "10.8.0.2:80";

/// Two managers, one balancer and one virtual service to keep, and one of each
/// to retire.
struct Both {
    aws: AwsManager,
    world: World,
}

impl Both {
    async fn start() -> Self {
        let world = World::start().await;
        let mut aws = AwsManager::new(HOST, &world.etcd.endpoint()).await;
        for balancer in ["web", "api"] {
            aws.aws.create(REGION, balancer);
        }
        aws.run().await;
        let both = Self { aws, world };
        for member in [X, Y, Z] {
            both.put(&elb_key("web", member)).await;
        }
        both.put(&elb_key("api", X)).await;
        for member in [A, B, C] {
            both.put(&key(VIP, "multiple", member)).await;
        }
        both.put(&key(OTHER, "multiple", A)).await;
        both.aws.until_registered("web", &[X, Y, Z]).await;
        both.aws.until_registered("api", &[X]).await;
        let weights = [A, B, C].map(|member| format!("{member} 1"));
        until_servers(VIP, &weights.each_ref().map(String::as_str)).await;
        both
    }

    async fn put(&self, key: &str) {
        self.world.etcd.put(key, "").await.unwrap();
    }

    async fn del(&self, key: &str) {
        assert!(self.world.etcd.del(key).await.unwrap(), "{key}");
    }

    async fn restart_aws(&mut self) {
        self.aws.stop().await;
        self.aws.run().await;
    }

    async fn restart_ipvs(&mut self) {
        self.world.manager.stop().await;
        self.world.manager.run(&[]).await;
    }

    async fn until_key(&self, key: &str) -> Value {
        let found = wait::until(key, SOON, || async {
            let found = self.world.etcd.get(key).await.unwrap();
            found
                .map(|text| serde_json::from_str(&text).unwrap())
                .ok_or(())
        });
        let found = found.await;
        found.unwrap_or_else(|error| panic!("{error}\n{}", self.aws.log()))
    }

    async fn until_gone(&self, key: &str) {
        let gone = || async { self.world.etcd.get(key).await.unwrap().is_none() };
        wait::until_true(key, SOON, gone).await.unwrap();
    }

    async fn assert_claims(&self, aws_host: &str, ipvs_host: &str) {
        let claim = |host: &str, role: &str| format!("/lbManager-status/managers/{host}/{role}");
        let aws = self.until_key(&claim(aws_host, "aws")).await;
        assert_eq!(aws["backends"], json!(["elb"]), "{aws}");
        let ipvs = self.until_key(&claim(ipvs_host, "ipvs")).await;
        assert_eq!(ipvs["backends"], json!(["ipvs"]), "{ipvs}");
        assert_eq!(ipvs["regions"], json!([ipvs_host, "edge"]), "{ipvs}");
    }

    async fn assert_never_frozen(&self) {
        let frozen = self.world.etcd.get_prefix("/lbManager-status/frozen/");
        let frozen = frozen.await.unwrap();
        assert!(
            frozen.is_empty(),
            "{frozen:?}\n{}\n{}",
            self.aws.log(),
            self.world.manager.log()
        );
    }
}

pub async fn of_one_host_restart_and_move_without_a_freeze() {
    let mut both = Both::start().await;
    both.assert_claims(HOST, HOST).await;
    both.restart_aws().await;
    both.restart_ipvs().await;
    both.world.etcd.restart().await.unwrap();
    both.assert_claims(HOST, HOST).await;

    // A balancer is retired by one; the other is restarted.
    both.del(&elb_key("api", X)).await;
    both.until_gone(&format!("/lbManager-status/lb/elb/{REGION}/api"))
        .await;
    both.restart_ipvs().await;
    both.del(&key(OTHER, "multiple", A)).await;
    let status = format!("/lbManager-status/hosts/{HOST}/ipvs/edge/{OTHER}");
    both.until_gone(&status).await;
    both.restart_aws().await;
    both.assert_claims(HOST, HOST).await;

    // The AWS manager moves to another host and back.
    both.aws.stop().await;
    let state = std::mem::replace(&mut both.aws.state, "/run/state-of-host-2".into());
    both.aws.host = "host-2";
    both.aws.run().await;
    both.del(&elb_key("web", Z)).await;
    both.aws.until_registered("web", &[X, Y]).await;
    both.assert_claims("host-2", HOST).await;
    both.aws.stop().await;
    (both.aws.state, both.aws.host) = (state, HOST);
    both.aws.run().await;
    both.del(&elb_key("web", Y)).await;
    both.aws.until_registered("web", &[X]).await;
    both.assert_claims(HOST, HOST).await;

    // Nothing is frozen: what is deleted is removed without a release.
    both.restart_ipvs().await;
    both.del(&key(VIP, "multiple", C)).await;
    until_servers(VIP, &[&format!("{A} 1"), &format!("{B} 1")]).await;
    both.assert_never_frozen().await;
}

pub async fn of_a_renamed_host_continue_without_a_freeze() {
    let mut both = Both::start().await;
    both.aws.stop().await;
    both.world.manager.stop().await;
    both.aws.host = "renamed";
    both.world.manager.rename("renamed");
    both.aws.run().await;
    both.world.manager.run(&[]).await;
    both.del(&elb_key("web", Z)).await;
    both.aws.until_registered("web", &[X, Y]).await;
    both.del(&key(VIP, "multiple", C)).await;
    until_servers(VIP, &[&format!("{A} 1"), &format!("{B} 1")]).await;
    both.assert_claims("renamed", "renamed").await;
    both.assert_never_frozen().await;
}
