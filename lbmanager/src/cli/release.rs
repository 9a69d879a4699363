//! `lbmanager release`.

use std::process::ExitCode;

use clap::Args;
use presence::keys;
use presence::model::BalancerId;
use presence::process::cli;
use presence::process::exit::Failure;
use presence::store::{Store, Transaction};

use super::wait::WaitArgs;
use super::{TreeArgs, edit, read, refused};
use crate::manager;
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
    let records = match &balancer {
        None => all(&store).await?,
        Some(id) => one(&store, &args.tree, id).await?,
    };
    let key = match &balancer {
        None => keys::status::release_all(),
        Some(id) => keys::status::release(id),
    };
    let value = format!(r#"{{"at": "{:.0}"}}"#, jiff::Timestamp::now());
    edit::commit(&store, Transaction::put(key.clone(), value)).await?;
    let name = balancer.map_or("everything".to_owned(), |id| id.to_string());
    cli::print(words(&name, &records).as_bytes())?;
    match args.wait.gone(&store, &key).await? {
        None => Ok(ExitCode::SUCCESS),
        Some(true) => {
            cli::print(format!("{name}: done\n").as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Some(false) => Err(refused(format!(
            "{name}: the release is not done after {}: {key} is still there. It stands until it \
             is; what keeps it is shown by lbmanager status",
            args.wait.limit(),
        ))),
    }
}

async fn all<S: Store>(store: &S) -> Result<Vec<(BalancerId, Record)>, Failure> {
    let (_, statuses) = manager::statuses(store).await?;
    let statuses = statuses.into_iter();
    Ok(statuses.map(|(id, (_, record))| (id, record)).collect())
}

async fn one<S: Store>(
    store: &S,
    args: &TreeArgs,
    id: &BalancerId,
) -> Result<Vec<(BalancerId, Record)>, Failure> {
    let keys = read::one(store, args, id).await?;
    if keys.is_unknown() {
        return Err(refused(format!(
            "{id} is not in the tree, and no manager has a status of it: there is nothing to release"
        )));
    }
    let record = keys.record.into_iter();
    Ok(record.map(|record| (id.clone(), record)).collect())
}

fn words(name: &str, records: &[(BalancerId, Record)]) -> String {
    let mut words = format!("{name}: released\n");
    let mut any = false;
    for (id, record) in records {
        for (member, withheld) in &record.withheld {
            any = true;
            words.push_str(&format!("  {id}: {member}: {}\n", withheld.reason));
        }
    }
    if !any {
        words.push_str("  nothing was withheld when the managers looked last\n");
    }
    words
}
