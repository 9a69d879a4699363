//! `launcher run` as a process, with a real Docker and a real etcd.
//!
//! All tests share one Docker daemon and one etcd, which end with this program; each has a service
//! of its own, and leaves nothing of it.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod ends;
mod instance;
mod kills;
mod revisions;
mod serves;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use testbed::docker::{Docker, Image};
use testbed::etcd::Etcd;

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_mins(1);

/// What all tests share.
struct Rig {
    etcd: Etcd,
    image: Image,
    docker: Docker,
}

impl Rig {
    async fn set_up() -> Self {
        let docker = Docker::start_linked().await.unwrap();
        Self {
            etcd: Etcd::start().await.unwrap(),
            image: docker.contained(&[]).await.unwrap(),
            docker,
        }
    }
}

macro_rules! trials {
    ($tasks:ident, $rig:ident, $($module:ident: $($name:ident),+ $(,)?;)+) => {
        vec![$($({
            let (tasks, rig) = (Arc::clone(&$tasks), Arc::clone(&$rig));
            let name = concat!(stringify!($module), "::", stringify!($name));
            Trial::test(name, move || {
                tasks.block_on($module::$name(&rig));
                Ok(())
            })
        }),+),+]
    };
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let tasks = Arc::new(tokio::runtime::Runtime::new().unwrap());
    let rig = Arc::new(tasks.block_on(Rig::set_up()));
    let mut trials = trials!(
        tasks, rig,
        serves: from_start_to_stop, not_ready_and_ready_again, dead_by_its_probes,
            an_operator_deletes_its_key, killed_and_adopted, adopted_at_once,
            another_definition, a_paused_container, drained_until_the_last_connection_is_over, nowhere;
        ends: by_itself, out_of_memory, never_healthy, removed_by_somebody, while_it_starts,
            two_of_one_instance;
        kills: at_every_moment, while_it_is_pulled, among_neighbours, its_name_is_taken,
            what_was_told_to_end_is_not_adopted;
        revisions: in_every_order;
    );
    let soak = trials!(tasks, rig, kills: at_any_time; revisions: killed_in_every_order;);
    let soak = soak.into_iter().map(|trial| trial.with_ignored_flag(true));
    trials.extend(soak);
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(rig);
    conclusion.exit_code()
}
