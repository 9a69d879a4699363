//! What may happen to a world, small where shrinking should lead.

use std::time::Duration;

use presence::model::Class;
use proptest::prelude::*;

use super::driver::Fault;

/// How many members there are.
pub const MEMBERS: u8 = 6;

#[derive(Debug, Clone, Copy)]
pub enum Value {
    Plain,
    NotReady,
    Drain,
    /// Of an incarnation that began this many revisions ago.
    Since(u8),
    Typo,
    UnknownField,
}

#[derive(Debug, Clone, Copy)]
pub enum Options {
    None,
    Defaults,
    Paused,
    Own,
    AddOnly,
    Adopt,
    RemoveAll,
    RemoveNone,
    Readiness,
    ReadinessWithoutPanic,
    Typo,
}

#[derive(Debug, Clone)]
pub enum Action {
    Pass(Fault),
    Wait(u16),
    /// Members of the mask are written one by one, on a lease if there is one.
    Put {
        class: Class,
        members: u8,
        lease: Option<u8>,
        value: Value,
    },
    /// Keys of the masks are deleted in one revision.
    Delete {
        multiple: u8,
        single: u8,
        config: bool,
    },
    /// Everything is deleted in one revision, here or in another load balancer
    /// as well.
    Purge {
        another: bool,
    },
    /// One lone key here and one elsewhere are deleted in one revision.
    DeleteHereAndThere {
        class: Class,
        member: u8,
    },
    /// All keys change over to the class in one revision.
    SwitchClass(Class),
    EndLease(u8),
    Configure(Options),
    ConfigureAll(Options),
    /// Somebody registers, or deregisters, by hand.
    Tamper {
        member: u8,
        registers: bool,
    },
    /// The load balancer does not know how one is.
    Vague {
        member: u8,
        is: bool,
    },
    Sick {
        member: u8,
        is: bool,
    },
    Refused {
        member: u8,
        is: bool,
    },
    Readable(bool),
    Release,
    /// The watch was compacted away: everything is read anew.
    Reload,
    /// The manager starts anew; so many quarters of the history since its
    /// record are gone.
    Restart {
        compacted: u8,
    },
    /// A snapshot of so many revisions ago is restored.
    Restore(u8),
    ReleaseAll,
}

impl Value {
    pub fn text(self, revision: i64) -> String {
        match self {
            Self::Plain => String::new(),
            Self::NotReady => r#"{"ready":false}"#.to_owned(),
            Self::Drain => r#"{"drain":true}"#.to_owned(),
            Self::Since(back) => format!(r#"{{"since":{}}}"#, revision - i64::from(back)),
            Self::Typo => r#"{"ready":"no"}"#.to_owned(),
            Self::UnknownField => r#"{"wieght":1}"#.to_owned(),
        }
    }
}

impl Options {
    pub fn text(self) -> Option<&'static str> {
        Some(match self {
            Self::None => return None,
            Self::Defaults => "{}",
            Self::Paused => r#"{"paused":true}"#,
            Self::Own => r#"{"ownership":"own"}"#,
            Self::AddOnly => r#"{"ownership":"add-only"}"#,
            Self::Adopt => r#"{"adopt":true}"#,
            Self::RemoveAll => r#"{"max_removals":1}"#,
            Self::RemoveNone => r#"{"max_removals":0}"#,
            Self::Readiness => r#"{"honor_readiness":true}"#,
            Self::ReadinessWithoutPanic => r#"{"honor_readiness":true,"panic_threshold":0}"#,
            Self::Typo => r#"{"paused":"#,
        })
    }
}

