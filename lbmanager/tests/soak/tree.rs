use std::collections::{BTreeMap, BTreeSet};

use testbed::etcd::LeaseId;

use crate::Soak;
use crate::real::{A, B, key};

/// Members that are in the tree from the beginning to the end.
pub const ANCHORS: [&str; 2] = [A, B];

const BALANCERS: [&str; 3] = ["web", "api", "www"];
/// Members that come and go.
const OTHERS: usize = 10;
const LONG: u64 = 3600;

/// What is in the tree.
pub struct Model(BTreeMap<&'static str, BTreeMap<String, Option<LeaseId>>>);

impl Model {
    pub fn new() -> Self {
        let anchors = || ANCHORS.map(|member| (member.to_owned(), None)).into();
        Self(BALANCERS.map(|lb| (lb, anchors())).into())
    }

    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    pub fn listed(&self, lb: &str) -> BTreeSet<String> {
        self.0[lb].keys().cloned().collect()
    }

    fn put(&mut self, lb: &str, member: &str, lease: Option<LeaseId>) {
        let members = self.0.get_mut(lb).unwrap();
        members.insert(member.to_owned(), lease);
    }

    fn del(&mut self, lb: &str, member: &str) {
        self.0.get_mut(lb).unwrap().remove(member);
    }

    fn end(&mut self, lease: LeaseId) {
        for members in self.0.values_mut() {
            members.retain(|_, held_by| *held_by != Some(lease));
        }
    }

    fn leases(&self) -> BTreeSet<LeaseId> {
        let members = self.0.values().flat_map(BTreeMap::values);
        members.copied().flatten().collect()
    }
}

impl Soak {
    pub fn some_balancer(&mut self) -> &'static str {
        BALANCERS[self.random.usize(..BALANCERS.len())]
    }

    pub fn somebody(&mut self) -> String {
        format!("i-1000000{:x}", self.random.usize(..OTHERS))
    }

    /// Changes the tree.
    pub async fn change(&mut self) {
        let (lb, member) = (self.some_balancer(), self.somebody());
        match self.random.u8(..8) {
            0 | 1 => self.put(lb, &member).await,
            2 | 3 => self.del(lb, &member).await,
            4 => self.lease(lb).await,
            5 => self.end_a_lease().await,
            6 => self.swap(lb).await,
            _ => self.burst(lb).await,
        }
    }

    async fn put(&mut self, lb: &str, member: &str) {
        self.note(format!("put {lb} {member}"));
        self.rig.put(lb, &[member]).await;
        self.model.put(lb, member, None);
    }

    async fn del(&mut self, lb: &str, member: &str) {
        self.note(format!("del {lb} {member}"));
        self.rig.etcd.del_prefix(&key(lb, member)).await.unwrap();
        self.model.del(lb, member);
    }

    /// One host with members of two load balancers.
    async fn lease(&mut self, lb: &str) {
        let lease = self.rig.etcd.lease_grant(LONG).await.unwrap();
        let other = self.some_balancer();
        for lb in [lb, other] {
            let member = self.somebody();
            self.note(format!("put {lb} {member} on {lease:x}"));
            let put = key(lb, &member);
            self.rig.etcd.put_with_lease(&put, "", lease).await.unwrap();
            self.model.put(lb, &member, Some(lease));
        }
    }

    async fn end_a_lease(&mut self) {
        let leases: Vec<LeaseId> = self.model.leases().into_iter().collect();
        if let Some(lease) = self.random.choice(leases) {
            self.note(format!("{lease:x} ends"));
            self.rig.etcd.lease_revoke(lease).await.unwrap();
            self.model.end(lease);
        }
    }

    async fn swap(&mut self, lb: &str) {
        let (old, new) = (self.somebody(), self.somebody());
        if old == new {
            return;
        }
        self.note(format!("swap {lb} {old} {new}"));
        let (del, put) = (key(lb, &old), key(lb, &new));
        let swap = format!("create(\"{del}\") > \"0\"\n\ndel {del}\nput {put} \"\"\n\n\n\n");
        let said = self.rig.etcd.txn(&swap).await.unwrap();
        if said.starts_with("SUCCESS") {
            self.model.del(lb, &old);
            self.model.put(lb, &new, None);
        }
    }

    async fn burst(&mut self, lb: &str) {
        let members: BTreeSet<String> = (0..5).map(|_| self.somebody()).collect();
        self.note(format!("put {lb} {members:?}"));
        let keys = members.iter().map(|member| (key(lb, member), ""));
        self.rig.etcd.put_many(keys).await.unwrap();
        for member in &members {
            self.model.put(lb, member, None);
        }
    }
}
