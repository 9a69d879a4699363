//! What was registered and in service when, as it was carried out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use tokio::time::Instant;

/// What happened to an instance at a load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was added.
    Registered,
    /// It was added again while it was draining, and serves as before.
    Revived,
    /// It was taken out, and serves nobody new; it may go on draining.
    Deregistered,
    /// It has finished draining.
    Drained,
    /// Its health was set from outside.
    HealthSet,
}

/// One change, in the order they were carried out.
#[derive(Debug, Clone)]
pub struct Event {
    /// When, by tokio's clock.
    pub at: Instant,
    /// When, by the wall clock.
    pub wall: SystemTime,
    /// The instance.
    pub instance: String,
    /// What happened.
    pub change: Change,
    /// From when on it is in service, if nothing else happens: later than `at` by the health delay,
    /// `None` for never.
    pub in_service_from: Option<Instant>,
    /// The call that did it; `None` for a hand from outside or the clock.
    pub call: Option<u64>,
}

/// All that happened at one load balancer, over all its lives.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    pub(super) events: Vec<Event>,
}

/// Registered instances, with when they are in service.
type Members<'a> = BTreeMap<&'a str, Option<Instant>>;

impl Timeline {
    /// All changes, oldest first.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Changes of one instance, oldest first.
    pub fn of<'a>(&'a self, instance: &'a str) -> impl Iterator<Item = &'a Event> {
        self.events
            .iter()
            .filter(move |event| event.instance == instance)
    }

    /// Whether an instance was registered at some time and never taken out since.
    pub fn never_deregistered(&self, instance: &str) -> bool {
        let mut changes = self.of(instance).map(|event| event.change).peekable();
        changes.peek().is_some() && changes.all(|change| change != Change::Deregistered)
    }

    /// Those registered at a time.
    pub fn registered_at(&self, at: Instant) -> BTreeSet<String> {
        self.members_at(at).into_keys().map(str::to_owned).collect()
    }

    /// Those registered and in service at a time.
    pub fn in_service_at(&self, at: Instant) -> BTreeSet<String> {
        let members = self.members_at(at).into_iter();
        members
            .filter(|(_, from)| serves(*from, at))
            .map(|(id, _)| id.to_owned())
            .collect()
    }

    /// The least number that was in service at any moment from `from` to `to`, with the moments
    /// between two changes of the same instant.
    pub fn min_in_service_between(&self, from: Instant, to: Instant) -> usize {
        let mut members = Members::new();
        let mut least = None;
        let mut note = |members: &Members<'_>, at: Instant| {
            let count = members.values().filter(|since| serves(**since, at)).count();
            least = Some(least.map_or(count, |least: usize| least.min(count)));
        };
        let (before, rest) = self
            .events
            .split_at(self.events.partition_point(|event| event.at < from));
        for event in before {
            apply(&mut members, event);
        }
        note(&members, from);
        // Between two changes the number can only rise, as instances become healthy.
        for event in rest.iter().take_while(|event| event.at <= to) {
            apply(&mut members, event);
            note(&members, event.at);
        }
        least.unwrap_or(0)
    }

    fn members_at(&self, at: Instant) -> Members<'_> {
        let mut members = Members::new();
        for event in self.events.iter().take_while(|event| event.at <= at) {
            apply(&mut members, event);
        }
        members
    }
}

fn serves(from: Option<Instant>, at: Instant) -> bool {
    from.is_some_and(|from| from <= at)
}

fn apply<'a>(members: &mut Members<'a>, event: &'a Event) {
    match event.change {
        Change::Registered | Change::Revived | Change::HealthSet => {
            members.insert(&event.instance, event.in_service_from);
        }
        Change::Deregistered => {
            members.remove(event.instance.as_str());
        }
        Change::Drained => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn event(
        start: Instant,
        second: u64,
        instance: &str,
        change: Change,
        healthy: Option<u64>,
    ) -> Event {
        let time = |second| start + Duration::from_secs(second);
        Event {
            at: time(second),
            wall: SystemTime::now(),
            instance: instance.to_owned(),
            change,
            in_service_from: healthy.map(time),
            call: None,
        }
    }

    #[test]
    fn a_swap_before_the_new_one_is_healthy_leaves_a_gap() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let events = vec![
            event(start, 0, "old", Change::Registered, Some(0)),
            event(start, 10, "new", Change::Registered, Some(15)),
            event(start, 12, "old", Change::Deregistered, None),
            event(start, 30, "never", Change::Registered, None),
        ];
        let timeline = Timeline { events };
        assert_eq!(timeline.min_in_service_between(at(1), at(11)), 1);
        assert_eq!(timeline.min_in_service_between(at(1), at(40)), 0);
        assert_eq!(timeline.min_in_service_between(at(13), at(14)), 0);
        assert_eq!(timeline.min_in_service_between(at(15), at(40)), 1);
        assert_eq!(
            timeline.in_service_at(at(35)),
            BTreeSet::from(["new".to_owned()])
        );
        assert_eq!(timeline.registered_at(at(35)).len(), 2);
        assert!(timeline.never_deregistered("new"));
        assert!(!timeline.never_deregistered("old"));
        assert!(!timeline.never_deregistered("unheard of"));
    }

    #[test]
    fn a_gap_within_one_instant_is_seen() {
        let start = Instant::now();
        let events = vec![
            event(start, 0, "a", Change::Registered, Some(0)),
            event(start, 5, "a", Change::Deregistered, None),
            event(start, 5, "b", Change::Registered, Some(5)),
        ];
        let end = start + Duration::from_secs(9);
        assert_eq!(
            Timeline { events }.min_in_service_between(start + Duration::from_secs(1), end),
            0
        );
    }
}
