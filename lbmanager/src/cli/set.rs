//! `lbmanager set`.

use std::process::ExitCode;

use clap::Args;
use presence::model::{Class, Kind, MemberKey, MemberOptions, OptionsError, Revision};
use presence::process::cli;
use presence::process::exit::Failure;
use presence::store::{Entry, MOST_OPERATIONS, Store, Transaction};
use serde_json::Value;

use super::edit::{self, Fields};
use super::read::Keys;
use super::wait::{Goal, WaitArgs};
use super::{TreeArgs, drain, read, refused};

pub(super) const EXAMPLE: &str = "Examples:
  lbmanager set elb/us-east-1/web/multiple/i-00000001 --wait
  lbmanager set ipvs/lb-1/10.0.0.1:80/multiple/10.0.0.5:8080 --weight 5
  lbmanager set elb/us-east-1/web/single/i-00000001 --switch-class

Flags change single options and keep the others; OPTIONS takes the place of all of them. A key
that is on a lease stays on it. Of `single` members the one that was written last serves, so a
key that is set again, be it without any change, takes over.

Exits 1 where members of the other class are in force.";

/// Flags of `set`.
#[derive(Debug, Clone, Args)]
pub struct SetArgs {
    #[command(flatten)]
    tree: TreeArgs,

    /// The member's key, with or without the prefix
    #[arg(value_name = "TYPE/REGION/NAME/CLASS/MEMBER")]
    named: String,

    /// All options of the member as a JSON object, such as '{"weight": 5}'
    #[arg(value_name = "OPTIONS")]
    options: Option<String>,

    /// Its share of the traffic, where the kind of load balancer has weights
    #[arg(long, value_name = "N")]
    weight: Option<u32>,

    /// Take it out and keep its key; =false lets it serve
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    drain: Option<bool>,

    /// IPVS: how packets get there: masq, direct or tunnel
    #[arg(long, value_name = "HOW")]
    forward: Option<String>,

    /// IPVS: no new connections above so many
    #[arg(long, value_name = "N")]
    upper_threshold: Option<u32>,

    /// IPVS: new connections again below so many
    #[arg(long, value_name = "N")]
    lower_threshold: Option<u32>,

    /// Where the other class is in force, move all of its members over, at
    /// once
    #[arg(long)]
    switch_class: bool,

    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(args: SetArgs) -> Result<ExitCode, Failure> {
    let member = args.tree.member(&args.named)?;
    let options = args.options(member.balancer.kind())?;
    let store = args.tree.one_shot().await?;
    let written = write(&store, &args, &member, &options).await?;
    cli::print(written.words(&member).as_bytes())?;
    if written.published > 0 {
        tracing::warn!(
            "{} of those that moved over are published by somebody, who goes on to name the other \
             class: change it there as well",
            written.published
        );
    }
    let goal = if written.drains {
        Goal::Out
    } else {
        Goal::Serving
    };
    args.wait
        .member(&store, &args.tree, &member, written.revision, goal)
        .await?;
    Ok(ExitCode::SUCCESS)
}

/// What the command line says of the options.
struct Options {
    /// In place of what is there.
    all: Option<Fields>,
    /// On top of that.
    flags: Fields,
}

impl SetArgs {
    fn options(&self, kind: Kind) -> Result<Options, Failure> {
        let all = match &self.options {
            None => None,
            Some(text) => Some(object(text)?),
        };
        let mut flags = Fields::new();
        let ipvs = [
            ("forward", self.forward.clone().map(Value::from)),
            ("upper_threshold", self.upper_threshold.map(Value::from)),
            ("lower_threshold", self.lower_threshold.map(Value::from)),
        ];
        for (field, value) in ipvs {
            let Some(value) = value else { continue };
            if kind != Kind::Ipvs {
                return Err(Failure::usage(format!(
                    "--{} is for ipvs; a member of {kind} has no such option",
                    field.replace('_', "-")
                )));
            }
            flags.insert(field.to_owned(), value);
        }
        let others = [
            ("weight", self.weight.map(Value::from)),
            ("drain", self.drain.map(Value::from)),
        ];
        flags.extend(
            others
                .into_iter()
                .filter_map(|(field, value)| Some((field.to_owned(), value?))),
        );
        check(&edit::value(&flags)).map_err(Failure::usage)?;
        Ok(Options { all, flags })
    }
}

/// OPTIONS, checked more strictly than what is in etcd already.
fn object(text: &str) -> Result<Fields, Failure> {
    let wrong = |what: String| Failure::usage(format!("OPTIONS is {text:?}, but {what}"));
    let fields: Fields = serde_json::from_str(text)
        .map_err(|error| wrong(format!("a JSON object is expected: {error}")))?;
    let parsed = MemberOptions::parse(text.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    match parsed.unknown.as_slice() {
        [] => Ok(fields),
        unknown => Err(wrong(format!(
            "a member has no option {}",
            unknown.join(", ")
        ))),
    }
}

fn check(value: &[u8]) -> Result<(), OptionsError> {
    MemberOptions::parse(value).map(|_| ())
}

struct Written {
    revision: Revision,
    value: Vec<u8>,
    drains: bool,
    leased: bool,
    moved: usize,
    /// How many of those are on a lease.
    published: usize,
}

impl Written {
    fn words(&self, member: &MemberKey) -> String {
        let value = match self.value.as_slice() {
            [] => String::new(),
            value => format!(" with {}", String::from_utf8_lossy(value)),
        };
        let lease = if self.leased {
            ", on the lease of whoever publishes it, and may write it again with other options"
        } else {
            ""
        };
        let moved = match self.moved {
            0 => String::new(),
            moved => format!("; {moved} moved over to class {}", member.class),
        };
        let revision = self.revision;
        format!("{member}: written at revision {revision}{value}{lease}{moved}\n")
    }
}

async fn write<S: Store>(
    store: &S,
    args: &SetArgs,
    member: &MemberKey,
    options: &Options,
) -> Result<Written, Failure> {
    edit::until_undisturbed(&args.tree.key(member), async || {
        let keys = read::one(store, &args.tree, &member.balancer).await?;
        let others = others(args, member, &keys)?;
        let target = member_of_other_class(member, &others);
        let entry = keys.entry(member).or(target);
        let fields = fields(args, member, entry, options)?;
        let value = edit::value(&fields);
        let lease = entry.and_then(|entry| entry.lease);
        let key = args.tree.key(member);
        let mut transaction = Transaction::default()
            .when(key.clone(), edit::unchanged(keys.entry(member)))
            .and_put(key, value.clone(), lease);
        for (other, entry) in &others {
            transaction = move_over(args, transaction, &keys, member, other, entry);
        }
        check_size(args, &transaction, member, &others)?;
        let Some(revision) = edit::commit(store, transaction).await? else {
            return Ok(None);
        };
        Ok(Some(Written {
            revision,
            drains: fields.get("drain").and_then(Value::as_bool) == Some(true),
            value,
            leased: lease.is_some(),
            moved: others.len(),
            published: others
                .iter()
                .filter(|(_, entry)| entry.lease.is_some())
                .count(),
        }))
    })
    .await
}

/// The keys of the other class that are to be moved over: all, where it is in
/// force and the class is to be switched.
fn others<'a>(
    args: &SetArgs,
    member: &MemberKey,
    keys: &'a Keys,
) -> Result<Vec<(&'a MemberKey, &'a Entry)>, Failure> {
    let Some(other) = keys.class_in_force().filter(|class| *class != member.class) else {
        return Ok(Vec::new());
    };
    let others = keys.members.iter().filter(|(key, _)| key.class == other);
    let others: Vec<_> = others.map(|(key, entry)| (key, entry)).collect();
    if args.switch_class {
        return Ok(others);
    }
    Err(refused(format!(
        "{} has {} member(s) in class {other}, which is in force while it has keys: {member} would \
         change nothing. Name it in class {other}, or move everything over with --switch-class",
        member.balancer,
        others.len(),
    )))
}

fn member_of_other_class<'a>(
    member: &MemberKey,
    others: &[(&'a MemberKey, &'a Entry)],
) -> Option<&'a Entry> {
    let mut others = others.iter();
    others
        .find(|(other, _)| other.member == member.member)
        .map(|(_, entry)| *entry)
}

