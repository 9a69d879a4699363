//! `lbmanager status`.

mod follow;
mod text;

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use presence::keys::status::BalancerStatusKey;
use presence::model::{BalancerId, HostId, Revision};
use presence::process::cli;
use presence::process::exit::Failure;
use presence::status::Frozen;
use serde::Serialize;

use super::TreeArgs;
use super::read::{self, Whole};
use crate::record::Record;
use crate::tree::Tree;

pub(super) const EXAMPLE: &str = "Examples:
  lbmanager status
  lbmanager status elb/us-east-1/web --watch
  lbmanager status --format json | jq '.load_balancers[] | select(.status.withheld)'

JSON is one object:
  load_balancers  one object for each:
    load_balancer   TYPE/REGION/NAME
    host            whose report it is; for ipvs only, where each host has its own
    members         how many keys of members it has in the tree
    revision        the newest of its keys, absent where it has none
    status          what its manager reports, absent where none has looked yet: revision
                    (applied up to), manager, class, members (each with wanted, state, detail,
                    mod_revision), withheld (each with reason, why, until), problems, error,
                    changes
  frozen          managers whose removals are frozen: manager, why, at, revision
  hosts_without_manager  hosts with statuses and no live manager; see lbmanager forget-host
  ignored         keys that mean nothing, and why
With --watch it is one line for each load balancer, and another whenever it changes.

Exits 1 if a load balancer that was named is not there.";

/// Flags of `status`.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    tree: TreeArgs,

    /// The load balancers, with or without the prefix [default: all]
    #[arg(value_name = "TYPE/REGION/NAME")]
    balancers: Vec<String>,

    /// How it is written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    format: Format,

    /// Go on, and show each load balancer again whenever it changes
    #[arg(long)]
    watch: bool,
}

/// `--format` of `status`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// One load balancer.
#[derive(Debug, PartialEq, Serialize)]
struct Shown<'a> {
    #[serde(serialize_with = "display")]
    load_balancer: &'a BalancerId,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a HostId>,
    members: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<Revision>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a Record>,
}

#[derive(Serialize)]
struct Answer<'a> {
    frozen: Vec<Freeze<'a>>,
    load_balancers: Vec<Shown<'a>>,
    hosts_without_manager: BTreeSet<&'a HostId>,
    ignored: Vec<Ignored<'a>>,
}

/// A manager whose removals are frozen.
#[derive(Serialize)]
struct Freeze<'a> {
    manager: String,
    #[serde(flatten)]
    frozen: &'a Frozen,
}

#[derive(Serialize)]
struct Ignored<'a> {
    key: &'a str,
    why: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn display<S: serde::Serializer>(id: &&BalancerId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

pub(super) async fn run(args: StatusArgs) -> Result<ExitCode, Failure> {
    let named = read::named(&args.tree, &args.balancers)?;
    let store = args.tree.one_shot().await?;
    if args.watch {
        return follow::run(store, &args, &named).await;
    }
    let whole = read::whole(&store, &args.tree).await?;
    let all = named.is_empty();
    let reported = whole.reports.keys().map(BalancerStatusKey::balancer);
    let chosen = read::choose(named, &whole.tree, reported)?;
    let answer = answer(&whole, &chosen, all);
    let text = match args.format {
        Format::Table => text::answer(&answer, Timestamp::now()),
        Format::Json => json(&answer)?,
    };
    cli::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn answer<'a>(whole: &'a Whole, chosen: &'a BTreeSet<BalancerId>, all: bool) -> Answer<'a> {
    let ignored = whole.tree.malformed.iter().map(|(key, why)| Ignored {
        key,
        why: why.to_string(),
    });
    let reports: Vec<_> = whole.reports.iter().collect();
    let shown = |id| Shown::all(id, &whole.tree, &reports);
    let frozen = whole.writers.frozen.iter().map(|(writer, frozen)| Freeze {
        manager: writer.to_string(),
        frozen,
    });
    let hosts = whole.reports.keys().filter_map(BalancerStatusKey::host);
    let is_alive = |host: &&HostId| whole.writers.serves_ipvs(host);
    Answer {
        frozen: frozen.collect(),
        hosts_without_manager: hosts
            .filter(|host| !is_alive(host))
            .filter(|_| all)
            .collect(),
        load_balancers: chosen.iter().flat_map(shown).collect(),
        ignored: ignored.filter(|_| all).collect(),
    }
}

impl<'a> Shown<'a> {
    /// A load balancer by each of the reports on it, or by none.
    fn all(
        id: &'a BalancerId,
        tree: &Tree,
        reports: &[(&'a BalancerStatusKey, &'a Record)],
    ) -> Vec<Self> {
        let by = reports.iter().filter(|(report, _)| report.balancer() == id);
        let by: Vec<_> = by
            .map(|(report, record)| (report.host(), Some(*record)))
            .collect();
        let by = if by.is_empty() {
            vec![(None, None)]
        } else {
            by
        };
        let balancer = tree.balancer(id);
        let present = balancer.filter(|tree| !tree.members.is_empty() || tree.config.is_some());
        by.into_iter()
            .map(|(host, status)| Self {
                load_balancer: id,
                host,
                members: balancer.map_or(0, |tree| tree.members.len()),
                revision: present.map(|tree| tree.revision),
                status,
            })
            .collect()
    }
}

/// One line of JSON.
fn json(of: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string(of).map_err(Failure::unexpected)?;
    Ok(text + "\n")
}
