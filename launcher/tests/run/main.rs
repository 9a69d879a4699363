//! `launcher run` as a process, with a real Docker and a real etcd.
//!
//! All tests share one Docker daemon and one etcd, which end with this program, but for those that
//! take one away: they have one of their own. Each has a service of its own, and leaves nothing of
//! it.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod ends;
mod instance;
mod kills;
mod managers;
mod output;
mod refused;
mod registry;
mod revisions;
mod serves;
mod undefined;
mod withdrawn;
mod without_docker;
mod without_etcd;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use testbed::docker::{Docker, Image};
use testbed::etcd::{Client, Etcd};

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_mins(1);

/// What tests share. Clones do, too.
#[derive(Clone)]
struct Rig {
    etcd: Client,
    image: Arc<Image>,
    docker: Docker,
}

impl Rig {
    /// With a Docker and an etcd of its own.
    async fn set_up(docker: Docker) -> (Self, Etcd) {
        let etcd = Etcd::start().await.unwrap();
        let rig = Self {
            etcd: etcd.clone(),
            image: Arc::new(docker.contained(&[]).await.unwrap()),
            docker,
        };
        (rig, etcd)
    }

    /// The same with another etcd, which nobody else uses.
    async fn with_own_etcd(&self) -> (Self, Etcd) {
        let etcd = Etcd::start().await.unwrap();
        let rig = Self {
            etcd: etcd.clone(),
            ..self.clone()
        };
        (rig, etcd)
    }
}

macro_rules! trials {
    ($tasks:ident, $rig:ident, $($module:ident: $($name:ident),+ $(,)?;)+) => {
        vec![$($({
            let (tasks, rig) = (Arc::clone(&$tasks), $rig.clone());
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
    let (rig, etcd) = tasks.block_on(async {
        let docker = Docker::start_linked().await.unwrap();
        Rig::set_up(docker).await
    });
    let mut trials = trials!(
        tasks, rig,
        serves: from_start_to_stop, not_ready_and_ready_again, dead_by_its_probes,
            an_operator_deletes_its_key, killed_and_adopted, adopted_at_once, another_definition, a_paused_container,
            drained_until_the_last_connection_is_over,
            its_own_probes_do_not_hold_it_up, nowhere;
        ends: by_itself, out_of_memory, never_healthy, removed_by_somebody, while_it_starts,
            two_of_one_instance;
        kills: at_every_moment, while_it_is_pulled, among_neighbours, its_name_is_taken,
            what_was_told_to_end_is_not_adopted;
        refused: no_such_command, no_program, a_port_that_is_taken, a_network_that_is_missing,
            a_name_that_another_has, an_image_that_is_nowhere;
        registry: pulled_with_words, not_there, down, refuses_connections, wants_credentials,
            told_to_end_in_the_middle, silent, says_nothing;
        undefined: nothing_at_all, a_mistake_ends_nothing_that_serves, does_not_parse, refused_by_the_policy, unknown_revision,
            wrong_arguments;
        output: each_line_once_though_launcher_is_killed, nothing_lost_at_the_end;
        without_etcd: at_start_with_what_was_kept, at_start_without, while_it_runs, at_stop,
            paused_for_longer_than_its_lease;
        without_docker: restarted, restarted_and_its_containers_ended, at_start,
            told_to_end_at_start, frozen, told_to_end_while_frozen;
        revisions: in_every_order;
        managers: of_both_roles_are_waited_for, of_many_hosts_cost_what_those_of_one_do;
        withdrawn: announced, add_only;
    );
    let soak = trials!(tasks, rig, kills: at_any_time; revisions: killed_in_every_order;);
    let soak = soak.into_iter().map(|trial| trial.with_ignored_flag(true));
    trials.extend(soak);
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop((rig, etcd));
    conclusion.exit_code()
}
