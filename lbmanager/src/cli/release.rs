//! `lbmanager release`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use presence::keys::status::{BalancerStatusKey, ManagerRole, StatusWriter};
use presence::model::BalancerId;
use presence::process::cli;
use presence::process::exit::Failure;
use presence::status::Release;
use presence::store::{Store, Transaction};

use super::wait::WaitArgs;
use super::writers::Writers;
use super::{TreeArgs, edit, read, refused, words};
use crate::record::Record;

pub(super) const EXAMPLE: &str = "Examples:
  lbmanager release elb/us-east-1/web --wait
  lbmanager release --all --wait

Releases the removals that the managers hold at this moment: members whose lease expired,
unmanaged members at the initial observation, and with --all also the freezes after a reset of
etcd's history. lbmanager status shows them with their reasons. Removals that are held later
need another release. With --wait, --all prints which managers have released, which are still
frozen, and which are not alive.";

/// Flags of `release`.
#[derive(Debug, Clone, Args)]
pub struct ReleaseArgs {
    #[command(flatten)]
    tree: TreeArgs,

    /// The load balancer, with or without the prefix
    #[arg(value_name = "TYPE/REGION/NAME", required_unless_present = "all")]
    balancer: Option<String>,

    /// Everything, freezes after a reset of etcd included
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
    let before = store.get(&key).await?.header;
    let by = args.tree.common.host_id()?.to_string();
    let writers = Writers::read(&store, &args.tree).await?;
    let mut frozen = writers.frozen.keys();
    if let Some(writer) = frozen.find(|writer| concerns(&writers, writer, balancer.as_ref())) {
        return Err(refused(format!(
            "cannot release one load balancer while removals of {writer} are frozen after a reset \
             of etcd: check lbmanager status, then lbmanager release --all"
        )));
    }
    let freezes = writers.frozen.into_values();
    let freezes = freezes.map(|frozen| frozen.id).collect();
    let release = Release::new(before, by, jiff::Timestamp::now()).of_freezes(freezes);
    let revision = edit::commit(&store, Transaction::put(key, release.to_json())).await?;
    let name = balancer
        .as_ref()
        .map_or("everything".to_owned(), ToString::to_string);
    cli::print(words(&name, &reports).as_bytes())?;
    let Some(revision) = revision.filter(|_| args.wait.is_asked_for()) else {
        return Ok(ExitCode::SUCCESS);
    };
    let left = match &balancer {
        Some(id) => args.wait.released(&store, &args.tree, id, revision).await?,
        None => args.wait.thawed(&store, &args.tree, revision).await?,
    };
    if balancer.is_none() {
        let writers = Writers::read(&store, &args.tree).await?;
        cli::print(standing(&writers).as_bytes())?;
    }
    if let Some(left) = left {
        return Err(refused(format!(
            "{name}: the release is not done after {}: {left}",
            args.wait.limit(),
        )));
    }
    cli::print(format!("{name}: done\n").as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Whether a freeze of this writer holds removals of the load balancer.
fn concerns(writers: &Writers, writer: &StatusWriter, balancer: Option<&BalancerId>) -> bool {
    let Some(balancer) = balancer else {
        return false;
    };
    let role = ManagerRole::of(balancer.kind());
    match writer {
        StatusWriter::Aws => role == ManagerRole::Aws,
        StatusWriter::Host(host) => {
            let mut serving = writers.managers.serving(balancer.region().as_str());
            role == ManagerRole::Ipvs && serving.any(|other| other == host)
        }
    }
}

/// Each manager, and whether its removals are frozen.
fn standing(writers: &Writers) -> String {
    let lines = writers.all().into_iter().map(|writer| {
        let name = match &writer {
            StatusWriter::Aws => "aws".to_owned(),
            StatusWriter::Host(host) => format!("ipvs on {host}"),
        };
        let is_frozen = writers.frozen.contains_key(&writer);
        match (is_frozen, writers.is_alive(&writer)) {
            (false, _) => format!("  {name}: released"),
            (true, true) => format!("  {name}: frozen"),
            (true, false) => format!("  {name}: frozen, not alive: released when it starts"),
        }
    });
    words::text(&lines.collect::<Vec<_>>())
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
        lines.push("  nothing was held when the managers looked last".to_owned());
    }
    words::text(&lines)
}
