//! Status records, as etcd has them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use presence::keys::StatusTree;
use presence::keys::status::{BalancerStatusKey, ManagerRole, StatusKey};
use presence::mirror::Replay;
use presence::model::{BalancerId, Class, HostId, MemberId, Revision};
use presence::store::{Entry, Listing, Store, StoreError};

use crate::record::Record;
use crate::tree::{BalancerTree, Tree};

/// Statuses, by the key that each was written to.
pub(crate) type Reports = BTreeMap<BalancerStatusKey, Record>;

/// Lists the statuses that a manager of these roles on this host writes, and
/// no others: other hosts may have very many.
pub(super) async fn list<S: Store>(
    store: &S,
    keys: &StatusTree,
    host: &HostId,
    roles: &BTreeSet<ManagerRole>,
) -> Result<Listing, StoreError> {
    let mut all: Option<Listing> = None;
    for role in roles {
        let prefix = match role {
            ManagerRole::Aws => keys.aws_prefix(),
            ManagerRole::Ipvs => keys.host_prefix(host),
        };
        let listing = store.list(&prefix, None).await?;
        match &mut all {
            // The first answer's revision is the lower one.
            Some(all) => all.entries.extend(listing.entries),
            None => all = Some(listing),
        }
    }
    match all {
        Some(all) => Ok(all),
        None => store.list(&keys.releases_prefix(), None).await,
    }
}

/// The statuses in a listing.
pub(super) fn statuses_in(keys: &StatusTree, listing: Listing) -> BTreeMap<BalancerId, Record> {
    let statuses = reports_in(keys, listing).into_iter();
    let statuses = statuses.map(|(report, status)| (report.balancer().clone(), status));
    statuses.collect()
}

/// Reads the statuses whose keys begin with this.
pub(crate) async fn reports<S: Store>(
    store: &S,
    keys: &StatusTree,
    prefix: &str,
) -> Result<Reports, StoreError> {
    let listing = store.list(prefix, None).await?;
    Ok(reports_in(keys, listing))
}

fn reports_in(keys: &StatusTree, listing: Listing) -> Reports {
    let entries = listing.entries.into_iter();
    let mut ignored = 0_usize;
    let reports = entries.filter_map(|(key, entry)| {
        let report = report(keys, &key, &entry);
        ignored += usize::from(report.is_none());
        report
    });
    let reports = reports.collect();
    if ignored > 0 {
        tracing::warn!(
            "ignored: {ignored} keys below {}lb/ are not statuses",
            keys.prefix()
        );
    }
    reports
}

/// The status that a key holds, if it is one.
pub(crate) fn report(
    keys: &StatusTree,
    key: &str,
    entry: &Entry,
) -> Option<(BalancerStatusKey, Record)> {
    let Ok(StatusKey::Balancer(report)) = keys.parse(key) else {
        return None;
    };
    match Record::from_json(&entry.value) {
        Ok(record) => Some((report, record)),
        Err(error) => {
            tracing::error!(
                "cannot read the status {key}; the load balancer is treated as new: {error}"
            );
            Some((report, Record::default()))
        }
    }
}

/// A status that contains a later change than etcd has ever had, if any: it
/// belongs to another history.
pub(super) fn newer_than(
    records: &BTreeMap<BalancerId, Record>,
    revision: Revision,
) -> Option<String> {
    let mut newer = records.iter().filter(|(_, one)| one.revision > revision);
    newer.next().map(|(id, record)| {
        format!(
            "the status of {id} contains revision {}, and etcd is at {revision}",
            record.revision
        )
    })
}

/// The members that a status lists, and the revision of the status.
struct Known {
    revision: Revision,
    class: Option<Class>,
    listed: Vec<MemberId>,
}

impl Known {
    fn of(record: &Record) -> Self {
        let listed = record.members.iter();
        Self {
            revision: record.revision,
            class: record.class,
            listed: listed
                .filter(|(_, known)| known.mod_revision.is_some())
                .map(|(member, _)| member.clone())
                .collect(),
        }
    }
}

