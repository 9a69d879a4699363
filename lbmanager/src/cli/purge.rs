//! `lbmanager purge`.

use std::process::ExitCode;

use clap::Args;
use presence::keys::TreeKey;
use presence::model::{BalancerId, Revision};
use presence::process::cli;
use presence::process::exit::Failure;
use presence::store::{Condition, Store, Transaction};

use super::read::Keys;
use super::wait::WaitArgs;
use super::{TreeArgs, edit, read, refused, words};

pub(super) const EXAMPLE: &str = "Example:
  lbmanager purge elb/us-east-1/web --wait

Deletes all keys of the load balancer in one revision, with its config, which is made first
where there is none. By that the managers know without doubt that it is to be left alone, with
the members that it has.

Exits 1 if the tree has no member of it.";

/// Flags of `purge`.
#[derive(Debug, Clone, Args)]
pub struct PurgeArgs {
    #[command(flatten)]
    tree: TreeArgs,

    /// The load balancer, with or without the prefix
    #[arg(value_name = "TYPE/REGION/NAME")]
    balancer: String,

    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(args: PurgeArgs) -> Result<ExitCode, Failure> {
    let id = args.tree.balancer(&args.balancer)?;
    let store = args.tree.one_shot().await?;
    let (keys, revision) = purge(&store, &args.tree, &id).await?;
    cli::print(words(&id, &keys, revision).as_bytes())?;
    if !args.wait.is_asked_for() {
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(left) = args.wait.forgotten(&store, &args.tree, &id).await? {
        return Err(refused(format!(
            "{id}: no manager took note within {}: {left} is still there. Is there a manager, and \
             does it reach etcd? The purge stands",
            args.wait.limit(),
        )));
    }
    cli::print(format!("{id}: no manager has a status of it any more\n").as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Deletes everything below the load balancer at once; gives what there was.
async fn purge<S: Store>(
    store: &S,
    args: &TreeArgs,
    id: &BalancerId,
) -> Result<(Keys, Revision), Failure> {
    let config = args.prefix.key(&TreeKey::BalancerConfig(id.clone()));
    let below = args.prefix.below(id);
    edit::until_undisturbed(&below, async || {
        let keys = read::one(store, args, id).await?;
        if keys.members.is_empty() {
            return Err(refused(nothing_there(id, &keys)));
        }
        if keys.config.is_none() {
            // With its config among what is deleted it is a purge by rule, even
            // of a lone member, and of members that are all on one lease.
            let make =
                Transaction::put(config.clone(), "{}").when(config.clone(), Condition::Absent);
            edit::commit(store, make).await?;
        }
        let delete = Transaction::default()
            .when(config.clone(), Condition::Present)
            .and_delete_prefix(below.clone());
        let revision = edit::commit(store, delete).await?;
        Ok(revision.map(|revision| (keys, revision)))
    })
    .await
}

fn nothing_there(id: &BalancerId, keys: &Keys) -> String {
    let mut words = format!("{id} has no member in the tree: it is not managed");
    if keys.config.is_some() {
        words.push_str(", and all that it has is its config, which can be deleted");
    }
    words
}

fn words(id: &BalancerId, keys: &Keys, revision: Revision) -> String {
    let members = keys.members.iter().map(|(key, _)| &key.member);
    let registered = keys.registered();
    let stay = match (keys.reports.is_empty(), registered.len()) {
        (true, _) => "no manager had looked at it: who is registered stays so".to_owned(),
        (false, 0) => "nobody was registered when a manager looked last".to_owned(),
        (false, count) => format!("{count} stay registered: {}", words::list(registered)),
    };
    words::text(&[
        format!("{id}: purged at revision {revision}, it is not managed any more"),
        format!(
            "  deleted keys of {} member(s): {}",
            keys.members.len(),
            words::list(members)
        ),
        format!("  {stay}"),
    ])
}
