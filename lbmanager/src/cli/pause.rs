//! `lbmanager pause` and `lbmanager resume`.

use std::process::ExitCode;

use clap::Args;
use presence::keys::TreeKey;
use presence::model::{BalancerId, BalancerOptions, OptionsError};
use presence::process::cli;
use presence::process::exit::Failure;
use presence::store::Store;
use serde_json::Value;

use super::edit::Empty;
use super::{TreeArgs, edit, read, refused, words};

pub(super) const EXAMPLE: &str = "Examples:
  lbmanager pause elb/us-east-1/web
  lbmanager pause --all

Nothing is put into or taken out of a paused load balancer; what would be done is shown by
lbmanager status and lbmanager plan.";

pub(super) const EXAMPLE_BACK: &str = "Examples:
  lbmanager resume elb/us-east-1/web
  lbmanager resume --all

Exits 1 where it stays paused because everything is.";

/// Flags of `pause` and `resume`.
#[derive(Debug, Clone, Args)]
pub struct PauseArgs {
    #[command(flatten)]
    tree: TreeArgs,

    /// The load balancer, with or without the prefix
    #[arg(value_name = "TYPE/REGION/NAME", required_unless_present = "all")]
    balancer: Option<String>,

    /// Everything in the tree
    #[arg(long, conflicts_with = "balancer")]
    all: bool,
}

pub(super) async fn run(args: PauseArgs, pause: bool) -> Result<ExitCode, Failure> {
    let balancer = args.balancer.as_deref();
    let balancer = balancer.map(|name| args.tree.balancer(name)).transpose()?;
    let store = args.tree.one_shot().await?;
    let what = match &balancer {
        None => TreeKey::Config,
        Some(id) => TreeKey::BalancerConfig(id.clone()),
    };
    let key = args.tree.prefix.key(&what);
    let written = edit::edit(&store, &key, check, Empty::Deleted, |_, fields| {
        let before = fields.get("paused").and_then(Value::as_bool);
        match (pause, before) {
            (true, Some(true)) | (false, None | Some(false)) => {}
            (true, _) => {
                fields.insert("paused".to_owned(), Value::Bool(true));
            }
            (false, _) => {
                fields.remove("paused");
            }
        }
        Ok(())
    });
    let written = written.await?;
    let name = balancer
        .as_ref()
        .map_or("everything".to_owned(), ToString::to_string);
    cli::print(format!("{name}: {}\n", outcome(pause, written.is_some())).as_bytes())?;
    match balancer {
        None => tell_exceptions(&store, &args.tree, pause).await?,
        Some(id) => check_one(&store, &args.tree, &id, pause).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn check(value: &[u8]) -> Result<(), OptionsError> {
    BalancerOptions::parse(value).map(|_| ())
}

fn outcome(pause: bool, written: bool) -> &'static str {
    match (pause, written) {
        (true, true) => "paused",
        (true, false) => "paused already; nothing was written",
        (false, true) => "resumed",
        (false, false) => "not paused by its own config; nothing was written",
    }
}

/// What a load balancer's own config says wins over the config of everything.
async fn tell_exceptions<S: Store>(store: &S, args: &TreeArgs, pause: bool) -> Result<(), Failure> {
    let tree = read::tree(store, args).await?;
    let other: Vec<&BalancerId> = tree
        .balancers
        .iter()
        .filter(|(_, tree)| {
            let options = tree
                .config
                .as_ref()
                .and_then(|config| config.options.as_ref().ok());
            options.is_some_and(|parsed| parsed.options.paused == Some(!pause))
        })
        .map(|(id, _)| id)
        .collect();
    if !other.is_empty() {
        let state = if pause { "NOT paused" } else { "still paused" };
        tracing::warn!("{state}, as their own config says: {}", words::list(other));
    }
    Ok(())
}

async fn check_one<S: Store>(
    store: &S,
    args: &TreeArgs,
    id: &BalancerId,
    pause: bool,
) -> Result<(), Failure> {
    if pause {
        let keys = read::one(store, args, id).await?;
        if keys.members.is_empty() {
            tracing::warn!(
                "{id} has no member in the tree; if the name is right, it is paused from the start"
            );
        }
        return Ok(());
    }
    let key = args.prefix.key(&TreeKey::Config);
    let general = store.get(&key).await?.entry;
    let general = general.and_then(|entry| BalancerOptions::parse(&entry.value).ok());
    if general.is_some_and(|parsed| parsed.options.paused == Some(true)) {
        return Err(refused(format!(
            "{id} stays paused, because everything is ({key}); go on with: lbmanager resume --all"
        )));
    }
    Ok(())
}
