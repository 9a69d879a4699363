use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::{Refusal, Request, Search};

/// What is known of a name: itself.
type Verdicts = BTreeMap<String, Result<String, Why>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Hangs,
    Missing,
    Throttled,
}

/// A service with names that make requests fail.
#[derive(Debug, Clone, Default)]
struct Service {
    bad: BTreeMap<String, Why>,
    /// Whether it says who is missing.
    tells: bool,
    down: Option<Why>,
}

struct Report {
    verdicts: Verdicts,
    requests: usize,
    suspects: Vec<String>,
}

impl Service {
    fn answer(&self, names: &[String]) -> Result<BTreeMap<String, String>, Refusal<Why>> {
        let worst = |why| {
            let all = names
                .iter()
                .filter(|name| self.bad.get(*name) == Some(&why));
            all.cloned().collect::<Vec<_>>()
        };
        if let Some(why) = self.down {
            return Err(refusal(why, Vec::new()));
        }
        if !worst(Why::Hangs).is_empty() {
            return Err(refusal(Why::Hangs, Vec::new()));
        }
        let missing = worst(Why::Missing);
        if !missing.is_empty() {
            let first = missing.into_iter().take(usize::from(self.tells));
            return Err(refusal(Why::Missing, first.collect()));
        }
        Ok(names
            .iter()
            .map(|name| (name.clone(), name.clone()))
            .collect())
    }

    /// Answers in an order of `picks`.
    fn search(
        &self,
        names: &BTreeSet<String>,
        suspects: &BTreeSet<String>,
        most: usize,
        turn: usize,
        picks: &[usize],
    ) -> Report {
        let (mut search, mut open) = Search::start(names.iter().cloned(), suspects, most, turn);
        let mut report = Report {
            verdicts: Verdicts::new(),
            requests: 0,
            suspects: Vec::new(),
        };
        while !open.is_empty() {
            let pick = picks[report.requests % picks.len()] % open.len();
            let request: Request = open.swap_remove(pick);
            assert!(!request.names.is_empty() && request.names.len() <= most);
            report.requests += 1;
            let answer = self.answer(&request.names);
            let step = search.answered(request, answer, |_| Why::Missing);
            for (name, verdict) in step.verdicts {
                let before = report.verdicts.insert(name.clone(), verdict);
                assert_eq!(before, None, "{name} got two verdicts");
            }
            open.extend(step.requests);
        }
        report.suspects = search.suspects();
        report
    }
}

fn refusal(why: Why, named: Vec<String>) -> Refusal<Why> {
    match why {
        Why::Hangs => Refusal::Unclear(why),
        Why::Missing => Refusal::Missing(named, why),
        Why::Throttled => Refusal::Everyone(why),
    }
}

fn names(count: usize) -> BTreeSet<String> {
    (0..count).map(|i| format!("lb{i:04}")).collect()
}

/// How often something can be halved.
fn halvings(count: usize) -> usize {
    count.next_power_of_two().ilog2() as usize
}

fn service(names: &BTreeSet<String>, bad: &[(Index, Why)], tells: bool) -> Service {
    let pick = |(index, why): &(Index, Why)| {
        let name = index.get(&names.iter().collect::<Vec<_>>()).to_owned();
        (name.clone(), *why)
    };
    Service {
        bad: bad.iter().map(pick).collect(),
        tells,
        down: None,
    }
}

fn some_bad(why: impl Strategy<Value = Why>) -> impl Strategy<Value = Vec<(Index, Why)>> {
    prop::collection::vec((any::<Index>(), why), 1..8)
}

fn picks() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(any::<usize>(), 1..40)
}

