//! Tests that run in guests, shown one by one.
//!
//! A test program with `harness = false` in its `[[test]]` section lists its tests:
//!
//! ```no_run
//! # use std::process::ExitCode;
//! async fn a_table_is_empty() {
//!     assert!(!std::path::Path::new("/proc/net/ip_vs_stats").exists());
//! }
//!
//! async fn for_long() { /* a round of it */ }
//!
//! fn main() -> ExitCode {
//!     testbed::guest::suite::Suite::new(testbed::kernel_tests![
//!         a_table_is_empty,
//!         #[soak] for_long,
//!     ])
//!     .guest(|guest| guest.memory_mib(1024).modules(["fou"]))
//!     .main()
//! }
//! ```
//!
//! `cargo test` starts it outside. It boots as many guests as tests may run side by side, one for
//! each processor unless told otherwise, and deals the tests to them. A guest runs the program
//! again, and that runs each test in a process of its own, one after the other, with network and
//! mount namespaces of their own: `lo` is up, no service is in the kernel's table, /run is empty.
//! So a test that crashes, hangs or leaves something behind is in nobody's way.
//!
//! Filters, `--skip`, `--exact`, `--list`, `--ignored`, `--include-ignored`, `--nocapture` and
//! `--test-threads` (`RUST_TEST_THREADS`) are those of every test program. Nothing is skipped:
//! without what a guest needs all tests fail, and say what to install. If a guest dies, so do the
//! tests that it had not done.

mod inside;
mod marks;
mod outside;

use std::fmt;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use super::Guest;
use crate::soak;

/// Lists tests for a [`Suite`]: paths of functions `async fn()`. `#[soak]` before one makes it one
/// that runs only when ignored tests are asked for, and then for as many [rounds](crate::soak) as
/// are wished for, each a process with a network of its own and the time limit of a test.
#[macro_export]
macro_rules! kernel_tests {
    ($($(#[$kind:ident])? $test:path),* $(,)?) => {
        vec![$(
            $crate::guest::suite::Case::new(stringify!($test), || ::std::boxed::Box::pin($test()))
                $(.$kind())?
        ),*]
    };
}

/// What a test does.
type Body = fn() -> Pin<Box<dyn Future<Output = ()>>>;

/// One test.
#[derive(Clone, Copy)]
pub struct Case {
    name: &'static str,
    body: Body,
    is_soak: bool,
}

impl Case {
    /// A test with a name; see `kernel_tests`.
    pub fn new(name: &'static str, body: Body) -> Self {
        Self {
            name,
            body,
            is_soak: false,
        }
    }

    /// Too long for every day.
    #[must_use]
    pub fn soak(mut self) -> Self {
        self.is_soak = true;
        self
    }

    /// How often it runs, one after the other.
    fn rounds(&self) -> crate::Result<u32> {
        if self.is_soak { soak::rounds() } else { Ok(1) }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Case({})", self.name)
    }
}

/// The tests of a program.
#[derive(Debug, Clone)]
pub struct Suite {
    cases: Vec<Case>,
    guest: fn(Guest) -> Guest,
    time_limit: Duration,
    host: bool,
}

impl Suite {
    /// Of these tests.
    pub fn new(cases: Vec<Case>) -> Self {
        Self {
            cases,
            guest: std::convert::identity,
            time_limit: Duration::from_mins(1),
            host: false,
        }
    }

    /// Makes the guest what these tests need.
    #[must_use]
    pub fn guest(mut self, change: fn(Guest) -> Guest) -> Self {
        self.guest = change;
        self
    }

    /// Runs them on whole [hosts](crate::host), at most two: there one after the other, as root and
    /// without namespaces of their own, so each has to begin with what it needs.
    #[must_use]
    pub fn host(mut self) -> Self {
        self.host = true;
        self
    }

    /// How long each test may take, instead of a minute.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// The whole `main` of the test program.
    pub fn main(self) -> ExitCode {
        if let Some(name) = std::env::var_os(inside::CASE) {
            return inside::case(&self, &name.to_string_lossy());
        }
        match std::env::var(inside::MARK) {
            Ok(mark) => inside::all(&mark, &self),
            Err(_) => outside::main(&self),
        }
    }
}
