//! What can go wrong in a rig, said so that the reader of a failed test knows what to do.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use crate::wait::TimedOut;

/// Result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a rig did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program that the rig runs is not on this machine.
    #[error("{program} is not installed: {install}")]
    MissingProgram {
        /// The program looked for.
        program: String,
        /// The command that installs it.
        install: String,
    },

    /// A program could not be started.
    #[error("cannot start {program}")]
    Spawn {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },

    /// A program that should go on running ended.
    #[error("{program} ended with {status}; its last words:\n{output}")]
    Ended {
        /// The program.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of its output.
        output: String,
    },

    /// A command run to its end failed.
    #[error("`{command}` failed with {status}: {stderr}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to standard error.
        stderr: String,
    },

    /// A file, socket or process could not be handled.
    #[error("cannot {action} {object}")]
    Io {
        /// What was tried, as an infinitive.
        action: &'static str,
        /// On what: a path or an address.
        object: String,
        /// What the system said.
        source: io::Error,
    },

    /// An answer could not be understood.
    #[error("unexpected answer from {from}: {detail}")]
    Answer {
        /// Who answered.
        from: String,
        /// What was wrong with it.
        detail: String,
    },

    /// A certificate could not be made.
    #[error("cannot make the certificate of {0}")]
    Certificate(String, #[source] rcgen::Error),

    /// The rig cannot do this in the state or setting it is in.
    #[error("{0}")]
    Misuse(String),

    /// Something awaited did not come.
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
}

impl Error {
    /// The error and all its causes, in one line.
    pub fn chain(&self) -> String {
        let causes = std::iter::successors(self.source(), |cause| (*cause).source());
        causes.fold(self.to_string(), |text, cause| format!("{text}: {cause}"))
    }

    /// For `map_err`: wraps an IO error with what was tried on which path.
    pub(crate) fn io(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(io::Error) -> Self {
        let object = path.as_ref().display().to_string();
        move |source| Self::Io {
            action,
            object,
            source,
        }
    }

    pub(crate) fn answer(from: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Answer {
            from: from.into(),
            detail: detail.into(),
        }
    }
}

/// Finds `program` in `PATH`.
pub(crate) fn find_program(program: &str, install: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| Error::MissingProgram {
            program: program.to_owned(),
            install: install.to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told() {
        let error = Error::io("read", "/none")(io::ErrorKind::NotFound.into());
        assert_eq!(error.chain(), "cannot read /none: entity not found");
    }

    #[test]
    fn a_missing_program_names_what_to_install() {
        let error = find_program("no-such-program", "apt-get install nothing").unwrap_err();
        assert_eq!(
            error.to_string(),
            "no-such-program is not installed: apt-get install nothing"
        );
    }
}
