//! What managers say, written by the test in their place.

use presence::keys::Tree;
use presence::keys::status::{ManagerRole, StatusTree};
use presence::model::{BalancerId, HostId, Kind, MemberId, Region, Revision};
use presence::status::record::{MemberRecord, Role, State};
use presence::status::{Claim, Record};
use presence::store::memory::MemoryStore;
use presence::store::{Store, Transaction};

use super::*;

const REVISION: &str = "7-0a1b2c3d";

/// A load balancer, its member, and how it is published.
struct Case {
    balancer: &'static str,
    member: &'static str,
    publish: &'static str,
}

const CLASSIC: Case = Case {
    balancer: "elb/us-east-1/web",
    member: "i-0123abcd",
    publish: ELB,
};

const VIRTUAL: Case = Case {
    balancer: "ipvs/edge/10.0.0.1:80",
    member: "192.0.2.7:8080",
    publish: "/lbManager/ipvs/edge/10.0.0.1:80/multiple/$HOST_IP:$HOST_PORT",
};

fn status_tree() -> StatusTree {
    Tree::new("/lbManager").unwrap().status()
}

struct Told {
    store: MemoryStore,
    host: HostId,
    balancer: BalancerId,
    case: Case,
}

impl Told {
    async fn claimed(case: Case) -> Self {
        let told = Self {
            store: MemoryStore::new(),
            host: "lb-1".parse().unwrap(),
            balancer: case.balancer.parse().unwrap(),
            case,
        };
        let edge = Region::parse(Kind::Ipvs, "edge").unwrap();
        for (role, claim) in [
            (
                ManagerRole::Aws,
                Claim::new("machine".to_owned(), [Kind::Elb], &[]),
            ),
            (
                ManagerRole::Ipvs,
                Claim::new("machine".to_owned(), [Kind::Ipvs], &[edge]),
            ),
        ] {
            let key = status_tree().manager(&told.host, role);
            told.put(&key, claim.to_json()).await;
        }
        told
    }

    fn key(&self) -> String {
        let Case {
            balancer, member, ..
        } = self.case;
        format!("/lbManager/{balancer}/multiple/{member}")
    }

    fn words(&self, why: &str) -> String {
        let of = self.case.balancer.replacen('/', " ", 1);
        match self.balancer.kind() {
            Kind::Ipvs => format!("{of} on lb-1: {why}"),
            _ => format!("{of}: {why}"),
        }
    }

    async fn put(&self, key: &str, value: Vec<u8>) {
        self.store
            .commit(Transaction::put(key, value))
            .await
            .unwrap();
    }

    /// The manager says that the member is so.
    async fn says(&self, written: Option<Revision>, wanted: Role, state: State) {
        let record = self.record(written, wanted, state);
        let key = status_tree().balancer(&self.host, &self.balancer);
        self.put(&key, record.to_json()).await;
    }

    fn record(&self, written: Option<Revision>, wanted: Role, state: State) -> Record {
        let member = MemberId::parse(self.balancer.kind(), self.case.member).unwrap();
        let known = MemberRecord {
            mod_revision: written,
            wanted,
            state,
            ..MemberRecord::default()
        };
        Record {
            revision: self.store.revision(),
            members: [(member, known)].into_iter().collect(),
            ..Record::default()
        }
    }

    /// An instance that is published, and when its key was written.
    async fn published(&self, state: &Path) -> (Running, Revision) {
        let mut running = Running::start(
            &self.store,
            REVISION,
            &format!("[{}]", self.case.publish),
            state,
        );
        running.want(Publish::Ready);
        let words = self.words("the manager has not");
        let asked = |now: &Standing| now.keys.words.starts_with(&words);
        let standing = running.until("asked", asked).await;
        assert!(!standing.keys.served);
        let written = self.store.peek(&self.key()).unwrap().mod_revision;
        (running, written)
    }
}

#[tokio::test]
async fn it_is_served_and_out_when_the_manager_says_so() {
    for case in [CLASSIC, VIRTUAL] {
        let state = tempfile::tempdir().unwrap();
        let told = Told::claimed(case).await;
        let (mut running, written) = told.published(state.path()).await;
        told.says(Some(written), Role::Serve, State::Registering)
            .await;
        let registered = told.words("it is registered, and not in service yet");
        running
            .until("registering", |now| now.keys.words == registered)
            .await;
        told.says(Some(written), Role::Serve, State::Serving).await;
        let standing = running.served().await;
        assert_eq!(
            (standing.keys.present, standing.keys.words.as_str()),
            (1, "")
        );

        running.want(Publish::Nothing);
        running.until("deleted", |now| now.keys.present == 0).await;
        assert_eq!(told.store.peek(&told.key()), None);
        assert!(
            !running.standing.borrow().keys.withdrawn,
            "nobody has seen it go yet"
        );
        told.says(None, Role::Out, State::Draining).await;
        let standing = running.until("withdrawn", |now| now.keys.withdrawn).await;
        assert!(!standing.drained);
        told.says(None, Role::Out, State::Absent).await;
        if told.balancer.kind() == Kind::Ipvs {
            running.until("drained", |now| now.drained).await;
        } else {
            let absent = told.words("it is not registered");
            let standing = running
                .until("absent", |now| now.keys.words == absent)
                .await;
            assert!(!standing.drained, "AWS may drain it still");
        }
        running.stop().await;
    }
}

