//! The tests, as `cargo test` sees them: each waits for its outcome from one of the guests.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};

use super::inside::MARK;
use super::marks::{Event, Reader};
use super::{Case, Suite};
use crate::error::{Error, Result};
use crate::guest::capture::Listener;
use crate::guest::{Finished, Guest, Running};

/// How much of a test's output is quoted where it failed: the end.
const QUOTED: usize = 64 * 1024;

/// A whole host takes much memory, and 10 seconds to boot: more than these gain little.
const HOSTS: usize = 2;

type Outcome = std::result::Result<(), String>;

/// The run of some tests in a guest, started by the first that wants its outcome.
struct Session {
    suite: Suite,
    names: Vec<&'static str>,
    echo: bool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    thread: Option<JoinHandle<()>>,
    /// The test that runs, and its output so far.
    current: Option<(String, String)>,
    outcomes: BTreeMap<String, Outcome>,
    /// How the guest ended; no more outcomes come.
    over: Option<String>,
}

pub(super) fn main(suite: &Suite) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or_else(threads_of_environment);
    let wanted = |case: &&Case| {
        let trial = trial(case, || Ok(()));
        !arguments.is_filtered_out(&trial) && !arguments.is_ignored(&trial)
    };
    let wanted: Vec<&'static str> = suite
        .cases
        .iter()
        .filter(wanted)
        .map(|case| case.name)
        .collect();
    let most = if suite.host { HOSTS } else { usize::MAX };
    let guests = guests(&arguments, wanted.len()).min(most);
    let sessions: Vec<Arc<Session>> = (0..guests)
        .map(|guest| {
            // Dealt by turns: those that take long often stand side by side.
            let names = wanted.iter().skip(guest).step_by(guests).copied();
            Arc::new(Session::new(suite, names.collect(), &arguments))
        })
        .collect();
    let trials = suite.cases.iter().map(|case| {
        let name = case.name;
        let has_it = |session: &&Arc<Session>| session.names.contains(&name);
        // One that is not wanted runs nowhere.
        let session = sessions.iter().find(has_it).map(Arc::clone);
        trial(case, move || match session {
            Some(session) => Ok(Session::outcome(&session, name)?),
            None => Err("it was not wanted".into()),
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    for session in sessions {
        // So that the guest takes its leave.
        let thread = session.state().thread.take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
    conclusion.exit_code()
}

/// As Rust's own test programs have it.
fn threads_of_environment() -> Option<usize> {
    std::env::var("RUST_TEST_THREADS").ok()?.parse().ok()
}

/// One for each test that may run at a time.
fn guests(arguments: &Arguments, tests: usize) -> usize {
    let processors = || std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = arguments.test_threads.unwrap_or_else(processors);
    threads.min(tests).max(1)
}

fn trial(case: &Case, run: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    Trial::test(case.name, run).with_ignored_flag(case.is_soak)
}

impl Session {
    fn new(suite: &Suite, names: Vec<&'static str>, arguments: &Arguments) -> Self {
        Self {
            suite: suite.clone(),
            names,
            echo: arguments.nocapture,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Waits for the outcome of a test.
    fn outcome(self: &Arc<Self>, name: &str) -> Outcome {
        let mut state = self.state();
        if state.thread.is_none() && state.over.is_none() {
            let session = Arc::clone(self);
            state.thread = Some(std::thread::spawn(move || session.run()));
        }
        loop {
            if let Some(outcome) = state.outcomes.remove(name) {
                return outcome;
            }
            if let Some(why) = &state.over {
                return Err(format!("not run: {why}"));
            }
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The thread that has the guest.
    fn run(self: &Arc<Self>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::io("make", "a runtime"));
        let ran = runtime.and_then(|runtime| runtime.block_on(self.guest()));
        let why = match ran {
            Ok(Finished { status, stderr, .. }) => {
                format!("the tests in the guest ended with {status}\n{stderr}")
            }
            Err(error) => error.chain(),
        };
        let mut state = self.state();
        if let Some((name, text)) = state.current.take() {
            let why = format!("while it ran: {why}\n{text}");
            state.outcomes.insert(name, Err(why));
        }
        state.over = Some(why);
        drop(state);
        self.changed.notify_all();
    }

    async fn guest(self: &Arc<Self>) -> Result<Finished> {
        let program = std::env::current_exe().map_err(Error::io("find", "this program"))?;
        let mark = format!("={:016x}", fastrand::u64(..));
        let cases = self.suite.cases.iter();
        let cases = cases.filter(|case| self.names.contains(&case.name));
        let rounds: u32 = cases.map(Case::rounds).sum::<Result<u32>>()?;
        // Each ends in time by itself, if the guest does not hang.
        let limit = self.suite.time_limit.saturating_mul(rounds) + Duration::from_mins(1);
        let guest = Guest::new()?;
        let guest = if self.suite.host { guest.host() } else { guest };
        let guest = (self.suite.guest)(guest).env(MARK, &mark).time_limit(limit);
        let names = self.names.iter().map(OsString::from);
        let command: Vec<OsString> = std::iter::once(program.into()).chain(names).collect();
        let listener = self.listener(mark);
        let running = Running::start(&guest, &command, Some(listener)).await?;
        running.wait().await
    }

    fn listener(self: &Arc<Self>, mark: String) -> Listener {
        let session = Arc::clone(self);
        let mut reader = Reader::new(mark);
        Box::new(move |bytes| {
            for event in reader.read(bytes) {
                session.hear(event);
            }
        })
    }

    fn hear(&self, event: Event) {
        let mut state = self.state();
        match event {
            Event::Begun(name) => state.current = Some((name, String::new())),
            Event::Output(text) => {
                if self.echo {
                    print!("{text}");
                }
                if let Some((_, output)) = &mut state.current {
                    let _ = output.write_str(&text);
                    let excess = output.len().saturating_sub(QUOTED);
                    output.drain(..output.ceil_char_boundary(excess));
                }
            }
            Event::Ended(name, outcome) => {
                let output = state.current.take().map(|(_, output)| output);
                let outcome =
                    outcome.map_err(|why| format!("{why}\n{}", output.unwrap_or_default().trim()));
                state.outcomes.insert(name, outcome);
                self.changed.notify_all();
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
