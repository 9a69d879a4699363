//! The managers of a tree: which are alive, and whose removals are frozen.

use std::collections::{BTreeMap, BTreeSet};

use presence::keys::status::{ManagerRole, StatusKey, StatusWriter};
use presence::mirror::View;
use presence::model::HostId;
use presence::process::exit::Failure;
use presence::status::{Frozen, Managers};
use presence::store::Store;

use super::TreeArgs;

/// Claims and freezes, read once.
pub(super) struct Writers {
    pub managers: Managers,
    pub frozen: BTreeMap<StatusWriter, Frozen>,
}

impl Writers {
    pub async fn read<S: Store>(store: &S, args: &TreeArgs) -> Result<Self, Failure> {
        let keys = args.prefix.status();
        let claims = store.list(&keys.managers_prefix(), None).await?;
        let mut managers = Managers::new(keys.clone());
        managers.list_all(&claims.entries);
        let freezes = store.list(&keys.frozen_prefix(), None).await?;
        let frozen = freezes.entries.iter().filter_map(|(key, entry)| {
            let Ok(StatusKey::Frozen(writer)) = keys.parse(key) else {
                return None;
            };
            Some((writer, Frozen::parse(&entry.value)?))
        });
        Ok(Self {
            frozen: frozen.collect(),
            managers,
        })
    }

    /// Whether a manager that writes as this writer is alive.
    pub fn is_alive(&self, writer: &StatusWriter) -> bool {
        match writer {
            StatusWriter::Aws => self.managers.hosts(ManagerRole::Aws).next().is_some(),
            StatusWriter::Host(host) => self.serves_ipvs(host),
        }
    }

    /// Whether the IPVS manager of this host is alive.
    pub fn serves_ipvs(&self, host: &HostId) -> bool {
        self.managers
            .hosts(ManagerRole::Ipvs)
            .any(|alive| alive == host)
    }

    /// The writers that are alive or frozen.
    pub fn all(&self) -> BTreeSet<StatusWriter> {
        let hosts = self.managers.hosts(ManagerRole::Ipvs).cloned();
        let aws = self.managers.hosts(ManagerRole::Aws);
        let aws = aws.map(|_| StatusWriter::Aws);
        let alive = hosts.map(StatusWriter::Host).chain(aws);
        alive.chain(self.frozen.keys().cloned()).collect()
    }
}
