//! The status as a person reads it.

use jiff::Timestamp;

use super::{Answer, Shown};
use crate::cli::words::{columns, list, name, time};
use crate::record::{Action, ChangeRecord, MemberRecord, Record, Role, State};

/// How many of the last changes are shown.
const CHANGES: usize = 5;

pub(super) fn answer(answer: &Answer<'_>, now: Timestamp) -> String {
    let shown = answer.load_balancers.iter();
    let mut blocks: Vec<String> = shown.map(|shown| balancer(shown, now)).collect();
    if !answer.ignored.is_empty() {
        let ignored = answer.ignored.iter();
        let lines: String = ignored.map(|key| format!("  {}\n", key.why)).collect();
        blocks.push(format!("Keys that mean nothing, and are ignored:\n{lines}"));
    }
    if blocks.is_empty() {
        return "The tree has no load balancer.\n".to_owned();
    }
    blocks.join("\n")
}

pub(super) fn balancer(shown: &Shown<'_>, now: Timestamp) -> String {
    let Some(record) = shown.status else {
        return without_status(shown);
    };
    let mut text = format!("{}\n", headline(shown, record));
    if let Some(revision) = shown.revision.filter(|newest| *newest > record.revision) {
        text.push_str(&format!(
            "  the manager is at revision {} yet; the tree is at {revision}\n",
            record.revision
        ));
    }
    if let Some(error) = &record.error {
        let at = time(error.at, now);
        text.push_str(&format!("  ERROR since {at}: {}\n", error.what));
    }
    for problem in &record.problems {
        text.push_str(&format!("  problem: {problem}\n"));
    }
    text.push_str(&columns("  ", &members(record, now)));
    text.push_str(&withheld(record, now));
    text.push_str(&changes(&record.changes, now));
    text
}

fn without_status(shown: &Shown<'_>) -> String {
    let id = shown.load_balancer;
    match (shown.members, shown.revision) {
        (0, None) => format!("{id}: not in the tree, and not managed\n"),
        (0, Some(_)) => format!("{id}: no member in the tree, so it is not managed\n"),
        (count, _) => {
            format!("{id}: {count} member(s) in the tree; no manager has looked at it yet\n")
        }
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

fn withheld(record: &Record, now: Timestamp) -> String {
    let mut text = String::new();
    for (member, withheld) in &record.withheld {
        text.push_str(&format!(
            "  withheld: {member} is not taken out though {}: {}",
            withheld.reason, withheld.why
        ));
        if let Some(until) = withheld.until {
            text.push_str(&format!("; at the latest {}", time(until, now)));
        }
        text.push('\n');
    }
    text
}

fn changes(changes: &[ChangeRecord], now: Timestamp) -> String {
    let rows: Vec<[String; 2]> = changes
        .iter()
        .rev()
        .take(CHANGES)
        .map(|change| [time(change.at, now), what(change)])
        .collect();
    match rows.len() {
        0 => String::new(),
        _ => format!("  last changes:\n{}", columns("    ", &rows)),
    }
}

fn what(change: &ChangeRecord) -> String {
    let action = match change.action {
        Action::Register => "registered",
        Action::Deregister => "deregistered",
    };
    let more = change.count.saturating_sub(change.members.len());
    let mut text = format!("{action} {}", list(&change.members));
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    if let Some(reason) = change.reason {
        text.push_str(&format!(": {reason}"));
    }
    text
}
