//! Waits until the managers' answer is in etcd.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use futures::future::select_all;
use presence::keys::status::{BalancerStatusKey, StatusWriter};
use presence::model::{BalancerId, MemberKey, Revision};
use presence::process::duration;
use presence::process::exit::Failure;
use presence::store::{Store, Watch, WatchMessage};

use super::{TreeArgs, read, refused, words};
use crate::record::{Record, State};

/// `--wait`.
#[derive(Debug, Clone, Args)]
pub struct WaitArgs {
    /// Wait until the managers report that it is done, 10 minutes unless told
    /// otherwise; exit 1 if they do not in time
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true,
          default_missing_value = "10m", value_parser = duration::parse)]
    wait: Option<Duration>,
}

/// What a member is to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    Serving,
    Out,
}

type Reports = BTreeMap<BalancerStatusKey, Record>;

impl WaitArgs {
    /// Waits, if asked to, until the status of the load balancer shows that
    /// what was written at that revision is done.
    pub(super) async fn member<S: Store>(
        &self,
        store: &S,
        args: &TreeArgs,
        member: &MemberKey,
        revision: Revision,
        goal: Goal,
    ) -> Result<(), Failure> {
        let left = self.reports(store, args, &member.balancer, |reports| {
            missing(reports, member, revision, goal)
        });
        match left.await? {
            None => Ok(()),
            Some(left) => Err(refused(format!(
                "{member}: what was written is not done after {}: {left}",
                self.limit()
            ))),
        }
    }

    /// Waits, if asked to, until no manager has a status of the load balancer.
    /// What there is if there still is one.
    pub(super) async fn forgotten<S: Store>(
        &self,
        store: &S,
        args: &TreeArgs,
        id: &BalancerId,
    ) -> Result<Option<String>, Failure> {
        let keys = args.prefix.status();
        let left = self.reports(store, args, id, |reports| {
            let left = reports.keys().map(|status| keys.status(status));
            (!reports.is_empty()).then(|| words::list(left))
        });
        left.await
    }

    /// Waits, if asked to, until the status of the load balancer contains the
    /// release of this revision. What keeps it from that.
    pub(super) async fn released<S: Store>(
        &self,
        store: &S,
        args: &TreeArgs,
        id: &BalancerId,
        revision: Revision,
    ) -> Result<Option<String>, Failure> {
        let left = self.reports(store, args, id, |reports| {
            unreleased(reports, revision).next()
        });
        left.await
    }

    /// Waits, if asked to, until no live manager is frozen, and every status
    /// that a live manager writes contains the release of this revision.
    pub(super) async fn thawed<S: Store>(
        &self,
        store: &S,
        args: &TreeArgs,
        revision: Revision,
    ) -> Result<Option<String>, Failure> {
        let keys = args.prefix.status();
        let look = async || {
            let whole = read::whole(store, args).await?;
            let writers = &whole.writers;
            let mut frozen = writers.frozen.iter();
            if let Some((writer, frozen)) = frozen.find(|(writer, _)| writers.is_alive(writer)) {
                return Ok(Some(format!(
                    "{} is there: {}",
                    keys.frozen(writer),
                    frozen.why
                )));
            }
            let mut reports = whole.reports;
            reports.retain(|status, _| match status.host() {
                Some(host) => writers.serves_ipvs(host),
                None => writers.is_alive(&StatusWriter::Aws),
            });
            Ok(unreleased(&reports, revision).next())
        };
        let prefixes = [keys.frozen_prefix(), keys.aws_prefix(), keys.hosts_prefix()];
        self.until(store, &prefixes, look).await
    }

    /// Whether it was asked for.
    pub(super) fn is_asked_for(&self) -> bool {
        self.wait.is_some()
    }

    /// How long is waited, in words.
    pub(super) fn limit(&self) -> String {
        humantime::format_duration(self.wait.unwrap_or_default()).to_string()
    }

    async fn reports<S: Store>(
        &self,
        store: &S,
        args: &TreeArgs,
        id: &BalancerId,
        missing: impl Fn(&Reports) -> Option<String>,
    ) -> Result<Option<String>, Failure> {
        let keys = args.prefix.status();
        let statuses = read::statuses_of(store, args, id).await?;
        let watched: Vec<String> = statuses.iter().map(|status| keys.status(status)).collect();
        let look = async || Ok(missing(&read::reports_on(store, args, id).await?));
        self.until(store, &watched, look).await
    }

