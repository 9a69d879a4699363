use jiff::Timestamp;
use presence::model::HostId;
use presence::status::record::{ErrorRecord, Failed, Removal, Withheld};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const AT: Revision = Revision(10);
const HOSTS: [&str; 3] = ["a", "b", "c"];

fn member() -> MemberKey {
    MemberKey {
        balancer: "ipvs/edge/10.0.0.1:80".parse().unwrap(),
        class: presence::model::Class::Multiple,
        member: id("10.0.0.2:80"),
    }
}

fn id(text: &str) -> MemberId {
    MemberId::parse(presence::model::Kind::Ipvs, text).unwrap()
}

fn report(host: &str) -> BalancerStatusKey {
    let host: HostId = host.parse().unwrap();
    BalancerStatusKey::by(&host, &member().balancer)
}

fn reports(hosts: &BTreeSet<&str>) -> BTreeSet<BalancerStatusKey> {
    hosts.iter().map(|host| report(host)).collect()
}

fn answer(record: Record) -> Answer {
    Answer::new(record, &BTreeSet::from([member().member]))
}

fn known() -> impl Strategy<Value = MemberRecord> {
    let roles = select(vec![Role::Serve, Role::StandBy, Role::Wait, Role::Out]);
    let states = select(vec![
        State::Serving,
        State::Registering,
        State::OutOfService,
        State::Draining,
        State::Rejected,
        State::Absent,
    ]);
    let reasons = select(vec![Reason::Drain, Reason::NotReady, Reason::Deleted]);
    let written = prop::option::of(8..13_i64);
    (written, roles, states, prop::option::of(reasons)).prop_map(
        |(written, wanted, state, reason)| MemberRecord {
            mod_revision: written.map(Revision),
            wanted,
            state,
            removal: reason.map(|reason| Removal {
                reason,
                since: Timestamp::UNIX_EPOCH,
                revision: Revision::default(),
                unreported_since: None,
                let_go: false,
            }),
            ..MemberRecord::default()
        },
    )
}

fn record() -> impl Strategy<Value = Record> {
    let other = id("10.0.0.3:80");
    (8..13_i64, prop::option::of(known()), known(), any::<bool>()).prop_map(
        move |(revision, ours, others, failed)| Record {
            revision: Revision(revision),
            members: ours
                .map(|ours| (member().member, ours))
                .into_iter()
                .chain([(other.clone(), others)])
                .collect(),
            failed: failed.then(|| Failed {
                member: member().member,
                mod_revision: AT,
            }),
            ..Record::default()
        },
    )
}

fn records() -> impl Strategy<Value = BTreeMap<&'static str, Record>> {
    prop::collection::btree_map(select(HOSTS.to_vec()), record(), 0..3)
}

fn hosts() -> impl Strategy<Value = BTreeSet<&'static str>> {
    prop::collection::btree_set(select(HOSTS.to_vec()), 0..3)
}

fn answers(records: &BTreeMap<&'static str, Record>) -> Answers {
    let records = records.iter();
    records
        .map(|(host, record)| (report(host), answer(record.clone())))
        .collect()
}

fn ours(record: &Record) -> MemberRecord {
    record
        .members
        .get(&member().member)
        .cloned()
        .unwrap_or_default()
}

proptest! {
    #[test]
    fn served_is_what_each_who_is_concerned_shows_so(records in records(), hosts in hosts()) {
        let why = unserved(&member(), AT, &reports(&hosts), &answers(&records));
        let shows = |host: &&str| {
            let Some(record) = records.get(*host) else { return false };
            let known = ours(record);
            let others = record.members.values();
            let other_serves = others.clone().any(|other| {
                (other.wanted, other.state) == (Role::Serve, State::Serving)
            });
            let by_operator = known.removal.is_some_and(|why| why.reason == Reason::Drain);
            known.mod_revision >= Some(AT) && match known.wanted {
                Role::Serve => known.state == State::Serving,
                Role::StandBy => other_serves && record.failed.is_none(),
                Role::Out => by_operator,
                Role::Wait => false,
            }
        };
        prop_assert_eq!(why.is_none(), hosts.iter().all(shows), "{:?}", why);
    }

    #[test]
    fn who_is_out_gets_nothing_from_anybody_concerned(records in records(), hosts in hosts()) {
        let (out, _) = out(&member(), AT, &reports(&hosts), &answers(&records));
        let all = hosts.iter().filter_map(|host| records.get(host));
        for record in all {
            let known = ours(record);
            let is_anothers = known.mod_revision > Some(AT);
            let has_seen = known.mod_revision.is_none() && record.revision >= AT;
            if out >= Out::Quiet && !is_anothers {
                prop_assert!(has_seen, "{:?}", record);
                let gets = [State::Serving, State::Registering, State::OutOfService];
                prop_assert!(!gets.contains(&known.state), "{:?}", record);
            }
            if out == Out::Over && !is_anothers {
                prop_assert_ne!(known.state, State::Draining);
            }
        }
    }

    #[test]
    fn what_others_say_changes_nothing(records in records(), hosts in hosts()) {
        let mut of_concerned = records.clone();
        of_concerned.retain(|host, _| hosts.contains(host));
        let (reports, all) = (reports(&hosts), answers(&records));
        let (member, few) = (member(), answers(&of_concerned));
        prop_assert_eq!(unserved(&member, AT, &reports, &all), unserved(&member, AT, &reports, &few));
        prop_assert_eq!(out(&member, AT, &reports, &all), out(&member, AT, &reports, &few));
    }

    #[test]
    fn what_is_missing_is_said_of_its_load_balancer(records in records(), hosts in hosts()) {
        if let Some(why) = unserved(&member(), AT, &reports(&hosts), &answers(&records)) {
            prop_assert!(why.starts_with("ipvs edge/10.0.0.1:80 on "), "{}", why);
        }
    }
}

