//! A host with a manager of AWS and one of IPVS, under one host ID: both are waited for.
//!
//! The manager of AWS is lbmanager itself. The one of IPVS needs a kernel of its own, so the test
//! writes its claim and its status.

use presence::keys::StatusTree;
use presence::keys::status::ManagerRole;
use presence::model::{BalancerId, HostId, Kind, MemberId, Region, Revision};
use presence::status::record::{MemberRecord, Role, State};
use presence::status::{Claim, Record};
use presence::store::etcd::{EtcdConfig, EtcdStore};
use testbed::aws::Aws;
use testbed::etcd::Etcd;
use testbed::lbmanager::{Launch, LbManager};

use super::*;

const SERVICE: &str = "ipvs/edge/10.0.0.1:80";
const MEMBER: &str = "192.0.2.7:8080";
const SERVICE_KEY: &str = "/lbManager/ipvs/edge/10.0.0.1:80/multiple/192.0.2.7:8080";
const PUBLISH: &str = "[elb/us-east-1/web/multiple/$INSTANCE_ID, \
                       ipvs/edge/10.0.0.1:80/multiple/$HOST_IP:$HOST_PORT]";

struct Rig {
    etcd: Etcd,
    aws: Aws,
    store: EtcdStore,
}

fn keys() -> StatusTree {
    Tree::new("/lbManager").unwrap().status()
}

fn host() -> HostId {
    "testbed".parse().unwrap()
}

impl Rig {
    async fn start() -> Self {
        let etcd = Etcd::start().await.unwrap();
        let aws = Aws::start().await.unwrap();
        aws.instances().add("i-0123abcd").add("i-99999999");
        let config = EtcdConfig::plain([etcd.endpoint()]);
        Self {
            store: EtcdStore::connect(config).await.unwrap(),
            etcd,
            aws,
        }
    }

    async fn aws_manager(&self) -> LbManager {
        let launch = Launch::new(&self.etcd, &self.aws).unwrap();
        let args = ["--settle=100ms", "--backends=elb"];
        let manager = launch.args(args).start().await.unwrap();
        manager.wait_ready(DEADLINE).await.unwrap();
        manager
    }

    /// The claim of the manager of IPVS, which is alive or not.
    async fn ipvs_manager(&self, is_alive: bool) {
        let key = keys().manager(&host(), ManagerRole::Ipvs);
        if !is_alive {
            self.etcd.del(&key).await.unwrap();
            return;
        }
        let region = Region::parse(Kind::Ipvs, "edge").unwrap();
        let claim = Claim::new("machine".to_owned(), [Kind::Ipvs], &[region]);
        let claim = String::from_utf8(claim.to_json()).unwrap();
        self.etcd.put(&key, &claim).await.unwrap();
    }

    /// What the manager of IPVS says of the key that was written then.
    async fn ipvs_says(&self, state: State, at: Option<Revision>) {
        let known = MemberRecord {
            mod_revision: at,
            wanted: Role::Serve,
            state,
            ..MemberRecord::default()
        };
        let member = MemberId::parse(Kind::Ipvs, MEMBER).unwrap();
        let record = Record {
            revision: self.store.get("/").await.unwrap().header.revision,
            members: at.map(|_| (member, known)).into_iter().collect(),
            ..Record::default()
        };
        let balancer: BalancerId = SERVICE.parse().unwrap();
        let record = String::from_utf8(record.to_json()).unwrap();
        let key = keys().balancer(&host(), &balancer);
        self.etcd.put(&key, &record).await.unwrap();
    }

    async fn written(&self) -> Option<Revision> {
        let found = entry(&self.store, SERVICE_KEY).await;
        found.map(|entry| entry.mod_revision)
    }
}

#[tokio::test]
async fn both_managers_of_a_host_are_waited_for_and_each_may_restart() {
    let rig = Rig::start().await;
    let web = rig.aws.create("us-east-1", "web");
    let other = "/lbManager/elb/us-east-1/web/multiple/i-99999999";
    rig.etcd.put(other, "").await.unwrap();
    rig.ipvs_manager(true).await;
    let mut manager = rig.aws_manager().await;
    let directory = tempfile::tempdir().unwrap();
    for (number, restarted) in [None, Some(ManagerRole::Aws), Some(ManagerRole::Ipvs)]
        .into_iter()
        .enumerate()
    {
        match restarted {
            Some(ManagerRole::Aws) => {
                assert!(manager.stop().await.unwrap());
                manager = rig.aws_manager().await;
            }
            Some(ManagerRole::Ipvs) => {
                rig.ipvs_manager(false).await;
                rig.ipvs_manager(true).await;
            }
            None => {}
        }
        let state = directory.path().join(number.to_string());
        let mut running = Running::start(&rig.store, "7-0a1b2c3d", PUBLISH, &state);
        running.want(Publish::Ready);
        // AWS serves it, and the other manager is waited for.
        let waits = |now: &Standing| {
            let words = &now.keys.words;
            words.starts_with("ipvs edge/10.0.0.1:80 on testbed: the manager has not")
        };
        let in_service = || async { web.in_service().contains("i-0123abcd") };
        wait::until_true("in service", DEADLINE, in_service)
            .await
            .unwrap();
        let standing = running.until("waiting for IPVS", waits).await;
        assert!(!standing.keys.served);
        rig.ipvs_says(State::Serving, rig.written().await).await;
        assert_eq!(running.served().await.keys.words, "");

        // Out of both: AWS's manager has taken it out, and the other one is waited for.
        running.want(Publish::Nothing);
        let out = || async { !web.registered().contains("i-0123abcd") };
        wait::until_true("out", DEADLINE, out).await.unwrap();
        let waits = |now: &Standing| {
            let words = &now.keys.words;
            words.starts_with("ipvs edge/10.0.0.1:80 on testbed: the manager has not seen yet")
        };
        let standing = running.until("waiting for IPVS", waits).await;
        assert!(!standing.keys.withdrawn);
        rig.ipvs_says(State::Absent, None).await;
        running.until("withdrawn", |now| now.keys.withdrawn).await;
        running.stop().await;
    }
}
