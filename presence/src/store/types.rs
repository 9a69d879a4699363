use crate::model::{LeaseId, Revision};

/// What every answer tells of the store as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Which cluster answered.
    pub cluster: u64,
    /// The store's revision when it answered.
    pub revision: Revision,
}

/// The value of a key, and its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Box<[u8]>,
    /// When this incarnation of the key was first written.
    pub create_revision: Revision,
    /// When it was last written.
    pub mod_revision: Revision,
    /// The lease it is on.
    pub lease: Option<LeaseId>,
}

/// Everything below a prefix at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The store when it answered. `revision` is the listing's own, also
    /// where it was asked for.
    pub header: Header,
    /// Keys in order. A key that is not UTF-8 has its bytes escaped with
    /// backslashes, which no key of the scheme has.
    pub entries: Vec<(String, Entry)>,
}

/// One key's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The store when it answered.
    pub header: Header,
    /// The entry, if the key exists.
    pub entry: Option<Entry>,
}

/// One change to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Written.
    Put {
        /// Which key.
        key: String,
        /// What it is now.
        entry: Entry,
    },
    /// Gone; the store does not say why.
    Delete {
        /// Which key.
        key: String,
        /// When.
        revision: Revision,
        /// What it was, where the store still knew.
        previous: Option<Entry>,
    },
}

impl Event {
    /// The key that it is about.
    pub fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Delete { key, .. } => key,
        }
    }

    /// When it happened.
    pub fn revision(&self) -> Revision {
        match self {
            Self::Put { entry, .. } => entry.mod_revision,
            Self::Delete { revision, .. } => *revision,
        }
    }
}

/// What a watch delivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchMessage {
    /// Changes in the order of their revisions; those of one revision are
    /// never split over two messages.
    Events {
        /// The store when it sent them.
        header: Header,
        /// The changes.
        events: Vec<Event>,
    },
    /// Alive, with nothing to tell.
    Progress(Header),
    /// The history that was asked for is gone up to this revision; the watch
    /// is over.
    Compacted(Revision),
}

/// A condition on the key as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The key does not exist.
    Absent,
    /// It exists.
    Present,
    /// Its mod_revision is this.
    ModRevision(Revision),
    /// Its create_revision is this.
    CreateRevision(Revision),
    /// It exists and is on this lease.
    Lease(LeaseId),
}

/// A condition and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    /// Which key.
    pub key: String,
    /// What must hold.
    pub condition: Condition,
}

/// One write of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Write a key.
    Put {
        /// Which key.
        key: String,
        /// Its new value.
        value: Vec<u8>,
        /// The lease it is to be on.
        lease: Option<LeaseId>,
    },
    /// Delete a key. No error if it does not exist.
    Delete {
        /// Which key.
        key: String,
    },
    /// Delete every key below a prefix, however many: one operation, one
    /// revision.
    DeletePrefix {
        /// Which prefix; not empty, ends in `/`.
        prefix: String,
    },
}

impl Operation {
    /// The key or prefix that it is about.
    pub fn subject(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
            Self::DeletePrefix { prefix } => prefix,
        }
    }
}

/// How many operations, and how many conditions, a transaction may have where
/// etcd's `--max-txn-ops` is not raised.
pub const MOST_OPERATIONS: usize = 128;

/// Writes that happen all at once, or not at all. etcd takes up to
/// [`MOST_OPERATIONS`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// What must hold.
    pub when: Vec<Compare>,
    /// What is then done.
    pub then: Vec<Operation>,
}

impl Transaction {
    /// A single write without a condition.
    pub fn put(key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self::default().and_put(key, value, None)
    }

    /// A single delete without a condition.
    pub fn delete(key: impl Into<String>) -> Self {
        Self::default().and_delete(key)
    }

    /// With one more condition.
    #[must_use]
    pub fn when(mut self, key: impl Into<String>, condition: Condition) -> Self {
        self.when.push(Compare {
            key: key.into(),
            condition,
        });
        self
    }

    /// With one more write.
    #[must_use]
    pub fn and_put(
        mut self,
        key: impl Into<String>,
        value: impl Into<Vec<u8>>,
        lease: Option<LeaseId>,
    ) -> Self {
        self.then.push(Operation::Put {
            key: key.into(),
            value: value.into(),
            lease,
        });
        self
    }

    /// With one more delete.
    #[must_use]
    pub fn and_delete(mut self, key: impl Into<String>) -> Self {
        self.then.push(Operation::Delete { key: key.into() });
        self
    }

    /// With the delete of everything below a prefix.
    #[must_use]
    pub fn and_delete_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.then.push(Operation::DeletePrefix {
            prefix: prefix.into(),
        });
        self
    }
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// The store afterwards. Where something was written, the revision that
    /// it was written at.
    pub header: Header,
    /// Whether the conditions held, and so the writes were done.
    pub succeeded: bool,
}

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Nobody answered, or not in time, or without a leader. It may have been
    /// done all the same.
    #[error("etcd at {endpoints} does not answer: {reason}")]
    Unavailable {
        /// Where it was looked for.
        endpoints: String,
        /// What was seen.
        reason: String,
    },
    /// etcd has used up its storage quota, and accepts nothing but reads,
    /// deletes and lease renewals until an operator has made space.
    #[error(
        "etcd at {endpoints} has no space: {reason}; its alarm NOSPACE blocks all writes but \
         deletes until it is compacted, defragmented, and the alarm ended with `etcdctl alarm \
         disarm`"
    )]
    NoSpace {
        /// Which endpoint answered.
        endpoints: String,
        /// etcd's message.
        reason: String,
    },
    /// The revision asked for is history that is gone.
    #[error("the history of etcd up to the revision asked for has been compacted")]
    Compacted,
    /// etcd knows us, but does not let us; or does not know us.
    #[error(
        "etcd at {endpoints} refuses access: {reason}; check ETCDCTL_USER, the password \
         (ETCDCTL_PASSWORD or --password-file), and the role's permission for {subject}"
    )]
    Denied {
        /// Who refused.
        endpoints: String,
        /// etcd's words.
        reason: String,
        /// The key or prefix that was wanted.
        subject: String,
    },
    /// The lease is gone.
    #[error("the lease {0} is gone")]
    LeaseGone(LeaseId),
    /// etcd says that the request itself is wrong: too large, say.
    #[error("etcd at {endpoints} does not take the request: {reason}")]
    Rejected {
        /// Who refused.
        endpoints: String,
        /// etcd's words.
        reason: String,
    },
    /// The endpoints, certificates or keys to connect with are wrong.
    #[error("cannot connect to etcd: {0}")]
    Configuration(String),
}

impl StoreError {
    /// Whether a later retry may succeed although the request stays the same.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. } | Self::NoSpace { .. } | Self::LeaseGone(_)
        )
    }
}