#[tokio::test]
async fn what_stays_because_it_is_add_only_is_withdrawn_without_confirmation() {
    let state = tempfile::tempdir().unwrap();
    let told = Told::claimed(CLASSIC).await;
    let (mut running, written) = told.published(state.path()).await;
    told.says(Some(written), Role::Serve, State::Serving).await;
    running.served().await;
    running.want(Publish::Nothing);
    running.until("deleted", |now| now.keys.present == 0).await;
    let mut record = told.record(None, Role::Out, State::Serving);
    let options = serde_json::json!({"ownership": "add-only"});
    record.options = options.as_object().cloned();
    let key = status_tree().balancer(&told.host, &told.balancer);
    told.put(&key, record.to_json()).await;
    let standing = running.until("kept", |now| now.keys.kept.is_some()).await;
    assert!(standing.keys.withdrawn && !standing.drained);
    let words = told.words("its ownership is add-only, so that lbmanager does not remove it");
    assert_eq!(standing.keys.kept.as_deref(), Some(words.as_str()));
    running.stop().await;
}

#[tokio::test]
async fn an_old_answer_is_none() {
    let state = tempfile::tempdir().unwrap();
    let told = Told::claimed(CLASSIC).await;
    let (mut running, written) = told.published(state.path()).await;
    let before = Revision(written.0 - 1);
    told.says(Some(before), Role::Serve, State::Serving).await;
    let paused = tokio::time::timeout(Duration::from_millis(300), running.served()).await;
    assert!(paused.is_err(), "served by an answer to an older key");
    told.says(Some(written), Role::Serve, State::Serving).await;
    running.served().await;
    running.stop().await;
}

#[tokio::test]
async fn without_a_manager_it_is_served_at_once_and_nobody_says_that_it_is_drained() {
    let state = tempfile::tempdir().unwrap();
    let store = MemoryStore::new();
    let mut running = Running::start(&store, REVISION, &format!("[{ELB}]"), state.path());
    running.want(Publish::Ready);
    let words = "no manager is alive that keeps elb us-east-1/web";
    assert_eq!(running.served().await.keys.words, words);
    running.want(Publish::Nothing);
    let standing = running.until("withdrawn", |now| now.keys.withdrawn).await;
    assert!(!standing.drained);
    running.stop().await;
}

#[tokio::test]
async fn while_etcd_is_away_nothing_is_served_by_mistake_and_then_it_goes_on() {
    let state = tempfile::tempdir().unwrap();
    let told = Told::claimed(CLASSIC).await;
    let (mut running, written) = told.published(state.path()).await;
    told.store.set_unavailable(true);
    running.until("away", |now| now.keys.away).await;
    running.want(Publish::NotReady);
    running.want(Publish::Ready);
    let standing = running.until("away", |now| now.keys.away).await;
    assert!(
        !standing.keys.served && standing.keys.present == 1,
        "{standing:?}"
    );
    told.store.set_unavailable(false);
    let lease = told
        .store
        .peek(ELB_KEY)
        .and_then(|entry| entry.lease)
        .unwrap();
    told.store.expire(lease);
    let again = wait::until("the key to be back", DEADLINE, || async {
        let found = told.store.peek(ELB_KEY);
        found
            .filter(|entry| entry.mod_revision > written)
            .ok_or("no")
    });
    let again = again.await.unwrap();
    told.says(Some(again.mod_revision), Role::Serve, State::Serving)
        .await;
    running.served().await;
    running.stop().await;
}

#[tokio::test]
async fn what_is_deleted_stays_so_however_soon_it_was_wanted_otherwise() {
    let state = tempfile::tempdir().unwrap();
    let store = MemoryStore::new();
    let mut running = Running::start(&store, REVISION, &format!("[{ELB}]"), state.path());
    for yields in 0..40 {
        running.want(Publish::Ready);
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
        running.want(Publish::Nothing);
        assert!(!running.standing.borrow().keys.withdrawn);
        running.until("gone", |now| now.keys.present == 0).await;
        let gone_at = store.revision();
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            (store.peek(ELB_KEY), store.revision()),
            (None, gone_at),
            "after {yields}"
        );
    }
    running.stop().await;
}

#[tokio::test]
async fn not_ready_is_said_in_every_key() {
    let state = tempfile::tempdir().unwrap();
    let store = MemoryStore::new();
    let publish = format!("[{{key: '{ELB}', options: {{weight: 7}}}}, {{service: web}}]");
    let mut running = Running::start(&store, REVISION, &publish, state.path());
    let service = "/service-monitor/web/hosts/host-1.web";
    for (wish, ready, up) in [
        (Publish::Ready, None, "up"),
        (Publish::NotReady, Some(false), "down"),
        (Publish::Ready, None, "up"),
    ] {
        running.want(wish);
        let both = || async {
            let (member, service) = (store.peek(ELB_KEY)?, store.peek(service)?);
            let member = json(&member);
            let ready_now = member.get("ready").and_then(serde_json::Value::as_bool);
            let right =
                ready_now == ready && member["weight"] == 7 && json(&service)["state"] == up;
            right.then_some(())
        };
        let is_said = || async { both().await.is_some() };
        wait::until_true("both to say so", DEADLINE, is_said)
            .await
            .unwrap();
    }
    running.stop().await;
    assert_eq!((store.peek(ELB_KEY), store.peek(service)), (None, None));
}

#[tokio::test]
async fn nothing_published_is_nothing_to_wait_for() {
    let mut none = Publication::none();
    none.want(Publish::Ready, Some(&values("::1"))).unwrap();
    none.state(state(launcher::instance::State::Starting));
    let standing = none.standing().borrow().clone();
    assert_eq!(standing.keys.present, 0);
    assert!(standing.keys.served && standing.keys.withdrawn && standing.drained);
}
