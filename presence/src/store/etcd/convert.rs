//! Between etcd's types and ours.

use etcd_client::{
    Compare, CompareOp, DeleteOptions, EventType, KeyValue, PutOptions, ResponseHeader, Txn, TxnOp,
};

use super::failure::Failure;
use crate::model::{LeaseId, Revision};
use crate::store::{self, Condition, Entry, Event, Header, Operation, Transaction};

/// etcd sends a header with every answer.
pub(super) fn header(header: Option<&ResponseHeader>) -> Result<Header, Failure> {
    let header =
        header.ok_or_else(|| Failure::Unavailable("its answer has no header".to_owned()))?;
    Ok(Header {
        cluster: header.cluster_id(),
        revision: Revision(header.revision()),
    })
}

pub(super) fn lease(id: i64) -> Option<LeaseId> {
    (id != 0).then_some(LeaseId(id))
}

pub(super) fn entry(kv: KeyValue) -> (String, Entry) {
    let create_revision = Revision(kv.create_revision());
    let mod_revision = Revision(kv.mod_revision());
    let lease = lease(kv.lease());
    let (key, value) = kv.into_key_value();
    let entry = Entry {
        value: value.into_boxed_slice(),
        create_revision,
        mod_revision,
        lease,
    };
    (text(key), entry)
}

pub(super) fn text(key: Vec<u8>) -> String {
    String::from_utf8(key).unwrap_or_else(|error| store::escaped(error.as_bytes()))
}

/// `None`: an event about nothing, which etcd does not send.
pub(super) fn event(event: &etcd_client::Event) -> Option<Event> {
    let (key, now) = entry(event.kv()?.clone());
    Some(match event.event_type() {
        EventType::Put => Event::Put { key, entry: now },
        EventType::Delete => Event::Delete {
            key,
            revision: now.mod_revision,
            previous: event.prev_kv().map(|kv| entry(kv.clone()).1),
        },
    })
}

pub(super) fn transaction(transaction: &Transaction) -> Txn {
    let when: Vec<_> = transaction.when.iter().map(compare).collect();
    let then: Vec<_> = transaction.then.iter().map(operation).collect();
    Txn::new().when(when).and_then(then)
}

fn compare(compare: &store::Compare) -> Compare {
    let key = compare.key.as_str();
    match compare.condition {
        Condition::Absent => Compare::create_revision(key, CompareOp::Equal, 0),
        Condition::Present => Compare::create_revision(key, CompareOp::Greater, 0),
        Condition::ModRevision(at) => Compare::mod_revision(key, CompareOp::Equal, at.0),
        Condition::CreateRevision(at) => Compare::create_revision(key, CompareOp::Equal, at.0),
        Condition::Lease(lease) => Compare::lease(key, CompareOp::Equal, lease.0),
    }
}

fn operation(operation: &Operation) -> TxnOp {
    match operation {
        Operation::Put { key, value, lease } => {
            let options = lease.map(|lease| PutOptions::new().with_lease(lease.0));
            TxnOp::put(key.as_str(), value.as_slice(), options)
        }
        Operation::Delete { key } => TxnOp::delete(key.as_str(), None),
        Operation::DeletePrefix { prefix } => {
            let options = DeleteOptions::new().with_prefix();
            TxnOp::delete(prefix.as_str(), Some(options))
        }
    }
}

/// The lease that etcd means if it says that one is gone.
pub(super) fn lease_of(transaction: &Transaction) -> Option<LeaseId> {
    transaction
        .then
        .iter()
        .find_map(|operation| match operation {
            Operation::Put { lease, .. } => *lease,
            Operation::Delete { .. } | Operation::DeletePrefix { .. } => None,
        })
}
