//! Exit codes, and the last words on stderr.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;

use clap::Parser;

use super::logging::{self, Descriptor};
use crate::store::StoreError;

/// The command line is wrong (`EX_USAGE` of sysexits.h).
pub const USAGE: u8 = 64;
/// A one-shot command could not reach etcd (`EX_UNAVAILABLE`).
pub const UNAVAILABLE: u8 = 69;
/// Our own fault (`EX_SOFTWARE`).
pub const OWN_FAULT: u8 = 70;
/// The configuration is wrong, or another process has what this one needs
/// (`EX_CONFIG`). It may be put right meanwhile, so it can be tried again, slowly.
pub const CONFIGURATION: u8 = 78;

type BoxError = Box<dyn Error + Send + Sync>;

/// An error on its way out of the process: the exit code, and what to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    code: u8,
    words: Vec<String>,
}

impl Failure {
    /// Ends with this code and the error's whole chain of causes.
    pub fn new(code: u8, error: impl Into<BoxError>) -> Self {
        let error = error.into();
        let mut words = Vec::new();
        let mut next: Option<&(dyn Error + 'static)> = Some(error.as_ref());
        while let Some(error) = next {
            words.push(error.to_string());
            next = error.source();
        }
        Self { code, words }
    }

    /// Ends with this code without a word: it was all said, or is no error.
    pub fn silent(code: u8) -> Self {
        Self {
            code,
            words: Vec::new(),
        }
    }

    /// The command line is wrong.
    pub fn usage(error: impl Into<BoxError>) -> Self {
        Self::new(USAGE, error)
    }

    /// The configuration is wrong.
    pub fn configuration(error: impl Into<BoxError>) -> Self {
        Self::new(CONFIGURATION, error)
    }

    /// An error that nothing is known about. What a store said is looked for
    /// among its causes; else it is our own fault.
    pub fn unexpected(error: impl Into<BoxError>) -> Self {
        let error = error.into();
        Self::new(code_in_chain(error.as_ref()).unwrap_or(OWN_FAULT), error)
    }

    /// For `map_err`: what the operating system refused, and for which file,
    /// program or other thing, which its own message never says.
    pub fn io(action: &'static str, object: impl fmt::Display) -> impl FnOnce(io::Error) -> Self {
        let doing = format!("cannot {action} {object}");
        move |error| Self::unexpected(error).context(doing)
    }

    /// Says first what was being done.
    #[must_use]
    pub fn context(mut self, doing: impl Into<String>) -> Self {
        self.words.insert(0, doing.into());
        self
    }

    /// Ends with another code, and says the same.
    #[must_use]
    pub fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        self.code
    }
}

/// All causes, outermost first. One that its predecessor quoted already is
/// not said twice.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = "";
        for words in &self.words {
            if last.ends_with(words.as_str()) {
                continue;
            }
            if !last.is_empty() {
                f.write_str(": ")?;
            }
            f.write_str(words)?;
            last = words;
        }
        Ok(())
    }
}

impl Error for Failure {}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(store_code(&error), error)
    }
}

/// The exit code for what a store said: configuration where somebody has to
/// change something, unavailable where waiting would help.
pub fn store_code(error: &StoreError) -> u8 {
    match error {
        StoreError::Configuration(_) | StoreError::Denied { .. } => CONFIGURATION,
        StoreError::Unavailable { .. } | StoreError::NoSpace { .. } => UNAVAILABLE,
        StoreError::Compacted | StoreError::LeaseGone(_) | StoreError::Rejected { .. } => OWN_FAULT,
    }
}

fn code_in_chain(error: &(dyn Error + 'static)) -> Option<u8> {
    if let Some(error) = error.downcast_ref::<StoreError>() {
        return Some(store_code(error));
    }
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return Some(failure.code);
    }
    code_in_chain(error.source()?)
}

/// `?` for errors that know no exit code.
pub trait OrExit<T> {
    /// The value, or a [`Failure`] with this code.
    fn or_exit(self, code: u8) -> Result<T, Failure>;
}

