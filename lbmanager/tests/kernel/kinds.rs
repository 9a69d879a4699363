//! Every kind of change: a virtual service for each, which goes there and back.

use std::collections::BTreeSet;
use std::fmt::Display;

use crate::world::{REGION, key};

/// A kind of change.
struct Kind {
    /// What is written before any change.
    first: Step,
    there: &'static [Step],
    back: &'static [Step],
    /// How the service is to be in the kernel, before and after the change.
    wanted: [Wanted; 2],
}

/// What is written and deleted in one transaction.
type Step = &'static [Write];

/// By names below the key of the service.
#[derive(Debug, Clone, Copy)]
enum Write {
    Put(&'static str, &'static str),
    Del(&'static str),
    /// All that the service has.
    Purge,
}

use Write::{Del, Purge, Put};

#[derive(Debug, Clone, Copy)]
struct Wanted {
    /// `None`: there is no such service.
    scheduler: Option<&'static str>,
    /// The last numbers of the real servers' addresses, and their weights.
    servers: &'static [(u8, u8)],
    /// Whether it is lbmanager's, and so has a status.
    is_managed: bool,
}

const fn of(servers: &'static [(u8, u8)]) -> Wanted {
    Wanted {
        scheduler: Some("wlc"),
        servers,
        is_managed: true,
    }
}

const ONE: Wanted = of(&[(1, 1)]);
const BOTH: Wanted = of(&[(1, 1), (2, 1)]);
const PUT_ONE: Step = &[Put("multiple/1", "")];
const PUT_BOTH: Step = &[Put("multiple/1", ""), Put("multiple/2", "")];

const KINDS: [Kind; 9] = [
    // A member comes and leaves.
    Kind {
        first: PUT_ONE,
        there: &[&[Put("multiple/2", "")]],
        back: &[&[Del("multiple/2")]],
        wanted: [ONE, BOTH],
    },
    // Its options are edited.
    Kind {
        first: PUT_BOTH,
        there: &[&[Put("multiple/1", r#"{"weight": 3}"#)]],
        back: &[PUT_ONE],
        wanted: [BOTH, of(&[(1, 3), (2, 1)])],
    },
    // An operator drains it.
    Kind {
        first: PUT_BOTH,
        there: &[&[Put("multiple/1", r#"{"drain": true}"#)]],
        back: &[PUT_ONE],
        wanted: [BOTH, of(&[(2, 1)])],
    },
    // It returns while it drains.
    Kind {
        first: PUT_BOTH,
        there: &[
            &[Del("multiple/1")],
            &[Put("multiple/1", r#"{"weight": 4}"#)],
        ],
        back: &[&[Del("multiple/1")], PUT_ONE],
        wanted: [BOTH, of(&[(1, 4), (2, 1)])],
    },
    // Another single member serves.
    Kind {
        first: &[Put("single/1", "")],
        there: &[&[Put("single/2", "")]],
        back: &[&[Put("single/1", "")]],
        wanted: [ONE, of(&[(2, 1)])],
    },
    // The class is another one.
    Kind {
        first: PUT_BOTH,
        there: &[&[Del("multiple/1"), Del("multiple/2"), Put("single/3", "")]],
        back: &[&[
            Del("single/3"),
            Put("multiple/1", ""),
            Put("multiple/2", ""),
        ]],
        wanted: [BOTH, of(&[(3, 1)])],
    },
    // It is purged, and managed again.
    Kind {
        first: PUT_BOTH,
        there: &[&[Purge]],
        back: &[PUT_BOTH],
        wanted: [
            BOTH,
            Wanted {
                is_managed: false,
                ..BOTH
            },
        ],
    },
    // Its config changes.
    Kind {
        first: PUT_BOTH,
        there: &[&[Put("config", r#"{"scheduler": "rr"}"#)]],
        back: &[&[Del("config")]],
        wanted: [
            BOTH,
            Wanted {
                scheduler: Some("rr"),
                ..BOTH
            },
        ],
    },
    // It ends with its last member, and begins anew.
    Kind {
        first: PUT_ONE,
        there: &[&[Del("multiple/1")]],
        back: &[PUT_ONE],
        wanted: [
            ONE,
            Wanted {
                scheduler: None,
                servers: &[],
                is_managed: false,
            },
        ],
    },
];

/// Transactions of `etcdctl`, to be made one after the other.
pub type Change = Vec<String>;

/// Writes everything before any change.
pub fn first() -> String {
    let kinds = KINDS.iter().enumerate();
    kinds.map(|(place, kind)| text(place, kind.first)).collect()
}

/// The changes of all kinds, there or back, each for itself.
pub fn one_by_one(there: bool) -> Vec<Change> {
    let kinds = KINDS.iter().enumerate();
    let changes = kinds.map(|(place, kind)| {
        let steps = kind.steps(there).iter();
        steps.map(|step| text(place, step)).collect()
    });
    changes.collect()
}

/// The same in as few transactions as it takes: services that lose their last
/// key in one would all be purged.
pub fn at_once(there: bool) -> Change {
    let mut change = vec![String::new(), String::new()];
    for (place, kind) in KINDS.iter().enumerate() {
        for (number, step) in kind.steps(there).iter().enumerate() {
            if step.iter().any(|write| matches!(write, Purge)) {
                change.push(text(place, step));
            } else {
                change[number] += &text(place, step);
            }
        }
    }
    change
}

/// The lines of the kernel's table that are lbmanager's.
pub fn table(there: bool) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for (service, wanted) in wanted(there) {
        let Some(scheduler) = wanted.scheduler else {
            continue;
        };
        lines.insert(format!("-A -t {service} -s {scheduler}"));
        for (number, weight) in wanted.servers {
            let server = server(number);
            lines.insert(format!("-a -t {service} -r {server} -m -w {weight}"));
        }
    }
    lines
}

/// The services that are to have a status.
pub fn managed(there: bool) -> BTreeSet<String> {
    let managed = wanted(there).filter(|(_, wanted)| wanted.is_managed);
    managed.map(|(service, _)| service).collect()
}

impl Kind {
    fn steps(&self, there: bool) -> &'static [Step] {
        if there { self.there } else { self.back }
    }
}

fn wanted(there: bool) -> impl Iterator<Item = (String, Wanted)> {
    let kinds = KINDS.iter().enumerate();
    kinds.map(move |(place, kind)| (service(place), kind.wanted[usize::from(there)]))
}

fn service(place: usize) -> String {
    format!("10.8.0.{}:80", place + 1)
}

fn server(number: impl Display) -> String {
    format!("10.8.1.{number}:8080")
}

/// The lines of a transaction.
fn text(place: usize, step: Step) -> String {
    let service = format!("/lbManager/ipvs/{REGION}/{}", service(place));
    let full = |name: &str| match name.split_once('/') {
        Some((class, number)) => key(&self::service(place), class, &server(number)),
        None => format!("{service}/{name}"),
    };
    let lines = step.iter().map(|write| match write {
        Put(name, value) => format!("put {} {value:?}\n", full(name)),
        Del(name) => format!("del {}\n", full(name)),
        Purge => format!("del --prefix {service}/\n"),
    });
    lines.collect()
}
