//! `lbmanager rm`.

use std::fmt::Display;
use std::process::ExitCode;

use clap::Args;
use presence::model::{MemberKey, Revision};
use presence::process::cli;
use presence::process::exit::Failure;
use presence::store::{Store, Transaction};

use super::wait::{Goal, WaitArgs};
use super::{TreeArgs, edit, read, refused, words};

pub(super) const EXAMPLE: &str = "Example:
  lbmanager rm elb/us-east-1/web/multiple/i-00000001

A lone key that is deleted takes its member out of the load balancer, also if it is the last
one. To keep the members and stop managing the load balancer, use lbmanager purge.

Exits 1 if there is no such key.";

/// Flags of `rm`.
#[derive(Debug, Clone, Args)]
pub struct RmArgs {
    #[command(flatten)]
    tree: TreeArgs,

    /// The member's key, with or without the prefix
    #[arg(value_name = "TYPE/REGION/NAME/CLASS/MEMBER")]
    named: String,

    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(args: RmArgs) -> Result<ExitCode, Failure> {
    let member = args.tree.member(&args.named)?;
    let store = args.tree.one_shot().await?;
    let revision = delete(&store, &args.tree, &member).await?;
    cli::print(format!("{member}: deleted at revision {revision}\n").as_bytes())?;
    args.wait
        .member(&store, &args.tree, &member, revision, Goal::Out)
        .await?;
    Ok(ExitCode::SUCCESS)
}

async fn delete<S: Store>(
    store: &S,
    args: &TreeArgs,
    member: &MemberKey,
) -> Result<Revision, Failure> {
    let key = args.key(member);
    edit::until_undisturbed(&key, async || {
        let keys = read::one(store, args, &member.balancer).await?;
        let Some(entry) = keys.entry(member) else {
            return Err(missing(member, &keys));
        };
        let transaction =
            Transaction::delete(key.clone()).when(key.clone(), edit::unchanged(Some(entry)));
        edit::commit(store, transaction).await
    })
    .await
}

/// There is no such key; what there is instead.
pub(super) fn missing(what: &impl Display, keys: &read::Keys) -> Failure {
    let there = keys
        .members
        .iter()
        .map(|(key, _)| format!("{}/{}", key.class, key.member));
    let there = match keys.members.len() {
        0 => "the load balancer has no member in the tree".to_owned(),
        _ => format!("there are: {}", words::list(there)),
    };
    refused(format!("{what} is not in the tree; {there}"))
}
