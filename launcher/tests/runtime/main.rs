//! What every runtime promises, tried on Docker itself and on the one in memory; and what only the
//! real one can do to us.
//!
//! All tests share one Docker daemon, which ends with this program.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod assembled;
mod built;
mod contract;
mod memory;
mod outage;
mod output;
mod probed;
mod real;
mod registry;
mod words;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use launcher::instance::InstanceName;
use launcher::runtime::spec::Joined;
use launcher::runtime::{
    Container, ContainerRuntime, ContainerSpec, Identity, Ours, RuntimeError, State, Stream,
};
use libtest_mimic::{Arguments, Trial};
use presence::model::DefinitionRevision;

use self::memory::InMemory;
use self::real::Real;

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// So often it is looked again without a nudge, as a driver does.
const TICK: Duration = Duration::from_secs(1);

/// A runtime, and what others do on its host.
trait Rig: Sync {
    type Runtime: ContainerRuntime;

    fn runtime(&self) -> &Self::Runtime;

    /// An image that the host has; its program ends with 0 by SIGTERM.
    fn image(&self) -> String;

    /// A command in a container that ends with 0 and writes nothing.
    fn command(&self) -> Vec<String>;

    /// The program of a container ends by itself.
    async fn exit(&self, ours: &Ours, code: u8);

    async fn pause(&self, ours: &Ours, paused: bool);

    async fn remove_by_hand(&self, ours: &Ours);

    /// Somebody else's container of this name, with these labels, which runs.
    async fn neighbour(&self, name: &str, labels: &[(String, String)]);

    /// The program of a container writes a line: this text, a space and 1.
    async fn write(&self, ours: &Ours, stream: Stream, text: &str);

    /// The names of all containers that run.
    async fn running(&self) -> Vec<String>;

    /// A port of the host where somebody else listens.
    async fn taken_port(&self) -> u16;
}

/// An instance that no other test has.
fn identity() -> Identity {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    Identity {
        service: format!("web-{number}").parse().unwrap(),
        instance: InstanceName::Newest,
        host_id: "host-a".parse().unwrap(),
    }
}

fn revision() -> DefinitionRevision {
    "42-0a1b2c3d".parse().unwrap()
}

fn joined(network: &str) -> Joined {
    Joined {
        name: network.to_owned(),
        aliases: Vec::new(),
    }
}

fn spec<R: Rig>(rig: &R) -> ContainerSpec {
    ContainerSpec::new(identity(), revision(), rig.image())
}

async fn started<R: Rig>(rig: &R) -> Ours {
    let runtime = rig.runtime();
    let ours = runtime.create(&spec(rig)).await.unwrap();
    runtime.start(&ours).await.unwrap();
    ours
}

/// As a driver of it does: looks again at each nudge.
async fn seen<R: ContainerRuntime>(
    runtime: &R,
    ours: &Ours,
    what: &str,
    mut nudges: BoxStream<'static, Result<(), RuntimeError>>,
    mut holds: impl FnMut(Option<&Container>) -> bool,
) -> Option<Container> {
    let looking = async {
        loop {
            let found = runtime.inspect(ours).await.unwrap();
            if holds(found.as_ref()) {
                return found;
            }
            // Some of what is looked for Docker learns later than what it nudges for.
            if let Ok(nudge) = tokio::time::timeout(TICK, nudges.next()).await {
                nudge.expect("nudges go on").unwrap();
            }
        }
    };
    let found = tokio::time::timeout(DEADLINE, looking).await;
    found.unwrap_or_else(|_| panic!("waited {DEADLINE:?} for {what}"))
}

async fn ended<R: ContainerRuntime>(runtime: &R, ours: &Ours) -> launcher::runtime::Exit {
    let nudges = runtime.nudges(ours);
    let has_ended = |found: Option<&Container>| {
        found.is_some_and(|found| matches!(found.state, State::Exited(_)))
    };
    let found = seen(runtime, ours, "it to end", nudges, has_ended).await;
    match found.map(|found| found.state) {
        Some(State::Exited(exit)) => exit,
        other => panic!("{other:?}"),
    }
}

/// The same tests for both.
macro_rules! contract {
    ($trials:ident, $runtime:ident, $real:ident, $($name:ident),+ $(,)?) => {
        $(
            let (runtime, real) = (Arc::clone(&$runtime), Arc::clone(&$real));
            $trials.push(Trial::test(concat!("docker::", stringify!($name)), move || {
                runtime.block_on(contract::$name(&*real));
                Ok(())
            }));
            let runtime = Arc::clone(&$runtime);
            $trials.push(Trial::test(concat!("memory::", stringify!($name)), move || {
                runtime.block_on(contract::$name(&InMemory::new()));
                Ok(())
            }));
        )+
    };
}

macro_rules! only_real {
    ($trials:ident, $runtime:ident, $real:ident, $($module:ident: $($name:ident),+;)+) => {
        $($(
            let (runtime, real) = (Arc::clone(&$runtime), Arc::clone(&$real));
            let name = concat!(stringify!($module), "::", stringify!($name));
            $trials.push(Trial::test(name, move || {
                runtime.block_on($module::$name(&real));
                Ok(())
            }));
        )+)+
    };
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let tasks = Arc::new(tokio::runtime::Runtime::new().unwrap());
    let real = Arc::new(tasks.block_on(Real::start()));
    let mut trials = Vec::new();
    contract!(
        trials,
        tasks,
        real,
        a_life,
        exit_codes,
        signals,
        what_is_done_already,
        held_by_somebody,
        removed_by_somebody,
        no_image,
        a_taken_name,
        a_taken_port,
        a_missing_network,
        neighbours,
        output,
        no_output,
        commands,
        anybody_s,
    );
    only_real!(
        trials, tasks, real,
        assembled: from_a_rich_definition, options_of_volumes;
        built: from_a_directory, a_step_that_fails;
        outage: docker_goes_and_comes_back, nobody_there;
        probed: where_it_is, by_address, by_command, by_the_image, fast_at_the_start;
        registry: pulled_with_progress, not_there, wants_credentials, has_credentials, down, silent;
        words: as_docker_has_it, no_command, no_program, out_of_memory, several_networks, image_health;
        output: parts, a_terminal, bounded_on_the_disk;
    );
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(real);
    conclusion.exit_code()
}
