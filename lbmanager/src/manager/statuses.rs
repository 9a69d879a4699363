//! Status records, as etcd has them.

use std::collections::BTreeMap;

use presence::keys;
use presence::keys::status::{Report, StatusKey};
use presence::model::{BalancerId, HostId, MemberId, Revision};
use presence::store::{Entry, Header, Listing, Store, StoreError};

use crate::record::Record;
use crate::tree::Tree;

/// Status records with the mod_revision of their keys.
pub(crate) type Statuses = BTreeMap<BalancerId, (Revision, Record)>;

/// The same with who wrote them.
pub(crate) type Reports = BTreeMap<Report, (Revision, Record)>;

/// Reads the status of every load balancer.
pub(super) async fn statuses<S: Store>(
    store: &S,
    host: &HostId,
) -> Result<(Header, Statuses), StoreError> {
    let listing = store.list(&keys::status::balancers_prefix(), None).await?;
    Ok((listing.header, statuses_in(listing, host)))
}

/// Where each host has its own, this host's.
pub(super) fn statuses_in(listing: Listing, host: &HostId) -> Statuses {
    let statuses = reports_in(listing).into_iter();
    let own = statuses.filter(|(report, _)| report.host().is_none_or(|other| other == host));
    let statuses = own.map(|(report, status)| (report.balancer().clone(), status));
    statuses.collect()
}

/// Reads the status records whose keys begin so.
pub(crate) async fn reports<S: Store>(
    store: &S,
    begin: &str,
) -> Result<(Header, Reports), StoreError> {
    let listing = store.list(begin, None).await?;
    Ok((listing.header, reports_in(listing)))
}

fn reports_in(listing: Listing) -> Reports {
    let entries = listing.entries.into_iter();
    let reports = entries.filter_map(|(key, entry)| {
        let (report, record) = report(&key, &entry)?;
        Some((report, (entry.mod_revision, record)))
    });
    reports.collect()
}

/// The status record that a key holds, if it does and can be read.
pub(crate) fn report(key: &str, entry: &Entry) -> Option<(Report, Record)> {
    let Ok(StatusKey::Balancer(report)) = key.parse() else {
        return None;
    };
    match Record::from_json(&entry.value) {
        Ok(record) => Some((report, record)),
        Err(error) => {
            tracing::error!(
                "the status {key} cannot be read; the load balancer is treated as new: {error}"
            );
            // It is there, which says whose history this is.
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
