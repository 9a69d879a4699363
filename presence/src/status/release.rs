//! An operator's release, as its key contains it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::Revision;
use crate::store::{Entry, Header};

/// How many revisions may pass between the read and the write of a release.
const SLACK: i64 = 1_000;

/// The value of `…/release/…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// etcd's cluster ID.
    #[serde(with = "super::cluster_hex")]
    pub cluster: u64,
    /// etcd's revision just before the release was written.
    pub revision: Revision,
    /// Who wrote it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// The freezes that it ends, by their IDs. Absent if it was written by
    /// hand: then its time is compared with that of a freeze.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub freezes: Option<Vec<String>>,
}

impl Release {
    /// A release at this moment.
    pub fn new(before: Header, by: String, at: Timestamp) -> Self {
        Self {
            cluster: before.cluster,
            revision: before.revision,
            by,
            at,
            freezes: None,
        }
    }

    /// With the freezes that it ends.
    #[must_use]
    pub fn of_freezes(self, freezes: Vec<String>) -> Self {
        Self {
            freezes: Some(freezes),
            ..self
        }
    }

    /// The value for the key.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers can be written")
    }

    /// The release in this entry, or why it does not count: a release that was
    /// copied from another history releases nothing. Copies from another
    /// cluster are recognised by their `cluster`.
    pub fn read(entry: &Entry) -> Result<Self, String> {
        let release: Self = serde_json::from_slice(&entry.value).map_err(|error| {
            format!("its value is not a release ({error}): write it with lbmanager release")
        })?;
        let lag = entry.mod_revision.0 - release.revision.0;
        if !(1..=SLACK).contains(&lag) {
            return Err(format!(
                "it was written at revision {}, and its key is of revision {}: it is a copy",
                release.revision, entry.mod_revision
            ));
        }
        Ok(release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(revision: i64, mod_revision: i64) -> Entry {
        let before = Header {
            cluster: 7,
            revision: Revision(revision),
        };
        let release = Release::new(before, "me".to_owned(), Timestamp::UNIX_EPOCH);
        Entry {
            value: release.to_json().into(),
            create_revision: Revision(1),
            mod_revision: Revision(mod_revision),
            lease: None,
        }
    }

    #[test]
    fn only_a_release_that_was_written_in_this_history_counts() {
        assert_eq!(Release::read(&entry(10, 11)).unwrap().cluster, 7);
        assert!(Release::read(&entry(10, 1_010)).is_ok());
        for copy in [entry(10, 1_011), entry(10, 10), entry(1_000, 20)] {
            let why = Release::read(&copy).unwrap_err();
            assert!(why.ends_with("it is a copy"), "{why}");
        }
        let old = Entry {
            value: br#"{"at": "2026-11-01T00:00:00Z"}"#.as_slice().into(),
            ..entry(1, 2)
        };
        assert!(
            Release::read(&old)
                .unwrap_err()
                .contains("lbmanager release")
        );
    }
}