    /// Looks again whenever one of these keys changes, or a key below one that
    /// ends in a slash, until nothing is
    /// missing; what still is when the time is over.
    async fn until<S: Store, T>(
        &self,
        store: &S,
        keys: &[String],
        look: impl AsyncFn() -> Result<Option<T>, Failure>,
    ) -> Result<Option<T>, Failure> {
        let Some(limit) = self.wait else {
            return Ok(None);
        };
        let mut missing = None;
        let looking = async {
            let any = keys.first().map_or("/", String::as_str);
            let mut revision = store.get(any).await?.header.revision;
            loop {
                missing = look().await?;
                if missing.is_none() {
                    return Ok(());
                }
                revision = next_change(store, keys, revision).await?;
            }
        };
        // It ends in time or not; what was seen last tells.
        match tokio::time::timeout(limit, looking).await {
            Ok(Err(failure)) => Err(Failure::context(
                failure,
                "it was written, but waiting for the managers failed",
            )),
            Ok(Ok(())) | Err(_) => Ok(missing),
        }
    }
}

/// The revision of the next change to one of these keys.
async fn next_change<S: Store>(
    store: &S,
    keys: &[String],
    after: Revision,
) -> Result<Revision, Failure> {
    let mut changes = Vec::new();
    for key in keys {
        let watch = if key.ends_with('/') {
            store.watch(key, after).await?
        } else {
            store.watch_key(key, after).await?
        };
        changes.push(Box::pin(change(watch, after)));
    }
    if changes.is_empty() {
        // No manager claims it; the time limit ends this.
        std::future::pending::<()>().await;
    }
    select_all(changes).await.0
}

async fn change(mut watch: impl Watch, after: Revision) -> Result<Revision, Failure> {
    loop {
        match watch.next().await? {
            WatchMessage::Events { events, .. } => {
                let last = events.last().map(presence::store::Event::revision);
                return Ok(last.unwrap_or(after));
            }
            WatchMessage::Progress(_) => {}
            WatchMessage::Compacted(revision) => return Ok(revision),
        }
    }
}

/// Load balancers whose status does not contain the release yet. Before its
/// initial observation a load balancer holds nothing.
fn unreleased(reports: &Reports, revision: Revision) -> impl Iterator<Item = String> {
    let behind =
        move |record: &Record| record.contact.is_some() && record.released < Some(revision);
    reports
        .iter()
        .filter(move |(_, record)| behind(record))
        .map(|(status, record)| {
            let (id, manager) = (status.balancer(), &record.manager);
            format!("the manager {manager} has not applied it to {id} yet")
        })
}

/// What keeps the change from being done.
fn missing(
    reports: &Reports,
    member: &MemberKey,
    revision: Revision,
    goal: Goal,
) -> Option<String> {
    if reports.is_empty() {
        // Nobody would have put it in either.
        let nobody = "no manager has looked at the load balancer";
        return (goal == Goal::Serving).then(|| nobody.to_owned());
    }
    reports.values().find_map(|record| {
        let known = record.members.get(&member.member);
        let state = known.map_or(State::Absent, |known| known.state);
        let reached = match goal {
            Goal::Serving => state == State::Serving,
            Goal::Out => matches!(state, State::Absent | State::Rejected),
        };
        if record.revision >= revision && reached {
            return None;
        }
        Some(seen(record, member, revision, state))
    })
}

fn seen(record: &Record, member: &MemberKey, revision: Revision, state: State) -> String {
    let manager = &record.manager;
    if record.revision < revision {
        return format!(
            "the manager {manager} is at revision {} yet, not at {revision}",
            record.revision
        );
    }
    let known = record.members.get(&member.member);
    let detail = known.and_then(|known| known.detail.clone());
    let withheld = record.withheld.get(&member.member);
    let withheld = withheld.map(|withheld| withheld.why.clone());
    let error = record.error.as_ref().map(|error| error.what.clone());
    let state = format!(
        "the manager {manager} says that it is {}",
        words::name(state)
    );
    let more = [detail, withheld, error].into_iter().flatten();
    let all = std::iter::once(state).chain(more);
    let all: Vec<String> = all.chain(record.problems.iter().cloned()).collect();
    all.join("; ")
}
