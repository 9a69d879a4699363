//! `lbmanager plan`: what a manager would do now. Nothing is written.

mod gather;
mod look;
#[cfg(feature = "ipvs")]
mod table;
mod text;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use futures::future::join_all;
use jiff::Timestamp;
use presence::model::{BalancerId, Class, Kind, MemberId, Revision};
use presence::process::exit::Failure;
use presence::process::{cli, duration};
use serde::Serialize;

use super::{CHANGES, REFUSED, TreeArgs, read};
use crate::record::{Reason, Withheld};

pub(super) const EXAMPLE: &str = "Examples:
  lbmanager plan
  lbmanager plan elb/us-east-1/web --format json
  lbmanager plan --backends ipvs --ipvs-region edge

Reads the tree and the status records from etcd, looks at the load balancers, and makes the same
plan as a manager. Only the manager knows whether the tree has been quiet for --settle, and which
members were rejected a moment ago: plan assumes the first and no rejection. If a manager holds a
planned removal, or is frozen after a reset of etcd, plan shows that too.

JSON is one object:
  revision        of the tree that was read
  in_sync         whether nothing is to be changed, withheld or awaited anywhere
  load_balancers  one object for each:
    load_balancer   TYPE/REGION/NAME
    class           the class in force, absent where no member is listed
    in_sync         the same of this load balancer
    register        what is to be put in: member, note
    deregister      what is to be taken out then: member, reason, note
    withheld        what is to leave and may not yet: member, reason, why, until
    commands        what the local kernel is told then, of virtual services
    waiting         whether somebody is on the way into service, or drains
    problems        what is wrong with its keys, or blocks it
    error           why it could not be looked at, if so; then nothing else is known

Exit codes: 0 in sync, 2 something is to be changed, withheld or awaited, 1 a load balancer could
not be looked at.";

/// Flags of `plan`.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    tree: TreeArgs,

    /// The load balancers, with or without the prefix [default: all]
    #[arg(value_name = "TYPE/REGION/NAME")]
    balancers: Vec<String>,

    /// How it is written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    format: Format,

    /// How long members whose lease ended are held at most, as the managers
    /// are told
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration::parse)]
    hold: Duration,

    #[cfg(feature = "ipvs")]
    #[command(flatten)]
    regions: super::regions::RegionArgs,

    /// The kinds of load balancer to look at [default: all]
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    backends: Vec<Kind>,
}

/// `--format` of `plan`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// What is to be done to all.
#[derive(Debug, Serialize)]
struct Answer {
    revision: Revision,
    in_sync: bool,
    load_balancers: Vec<Planned>,
}

/// What is to be done to one load balancer.
#[derive(Debug, Default, Serialize)]
struct Planned {
    load_balancer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<Class>,
    in_sync: bool,
    register: Vec<Entering>,
    deregister: Vec<Leaving>,
    withheld: Vec<Staying>,
    /// What the kernel is told; of other kinds it is what is above.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    commands: Vec<String>,
    waiting: bool,
    problems: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Entering {
    member: MemberId,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Debug, Serialize)]
struct Leaving {
    member: MemberId,
    reason: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Debug, Serialize)]
struct Staying {
    member: MemberId,
    #[serde(flatten)]
    withheld: Withheld,
}

pub(super) async fn run(args: PlanArgs) -> Result<ExitCode, Failure> {
    let named = read::named(&args.tree, &args.balancers)?;
    let wanted = super::backends::wanted(&args.backends)?;
    if let Some(left_out) = named.iter().find(|id| !wanted.contains(&id.kind())) {
        return Err(Failure::usage(format!(
            "{left_out} cannot be looked at: --backends, or what this lbmanager was built for, \
             leaves {} out",
            left_out.kind()
        )));
    }
    let store = args.tree.one_shot().await?;
    let known = gather::gather(&store, &args.tree).await?;
    let chosen = read::choose(named, &known.tree, known.records.keys())?;
    let now = Timestamp::now();
    let (tables, chosen) = of_the_table(&args, &known, chosen, now).await?;
    let chosen = chosen.into_iter().filter(|id| known.is_managed(id));
    let looks = look::Looks::new(chosen, &wanted);
    let planned = looks.of.iter().map(|(id, look)| {
        let question = known.question(id, args.hold, now);
        look::plan(id, look.as_ref(), question)
    });
    let mut planned = join_all(planned).await;
    planned.extend(tables);
    let answer = Answer {
        revision: known.revision,
        in_sync: planned.iter().all(|planned| planned.in_sync),
        load_balancers: planned,
    };
    let text = match args.format {
        Format::Text => text::answer(&answer, now),
        Format::Json => serde_json::to_string(&answer).map_err(Failure::unexpected)? + "\n",
    };
    cli::print(text.as_bytes())?;
    let failed = answer.load_balancers.iter().any(|one| one.error.is_some());
    Ok(match (failed, answer.in_sync) {
        (true, _) => ExitCode::from(REFUSED),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::from(CHANGES),
    })
}

/// The plans for virtual services of the local kernel, and who else there is.
#[cfg(feature = "ipvs")]
async fn of_the_table(
    args: &PlanArgs,
    known: &gather::Known,
    chosen: BTreeSet<BalancerId>,
    now: Timestamp,
) -> Result<(Vec<Planned>, BTreeSet<BalancerId>), Failure> {
    let host = args.tree.common.host_id()?;
    let place = table::Place {
        regions: args.regions.regions(&host)?,
        host,
        hold: args.hold,
    };
    let (of_kernels, others): (BTreeSet<_>, BTreeSet<_>) =
        chosen.into_iter().partition(|id| id.kind() == Kind::Ipvs);
    if !super::backends::wanted(&args.backends)?.contains(&Kind::Ipvs) {
        return Ok((Vec::new(), others));
    }
    let (here, elsewhere): (BTreeSet<_>, BTreeSet<_>) =
        of_kernels.into_iter().partition(|id| place.has(id));
    let regions: BTreeSet<&str> = elsewhere.iter().map(|id| id.region().as_str()).collect();
    if !args.balancers.is_empty() && !elsewhere.is_empty() {
        return Err(Failure::usage(elsewhere_words(&regions)));
    }
    if !elsewhere.is_empty() {
        tracing::info!("{}", elsewhere_words(&regions));
    }
    Ok((place.plan(known, &here, now).await?, others))
}

#[cfg(feature = "ipvs")]
fn elsewhere_words(regions: &BTreeSet<&str>) -> String {
    let regions: Vec<&str> = regions.iter().copied().collect();
    format!(
        "the virtual services of these regions are not looked at: {}; where this host serves \
         them, say so with --ipvs-region",
        regions.join(", ")
    )
}

/// Nothing was built in that could look at them.
#[cfg(not(feature = "ipvs"))]
async fn of_the_table(
    _: &PlanArgs,
    _: &gather::Known,
    chosen: BTreeSet<BalancerId>,
    _: Timestamp,
) -> Result<(Vec<Planned>, BTreeSet<BalancerId>), Failure> {
    Ok((Vec::new(), chosen))
}
