//! Resets of etcd's history: detected with a marker, shown in a `frozen` key,
//! and ended by an operator's release.

use jiff::Timestamp;
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
                revision: entry.mod_revision,
                ..Frozen::open(format!("the key {} exists", self.frozen), Timestamp::now())
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

/// Whether an operator released everything after this reset was detected:
/// lbmanager release names the freezes that it ends. Of one that was written by
/// hand the time counts: a copy of an older release may have a newer revision,
/// but not a newer time. `Err`: only the time is against it.
fn ends(releases: &Snapshot<Releases>, frozen: &Frozen, now: Timestamp) -> Result<bool, String> {
    let all = releases.view.all(releases.header.cluster);
    let Some(all) = all.filter(|all| all.revision >= frozen.revision) else {
        return Ok(false);
    };
    if let Some(freezes) = &all.freezes {
        return Ok(freezes.contains(&frozen.id));
    }
    // The clock was set back since; its old time says nothing.
    let since = Some(frozen.at).filter(|at| *at <= now);
    match since {
        Some(since) if all.at < since => Err(format!(
            "the release of everything was written at {:.0}, before the reset was detected at \
             {since:.0}: it is a copy, or the clock of the operator's machine is wrong; write it \
             again with lbmanager release --all",
            all.at
        )),
        _ => Ok(true),
    }
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
            } else if self.history.frozen(role) != found.frozen.as_ref()
                && self.history.frozen(role).is_some()
            {
                // Deleted, or overwritten by a copy: it must outlive this process.
                self.unwritten.insert(role);
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
            let ended = ends(releases, &frozen, self.clock.now()).unwrap_or_else(|why| {
                if self.history_complaint.is_due(&why) {
                    tracing::warn!("{role}: ignored: {why}");
                }
                false
            });
            if self.settings.dry_run || !ended {
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
    now: Timestamp,
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
        // The key may be a copy of an earlier freeze than the remembered one.
        let remembered = history.frozen(*role).cloned();
        let newest = found.frozen.iter().chain(&remembered);
        if let Some(frozen) = newest.max_by_key(|frozen| frozen.at).cloned() {
            if found.frozen.as_ref() != Some(&frozen) {
                unwritten.push(*role);
            }
            history.freeze(*role, frozen);
        }
        match (&reset, &found.marker) {
            (None, Some(marker)) => history.accept(*role, found.header, marker),
            (None, None) => unwritten.push(*role),
            (Some(why), _) => {
                let frozen = Frozen {
                    revision: found.header.revision,
                    ..Frozen::open(why.clone(), now)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use presence::keys::Tree;
    use presence::mirror::View;
    use presence::status::Release;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Everything was released at this revision and time, by hand.
    fn released(revision: i64, second: i64, cluster: u64) -> Snapshot<Releases> {
        released_freezes(revision, second, cluster, None)
    }

    fn released_freezes(
        revision: i64,
        second: i64,
        cluster: u64,
        freezes: Option<&str>,
    ) -> Snapshot<Releases> {
        let header = Header {
            cluster: 7,
            revision: Revision(revision - 1),
        };
        let before = Header { cluster, ..header };
        let freezes = freezes.map(|id| vec![id.to_owned()]);
        let release = Release {
            freezes,
            ..Release::new(before, "me".to_owned(), at(second))
        };
        let entry = Entry {
            value: release.to_json().into(),
            create_revision: Revision(1),
            mod_revision: Revision(revision),
            lease: None,
        };
        let keys = Tree::new("/lbManager").unwrap().status();
        let mut view = Releases::new(keys.clone());
        view.list(&keys.release_all(), &entry);
        Snapshot {
            header,
            replacements: 0,
            replaced: None,
            reconnects: 0,
            view,
        }
    }

    #[test]
    fn only_a_release_that_was_written_after_the_reset_ends_a_freeze() {
        let frozen = Frozen {
            why: "a test".to_owned(),
            at: at(100),
            revision: Revision(50),
            id: "a".to_owned(),
        };
        let ends = |releases, now| super::ends(&releases, &frozen, at(now));
        assert_eq!(ends(released(50, 100, 7), 200), Ok(true));
        assert_eq!(ends(released(49, 100, 7), 200), Ok(false));
        assert_eq!(
            ends(released(50, 100, 8), 200),
            Ok(false),
            "another cluster"
        );
        assert!(ends(released(60, 99, 7), 200).is_err(), "a copy");
        // Named by the command, whatever the clocks say.
        let named = |id| ends(released_freezes(60, 1, 7, Some(id)), 200);
        assert_eq!((named("a"), named("b")), (Ok(true), Ok(false)));
        // The clock was two hours ahead when the reset was detected.
        assert_eq!(ends(released(60, 60, 7), 61), Ok(true));
    }
}
