//! Status records, as etcd has them.

use std::collections::{BTreeMap, BTreeSet};

use presence::keys::StatusTree;
use presence::keys::status::{BalancerStatusKey, ManagerRole, StatusKey};
use presence::model::{BalancerId, HostId, MemberId, Revision};
use presence::store::{Entry, Header, Listing, Store, StoreError};

use crate::record::Record;
use crate::tree::Tree;

/// Status records with the mod_revision of their keys.
pub(crate) type Statuses = BTreeMap<BalancerId, (Revision, Record)>;

/// The same with the key that each was written to.
pub(crate) type Reports = BTreeMap<BalancerStatusKey, (Revision, Record)>;

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
pub(super) fn statuses_in(keys: &StatusTree, listing: Listing) -> Statuses {
    let statuses = reports_in(keys, listing).into_iter();
    let statuses = statuses.map(|(report, status)| (report.balancer().clone(), status));
    statuses.collect()
}

/// Reads the statuses whose keys begin with this.
pub(crate) async fn reports<S: Store>(
    store: &S,
    keys: &StatusTree,
    prefix: &str,
) -> Result<(Header, Reports), StoreError> {
    let listing = store.list(prefix, None).await?;
    Ok((listing.header, reports_in(keys, listing)))
}

fn reports_in(keys: &StatusTree, listing: Listing) -> Reports {
    let entries = listing.entries.into_iter();
    let reports = entries.filter_map(|(key, entry)| {
        let (report, record) = report(keys, &key, &entry)?;
        Some((report, (entry.mod_revision, record)))
    });
    reports.collect()
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

/// The mod_revisions alone.
pub(super) fn revisions(statuses: &Statuses) -> BTreeMap<BalancerId, Revision> {
    let statuses = statuses.iter();
    statuses
        .map(|(id, (revision, _))| (id.clone(), *revision))
        .collect()
}

/// Who was listed when a record was written, and when that was.
struct Known {
    revision: Revision,
    listed: Vec<MemberId>,
}

impl Known {
    fn of(record: &Record) -> Self {
        let listed = record.members.iter();
        Self {
            revision: record.revision,
            listed: listed
                .filter(|(_, known)| known.mod_revision.is_some())
                .map(|(member, _)| member.clone())
                .collect(),
        }
    }
}

/// What the records of all load balancers remember.
#[derive(Default)]
pub(crate) struct Remembered(BTreeMap<BalancerId, Known>);

impl Remembered {
    /// What these records do.
    pub(crate) fn by(records: &BTreeMap<BalancerId, Record>) -> Self {
        let records = records.iter();
        let known = records.map(|(id, record)| (id.clone(), Known::of(record)));
        Self(known.collect())
    }

    /// From where the history is wanted: the oldest record that knew a member
    /// which is not listed any more.
    pub(super) fn replay_from(&self, tree: &Tree) -> Option<Revision> {
        self.0
            .iter()
            .filter(|(id, known)| {
                let balancer = tree.balancer(id);
                let lists = |member| balancer.is_some_and(|balancer| balancer.lists(member));
                known.listed.iter().any(|member| !lists(member))
            })
            .map(|(_, known)| known.revision)
            .min()
    }
}
