//! Resets of etcd's history: detected with a marker, shown in a `frozen` key,
//! and ended by an operator's release.

use presence::keys::StatusTree;
use presence::keys::status::{ManagerRole, StatusWriter};
use presence::mirror::Snapshot;
use presence::model::{HostId, Revision};
use presence::status::{Frozen, Marker};
use presence::store::{Condition, Entry, Header, Store, StoreError, Transaction};

use tokio::time::Instant;

use super::{Manager, Releases};
use crate::history::{History, frozen_message};

/// A writer's marker and freeze in etcd.
pub(super) struct Found {
    pub header: Header,
    pub marker: Option<Entry>,
    pub frozen: Option<Frozen>,
}

/// The keys of one role's marker and freeze.
pub(super) struct WriterKeys {
    written: String,
    frozen: String,
}

impl WriterKeys {
    pub fn new(keys: &StatusTree, host: &HostId, role: ManagerRole) -> Self {
        let writer = StatusWriter::of(role, host);
        Self {
            written: keys.written(&writer),
            frozen: keys.frozen(&writer),
        }
    }

    pub async fn read<S: Store>(&self, store: &S) -> Result<Found, StoreError> {
        let frozen = store.get(&self.frozen).await?;
        let frozen = frozen.entry.map(|entry| {
            // What cannot be read freezes all the same.
            Frozen::parse(&entry.value).unwrap_or_else(|| Frozen {
                why: format!("the key {} exists", self.frozen),
                at: jiff::Timestamp::now(),
                revision: entry.mod_revision,
            })
        });
        let marker = store.get(&self.written).await?;
        Ok(Found {
            header: marker.header,
            marker: marker.entry,
            frozen,
        })
    }

    /// Writes a marker of this history and, in the same transaction, the
    /// freeze. Until then the state directory remembers the history before.
    pub async fn establish<S: Store>(
        &self,
        store: &S,
        absorbed: Revision,
        frozen: Option<&Frozen>,
    ) -> Result<(Header, Entry), StoreError> {
        loop {
            let found = store.get(&self.written).await?;
            let marker = Marker {
                cluster: found.header.cluster,
                created: found.entry.as_ref().map(|entry| entry.create_revision),
                absorbed,
            };
            let condition = found.entry.as_ref().map_or(Condition::Absent, |entry| {
                Condition::ModRevision(entry.mod_revision)
            });
            let mut write = Transaction::put(self.written.clone(), marker.to_json())
                .when(self.written.clone(), condition);
            if let Some(frozen) = frozen {
                write = write.and_put(self.frozen.clone(), frozen.to_json(), None);
            }
            let commit = store.commit(write).await?;
            // The first write learns the create_revision for the second.
            if let Some(before) = found.entry.filter(|_| commit.succeeded) {
                let entry = Entry {
                    value: marker.to_json().into(),
                    mod_revision: commit.header.revision,
                    ..before
                };
                return Ok((commit.header, entry));
            }
        }
    }

    async fn thaw<S: Store>(&self, store: &S) -> Result<(), StoreError> {
        store
            .commit(Transaction::delete(self.frozen.clone()))
            .await?;
        Ok(())
    }
}

/// Whether an operator released everything after this reset was detected.
fn ends(releases: &Snapshot<Releases>, frozen: &Frozen) -> bool {
    let all = releases.view.all(releases.header.cluster);
    all.is_some_and(|all| all.revision >= frozen.revision && all.at >= frozen.at)
}

/// Logs a freeze as loudly as it deserves.
pub(super) fn log_frozen(role: ManagerRole, frozen: &Frozen) {
    tracing::error!(
        "{role}: removals are frozen, members are still added: {}",
        frozen_message(frozen)
    );
}

impl<S: Store> Manager<S> {
    /// Freezes the removals of these roles. The revision of the freeze is only
    /// known after the reload; until then it covers every removal.
    pub(super) fn freeze(&mut self, roles: &[ManagerRole], why: &str) {
        self.reset_at = Some(Instant::now());
        for role in roles {
            let frozen = Frozen::open(why.to_owned(), self.clock.now());
            log_frozen(*role, &frozen);
            self.history.freeze(*role, frozen);
            self.unwritten.insert(*role);
        }
    }

