//! Small JSON files in the state directory, which survive a crash whole.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::marker::PhantomData;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::error;

use super::exit::Failure;
use super::replace::{replace, with_suffix, write_new};

/// For nobody else to read.
const PRIVATE: u32 = 0o600;

/// Why something in the state directory could not be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The directory cannot be made or written.
    #[error(
        "the state directory {} cannot be used; it must be writable for this user \
         (--state-dir, or StateDirectory= of the unit)", directory.display()
    )]
    Directory {
        /// Which directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process uses the directory.
    #[error(
        "the state directory {} is in use by another process of this program; stop that process, \
         or give each its own directory (--state-dir, or StateDirectory= of the unit)",
        directory.display()
    )]
    Locked {
        /// Which directory.
        directory: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("cannot {doing} the state file {}", file.display())]
    File {
        /// What was being done: a verb.
        doing: &'static str,
        /// Which file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file was read, but it is not what was written there. See
    /// [`StateFile::set_aside`].
    #[error("the state file {} is damaged at line {line}", file.display())]
    Corrupt {
        /// Which file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        source: serde_json::Error,
    },
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        Self::configuration(error)
    }
}

/// A directory for the state of this process.
#[derive(Debug, Clone)]
pub struct StateDir(PathBuf);

/// Keeps other processes from using a state directory, as long as it lives.
#[derive(Debug)]
pub struct StateDirLock(#[expect(dead_code, reason = "the lock ends when it is closed")] File);

impl StateDir {
    /// Makes it (mode 0700, parents included) where it is missing, and tries
    /// whether it can be written, so that this is said at the start.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, StateError> {
        let directory = directory.into();
        match make_writable(&directory) {
            Ok(()) => Ok(Self(directory)),
            Err(source) => Err(StateError::Directory { directory, source }),
        }
    }

    /// Creates it where it is missing. It need not be writable: see
    /// [`StateDir::check_writable`].
    pub fn existing(directory: impl Into<PathBuf>) -> Result<Self, StateError> {
        let directory = directory.into();
        match make(&directory) {
            Ok(()) => Ok(Self(directory)),
            Err(source) => Err(StateError::Directory { directory, source }),
        }
    }

    /// Locks the directory itself, which a full or read-only file system
    /// allows. The lock ends with the process.
    pub fn lock(&self) -> Result<StateDirLock, StateError> {
        let failed = |source| StateError::Directory {
            directory: self.0.clone(),
            source,
        };
        let directory = File::open(&self.0).map_err(failed)?;
        match directory.try_lock() {
            Ok(()) => Ok(StateDirLock(directory)),
            Err(TryLockError::WouldBlock) => Err(StateError::Locked {
                directory: self.0.clone(),
            }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Whether files can be written in it.
    pub fn check_writable(&self) -> Result<(), StateError> {
        make_writable(&self.0).map_err(|source| StateError::Directory {
            directory: self.0.clone(),
            source,
        })
    }

    /// A file in it. Each name must be asked for once only: whoever holds the
    /// file is the one who writes it.
    pub fn file<T>(&self, name: &str) -> StateFile<T> {
        StateFile {
            directory: self.0.clone(),
            path: self.0.join(name),
            content: PhantomData,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// A file with one value as JSON. All calls block on the disk.
#[derive(Debug)]
pub struct StateFile<T> {
    directory: PathBuf,
    path: PathBuf,
    content: PhantomData<fn(T) -> T>,
}

impl<T: Serialize + DeserializeOwned> StateFile<T> {
    /// What was written last; `None` if nothing ever was.
    pub fn read(&self) -> Result<Option<T>, StateError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed("read", error)),
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| StateError::Corrupt {
                file: self.path.clone(),
                line: source.line(),
                source,
            })
    }

    /// Writes the value. Once this returns it survives a crash of the
    /// machine; until then the one before does. A directory that was removed
    /// is created again.
    pub fn write(&mut self, value: &T) -> Result<(), StateError> {
        let bytes =
            serde_json::to_vec_pretty(value).map_err(|error| self.failed("write", error.into()))?;
        let mut written = replace(&self.path, &bytes, PRIVATE);
        if let Err(error) = &written
            && error.kind() == io::ErrorKind::NotFound
            && make(&self.directory).is_ok()
        {
            written = replace(&self.path, &bytes, PRIVATE);
        }
        written.map_err(|error| self.failed("write", error))
    }

    /// Moves a damaged file out of the way, for somebody to look at, and says
    /// so in the log. Gives its new name; an older one of that name is lost.
    pub fn set_aside(&mut self) -> Result<PathBuf, StateError> {
        let aside = with_suffix(&self.path, "corrupt");
        fs::rename(&self.path, &aside)
            .and_then(|()| File::open(&self.directory)?.sync_all())
            .map_err(|error| self.failed("set aside", error))?;
        error!(
            "the state file {} is damaged; it is kept as {}, and what it said is forgotten",
            self.path.display(),
            aside.display()
        );
        Ok(aside)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> StateError {
        StateError::File {
            doing,
            file: self.path.clone(),
            source,
        }
    }
}

fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

fn make_writable(directory: &Path) -> io::Result<()> {
    make(directory)?;
    let trial = directory.join(".writable");
    write_new(&trial, b"", PRIVATE)?;
    match fs::remove_file(&trial) {
        // Another process tried the same directory at the same time.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Ledger {
        services: Vec<String>,
    }

    fn ledger(service: &str) -> Ledger {
        Ledger {
            services: vec![service.to_owned()],
        }
    }

    fn said(error: StateError) -> String {
        Failure::from(error).to_string()
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else_is_left() {
        let root = tempfile::tempdir().unwrap();
        let directory = StateDir::open(root.path().join("a/b")).unwrap();
        let mut file = directory.file("ledger.json");
        assert_eq!(file.read().unwrap(), None);
        for service in ["one", "two"] {
            file.write(&ledger(service)).unwrap();
            assert_eq!(file.read().unwrap(), Some(ledger(service)));
        }
        let names: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["ledger.json"]);
    }

    #[test]
    fn nobody_else_may_look() {
        let root = tempfile::tempdir().unwrap();
        let directory = StateDir::open(root.path().join("state")).unwrap();
        let mut file = directory.file("secret.json");
        file.write(&ledger("x")).unwrap();
        for (path, mode) in [(directory.path(), 0o700), (file.path(), 0o600)] {
            let found = fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode, "{}", path.display());
        }
    }

    #[test]
    fn a_damaged_file_is_named_with_its_line_and_can_be_set_aside() {
        let root = tempfile::tempdir().unwrap();
        let directory = StateDir::open(root.path()).unwrap();
        let mut file = directory.file::<Ledger>("ledger.json");
        fs::write(file.path(), "{\n  \"services\": [\n    7\n").unwrap();
        let error = file.read().unwrap_err();
        assert!(matches!(error, StateError::Corrupt { line: 3, .. }));
        let path = file.path().display().to_string();
        let expected = format!(
            "the state file {path} is damaged at line 3: invalid type: integer `7`, \
             expected a string at line 3 column 5"
        );
        assert_eq!(said(error), expected);
        let aside = file.set_aside().unwrap();
        assert_eq!(aside.file_name().unwrap(), "ledger.json.corrupt");
        assert!(aside.exists());
        assert_eq!(file.read().unwrap(), None);
    }

    #[test]
    fn a_directory_that_cannot_be_is_named() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let failure = Failure::from(StateDir::open(file.join("state")).unwrap_err());
        assert_eq!(failure.code(), crate::process::exit::CONFIGURATION);
        let expected = format!(
            "the state directory {}/state cannot be used",
            file.display()
        );
        assert!(failure.to_string().starts_with(&expected), "{failure}");
    }

    #[test]
    fn a_directory_is_locked_until_its_holder_ends() {
        let root = tempfile::tempdir().unwrap();
        let directory = StateDir::existing(root.path()).unwrap();
        let lock = directory.lock().unwrap();
        let failure = Failure::from(directory.lock().unwrap_err());
        assert_eq!(failure.code(), crate::process::exit::CONFIGURATION);
        let message = failure.to_string();
        assert!(message.contains("in use by another process"), "{message}");
        assert!(message.contains("--state-dir"), "{message}");
        drop(lock);
        directory.lock().unwrap();
    }

    #[test]
    fn a_directory_that_was_removed_is_created_again() {
        let root = tempfile::tempdir().unwrap();
        let directory = StateDir::existing(root.path().join("state")).unwrap();
        let mut file = directory.file("ledger.json");
        file.write(&ledger("one")).unwrap();
        fs::remove_dir_all(directory.path()).unwrap();
        file.write(&ledger("two")).unwrap();
        assert_eq!(file.read().unwrap(), Some(ledger("two")));
    }

    #[test]
    fn a_write_that_fails_leaves_what_was_there() {
        let root = tempfile::tempdir().unwrap();
        let directory = StateDir::open(root.path()).unwrap();
        let mut file = directory.file("ledger.json");
        file.write(&ledger("one")).unwrap();
        fs::create_dir(root.path().join("ledger.json.tmp")).unwrap();
        let error = said(file.write(&ledger("two")).unwrap_err());
        let path = file.path().display();
        assert!(error.starts_with(&format!("cannot write the state file {path}: ")));
        assert_eq!(file.read().unwrap(), Some(ledger("one")));
    }
}
