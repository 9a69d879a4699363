//! What an instance publishes, on the store in memory, on etcd itself, and with a manager.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod lives;
mod managed;
mod places;
mod roles;
mod scale;
mod takeover;
mod told;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use launcher::definition::{Target, Values, parse};
use launcher::instance::{InstanceState, State};
use launcher::life::Publish;
use launcher::publish::{Instance, Parts, Publication, Standing, Ttls};
use presence::keys::Tree;
use presence::process::health::Health;
use presence::process::shutdown::{Shutdown, Trigger};
use presence::process::state_file::StateDir;
use presence::store::{Entry, Store};
use testbed::wait;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// The shortest that etcd grants by default.
const TTLS: Ttls = Ttls {
    members: Duration::from_secs(2),
    services: Duration::from_secs(2),
};

const ELB: &str = "/lbManager/elb/us-east-1/web/multiple/$INSTANCE_ID";
const ELB_KEY: &str = "/lbManager/elb/us-east-1/web/multiple/i-0123abcd";

fn instance(revision: &str) -> Instance {
    Instance {
        service: "web".parse().unwrap(),
        host: "host-1".parse().unwrap(),
        revision: revision.parse().unwrap(),
    }
}

fn targets(publish: &str) -> Vec<Target> {
    let text = format!(
        "image: x\nport: 80\nports: [\"8080:80\"]\nhealth_check: tcp\npublish: {publish}\n"
    );
    parse(&text).unwrap().definition.publish
}

fn values(container_ip: &str) -> Values {
    Values {
        instance_id: Some("i-0123abcd".to_owned()),
        host_ip: "192.0.2.7".parse().ok(),
        host_port: Some(8080),
        container_ip: container_ip.parse().ok(),
        port: Some(80),
        hostname: "host-1".parse().unwrap(),
    }
}

fn state(state: State) -> InstanceState {
    InstanceState {
        state,
        since: "2026-11-20T12:00:00Z".parse().unwrap(),
        container: None,
        image: "web:1".to_owned(),
        address: None,
        keys: BTreeSet::new(),
        message: None,
    }
}

/// A publication that works, and how to speak with it.
struct Running {
    publication: Publication,
    standing: watch::Receiver<Standing>,
    end: Trigger,
    task: JoinHandle<()>,
}

impl Running {
    fn start<S: Store>(store: &S, revision: &str, publish: &str, state: &Path) -> Self {
        Self::start_of(store, instance(revision), publish, state)
    }

    fn start_of<S: Store>(store: &S, instance: Instance, publish: &str, state: &Path) -> Self {
        Self::start_in(store, "/lbManager", instance, publish, state)
    }

    fn start_in<S: Store>(
        store: &S,
        prefix: &str,
        instance: Instance,
        publish: &str,
        state: &Path,
    ) -> Self {
        let state = state.join(instance.revision.to_string());
        let (publication, desk) = Publication::new(Parts {
            store: store.clone(),
            instance,
            targets: targets(publish),
            tree: Tree::new(prefix).unwrap(),
            ttls: TTLS,
            state: StateDir::open(state).unwrap(),
            health: Health::starting(),
        });
        let (end, shutdown) = Shutdown::manual();
        Self {
            standing: publication.standing(),
            publication,
            end,
            task: tokio::spawn(desk.run(shutdown)),
        }
    }

    fn want(&mut self, publish: Publish) {
        self.want_at(publish, "172.17.0.2");
    }

    fn want_at(&mut self, publish: Publish, container_ip: &str) {
        let values = values(container_ip);
        self.publication.want(publish, Some(&values)).unwrap();
    }

    /// Waits until it stands so.
    async fn until(&mut self, what: &str, mut so: impl FnMut(&Standing) -> bool) -> Standing {
        let found = tokio::time::timeout(DEADLINE, self.standing.wait_for(|now| so(now))).await;
        let found = found.map(|found| found.unwrap().clone());
        found.unwrap_or_else(|_| panic!("not {what}: {:?}", self.standing.borrow()))
    }

    async fn served(&mut self) -> Standing {
        self.until("served", |now| now.keys.served).await
    }

    async fn stop(self) {
        self.end.trigger();
        tokio::time::timeout(DEADLINE, self.task)
            .await
            .unwrap()
            .unwrap();
    }

    /// As after SIGKILL: nothing is deleted.
    async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

async fn entry<S: Store>(store: &S, key: &str) -> Option<Entry> {
    store.get(key).await.unwrap().entry
}

async fn vanished<S: Store>(store: &S, key: &str) {
    let gone = || async { entry(store, key).await.is_none() };
    wait::until_true("the key to vanish", DEADLINE, gone)
        .await
        .unwrap();
}

fn json(entry: &Entry) -> serde_json::Value {
    serde_json::from_slice(&entry.value).unwrap()
}
