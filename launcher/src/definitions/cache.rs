//! What was started on this host, in the state directory: `definitions/SOURCE/NAME/REVISION.json`.
//!
//! The processes of several units share it. Who writes holds the lock of the service's directory;
//! who runs a definition holds that of its file, so that nobody removes it.

use std::cmp::Reverse;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use presence::model::{DefinitionRevision, ServiceName};
use presence::process::state_file::{StateDir, StateError, StateFile};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::history::Past;
use super::{Found, Written};
use crate::instance::InstanceName;

/// How many are kept of each service, beside the newest and those that run.
const MOST: usize = 9;

/// How long others may write. It takes them milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_millis(5);

const LOCK: &str = "lock";
const NEWEST: &str = "newest.json";

/// The directory for the definitions of one source.
#[derive(Debug)]
pub(super) struct Cache {
    directory: PathBuf,
}

/// A definition that is kept at least for as long as this lives.
#[derive(Debug)]
pub struct Kept {
    /// Its lock ends with the process, however that ends.
    _held: File,
}

/// Which definition was in force when it was last looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Newest {
    revision: DefinitionRevision,
}

impl Cache {
    pub fn new(state: &StateDir, source: &str) -> Self {
        Self {
            directory: state.path().join("definitions").join(source),
        }
    }

    /// The definition of that revision, or else the one that was in force last. What is damaged is
    /// set aside, and said.
    pub fn find(
        &self,
        name: &ServiceName,
        instance: InstanceName,
        say: &mut impl FnMut(String),
    ) -> Option<Written> {
        let directory = self.directory.join(name.as_str());
        // Looking for a service that was never started here leaves nothing behind.
        let directory = directory
            .is_dir()
            .then(|| StateDir::open(directory).ok())??;
        let revision = match instance {
            InstanceName::Newest => newest(&directory, say)?,
            InstanceName::Revision(revision) => revision,
            InstanceName::Number(_) => named(directory.path(), instance)?,
        };
        let mut file = directory.file::<Past>(&file_name(revision));
        let past = undamaged(&mut file, say)?;
        let place = file.path().display().to_string();
        match Written::past(place, past.text, revision) {
            Ok(written) => Some(Written {
                is_newest: instance == InstanceName::Newest,
                ..written
            }),
            Err(error) => {
                say(error.to_string());
                set_aside(&mut file, say);
                None
            }
        }
    }

    /// Keeps it, and removes the oldest that do not run.
    pub async fn keep(&self, found: &Found) -> Result<Kept, StateError> {
        let directory = StateDir::open(self.directory.join(found.name.as_str()))?;
        let turn = lock(directory.path().join(LOCK)).await?;
        let kept = write(&directory, found)?;
        if found.is_newest {
            write_newest(&directory, found.revision)?;
        }
        prune(&directory).map_err(failed("clean up", directory.path()))?;
        drop(turn);
        Ok(kept)
    }
}

fn file_name(revision: DefinitionRevision) -> String {
    format!("{revision}.json")
}

/// The definition that was in force last; where that is not known, the highest revision.
fn newest(directory: &StateDir, say: &mut impl FnMut(String)) -> Option<DefinitionRevision> {
    let newest = undamaged::<Newest>(&mut directory.file(NEWEST), say);
    newest.map(|newest| newest.revision).or_else(|| {
        let known = revisions(directory.path()).ok()?;
        known.into_iter().map(|(revision, _)| revision).max()
    })
}

fn named(directory: &Path, instance: InstanceName) -> Option<DefinitionRevision> {
    let known = revisions(directory).ok()?.into_iter();
    known
        .map(|(revision, _)| revision)
        .find(|revision| instance.names(*revision))
}

/// The files of definitions.
fn revisions(directory: &Path) -> io::Result<Vec<(DefinitionRevision, PathBuf)>> {
    let files = files(directory)?.into_iter();
    Ok(files
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?;
            Some((name.strip_suffix(".json")?.parse().ok()?, path))
        })
        .collect())
}

fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

fn undamaged<T: Serialize + DeserializeOwned>(
    file: &mut StateFile<T>,
    say: &mut impl FnMut(String),
) -> Option<T> {
    match file.read() {
        Ok(content) => content,
        Err(error) => {
            let is_damaged = matches!(error, StateError::Corrupt { .. });
            say(error.to_string());
            if is_damaged {
                set_aside(file, say);
            }
            None
        }
    }
}

fn set_aside<T: Serialize + DeserializeOwned>(
    file: &mut StateFile<T>,
    say: &mut impl FnMut(String),
) {
    if let Err(error) = file.set_aside() {
        say(error.to_string());
    }
}

/// Writes what is to be kept, unless it is there, and holds it.
fn write(directory: &StateDir, found: &Found) -> Result<Kept, StateError> {
    let mut file = directory.file::<Past>(&file_name(found.revision));
    let there = file.read().ok().flatten();
    if there.is_none_or(|there| there.text != found.text) {
        file.write(&Past {
            at: Timestamp::now(),
            text: found.text.clone(),
        })?;
    }
    let hold = || {
        let held = File::open(file.path())?;
        held.set_modified(SystemTime::now())?;
        held.lock_shared()?;
        Ok(Kept { _held: held })
    };
    hold().map_err(failed("hold", file.path()))
}

fn write_newest(directory: &StateDir, revision: DefinitionRevision) -> Result<(), StateError> {
    let mut file = directory.file(NEWEST);
    let newest = Newest { revision };
    match file.read() {
        Ok(Some(there)) if there == newest => Ok(()),
        _ => file.write(&newest),
    }
}

/// Removes the definitions whose last start is the longest ago, but none that runs or was the
/// newest; and what a crash left half-written.
fn prune(directory: &StateDir) -> io::Result<()> {
    let newest = directory.file::<Newest>(NEWEST).read().ok().flatten();
    let mut old = Vec::new();
    for (revision, path) in revisions(directory.path())? {
        if newest != Some(Newest { revision }) {
            old.push((fs::metadata(&path)?.modified()?, path));
        }
    }
    old.sort_by_key(|(started, _)| Reverse(*started));
    for (_, path) in old.into_iter().skip(MOST) {
        match File::open(&path)?.try_lock() {
            Ok(()) => fs::remove_file(path)?,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    for path in files(directory.path())? {
        if path.extension().is_some_and(|ending| ending == "tmp") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Waits for the lock of a directory.
async fn lock(path: PathBuf) -> Result<File, StateError> {
    let failed = failed("lock", &path);
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(0o600);
    let file = match options.open(&path) {
        Ok(file) => file,
        Err(error) => return Err(failed(error)),
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(PAUSE).await,
            Err(error) => return Err(failed(error.into())),
        }
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let file = path.to_owned();
    move |source| StateError::File {
        doing,
        file,
        source,
    }
}
