//! Up to which revision every status contains every change. Pure. After a
//! restart the history is replayed from there: its cost depends on what
//! happened since, not on the age of the oldest status.

use std::collections::BTreeMap;
use std::time::Duration;

use presence::mirror::Snapshot;
use presence::model::{BalancerId, Revision};

use tokio::time::Instant;

use crate::reconcile::Report;
use crate::tree::Tree;

/// How long etcd may take to deliver a change on one watch that another watch
/// has already passed.
const DELIVERY: Duration = Duration::from_secs(10);

/// Waits until the changes of one snapshot are in all statuses.
#[derive(Debug, Default)]
pub(super) struct Checkpoint {
    revision: Revision,
    /// When it was taken. The ranges of the tree are watched separately: by
    /// now each has delivered its changes up to the revision.
    taken: Option<Instant>,
    /// Balancers whose status lacks a change, with the revision of the change.
    missing: BTreeMap<BalancerId, Revision>,
}

impl Checkpoint {
    /// The revision of this checkpoint, once every status contains it. The
    /// next call then waits for the changes of a newer snapshot.
    pub fn reached<'a>(
        &mut self,
        snapshot: &Snapshot<Tree>,
        managed: impl Iterator<Item = &'a BalancerId>,
        reports: &BTreeMap<BalancerId, Report>,
    ) -> Option<Revision> {
        let absorbed = |id: &BalancerId| reports.get(id).map(|report| report.absorbed);
        self.missing
            .retain(|id, revision| absorbed(id).is_some_and(|absorbed| absorbed < *revision));
        let is_old = self.taken.is_none_or(|taken| taken.elapsed() >= DELIVERY);
        if !self.missing.is_empty() || !is_old || snapshot.header.revision <= self.revision {
            return None;
        }
        self.taken = Some(Instant::now());
        let reached = Some(self.revision).filter(|revision| *revision > Revision::default());
        self.revision = snapshot.header.revision;
        self.missing = managed
            .filter_map(|id| Some((id.clone(), snapshot.view.balancer(id)?.revision)))
            .filter(|(id, revision)| absorbed(id).unwrap_or_default() < *revision)
            .collect();
        reached
    }

    /// The history was reset.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}