    /// Compares the marker of each role with what is remembered. `Ok`: whether
    /// a reset was detected.
    pub(super) async fn check_markers(&mut self) -> Result<Option<String>, StoreError> {
        let mut reset = None;
        for role in self.history.roles() {
            let known = self.history.known(role);
            let found = self.writer_keys(role).read(&self.store).await?;
            let before = self.history.enter_cluster(role, found.header.cluster);
            self.fix_freeze(role, found.header);
            // Not written in this history yet: there is nothing to compare.
            if self.unwritten.contains(&role) {
                continue;
            }
            let marker = found.marker.as_ref();
            let moved = before.map(|before| {
                let now = found.header.cluster;
                format!("etcd's cluster ID was {before:016x} and is {now:016x} now")
            });
            let why = moved.or_else(|| self.history.check(role, &known, found.header, marker));
            if let Some(why) = why {
                self.freeze(&[role], &why);
                self.fix_freeze(role, found.header);
                reset = Some(why);
            }
        }
        Ok(reset)
    }

    /// The tree has been read again: later changes are of the new history.
    pub(super) fn fix_freeze(&mut self, role: ManagerRole, reloaded: Header) {
        let frozen = self.history.frozen(role).cloned();
        if let Some(frozen) = frozen.filter(Frozen::is_open) {
            let revision = reloaded.revision;
            self.history.freeze(role, Frozen { revision, ..frozen });
            self.history.reloaded(role, revision);
        }
    }

    /// Writes markers and freezes that are not in etcd yet.
    pub(super) async fn write_markers(&mut self) {
        if self.settings.dry_run {
            return;
        }
        for role in self.unwritten.clone() {
            let frozen = self.history.frozen(role).cloned();
            if frozen.as_ref().is_some_and(Frozen::is_open) {
                continue;
            }
            let absorbed = self.history.absorbed_by(role);
            let keys = self.writer_keys(role);
            match keys.establish(&self.store, absorbed, frozen.as_ref()).await {
                Ok((header, marker)) => {
                    self.history.accept(role, header, &marker);
                    self.unwritten.remove(&role);
                    self.save_history();
                }
                Err(error) => {
                    return self.complain("cannot write the marker of this manager yet", &error);
                }
            }
        }
    }

    /// Ends the freezes that an operator has released.
    pub(super) async fn thaw(&mut self, releases: &Snapshot<Releases>) {
        for role in self.history.roles() {
            let Some(frozen) = self.history.frozen(role).cloned() else {
                continue;
            };
            if self.settings.dry_run || !ends(releases, &frozen) {
                continue;
            }
            if let Err(error) = self.writer_keys(role).thaw(&self.store).await {
                return self.complain("cannot delete the frozen key yet", &error);
            }
            tracing::warn!("{role}: an operator has released everything; removals are applied");
            self.history.thaw(role);
            self.save_history();
        }
    }

    fn writer_keys(&self, role: ManagerRole) -> WriterKeys {
        WriterKeys::new(&self.keys, &self.settings.host, role)
    }
}

/// Whether a reset was detected that is not in etcd yet.
pub(super) fn is_reset(history: &History, unwritten: &[ManagerRole]) -> bool {
    unwritten.iter().any(|role| history.frozen(*role).is_some())
}

/// Recalls what is remembered of this cluster, and compares the history with
/// it. Roles whose marker is not in etcd as it must be.
pub(super) fn compare(
    history: &mut History,
    found: &[(ManagerRole, Found)],
    foreign_status: Option<&str>,
    now: jiff::Timestamp,
) -> Vec<ManagerRole> {
    let Some((_, first)) = found.first() else {
        return Vec::new();
    };
    history.identify(first.header.cluster);
    let mut unwritten = Vec::new();
    for (role, found) in found {
        let known = history.known(*role);
        let reset = history.check(*role, &known, found.header, found.marker.as_ref());
        let reset = reset.or_else(|| foreign_status.map(str::to_owned));
        if let Some(frozen) = &found.frozen {
            history.freeze(*role, frozen.clone());
        }
        match (&reset, &found.marker) {
            (None, Some(marker)) => history.accept(*role, found.header, marker),
            (None, None) => unwritten.push(*role),
            (Some(why), _) => {
                let frozen = Frozen {
                    why: why.clone(),
                    at: now,
                    revision: found.header.revision,
                };
                history.reloaded(*role, frozen.revision);
                history.freeze(*role, frozen);
                unwritten.push(*role);
            }
        }
        if let Some(frozen) = history.frozen(*role) {
            log_frozen(*role, frozen);
        }
    }
    unwritten
}