fn class() -> impl Strategy<Value = Class> {
    prop_oneof![3 => Just(Class::Multiple), 2 => Just(Class::Single)]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => Just(Value::Plain),
        2 => Just(Value::NotReady),
        2 => Just(Value::Drain),
        1 => (0..20_u8).prop_map(Value::Since),
        1 => Just(Value::Typo),
        1 => Just(Value::UnknownField),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    prop_oneof![
        2 => Just(Options::None),
        2 => Just(Options::Defaults),
        1 => Just(Options::Paused),
        1 => Just(Options::Own),
        1 => Just(Options::AddOnly),
        1 => Just(Options::Adopt),
        1 => Just(Options::RemoveAll),
        1 => Just(Options::RemoveNone),
        1 => Just(Options::Readiness),
        1 => Just(Options::ReadinessWithoutPanic),
        1 => Just(Options::Typo),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        10 => Just(Fault::None),
        1 => Just(Fault::Unreadable),
        1 => Just(Fault::NotAnnounced),
        1 => Just(Fault::CrashAfterAnnouncing),
        1 => any::<(u8, u8)>().prop_map(|(done, said)| Fault::Register { done, said }),
        1 => Just(Fault::CrashAfterRegistering),
        1 => any::<(u8, u8)>().prop_map(|(done, said)| Fault::Deregister { done, said }),
        1 => Just(Fault::CrashAfterDeregistering),
        1 => Just(Fault::NotReported),
    ]
}

fn one_or_all() -> impl Strategy<Value = u8> {
    prop_oneof![
        (0..MEMBERS).prop_map(|member| 1 << member),
        0..(1_u8 << MEMBERS),
    ]
}

pub fn action() -> impl Strategy<Value = Action> {
    let member = || 0..MEMBERS;
    prop_oneof![
        24 => fault().prop_map(Action::Pass),
        12 => prop_oneof![0..30_u16, 0..120_u16, 0..1200_u16].prop_map(Action::Wait),
        12 => (class(), one_or_all(), proptest::option::of(0..3_u8), value())
            .prop_map(|(class, members, lease, value)| Action::Put { class, members, lease, value }),
        4 => one_or_all().prop_map(|multiple| Action::Delete { multiple, single: 0, config: false }),
        3 => one_or_all().prop_map(|single| Action::Delete { multiple: 0, single, config: false }),
        1 => (one_or_all(), one_or_all(), any::<bool>())
            .prop_map(|(multiple, single, config)| Action::Delete { multiple, single, config }),
        1 => any::<bool>().prop_map(|another| Action::Purge { another }),
        1 => (class(), member())
            .prop_map(|(class, member)| Action::DeleteHereAndThere { class, member }),
        1 => class().prop_map(Action::SwitchClass),
        5 => (0..3_u8).prop_map(Action::EndLease),
        3 => options().prop_map(Action::Configure),
        1 => options().prop_map(Action::ConfigureAll),
        4 => (member(), any::<bool>())
            .prop_map(|(member, registers)| Action::Tamper { member, registers }),
        3 => (member(), any::<bool>()).prop_map(|(member, is)| Action::Sick { member, is }),
        2 => (member(), any::<bool>()).prop_map(|(member, is)| Action::Refused { member, is }),
        2 => (member(), any::<bool>()).prop_map(|(member, is)| Action::Vague { member, is }),
        2 => any::<bool>().prop_map(Action::Readable),
        1 => Just(Action::Release),
        2 => Just(Action::Reload),
        2 => (0..5_u8).prop_map(|compacted| Action::Restart { compacted }),
        1 => (0..30_u8).prop_map(Action::Restore),
        1 => Just(Action::ReleaseAll),
    ]
}

/// How long each machine takes to be in service. One that takes longer than
/// 15 s is late, and some never get there.
pub fn delays() -> impl Strategy<Value = Vec<Option<Duration>>> {
    let delay = prop_oneof![
        4 => (0..15_u64).prop_map(Some),
        1 => (15..40_u64).prop_map(Some),
        1 => Just(None),
    ];
    let delay = delay.prop_map(|seconds| seconds.map(Duration::from_secs));
    proptest::collection::vec(delay, usize::from(MEMBERS))
}
