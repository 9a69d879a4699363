//! What a manager leaves in etcd to recognise its own history: the marker that
//! it writes with each status, and the freeze after a reset.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::Revision;
use crate::store::{Entry, Header};

/// The value of `…/written/…`. Its key's mod_revision proves that a history
/// contains the writer's last status; its content proves that the key was not
/// copied from another history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// etcd's cluster ID.
    #[serde(with = "super::cluster_hex")]
    pub cluster: u64,
    /// The create_revision of the marker's own key, which a copy cannot have.
    /// `None`: written for the first time, and not yet known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created: Option<Revision>,
    /// All changes of the tree up to this revision are in the statuses.
    #[serde(default)]
    pub absorbed: Revision,
}

/// The value of `…/frozen/…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// How the reset was detected.
    pub why: String,
    /// When.
    pub at: Timestamp,
    /// etcd's revision then: later changes belong to the new history.
    pub revision: Revision,
    /// Tells this freeze from every other one. A release names the freezes that
    /// it ends, so a copy of an older release ends none.
    #[serde(default)]
    pub id: String,
}

impl Marker {
    /// The value in the key. `None`: not a marker.
    pub fn parse(value: &[u8]) -> Option<Self> {
        parse(value)
    }

    /// The value for the key.
    pub fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }

    /// Why the marker in this entry belongs to another history, if it does:
    /// etcd was refilled from a dump, or restored under another cluster ID.
    pub fn copied(entry: &Entry, header: Header) -> Option<String> {
        let Some(marker) = Self::parse(&entry.value) else {
            return Some("the marker of this manager is not readable".to_owned());
        };
        if marker.cluster != header.cluster {
            return Some(format!(
                "the marker of this manager was written in cluster {:016x}, and this is {:016x}",
                marker.cluster, header.cluster
            ));
        }
        let created = marker.created?;
        (created != entry.create_revision).then(|| {
            format!(
                "the marker of this manager was created at revision {created}, and its copy at {}",
                entry.create_revision
            )
        })
    }
}

impl Frozen {
    /// A freeze that was detected before the tree was read again: it covers
    /// every removal until the revision of the reload is known.
    pub fn open(why: String, at: Timestamp) -> Self {
        Self {
            why,
            at,
            revision: Revision(i64::MAX),
            id: format!("{:016x}", fastrand::u64(..)),
        }
    }

    /// Whether the revision of the reload is not known yet.
    pub fn is_open(&self) -> bool {
        self.revision == Revision(i64::MAX)
    }

    /// The value in the key. `None`: not a freeze that can be read.
    pub fn parse(value: &[u8]) -> Option<Self> {
        parse(value)
    }

    /// The value for the key.
    pub fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }
}

fn parse<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    serde_json::from_slice(value).ok()
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings and numbers can be written")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        cluster: 0xcd,
        revision: Revision(90),
    };

    fn entry(cluster: u64, created: Option<i64>) -> Entry {
        let marker = Marker {
            cluster,
            created: created.map(Revision),
            absorbed: Revision(5),
        };
        Entry {
            value: marker.to_json().into(),
            create_revision: Revision(7),
            mod_revision: Revision(80),
            lease: None,
        }
    }

    #[test]
    fn a_marker_of_this_history_is_recognised_and_a_copy_is_not() {
        assert_eq!(Marker::copied(&entry(0xcd, Some(7)), HEADER), None);
        assert_eq!(Marker::copied(&entry(0xcd, None), HEADER), None);
        let copy = Marker::copied(&entry(0xcd, Some(6)), HEADER).unwrap();
        assert!(copy.contains("revision 6"), "{copy}");
        let other = Marker::copied(&entry(0xce, Some(7)), HEADER).unwrap();
        assert!(other.contains("00000000000000ce"), "{other}");
        let garbage = Entry {
            value: b"x".as_slice().into(),
            ..entry(0xcd, None)
        };
        assert!(Marker::copied(&garbage, HEADER).is_some());
    }
}
