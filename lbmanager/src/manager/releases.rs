//! Operators' releases, as the reflector keeps them. Managers never delete one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use presence::departure::{Change, Step};
use presence::keys::StatusTree;
use presence::keys::status::StatusKey;
use presence::mirror::View;
use presence::model::{BalancerId, Revision};
use presence::status::Release;
use presence::store::Entry;

/// Keys without a release in them that are remembered to be reported.
const IGNORED: usize = 100;

/// The releases in etcd.
#[derive(Debug, Clone)]
pub struct Releases {
    keys: StatusTree,
    all: Option<Released>,
    each: BTreeMap<BalancerId, Released>,
    ignored: BTreeMap<String, String>,
}

/// A release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// The mod_revision of its key: it covers what was recorded up to here.
    pub revision: Revision,
    /// When it was written, by the operator's clock.
    pub at: Timestamp,
    /// The freezes that it names.
    pub freezes: Option<Vec<String>>,
    cluster: u64,
}

impl Releases {
    /// None of this tree is known yet.
    pub fn new(keys: StatusTree) -> Self {
        Self {
            keys,
            all: None,
            each: BTreeMap::new(),
            ignored: BTreeMap::new(),
        }
    }

    /// The release of everything. A release from another cluster is a copy.
    pub fn all(&self, cluster: u64) -> Option<&Released> {
        self.all.as_ref().filter(|all| all.cluster == cluster)
    }

    /// The revision of the newest release that covers this load balancer.
    pub fn of(&self, id: &BalancerId, cluster: u64) -> Option<Revision> {
        let one = self.each.get(id).filter(|one| one.cluster == cluster);
        let one = one.map(|one| one.revision);
        one.max(self.all(cluster).map(|all| all.revision))
    }

    /// Keys that release nothing, and why.
    pub fn ignored(&self) -> &BTreeMap<String, String> {
        &self.ignored
    }

    fn put(&mut self, key: &str, entry: &Entry) {
        self.delete(key);
        let release = match Release::read(entry) {
            Ok(release) => release,
            Err(why) => return self.ignore(key, why),
        };
        let released = Released {
            revision: entry.mod_revision,
            at: release.at,
            freezes: release.freezes,
            cluster: release.cluster,
        };
        match self.keys.parse(key) {
            Ok(StatusKey::ReleaseAll) => self.all = Some(released),
            Ok(StatusKey::Release(id)) => {
                self.each.insert(id, released);
            }
            Ok(_) => {}
            Err(error) => self.ignore(key, error.to_string()),
        }
    }

    fn delete(&mut self, key: &str) {
        self.ignored.remove(key);
        match self.keys.parse(key) {
            Ok(StatusKey::ReleaseAll) => self.all = None,
            Ok(StatusKey::Release(id)) => {
                self.each.remove(&id);
            }
            _ => {}
        }
    }

    fn ignore(&mut self, key: &str, why: String) {
        if self.ignored.len() < IGNORED {
            self.ignored.insert(key.to_owned(), why);
        }
    }
}

impl View for Releases {
    fn list(&mut self, key: &str, entry: &Entry) {
        self.put(key, entry);
    }

    fn apply(&mut self, step: Step) {
        for change in step.changes {
            match change {
                Change::Put { key, entry } => self.put(&key, &entry),
                Change::Gone { key, .. } => self.delete(&key),
            }
        }
    }

    fn succeed(&mut self, _: &Self, _: Revision) {}
}
