//! `lbmanager release`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use presence::keys::status::BalancerStatusKey;
use presence::model::BalancerId;
use presence::process::cli;
use presence::process::exit::Failure;
use presence::store::{Store, Transaction};

use super::wait::WaitArgs;
use super::{TreeArgs, edit, read, refused, words};
use crate::record::Record;

pub(super) const EXAMPLE: &str = "Examples:
  lbmanager release elb/us-east-1/web --wait
  lbmanager release --all

Lets go what the managers withhold: members whose lease ended, strangers at first contact, and
with --all also everything that is held since etcd's history was replaced. What that is, and
why, is shown by lbmanager status. A release is over when it is done: what is withheld later
waits for another.";

/// Flags of `release`.
#[derive(Debug, Clone, Args)]
pub struct ReleaseArgs {
    #[command(flatten)]
    tree: TreeArgs,

    /// The load balancer, with or without the prefix
    #[arg(value_name = "TYPE/REGION/NAME", required_unless_present = "all")]
    balancer: Option<String>,

    /// Everything, a replaced history of etcd included
    #[arg(long, conflicts_with = "balancer")]
    all: bool,

    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(args: ReleaseArgs) -> Result<ExitCode, Failure> {
    let balancer = args.balancer.as_deref();
    let balancer = balancer.map(|name| args.tree.balancer(name)).transpose()?;
    let store = args.tree.one_shot().await?;
    let reports = reports(&store, &args.tree, balancer.as_ref()).await?;
    let key = match &balancer {
        None => args.tree.prefix.status().release_all(),
        Some(id) => args.tree.prefix.status().release(id),
    };
    let value = format!(r#"{{"at": "{:.0}"}}"#, jiff::Timestamp::now());
    edit::commit(&store, Transaction::put(key.clone(), value)).await?;
    let name = balancer.map_or("everything".to_owned(), |id| id.to_string());
    cli::print(words(&name, &reports).as_bytes())?;
    if !args.wait.is_asked_for() {
        return Ok(ExitCode::SUCCESS);
    }
    if args.wait.gone(&store, &key).await? {
        return Err(refused(format!(
            "{name}: the release is not done after {}: {key} is still there, and stands until it \
             is. What keeps it is shown by lbmanager status",
            args.wait.limit(),
        )));
    }
    cli::print(format!("{name}: done\n").as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

async fn reports<S: Store>(
    store: &S,
    args: &TreeArgs,
    balancer: Option<&BalancerId>,
) -> Result<BTreeMap<BalancerStatusKey, Record>, Failure> {
    let Some(id) = balancer else {
        return Ok(read::whole(store, args).await?.reports);
    };
    let keys = read::one(store, args, id).await?;
    if keys.is_unknown() {
        return Err(refused(format!(
            "{id} is not in the tree, and no manager has a status of it: there is nothing to release"
        )));
    }
    Ok(keys.reports)
}

fn words(name: &str, reports: &BTreeMap<BalancerStatusKey, Record>) -> String {
    let withheld = reports.iter().flat_map(|(report, record)| {
        let of = record.withheld.iter();
        of.map(|(member, why)| format!("  {}: {member}: {}", report.balancer(), why.reason))
    });
    let mut lines = vec![format!("{name}: released")];
    lines.extend(withheld);
    if lines.len() == 1 {
        lines.push("  nothing was withheld when the managers looked last".to_owned());
    }
    words::text(&lines)
}
