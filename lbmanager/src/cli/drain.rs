//! `lbmanager drain` and `lbmanager undrain`.

use std::process::ExitCode;

use clap::Args;
use presence::model::{BalancerId, Class, MemberId, MemberKey, MemberOptions, OptionsError};
use presence::process::cli;
use presence::process::exit::Failure;
use presence::store::Entry;
use serde_json::Value;

use super::edit::Empty;
use super::edit::{self, Fields};
use super::read::Keys;
use super::wait::{Goal, WaitArgs};
use super::{TreeArgs, read, refused, rm, words};

pub(super) const EXAMPLE: &str = "Examples:
  lbmanager drain elb/us-east-1/web/multiple/i-00000001 --wait
  lbmanager drain elb/us-east-1/web i-00000001

The member leaves the load balancer, and its key stays, with its other options and its lease.";

pub(super) const EXAMPLE_BACK: &str = "Examples:
  lbmanager undrain elb/us-east-1/web/multiple/i-00000001 --wait
  lbmanager undrain elb/us-east-1/web i-00000001";

/// Flags of `drain` and `undrain`.
#[derive(Debug, Clone, Args)]
pub struct DrainArgs {
    #[command(flatten)]
    tree: TreeArgs,

    /// The member's key, with or without the prefix; or its load balancer
    #[arg(value_name = "TYPE/REGION/NAME/CLASS/MEMBER")]
    named: String,

    /// The member, where the load balancer alone was named
    #[arg(value_name = "MEMBER")]
    member: Option<String>,

    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(args: DrainArgs, drain: bool) -> Result<ExitCode, Failure> {
    let named = named(&args)?;
    let store = args.tree.one_shot().await?;
    let keys = read::one(&store, &args.tree, named.balancer()).await?;
    let member = match named {
        Named::Key(member) if keys.entry(&member).is_none() => {
            return Err(rm::missing(&member, &keys));
        }
        Named::Key(member) => member,
        Named::Member(balancer, member) => find(&keys, &balancer, &member)?,
    };
    let key = args.tree.key(&member);
    let written = edit::edit(&store, &key, check, Empty::Kept, |entry, fields| {
        let entry = entry.ok_or_else(|| refused(format!("{member} was deleted just now")))?;
        mark(member.class, entry, fields, drain);
        Ok(())
    });
    let written = written.await?;
    tell(&member, drain, written.is_some())?;
    if let Some(revision) = written {
        let goal = if drain { Goal::Out } else { Goal::Serving };
        args.wait
            .member(&store, &args.tree, &member, revision, goal)
            .await?;
    }
    Ok(ExitCode::SUCCESS)
}

enum Named {
    Key(MemberKey),
    Member(BalancerId, MemberId),
}

impl Named {
    fn balancer(&self) -> &BalancerId {
        match self {
            Self::Key(key) => &key.balancer,
            Self::Member(balancer, _) => balancer,
        }
    }
}

fn named(args: &DrainArgs) -> Result<Named, Failure> {
    let Some(member) = &args.member else {
        return args.tree.member(&args.named).map(Named::Key);
    };
    let balancer = args.tree.balancer(&args.named)?;
    let member = balancer.member(member).map_err(Failure::usage)?;
    Ok(Named::Member(balancer, member))
}

/// The key of a member whose class was not said.
fn find(keys: &Keys, balancer: &BalancerId, member: &MemberId) -> Result<MemberKey, Failure> {
    let named = keys.members.iter().map(|(key, _)| key);
    let found: Vec<&MemberKey> = named.filter(|key| key.member == *member).collect();
    match found[..] {
        [one] => Ok(one.clone()),
        [] => Err(rm::missing(&format!("{balancer}: {member}"), keys)),
        _ => Err(refused(format!(
            "{member} is listed in both classes; say which: {}",
            words::list(found),
        ))),
    }
}

fn check(value: &[u8]) -> Result<(), OptionsError> {
    MemberOptions::parse(value).map(|_| ())
}

fn mark(class: Class, entry: &Entry, fields: &mut Fields, drain: bool) {
    let before = fields.get("drain").and_then(Value::as_bool) == Some(true);
    if before == drain {
        return;
    }
    if drain {
        fields.insert("drain".to_owned(), Value::Bool(true));
    } else {
        fields.remove("drain");
    }
    // Writing a key raises its rank; being drained and back must not decide
    // which of the `single` members serves.
    if class == Class::Single {
        keep_rank(entry, fields);
    }
}

/// Notes the rank that a key has, so that it keeps it when it is written.
pub(super) fn keep_rank(entry: &Entry, fields: &mut Fields) {
    let options = MemberOptions::parse(&entry.value)
        .unwrap_or_default()
        .options;
    let rank = options.rank(entry.mod_revision);
    fields.insert("since".to_owned(), Value::from(rank.0));
}

fn tell(member: &MemberKey, drain: bool, written: bool) -> Result<(), Failure> {
    let words = match (drain, written) {
        (true, true) => "drained; its key stays",
        (true, false) => "drained already; nothing was written",
        (false, true) => "not drained any more",
        (false, false) => "not drained; nothing was written",
    };
    cli::print(format!("{member}: {words}\n").as_bytes())
}
