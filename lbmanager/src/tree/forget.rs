//! Forgets what the tree remembers of deleted keys: what every reconciler has
//! absorbed, and the oldest of what would become too much.

use std::collections::BTreeSet;
use std::sync::Arc;

use presence::model::{BalancerId, Class, MemberId, Revision};

use super::{BalancerTree, Departure, Tree};

/// Departures kept for each load balancer. One that is forgotten counts as a
/// departure for an unknown reason, which is the careful reading.
const DEPARTURES: usize = 4096;

/// Deletes kept for all load balancers, counted by revision and load balancer.
const LOST: usize = 65_536;

/// Purged load balancers that are kept.
const PURGED: usize = 65_536;

/// Which load balancers have something to forget.
#[derive(Debug, Clone, Default)]
pub(super) struct Lost {
    /// Each revision that deleted keys, with the load balancers that lost them.
    pub(super) keys: BTreeSet<(Revision, BalancerId)>,
    /// Purged load balancers whose departures are forgotten.
    purged: BTreeSet<(Revision, BalancerId)>,
}

impl BalancerTree {
    /// Half of the departures are dropped at once, so that the work per
    /// departure is constant.
    pub(super) fn departs(&mut self, member: (Class, MemberId), departure: Departure) {
        self.departures.insert(member, departure);
        if self.departures.len() <= DEPARTURES {
            return;
        }
        let mut ages: Vec<Revision> = self.departures.values().map(|why| why.revision).collect();
        let (_, newest, _) = ages.select_nth_unstable(DEPARTURES / 2);
        let newest = *newest;
        let mut left = DEPARTURES / 2;
        self.departures.retain(|_, why| {
            let stays = why.revision > newest || (why.revision == newest && left > 0);
            left -= usize::from(stays && why.revision == newest);
            stays
        });
    }

    /// What happened after a purge shows that the purge is over.
    fn forget_departures(&mut self, up_to: Revision) {
        let purged = self.purged;
        let mut is_over = false;
        self.departures.retain(|_, why| {
            let stays = why.revision > up_to;
            is_over |= !stays && purged.is_some_and(|purged| purged < why.revision);
            stays
        });
        if is_over {
            self.purged = None;
        }
    }
}

impl Tree {
    /// A key of the load balancer was deleted at that revision.
    pub(super) fn loses(&mut self, id: &BalancerId, revision: Revision) {
        let lost = Arc::make_mut(&mut self.lost);
        lost.keys.insert((revision, id.clone()));
    }

    /// Every reconciler has absorbed the tree up to this revision.
    pub(super) fn forget_up_to(&mut self, up_to: Revision) {
        if self
            .lost
            .keys
            .first()
            .is_none_or(|(first, _)| *first > up_to)
        {
            return;
        }
        let mut ids = BTreeSet::new();
        let lost = Arc::make_mut(&mut self.lost);
        while let Some((revision, id)) = lost.keys.pop_first() {
            if revision > up_to {
                lost.keys.insert((revision, id));
                break;
            }
            ids.insert(id);
        }
        for id in ids {
            self.forget(&id, up_to);
        }
    }

    fn forget(&mut self, id: &BalancerId, up_to: Revision) {
        if !self.balancers.contains_key(id) {
            return;
        }
        let balancers = Arc::make_mut(&mut self.balancers);
        let Some(tree) = balancers.get_mut(id).map(Arc::make_mut) else {
            return;
        };
        tree.forget_departures(up_to);
        if !tree.is_empty() || tree.revision > up_to {
            return;
        }
        if let Some(purged) = tree.purged {
            let lost = Arc::make_mut(&mut self.lost);
            lost.purged.insert((purged, id.clone()));
        } else {
            balancers.remove(id);
        }
    }

    /// Keys that were deleted just now stay, however many they are: nobody has
    /// seen yet why.
    pub(super) fn forget_oldest(&mut self, now: Revision) {
        while self.lost.keys.len() > LOST
            && let Some((oldest, _)) = self.lost.keys.first()
            && *oldest < now
        {
            let oldest = *oldest;
            self.forget_up_to(oldest);
        }
        while self.lost.purged.len() > PURGED {
            let Some((purged, id)) = Arc::make_mut(&mut self.lost).purged.pop_first() else {
                return;
            };
            let is_over = |tree: &Arc<BalancerTree>| tree.is_empty() && tree.purged == Some(purged);
            if self.balancers.get(&id).is_some_and(is_over) {
                Arc::make_mut(&mut self.balancers).remove(&id);
            }
        }
    }
}
