//! A lease as text.

use std::time::Duration;

use jiff::Timestamp;
use presence::model::{HostId, Label, ServiceId};
use presence::process::words::{columns, text, time};
use presence::semaphore::{Holder, Place, Queue};
use serde::Serialize;
use tokio::time::Instant;

/// How many may hold where etcd does not say.
const DEFAULT_SLOTS: u32 = 1;

pub(super) fn table(label: &Label, queue: &Queue, holders: &[Holder]) -> String {
    let (held, wait) = (queue.holders().count(), queue.places.len());
    let mut lines = vec![format!(
        "{label}: {held} of {} held, {} waiting",
        slots(queue),
        wait - held
    )];
    let now = Timestamp::now();
    let rows: Vec<_> = in_turn(queue)
        .map(|place| row(place, holders, now))
        .collect();
    lines.extend(columns("  ", &rows));
    text(&lines)
}

fn slots(queue: &Queue) -> String {
    match queue.slots.as_ref().map(|slots| &slots.number) {
        None => format!("{DEFAULT_SLOTS} (by default)"),
        Some(Ok(number)) => number.to_string(),
        Some(Err(odd)) => format!("1 (slots is {odd:?}, which is no number)"),
    }
}

/// Holders first, then those who wait, both in the order of arrival.
fn in_turn(queue: &Queue) -> impl Iterator<Item = &Place> {
    let waiting = queue.places.iter().filter(|place| !place.holds());
    queue.holders().chain(waiting)
}

fn row(place: &Place, holders: &[Holder], now: Timestamp) -> [String; 6] {
    let ticket = place.ticket.as_ref();
    let unknown = || "?".to_owned();
    [
        if place.holds() { "held" } else { "waiting" }.to_owned(),
        place.service.to_string(),
        ticket.map_or_else(unknown, |ticket| format!("on {}", ticket.host)),
        ticket.map_or_else(unknown, |ticket| {
            format!("since {}", time(ticket.since, now))
        }),
        left(place, holders),
        format!("token {}", place.token),
    ]
}

fn left(place: &Place, holders: &[Holder]) -> String {
    let holder = holders
        .iter()
        .find(|holder| holder.service == place.service);
    match holder.map(|holder| holder.ends) {
        Some(Some(_)) => format!(
            "{} s left",
            seconds_left(place, holders).unwrap_or_default()
        ),
        Some(None) => "no lease".to_owned(),
        None => String::new(),
    }
}

fn seconds_left(place: &Place, holders: &[Holder]) -> Option<u64> {
    let holder = holders
        .iter()
        .find(|holder| holder.service == place.service);
    let left = holder?.ends?.saturating_duration_since(Instant::now());
    // etcd told whole seconds, a moment ago.
    Some((left + Duration::from_millis(500)).as_secs())
}

#[derive(Serialize)]
struct Lease<'a> {
    label: &'a Label,
    slots: u32,
    holders: Vec<Shown<'a>>,
    waiting: Vec<Shown<'a>>,
}

#[derive(Serialize)]
struct Shown<'a> {
    service_id: &'a ServiceId,
    host: Option<&'a HostId>,
    since: Option<Timestamp>,
    token: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_left: Option<u64>,
}

pub(super) fn json(label: &Label, queue: &Queue, holders: &[Holder]) -> String {
    let (held, waiting): (Vec<_>, _) = queue.places.iter().partition(|place| place.holds());
    let show = |places: Vec<_>| {
        places
            .into_iter()
            .map(|place| show(place, holders))
            .collect()
    };
    let lease = Lease {
        label,
        slots: queue.allowed(DEFAULT_SLOTS),
        holders: show(held),
        waiting: show(waiting),
    };
    let json = serde_json::to_string(&lease).expect("names, numbers and times are JSON");
    json + "\n"
}

fn show<'a>(place: &'a Place, holders: &[Holder]) -> Shown<'a> {
    let ticket = place.ticket.as_ref();
    Shown {
        service_id: &place.service,
        host: ticket.map(|ticket| &ticket.host),
        since: ticket.map(|ticket| ticket.since),
        token: place.token.0,
        seconds_left: seconds_left(place, holders),
    }
}
