//! Every key of the scheme, parsed and encoded. Nothing else in the three
//! binaries puts a key together from pieces.
//!
//! A key that is parsed and written again is the same key; one that is not of
//! the scheme is an error that says what would be. Prefixes, which are listed
//! and watched, all end in a slash, so that `lb1` never matches `lb10`.
//!
//! | module | root |
//! | --- | --- |
//! | [`Tree`] | `/lbManager` ([`DEFAULT_PREFIX`]) |
//! | [`StatusTree`] | `/lbManager-status`: the path of the tree, with `-status` after it |
//! | [`service_monitor`] | `/service-monitor` |
//! | [`launcher`] | `/launcher` |
//! | [`semaphore`] | below those: who may, and who waits |

pub mod launcher;
pub mod semaphore;
pub mod service_monitor;
pub mod status;
mod tree;

#[cfg(test)]
mod properties;

pub use status::StatusTree;
pub use tree::{DEFAULT_PREFIX, Tree, TreeKey};

use crate::model::{InvalidName, excerpt};

/// A key that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Of no root of the scheme.
    #[error("key {key:?} is not below {prefix:?}")]
    Elsewhere {
        /// The key as it is, or the beginning of a long one.
        key: String,
        /// Where it was looked for.
        prefix: String,
    },
    /// In the tree, but not of the form.
    #[error(
        "key {key:?} has {found} segments below the prefix; \
         <type>/<region>/<name>/<class>/<member> or <type>/<region>/<name>/config is expected{hint}"
    )]
    Depth {
        /// The key as it is, or the beginning of a long one.
        key: String,
        /// How many it has.
        found: usize,
        /// What is special about this kind of load balancer, or nothing.
        hint: &'static str,
    },
    /// Below another root, but not of the form.
    #[error("key {key:?} is not of the scheme; {expected} is expected")]
    Form {
        /// The key as it is, or the beginning of a long one.
        key: String,
        /// What is.
        expected: &'static str,
    },
    /// Of the form, but a part of it is not valid.
    #[error("key {key:?}: {source}")]
    Part {
        /// The key as it is, or the beginning of a long one.
        key: String,
        /// Which part, and what is allowed.
        source: InvalidName,
    },
}

impl KeyError {
    /// For `map_err` of a part of this key.
    fn part(key: &str) -> impl Fn(InvalidName) -> Self {
        move |source| Self::Part {
            key: excerpt(key),
            source,
        }
    }

    fn form(key: &str, expected: &'static str) -> Self {
        Self::Form {
            key: excerpt(key),
            expected,
        }
    }
}

/// The segments of a key below its root.
fn segments<'k>(key: &'k str, root: &str) -> Result<Vec<&'k str>, KeyError> {
    key.strip_prefix(root)
        .and_then(|rest| rest.strip_prefix('/'))
        .map(|rest| rest.split('/').collect())
        .ok_or_else(|| KeyError::Elsewhere {
            key: excerpt(key),
            prefix: format!("{root}/"),
        })
}
