//! `lbmanager status`.

mod follow;
mod text;

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use presence::model::{BalancerId, Revision};
use presence::process::cli;
use presence::process::exit::Failure;
use serde::Serialize;

use super::TreeArgs;
use super::read::{self, Whole};
use crate::record::Record;

pub(super) const EXAMPLE: &str = "Examples:
  lbmanager status
  lbmanager status elb/us-east-1/web --watch
  lbmanager status --format json | jq '.load_balancers[] | select(.status.withheld)'

JSON is one object:
  load_balancers  one object for each:
    load_balancer   TYPE/REGION/NAME
    members         how many keys of members it has in the tree
    revision        the newest of its keys, absent where it has none
    status          what its manager reports, absent where none has looked yet: revision
                    (applied up to), manager, class, members (each with wanted, state, detail,
                    mod_revision), withheld (each with reason, why, until), problems, error,
                    changes
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
    members: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<Revision>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a Record>,
}

#[derive(Serialize)]
struct Report<'a> {
    load_balancers: Vec<Shown<'a>>,
    ignored: Vec<Ignored<'a>>,
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
    let chosen = read::choose(named, whole.all())?;
    let report = report(&whole, &chosen, all);
    let text = match args.format {
        Format::Table => text::report(&report, Timestamp::now()),
        Format::Json => json(&report)?,
    };
    cli::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn report<'a>(whole: &'a Whole, chosen: &'a BTreeSet<BalancerId>, all: bool) -> Report<'a> {
    let record = |id| whole.statuses.get(id).map(|(_, record)| record);
    let ignored = whole.tree.malformed.iter().map(|(key, why)| Ignored {
        key,
        why: why.to_string(),
    });
    Report {
        load_balancers: chosen
            .iter()
            .map(|id| Shown::new(id, &whole.tree, record(id)))
            .collect(),
        ignored: ignored.filter(|_| all).collect(),
    }
}

impl<'a> Shown<'a> {
    fn new(id: &'a BalancerId, tree: &crate::tree::Tree, status: Option<&'a Record>) -> Self {
        let balancer = tree.balancer(id);
        let present = balancer.filter(|tree| !tree.members.is_empty() || tree.config.is_some());
        Self {
            load_balancer: id,
            members: balancer.map_or(0, |tree| tree.members.len()),
            revision: present.map(|tree| tree.revision),
            status,
        }
    }
}

/// One line of JSON.
fn json(of: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string(of).map_err(Failure::unexpected)?;
    Ok(text + "\n")
}