proptest! {
    /// Everybody else is answered, and it costs little.
    #[test]
    fn one_name_that_hangs_is_found(
        count in 1_usize..500, bad in any::<Index>(), turn in 0_usize..9, picks in picks(),
    ) {
        let names = names(count);
        let service = service(&names, &[(bad, Why::Hangs)], false);
        let report = service.search(&names, &BTreeSet::new(), 400, turn, &picks);
        prop_assert_eq!(report.verdicts.len(), count);
        for (name, verdict) in report.verdicts {
            prop_assert_eq!(verdict.err(), service.bad.get(&name).copied());
        }
        prop_assert!(report.requests <= 2 + 2 * halvings(count));
        let expected: Vec<_> = service.bad.into_keys().filter(|_| count > 1).collect();
        prop_assert_eq!(report.suspects, expected);
    }

    /// It costs a request each where AWS says who, and a few where it does
    /// not; everybody else is answered at the first go.
    #[test]
    fn missing_names_are_found(
        count in 1_usize..300, bad in some_bad(Just(Why::Missing)),
        tells in any::<bool>(), picks in picks(),
    ) {
        let names = names(count);
        let service = service(&names, &bad, tells);
        let report = service.search(&names, &BTreeSet::new(), 400, 0, &picks);
        prop_assert_eq!(report.verdicts.len(), count);
        for (name, verdict) in report.verdicts {
            prop_assert_eq!(verdict.err(), service.bad.get(&name).copied());
        }
        let each = if tells { 1 } else { 2 * halvings(count) };
        prop_assert!(report.requests <= 1 + each * service.bad.len());
    }

    /// Whatever is bad: each name gets one verdict, no bad one is answered,
    /// and within a few searches all good ones are, with the bad ones asked
    /// alone from then on.
    #[test]
    fn good_names_are_answered_before_long(
        count in 1_usize..100,
        bad in some_bad(prop_oneof![Just(Why::Hangs), Just(Why::Missing)]),
        tells in any::<bool>(), most in 1_usize..60, picks in picks(),
    ) {
        let names = names(count);
        let service = service(&names, &bad, tells);
        let good: BTreeSet<_> = names.iter().filter(|n| !service.bad.contains_key(*n)).collect();
        let mut suspects = BTreeSet::new();
        let mut answered_at = None;
        for turn in 0..count + 8 {
            let report = service.search(&names, &suspects, most, turn, &picks);
            prop_assert_eq!(report.verdicts.len(), count);
            let answered: BTreeSet<_> = report.verdicts.iter()
                .filter(|(_, verdict)| verdict.is_ok()).map(|(name, _)| name).collect();
            prop_assert!(answered.is_subset(&good));
            if answered == good {
                answered_at = Some(turn);
                break;
            }
            suspects.extend(report.suspects);
        }
        prop_assert!(answered_at.is_some());
    }

    /// An outage is no storm, and makes nobody a suspect.
    #[test]
    fn an_outage_costs_five_requests_a_batch(
        count in 1_usize..1000, turn in 0_usize..9, picks in picks(),
    ) {
        let names = names(count);
        let service = Service { down: Some(Why::Hangs), ..Service::default() };
        let report = service.search(&names, &BTreeSet::new(), 400, turn, &picks);
        prop_assert_eq!(report.verdicts.len(), count);
        prop_assert!(report.verdicts.values().all(Result::is_err));
        prop_assert!(report.requests <= 5 * count.div_ceil(400));
        prop_assert_eq!(report.suspects, Vec::<String>::new());
    }
}

#[test]
fn throttling_is_everybodys_and_not_searched() {
    let names = names(300);
    let service = Service {
        down: Some(Why::Throttled),
        ..Service::default()
    };
    let report = service.search(&names, &BTreeSet::new(), 400, 0, &[0]);
    assert_eq!(report.requests, 1);
    assert_eq!(report.verdicts.len(), 300);
}

#[test]
fn a_thousand_are_three_requests_and_suspects_are_apart() {
    let names = names(1000);
    let start = |suspects: &BTreeSet<String>| {
        let (_, requests) = Search::<Why>::start(names.iter().cloned(), suspects, 400, 0);
        requests.iter().map(|r| r.names.len()).collect::<Vec<_>>()
    };
    assert_eq!(start(&BTreeSet::new()), [400, 400, 200]);
    let suspects = BTreeSet::from(["lb0007".to_owned(), "lb0999".to_owned()]);
    assert_eq!(start(&suspects), [400, 400, 198, 1, 1]);
}