impl<T, E: Into<BoxError>> OrExit<T> for Result<T, E> {
    fn or_exit(self, code: u8) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(code, error))
    }
}

/// The whole of a binary's `main`: reads the command line, runs the program,
/// says on stderr why it failed as `program: …: …`, and gives the exit code.
///
/// A wrong command line exits 64, `--help` and `--version` 0; a panic
/// anywhere ends the process with 70, so that no task dies unnoticed.
pub fn main<P: Parser>(run: impl FnOnce(P) -> Result<ExitCode, Failure>) -> ExitCode {
    exit_on_panic();
    let arguments = match P::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    match run(arguments) {
        Ok(code) => code,
        Err(failure) => {
            tell(P::command().get_name(), &failure);
            ExitCode::from(failure.code)
        }
    }
}

/// Says what clap found: wrong on stderr, asked for on stdout.
fn usage(error: &clap::Error) -> ExitCode {
    // Nothing is left to do if nobody listens.
    let _ = error.print();
    if error.use_stderr() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::SUCCESS
    }
}

fn tell(program: &str, failure: &Failure) {
    if failure.words.is_empty() {
        return;
    }
    // The journal takes the priority of a line of text from such a prefix:
    // sd-daemon(3). 3 is "error".
    let priority = if logging::is_journal(Descriptor::Stderr) {
        "<3>"
    } else {
        ""
    };
    eprintln!("{priority}{program}: {failure}");
}

fn exit_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::exit(i32::from(OWN_FAULT));
    }));
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::model::LeaseId;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the tree")]
    struct Reading(#[source] StoreError);

    fn unavailable() -> StoreError {
        StoreError::Unavailable {
            endpoints: "http://e:2379".to_owned(),
            reason: "connection refused".to_owned(),
        }
    }

    #[test]
    fn the_whole_chain_is_said_outermost_first() {
        let failure = Failure::unexpected(Reading(unavailable())).context("lbmanager plan");
        assert_eq!(
            failure.to_string(),
            "lbmanager plan: cannot read the tree: \
             etcd at http://e:2379 does not answer: connection refused"
        );
    }

    #[test]
    fn a_cause_that_was_quoted_is_not_said_twice() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot open the file: {0}")]
        struct Quoting(#[source] io::Error);

        let failure = Failure::configuration(Quoting(io::Error::other("disk on fire")));
        assert_eq!(failure.to_string(), "cannot open the file: disk on fire");
    }

    #[test]
    fn what_the_system_refused_is_named() {
        let failed = Failure::io("read", "/proc/boot_id")(io::ErrorKind::NotFound.into());
        assert_eq!(
            failed.to_string(),
            "cannot read /proc/boot_id: entity not found"
        );
        assert_eq!(failed.code(), OWN_FAULT);
    }

    #[test]
    fn what_the_store_said_decides_the_code() {
        let denied = StoreError::Denied {
            endpoints: String::new(),
            reason: String::new(),
            subject: String::new(),
        };
        let rejected = StoreError::Rejected {
            endpoints: String::new(),
            reason: String::new(),
        };
        for (error, code) in [
            (unavailable(), UNAVAILABLE),
            (denied, CONFIGURATION),
            (StoreError::Configuration(String::new()), CONFIGURATION),
            (rejected, OWN_FAULT),
            (StoreError::Compacted, OWN_FAULT),
            (StoreError::LeaseGone(LeaseId(1)), OWN_FAULT),
        ] {
            assert_eq!(Failure::from(error.clone()).code(), code, "{error:?}");
            assert_eq!(Failure::unexpected(Reading(error)).code(), code);
        }
        assert_eq!(Failure::unexpected("no idea").code(), OWN_FAULT);
    }

    #[test]
    fn a_failure_keeps_its_code_inside_of_others() {
        let failure = Failure::usage("--user holds a colon");
        assert_eq!(Failure::unexpected(failure).code(), USAGE);
        let error: Result<(), _> = Err(io::Error::other("full"));
        let failure = error.or_exit(CONFIGURATION).unwrap_err();
        assert_eq!(
            (failure.code(), failure.to_string()),
            (78, "full".to_owned())
        );
    }
}