/// The options to be written: those that are there, changed.
fn fields(
    args: &SetArgs,
    member: &MemberKey,
    entry: Option<&Entry>,
    options: &Options,
) -> Result<Fields, Failure> {
    let mut fields = match (&options.all, entry) {
        (Some(all), _) => all.clone(),
        (None, None) => Fields::new(),
        (None, Some(entry)) => {
            let key = args.tree.key(member);
            edit::tell_lost_text(&key, &entry.value);
            // It is written anew, and so is its rank.
            let mut fields = edit::fields(&key, &entry.value, check)?;
            fields.remove("since");
            fields
        }
    };
    fields.extend(options.flags.clone());
    if fields.get("drain") == Some(&Value::Bool(false)) {
        fields.remove("drain");
    }
    Ok(fields)
}

/// Deletes the key of the other class, and puts its member into this one
/// where it is not there yet, with its options and its lease.
fn move_over(
    args: &SetArgs,
    transaction: Transaction,
    keys: &Keys,
    member: &MemberKey,
    other: &MemberKey,
    entry: &Entry,
) -> Transaction {
    let key = args.tree.key(other);
    let transaction = transaction
        .when(key.clone(), edit::unchanged(Some(entry)))
        .and_delete(key);
    let new = MemberKey {
        class: member.class,
        ..other.clone()
    };
    if new == *member || keys.entry(&new).is_some() {
        return transaction;
    }
    transaction
        .when(args.tree.key(&new), edit::unchanged(None))
        .and_put(args.tree.key(&new), moved_value(&new, entry), entry.lease)
}

/// All are written at one revision: who served longest must not take over
/// from the one that was named.
fn moved_value(new: &MemberKey, entry: &Entry) -> Vec<u8> {
    if new.class != Class::Single {
        return entry.value.to_vec();
    }
    match edit::fields(&new.to_string(), &entry.value, check) {
        Ok(mut fields) => {
            drain::keep_rank(entry, &mut fields);
            edit::value(&fields)
        }
        // It waits as it is until somebody mends it.
        Err(_) => entry.value.to_vec(),
    }
}

fn check_size(
    args: &SetArgs,
    transaction: &Transaction,
    member: &MemberKey,
    others: &[(&MemberKey, &Entry)],
) -> Result<(), Failure> {
    let size = transaction.then.len().max(transaction.when.len());
    let Some((other, _)) = others.first().filter(|_| size > MOST_OPERATIONS) else {
        return Ok(());
    };
    Err(refused(format!(
        "{count} members are too many to move over at once: that takes {size} operations, and etcd \
         takes {MOST_OPERATIONS} in one transaction; nothing was written. Do it in two steps: put \
         each member into class {new} with etcdctl put, which changes nothing while class {old} \
         has keys; then delete all of those at once: etcdctl del --prefix {below}{old}/",
        count = others.len(),
        new = member.class,
        old = other.class,
        below = args.tree.prefix.below(&member.balancer),
    )))
}
