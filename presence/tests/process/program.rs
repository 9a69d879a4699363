//! How a binary is put together from `presence::process`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};
use presence::process::args::{CommonArgs, DaemonArgs};
use presence::process::cli::{CompletionsArgs, ManArgs};
use presence::process::etcd_args::EtcdArgs;
use presence::process::exit::{self, Failure, OWN_FAULT, OrExit};
use presence::process::health::{Health, Heartbeat};
use presence::process::shutdown::Shutdown;
use presence::process::systemd::Manager;
use presence::process::{VERSION, cli, logging, metrics};
use tokio::task::JoinSet;

/// Shows the plumbing at work.
#[derive(Parser)]
#[command(name = "plumbing", version = VERSION)]
struct Cli {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    etcd: EtcdArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs until it is told to stop
    Run(DaemonArgs),
    /// Runs, and does not do what it is told
    Stuck,
    /// Shows how etcd would be reached
    Etcd,
    /// Dies of its own fault
    Panic,
    /// Prints a completion script
    Completions(CompletionsArgs),
    /// Writes the manual pages
    #[command(hide = true)]
    Man(ManArgs),
}

pub fn main() -> ExitCode {
    exit::main(|cli: Cli| {
        logging::init(cli.common.log_format)?;
        match cli.command {
            Command::Run(arguments) => run(&arguments),
            Command::Stuck => stuck(),
            Command::Etcd => cli::print(format!("{:#?}\n", cli.etcd.config()?).as_bytes()),
            Command::Panic => panic!("on purpose"),
            Command::Completions(arguments) => return arguments.write(&mut Cli::command()),
            Command::Man(arguments) => return arguments.write(Cli::command()),
        }?;
        Ok(ExitCode::SUCCESS)
    })
}

fn stuck() -> Result<(), Failure> {
    let _shutdown = Shutdown::from_signals().or_exit(OWN_FAULT)?;
    tracing::info!("stuck");
    loop {
        std::thread::park();
    }
}

#[tokio::main]
async fn run(arguments: &DaemonArgs) -> Result<(), Failure> {
    let shutdown = Shutdown::from_signals().or_exit(OWN_FAULT)?;
    let health = Health::starting();
    let (notifier, sender) = Manager::from_env()?.connect(health.clone());
    let mut starts = arguments
        .state_dir(Path::new("/var/lib/plumbing"))?
        .file::<u32>("starts.json");
    let start = starts.read()?.unwrap_or(0) + 1;
    starts.write(&start)?;

    let mut tasks: JoinSet<&'static str> = JoinSet::new();
    let sending = tokio::spawn(sender.run());
    if let Some(endpoint) = arguments.listen.listen().await? {
        let registry = Arc::new(metrics::registry("plumbing"));
        let serving = endpoint.serve(health.clone(), registry);
        tasks.spawn(async {
            let _ = serving.await;
            "http"
        });
    }
    tasks.spawn(work(health.heartbeat("work", Duration::from_secs(10))));
    notifier.status(format!("start {start}"));
    health.ready();

    // Both arms are cancel-safe. No task ends before the shutdown.
    let ended = tokio::select! {
        () = shutdown.triggered() => None,
        task = tasks.join_next() => task,
    };
    notifier.stopping();
    notifier.finish();
    sending.await.or_exit(OWN_FAULT)?;
    match ended {
        None => Ok(()),
        Some(task) => Err(Failure::unexpected(format!("a task ended: {task:?}"))),
    }
}

async fn work(heartbeat: Heartbeat) -> &'static str {
    let mut ticks = tokio::time::interval(heartbeat.limit() / 4);
    loop {
        ticks.tick().await;
        heartbeat.beat();
    }
}
