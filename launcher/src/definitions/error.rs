//! Why there is no definition to start.

use std::io;
use std::path::PathBuf;

use presence::model::{DefinitionRevision, ServiceName};
use presence::process::exit::Failure;
use presence::process::words;
use presence::store::StoreError;

use crate::document::{Problem, nearest};
use crate::instance::InstanceName;

/// Why there is no definition to start.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The service has none.
    #[error("there is no definition of {name} in {place}; {}", others(name, known))]
    Missing {
        /// The service.
        name: ServiceName,
        /// Where one was looked for.
        place: String,
        /// The services that have one there.
        known: Vec<ServiceName>,
    },
    /// The service has none of this revision.
    #[error("there is no revision {instance} of {name}; {}", revisions(known))]
    NoRevision {
        /// The service.
        name: ServiceName,
        /// What was asked for.
        instance: InstanceName,
        /// Those that there are, the newest first.
        known: Vec<DefinitionRevision>,
    },
    /// The document is wrong.
    #[error("{}", located(place, problems))]
    Wrong {
        /// Which document.
        place: String,
        /// What is wrong with it.
        problems: Vec<Problem>,
    },
    /// This host does not allow what it asks for.
    #[error("the policy of this host refuses it: {}", located(place, problems))]
    Refused {
        /// Which document.
        place: String,
        /// What of it.
        problems: Vec<Problem>,
    },
    /// The document is no text.
    #[error("{place} is no UTF-8 text from byte {byte} on")]
    NoText {
        /// Which document.
        place: String,
        /// Where the first wrong byte is, from 0.
        byte: usize,
    },
    /// The document says that it is another service's.
    #[error("{place} says that its name is {found}; {name} is expected there")]
    OtherName {
        /// Which document.
        place: String,
        /// What its name is there.
        name: ServiceName,
        /// What it says.
        found: ServiceName,
    },
    /// What is kept of the past is not what its name says.
    #[error("{place} has been changed: {why}")]
    Altered {
        /// Which key.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody can say which of both counts.
    #[error("there are both {} and {}; remove one", one.display(), other.display())]
    Two {
        /// One of them.
        one: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// A file or a directory of the host cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// etcd did not do what it was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<FindError> for Failure {
    fn from(error: FindError) -> Self {
        match error {
            FindError::Store(error) => error.into(),
            error => Self::configuration(error),
        }
    }
}

fn others(name: &ServiceName, known: &[ServiceName]) -> String {
    let known = known.iter().map(ServiceName::as_str);
    match nearest(name.as_str(), known.clone()) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None if known.len() == 0 => "there is none at all".to_owned(),
        None => format!("there are: {}", words::list(known)),
    }
}

fn revisions(known: &[DefinitionRevision]) -> String {
    match known {
        [] => "there is none at all".to_owned(),
        known => format!("there are: {}", words::list(known)),
    }
}

/// Each as compilers say it, so that editors lead there.
fn located(place: &str, problems: &[Problem]) -> String {
    let problems: Vec<_> = problems
        .iter()
        .map(|problem| format!("{place}:{problem}"))
        .collect();
    problems.join("; ")
}