impl Known {
    fn missing_in(&self, balancer: Option<&Arc<BalancerTree>>) -> Vec<&MemberId> {
        let lists = |member| balancer.is_some_and(|balancer| balancer.lists(member));
        let listed = self.listed.iter();
        listed.filter(|member| !lists(member)).collect()
    }
}

/// The members that all statuses list.
#[derive(Default)]
pub(crate) struct Remembered {
    balancers: BTreeMap<BalancerId, Known>,
    absorbed: Revision,
}

impl Remembered {
    /// What these records list, which contain every change up to `absorbed`.
    pub(crate) fn by(records: &BTreeMap<BalancerId, Record>, absorbed: Revision) -> Self {
        let records = records.iter();
        let known = records.map(|(id, record)| (id.clone(), Known::of(record)));
        Self {
            balancers: known.collect(),
            absorbed,
        }
    }

    /// Whether the tree has no key at all, although members are listed whose
    /// absence nothing explains.
    pub(super) fn has_unexplained(&self, tree: &Tree) -> bool {
        if !tree.has_no_key() {
            return false;
        }
        self.balancers.iter().any(|(id, known)| {
            let balancer = tree.balancer(id);
            let explains = |member| balancer.is_some_and(|balancer| balancer.explains(member));
            known.listed.iter().any(|member| !explains(member))
        })
    }

    /// The part of the history that must be replayed for a range: from the
    /// oldest status that lists a member without a key, but nothing that every
    /// status contains. It ends with the deletes of those members.
    pub(super) fn replay(
        &self,
        tree: &Tree,
        is_in_range: impl Fn(&BalancerId) -> bool,
    ) -> Option<Replay> {
        let missing: Vec<(&BalancerId, &Known, Vec<&MemberId>)> = self
            .balancers
            .iter()
            .filter(|(id, _)| is_in_range(id))
            .map(|(id, known)| (id, known, known.missing_in(tree.balancer(id))))
            .filter(|(_, _, missing)| !missing.is_empty())
            .collect();
        let from = |known: &Known| known.revision.max(self.absorbed);
        let after = missing.iter().map(|(_, known, _)| from(known)).min()?;
        // Of these the key may have been written and deleted since.
        let later = missing
            .iter()
            .filter(|(_, known, _)| known.revision > after);
        let deleted = later.flat_map(|(id, known, members)| {
            let class = known.class.into_iter();
            class.flat_map(move |class| {
                let members = members.iter();
                members.map(move |member| tree.member_key(id, class, member))
            })
        });
        Some(Replay {
            after,
            deleted: deleted.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::record::MemberRecord;

    fn record(revision: i64, member: &str) -> Record {
        let known = MemberRecord {
            mod_revision: Some(Revision(revision)),
            ..MemberRecord::default()
        };
        let member = MemberId::parse(presence::model::Kind::Elb, member).unwrap();
        Record {
            revision: Revision(revision),
            class: Some(Class::Multiple),
            members: [(member, known)].into_iter().collect(),
            ..Record::default()
        }
    }

    #[test]
    fn a_replay_starts_where_everything_was_absorbed_and_ends_with_the_deletes() {
        let keys = presence::keys::Tree::new("/lbManager").unwrap();
        let tree = Tree::new(Arc::new(keys));
        let records = BTreeMap::from([
            ("elb/us-east-1/a".parse().unwrap(), record(20, "i-00000001")),
            ("elb/us-east-1/b".parse().unwrap(), record(60, "i-00000002")),
        ]);
        let replay = |absorbed, is_in_range: fn(&BalancerId) -> bool| {
            let remembered = Remembered::by(&records, Revision(absorbed));
            remembered.replay(&tree, is_in_range)
        };
        let b = "/lbManager/elb/us-east-1/b/multiple/i-00000002";
        let all = replay(50, |_| true).unwrap();
        assert_eq!(
            (all.after, all.deleted),
            (Revision(50), [b.to_owned()].into())
        );
        let all = replay(70, |_| true).unwrap();
        assert_eq!((all.after, all.deleted.len()), (Revision(70), 0));
        assert_eq!(replay(50, |_| false), None);
    }
}
