//! What the reconcilers were told last. The main loop turns with every report
//! of theirs, which is not to cost a look at all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use presence::keys::status::ManagerRole;

use presence::mirror::Snapshot;

use super::Releases;
use crate::history::Freeze;
use crate::peers::Shares;
use crate::tree::Tree;

pub(super) struct Told {
    pub snapshot: Arc<Snapshot<Tree>>,
    pub releases: Arc<Snapshot<Releases>>,
    pub shares: Arc<Shares>,
    pub frozen: BTreeMap<ManagerRole, Freeze>,
    pub resync: u64,
}

impl Told {
    /// The freeze that concerns the reconcilers of this role.
    pub(super) fn freeze(&self, role: ManagerRole) -> Option<Freeze> {
        self.frozen.get(&role).cloned()
    }

    /// Whether telling this would be telling the same. Snapshots are replaced
    /// and never changed.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.snapshot, &other.snapshot)
            && Arc::ptr_eq(&self.releases, &other.releases)
            && Arc::ptr_eq(&self.shares, &other.shares)
            && self.frozen == other.frozen
            && self.resync == other.resync
    }
}
