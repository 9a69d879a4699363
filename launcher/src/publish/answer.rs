//! What the managers say of members that were published. Pure.

use std::collections::{BTreeMap, BTreeSet};

use presence::keys::status::BalancerStatusKey;
use presence::model::{Kind, MemberId, MemberKey, Revision};
use presence::status::Record;
use presence::status::record::{MemberRecord, Reason, Role, State};

/// What one manager says of one load balancer, as far as it concerns our members.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    record: Record,
    /// Somebody who is to serve does.
    is_served: bool,
}

/// The answers that are there.
pub(super) type Answers = BTreeMap<BalancerStatusKey, Answer>;

/// How far a member is on its way out. Later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Out {
    /// It may get new connections.
    No,
    /// It may get new connections, and the manager leaves it so.
    Kept,
    /// It gets none.
    Quiet,
    /// Its last one is over.
    Over,
}

impl Answer {
    /// What a status record says, and nothing of the members of others: of those there may be
    /// thousands.
    pub fn new(mut record: Record, ours: &BTreeSet<MemberId>) -> Self {
        let serves =
            |known: &MemberRecord| (known.wanted, known.state) == (Role::Serve, State::Serving);
        let is_served = record.members.values().any(serves);
        record.members.retain(|member, _| ours.contains(member));
        record.withheld.retain(|member, _| ours.contains(member));
        record.contact = None;
        record.changes = Vec::new();
        record.incident = None;
        Self { record, is_served }
    }

    fn member(&self, member: &MemberId) -> MemberRecord {
        self.record.members.get(member).cloned().unwrap_or_default()
    }

    /// What keeps the member, whose key was written then, from serving.
    fn unserved(&self, member: &MemberId, at: Revision) -> Option<String> {
        let known = self.member(member);
        if known.mod_revision < Some(at) {
            return Some(self.words(member, "the manager has not seen the key yet"));
        }
        let has_failed = self
            .record
            .failed
            .as_ref()
            .is_some_and(|failed| failed.member == *member);
        let is_as_wanted = match known.wanted {
            Role::Serve => known.state == State::Serving,
            // That is what `single` is for.
            Role::StandBy => self.is_served && !has_failed,
            // So an operator has it.
            Role::Out => known
                .removal
                .is_some_and(|removal| removal.reason == Reason::Drain),
            Role::Wait => false,
        };
        let state = if has_failed {
            "it was not in service in time"
        } else {
            words(known.state)
        };
        (!is_as_wanted).then(|| self.words(member, state))
    }

    /// How far it is out, whose key was deleted then, and what is in the way.
    fn out(&self, member: &MemberId, gone: Revision, kind: Kind) -> (Out, String) {
        let known = self.member(member);
        // Another has written it since, and it serves for that one.
        if known.mod_revision > Some(gone) {
            return (Out::Over, String::new());
        }
        let is_seen = known.mod_revision.is_none() && self.record.revision >= gone;
        let gets_none = [State::Rejected, State::Absent, State::Draining].contains(&known.state);
        if self.is_add_only() && !(is_seen && gets_none) {
            let words = "its ownership is add-only, so that lbmanager does not remove it";
            return (Out::Kept, words.to_owned());
        }
        if !is_seen {
            let words = "the manager has not seen yet that the key is gone";
            return (Out::No, self.words(member, words));
        }
        let out = match known.state {
            State::Rejected => Out::Over,
            State::Absent => absent(kind),
            State::Draining => Out::Quiet,
            State::Serving | State::Registering | State::OutOfService => Out::No,
        };
        (out, self.words(member, words(known.state)))
    }

    fn is_add_only(&self) -> bool {
        let options = self.record.options.as_ref();
        let ownership = options.and_then(|options| options.get("ownership"));
        ownership.is_some_and(|ownership| ownership == "add-only")
    }

    /// Why that is so, or else only that it is.
    fn words(&self, member: &MemberId, state: &str) -> String {
        let detail = self.member(member).detail;
        let withheld = self.record.withheld.get(member);
        let withheld = withheld.map(|withheld| withheld.why.clone());
        let error = self.record.error.as_ref().map(|error| error.what.clone());
        let why = [detail, withheld, error].into_iter().flatten();
        let mut why: Vec<String> = why.chain(self.record.problems.iter().cloned()).collect();
        why.dedup();
        if why.is_empty() {
            return state.to_owned();
        }
        why.join("; ")
    }
}

fn words(state: State) -> &'static str {
    match state {
        State::Serving => "it serves still",
        State::Registering => "it is registered, and not in service yet",
        State::OutOfService => "it is out of service",
        State::Draining => "it drains",
        State::Rejected => "the load balancer refuses it",
        State::Absent => "it is not registered",
    }
}

/// What keeps a member, whose key was written then, from being served by everybody concerned, as
/// `elb us-east-1/web: …`. `None`: nothing.
pub(super) fn unserved(
    member: &MemberKey,
    at: Revision,
    concerned: &BTreeSet<BalancerStatusKey>,
    answers: &Answers,
) -> Option<String> {
    concerned.iter().find_map(|report| {
        let why = match answers.get(report) {
            Some(answer) => answer.unserved(&member.member, at),
            None => Some("the manager has not looked at it yet".to_owned()),
        };
        why.map(|why| said_of(report, &why))
    })
}

/// How far a member, whose key was gone then, is out for everybody concerned, and what is in the
/// way of the slowest. A load balancer without a record is not managed any more, or never was.
pub(super) fn out(
    member: &MemberKey,
    gone: Revision,
    concerned: &BTreeSet<BalancerStatusKey>,
    answers: &Answers,
) -> (Out, String) {
    let kind = member.balancer.kind();
    let said = concerned.iter().filter_map(|report| {
        let answer = answers.get(report)?;
        let (out, why) = answer.out(&member.member, gone, kind);
        Some((out, said_of(report, &why)))
    });
    let slowest = said.min_by_key(|(out, _)| *out);
    slowest.unwrap_or_else(|| (absent(kind), String::new()))
}

/// What it means that a member is not there. Of IPVS the manager itself sees to the connections
/// that go on. AWS does so behind its back, for as long as the load balancer is told to.
fn absent(kind: Kind) -> Out {
    match kind {
        Kind::Ipvs => Out::Over,
        Kind::Elb | Kind::Elbv2 | Kind::Route53 => Out::Quiet,
    }
}

fn said_of(report: &BalancerStatusKey, why: &str) -> String {
    let balancer = report.balancer();
    let (kind, region, name) = (balancer.kind(), balancer.region(), balancer.name());
    match report.host() {
        Some(host) if host.as_str() != region.as_str() => {
            format!("{kind} {region}/{name} on {host}: {why}")
        }
        _ => format!("{kind} {region}/{name}: {why}"),
    }
}

#[cfg(test)]
mod tests;