#[test]
fn where_nobody_is_concerned_nothing_is_waited_for() {
    let nobody = BTreeSet::new();
    assert_eq!(unserved(&member(), AT, &nobody, &Answers::new()), None);
    assert_eq!(out(&member(), AT, &nobody, &Answers::new()).0, Out::Over);
}

#[test]
fn the_managers_reason_is_handed_on() {
    let at = Timestamp::UNIX_EPOCH;
    let mut record = Record {
        revision: AT,
        error: Some(ErrorRecord {
            at,
            what: "InvalidInstance: there is no such instance".to_owned(),
        }),
        problems: vec!["paused; go on with: lbmanager resume".to_owned()],
        ..Record::default()
    };
    let known = MemberRecord {
        mod_revision: Some(AT),
        wanted: Role::Serve,
        state: State::Rejected,
        ..MemberRecord::default()
    };
    record.members.insert(member().member, known);
    let said = |record: &Record| {
        let answers = Answers::from([(report("edge"), answer(record.clone()))]);
        let concerned = BTreeSet::from([report("edge")]);
        unserved(&member(), AT, &concerned, &answers).unwrap()
    };
    assert_eq!(
        said(&record),
        "ipvs edge/10.0.0.1:80: InvalidInstance: there is no such instance; paused; go on with: \
         lbmanager resume"
    );
    record.error = None;
    record.problems.clear();
    let refused = "ipvs edge/10.0.0.1:80: the load balancer refuses it";
    assert_eq!(said(&record), refused);
    let nobody = Answers::new();
    let concerned = BTreeSet::from([report("b")]);
    let unseen = unserved(&member(), AT, &concerned, &nobody).unwrap();
    let expected = "ipvs edge/10.0.0.1:80 on b: the manager has not looked at it yet";
    assert_eq!(unseen, expected);
}

#[test]
fn what_is_add_only_is_waited_for_no_longer_than_until_it_is_known() {
    let add_only = serde_json::json!({"ownership": "add-only"});
    let record = |at: i64, written: Option<Revision>, state: State| {
        let known = MemberRecord {
            mod_revision: written,
            state,
            ..MemberRecord::default()
        };
        Record {
            revision: Revision(at),
            options: add_only.as_object().cloned(),
            members: [(member().member, known)].into_iter().collect(),
            ..Record::default()
        }
    };
    let later = Some(Revision(AT.0 + 1));
    for (record, expected) in [
        (
            record(AT.0 - 1, Some(Revision(AT.0 - 1)), State::Serving),
            Out::Kept,
        ),
        (record(AT.0, None, State::Serving), Out::Kept),
        (record(AT.0, None, State::OutOfService), Out::Kept),
        // Somebody else removed it.
        (record(AT.0, None, State::Absent), Out::Over),
        (record(AT.0, None, State::Draining), Out::Quiet),
        // Its key was written again.
        (record(AT.0 + 1, later, State::Serving), Out::Over),
    ] {
        let answers = Answers::from([(report("b"), answer(record.clone()))]);
        let (out, why) = out(&member(), AT, &BTreeSet::from([report("b")]), &answers);
        assert_eq!(out, expected, "{record:?}");
        let is_said =
            why.ends_with(": its ownership is add-only, so that lbmanager does not remove it");
        assert_eq!(is_said, out == Out::Kept, "{why}");
    }
}

#[test]
fn why_it_is_still_in_is_the_managers_reason_too() {
    let mut record = Record {
        revision: AT,
        ..Record::default()
    };
    let known = MemberRecord {
        state: State::Serving,
        ..MemberRecord::default()
    };
    record.members.insert(member().member, known);
    record.withheld.insert(
        member().member,
        Withheld {
            reason: Reason::Deleted,
            why: "it is the last that serves".to_owned(),
            until: None,
        },
    );
    let answers = Answers::from([(report("b"), answer(record))]);
    let (out, why) = out(&member(), AT, &BTreeSet::from([report("b")]), &answers);
    assert_eq!(out, Out::No);
    assert_eq!(
        why,
        "ipvs edge/10.0.0.1:80 on b: it is the last that serves"
    );
}
