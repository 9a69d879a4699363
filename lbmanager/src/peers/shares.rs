//! Who else serves the regions of this host. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use presence::mirror::Snapshot;
use presence::model::{HostId, Region};
use tokio::time::Instant;

use super::Managers;
use super::keeper::TTL;

/// Who else serves a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Share {
    /// These do.
    With(BTreeSet<HostId>),
    /// Nobody is seen, but not for long enough.
    Undecided,
    /// Nobody does.
    Alone,
}

/// Who else serves the regions of this host, by region.
pub type Shares = BTreeMap<Region, Share>;

/// Watches who else serves the regions of this host.
#[derive(Debug)]
pub struct Watcher {
    host: HostId,
    regions: Vec<Region>,
    alone_since: BTreeMap<Region, Instant>,
    reconnects: u32,
    shares: Arc<Shares>,
}

impl Watcher {
    /// One that has seen nobody yet.
    pub fn new(host: HostId, regions: Vec<Region>) -> Self {
        Self {
            host,
            regions,
            alone_since: BTreeMap::new(),
            reconnects: 0,
            shares: Arc::default(),
        }
    }

    /// What this snapshot says. After an outage of etcd everybody has to claim
    /// anew, so nobody is alone who was not for the time of a lease. The same
    /// pointer as before where nothing has changed.
    pub fn look(&mut self, snapshot: &Snapshot<Managers>, now: Instant) -> Arc<Shares> {
        if std::mem::replace(&mut self.reconnects, snapshot.reconnects) != snapshot.reconnects {
            self.alone_since.clear();
        }
        let regions = self.regions.clone();
        let shares = regions.into_iter().map(|region| {
            let share = self.share(&region, &snapshot.view, now);
            (region, share)
        });
        let shares: Shares = shares.collect();
        if *self.shares != shares {
            self.shares = Arc::new(shares);
        }
        Arc::clone(&self.shares)
    }

    fn share(&mut self, region: &Region, managers: &Managers, now: Instant) -> Share {
        let serving = managers.serving(region.as_str());
        let others: BTreeSet<HostId> = serving.filter(|one| **one != self.host).cloned().collect();
        if !others.is_empty() {
            self.alone_since.remove(region);
            return Share::With(others);
        }
        let since = *self.alone_since.entry(region.clone()).or_insert(now);
        if now.duration_since(since) >= TTL {
            Share::Alone
        } else {
            Share::Undecided
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use presence::keys;
    use presence::keys::status::ManagerRole;
    use presence::mirror::View;
    use presence::model::{Kind, Revision};
    use presence::store::{Entry, Header};

    use super::super::Claim;
    use super::*;

    fn region() -> Region {
        Region::parse(Kind::Ipvs, "edge").unwrap()
    }

    fn seen(hosts: &[&str], reconnects: u32) -> Snapshot<Managers> {
        let keys = keys::Tree::new("/lbManager").unwrap().status();
        let mut view = Managers::new(keys.clone());
        for host in hosts {
            let claim = Claim::new((*host).to_owned(), [Kind::Ipvs], &[region()]);
            let entry = Entry {
                value: claim.to_json().into(),
                create_revision: Revision(1),
                mod_revision: Revision(1),
                lease: None,
            };
            view.list(
                &keys.manager(&host.parse().unwrap(), ManagerRole::Ipvs),
                &entry,
            );
        }
        Snapshot {
            header: Header {
                cluster: 1,
                revision: Revision(1),
            },
            replacements: 0,
            replaced: None,
            reconnects,
            view,
        }
    }

    #[test]
    fn nobody_is_alone_at_once() {
        let mut watcher = Watcher::new("a".parse().unwrap(), vec![region()]);
        let start = Instant::now();
        let mut look = |hosts: &[&str], reconnects, seconds| {
            let now = start + std::time::Duration::from_secs(seconds);
            watcher.look(&seen(hosts, reconnects), now)[&region()].clone()
        };
        assert_eq!(look(&["a"], 0, 0), Share::Undecided);
        assert_eq!(look(&[], 0, 9), Share::Undecided);
        assert_eq!(look(&["a"], 0, 10), Share::Alone);
        let with_b = Share::With(BTreeSet::from(["b".parse().unwrap()]));
        assert_eq!(look(&["a", "b"], 0, 11), with_b);
        assert_eq!(look(&["a"], 0, 12), Share::Undecided);
        assert_eq!(look(&["a"], 0, 22), Share::Alone);
        // etcd was away: others may not have come back yet.
        assert_eq!(look(&["a"], 1, 23), Share::Undecided);
        assert_eq!(look(&["a"], 1, 33), Share::Alone);
    }
}
