//! The status as a person reads it.

use jiff::Timestamp;

use super::{Answer, Shown};
use crate::history::frozen_message;
use crate::record::{Action, ChangeRecord, MemberRecord, Record, Role, State};
use presence::process::words::{columns, list, name, text, time};

/// How many of the last changes are shown.
const CHANGES: usize = 5;

pub(super) fn answer(answer: &Answer<'_>, now: Timestamp) -> String {
    let shown = answer.load_balancers.iter();
    let frozen = answer.frozen.iter().map(|freeze| {
        let message = frozen_message(freeze.frozen);
        text(&[format!("FROZEN {}: {message}", freeze.manager)])
    });
    let shown = shown.map(|shown| balancer(shown, now));
    let mut blocks: Vec<String> = frozen.chain(shown).collect();
    if !answer.hosts_without_manager.is_empty() {
        let hosts: Vec<_> = answer.hosts_without_manager.iter().collect();
        blocks.push(text(&[format!(
            "Hosts with statuses and no live manager (lbmanager forget-host deletes them): {}",
            list(hosts)
        )]));
    }
    if !answer.ignored.is_empty() {
        let title = "Keys that mean nothing, and are ignored:".to_owned();
        let ignored = answer.ignored.iter().map(|key| format!("  {}", key.why));
        let lines: Vec<String> = std::iter::once(title).chain(ignored).collect();
        blocks.push(text(&lines));
    }
    if blocks.is_empty() {
        return "The tree has no load balancer.\n".to_owned();
    }
    blocks.join("\n")
}

pub(super) fn balancer(shown: &Shown<'_>, now: Timestamp) -> String {
    let Some(record) = shown.status else {
        return text(&[without_status(shown)]);
    };
    let mut lines = vec![headline(shown, record)];
    if let Some(revision) = shown.revision.filter(|newest| *newest > record.revision) {
        lines.push(format!(
            "  the manager is at revision {} yet; the tree is at {revision}",
            record.revision
        ));
    }
    if let Some(error) = &record.error {
        let at = time(error.at, now);
        lines.push(format!("  ERROR since {at}: {}", error.what));
    }
    let problems = record.problems.iter();
    lines.extend(problems.map(|problem| format!("  problem: {problem}")));
    lines.extend(columns("  ", &members(record, now)));
    lines.extend(withheld(record, now));
    lines.extend(changes(&record.changes, now));
    text(&lines)
}

fn without_status(shown: &Shown<'_>) -> String {
    let id = shown.load_balancer;
    match (shown.members, shown.revision) {
        (0, None) => format!("{id}: not in the tree, and not managed"),
        (0, Some(_)) => format!("{id}: no member in the tree, so it is not managed"),
        (count, _) => format!("{id}: {count} member(s) in the tree; no manager has looked yet"),
    }
}

fn headline(shown: &Shown<'_>, record: &Record) -> String {
    let class = match record.class {
        Some(class) => format!("class {class}"),
        None => "no member in the tree".to_owned(),
    };
    let host = shown
        .host
        .map(|host| format!(" on {host}"))
        .unwrap_or_default();
    let wanted = |known: &&MemberRecord| known.wanted == Role::Serve;
    let serving = |known: &&MemberRecord| known.state == State::Serving;
    let members = || record.members.values();
    format!(
        "{}{host}: {class}, {} of {} serve, managed by {}",
        shown.load_balancer,
        members().filter(wanted).filter(serving).count(),
        members().filter(wanted).count(),
        record.manager,
    )
}

fn members(record: &Record, now: Timestamp) -> Vec<[String; 4]> {
    let title = ["MEMBER", "WANTED", "STATE", "DETAIL"].map(str::to_owned);
    let rows = record.members.iter().map(|(member, known)| {
        [
            member.to_string(),
            name(known.wanted),
            name(known.state),
            detail(known, now),
        ]
    });
    let rows: Vec<_> = std::iter::once(title).chain(rows).collect();
    if rows.len() == 1 {
        return Vec::new();
    }
    rows
}

fn detail(known: &MemberRecord, now: Timestamp) -> String {
    let mut parts = Vec::new();
    if let Some(removal) = known.removal {
        parts.push(format!("{}, {}", removal.reason, time(removal.since, now)));
    }
    if known.state == State::Registering
        && let Some(at) = known.registered_at
    {
        parts.push(format!("registered {}", time(at, now)));
    }
    parts.extend(known.detail.clone());
    parts.join("; ")
}

fn withheld(record: &Record, now: Timestamp) -> impl Iterator<Item = String> {
    record.withheld.iter().map(move |(member, withheld)| {
        let until = withheld.until.map(|until| time(until, now));
        format!(
            "  withheld: {member} is not taken out though {}: {}{}",
            withheld.reason,
            withheld.why,
            until.map_or(String::new(), |until| format!("; at the latest {until}")),
        )
    })
}

fn changes(changes: &[ChangeRecord], now: Timestamp) -> Vec<String> {
    let newest = changes.iter().rev().take(CHANGES);
    let rows: Vec<_> = newest
        .map(|change| [time(change.at, now), what(change)])
        .collect();
    let title = (!rows.is_empty()).then(|| "  last changes:".to_owned());
    title.into_iter().chain(columns("    ", &rows)).collect()
}

fn what(change: &ChangeRecord) -> String {
    let action = match change.action {
        Action::Register => "registered",
        Action::Deregister => "deregistered",
    };
    let more = match change.count.saturating_sub(change.members.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let reason = change.reason.map(|reason| format!(": {reason}"));
    let members = list(&change.members);
    format!("{action} {members}{more}{}", reason.unwrap_or_default())
}
