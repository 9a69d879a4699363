//! What the tree remembers of deleted keys, and for how long.
#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use super::*;

fn tree() -> Tree {
    Tree::new(Arc::new(keys::Tree::new("/lbManager").unwrap()))
}

fn web(number: usize) -> String {
    format!("/lbManager/elb/us-east-1/web{number}/multiple/i-00000001")
}

fn id(number: usize) -> BalancerId {
    format!("elb/us-east-1/web{number}").parse().unwrap()
}

fn member(number: usize) -> String {
    format!("/lbManager/elb/us-east-1/web0/multiple/i-{number:08x}")
}

fn step(revision: i64, changes: Vec<Change>) -> Step {
    Step {
        revision: Revision(revision),
        changes,
        is_request: true,
        corrections: Vec::new(),
    }
}

fn put(tree: &mut Tree, revision: i64, keys: &[String]) {
    let entry = Entry {
        value: Box::default(),
        create_revision: Revision(revision),
        mod_revision: Revision(revision),
        lease: None,
    };
    let changes = keys.iter().map(|key| Change::Put {
        key: key.clone(),
        entry: entry.clone(),
    });
    tree.apply(step(revision, changes.collect()));
}

fn gone(keys: &[String], cause: Cause) -> Vec<Change> {
    let keys = keys.iter().cloned();
    keys.map(|key| Change::Gone { key, cause }).collect()
}

fn delete(tree: &mut Tree, revision: i64, keys: &[String]) {
    tree.apply(step(revision, gone(keys, Cause::Explicit)));
}

fn causes(tree: &Tree, number: usize) -> Vec<(Cause, i64)> {
    let departures = tree.balancer(&id(number)).unwrap().departures.values();
    departures.map(|why| (why.cause, why.revision.0)).collect()
}

#[test]
fn what_everybody_has_absorbed_is_forgotten() {
    let mut tree = tree();
    put(&mut tree, 2, &[web(0), web(1), member(2), member(3)]);
    delete(&mut tree, 3, &[member(2)]);
    delete(&mut tree, 4, &[web(1)]);
    delete(&mut tree, 5, &[member(3)]);
    tree.forget_up_to(Revision(4));
    assert_eq!(causes(&tree, 0), [(Cause::Explicit, 5)]);
    assert!(tree.balancer(&id(1)).is_none(), "nothing is left of it");
    assert_eq!(tree.balancer(&id(0)).unwrap().members.len(), 1);
}

#[test]
fn a_purge_is_remembered_until_something_else_happens() {
    let mut tree = tree();
    put(&mut tree, 2, &[web(0), member(2)]);
    delete(&mut tree, 3, &[web(0), member(2)]);
    tree.forget_up_to(Revision(3));
    assert_eq!(tree.balancer(&id(0)).unwrap().purged, Some(Revision(3)));
    put(&mut tree, 4, &[web(0)]);
    delete(&mut tree, 5, &[web(0)]);
    tree.forget_up_to(Revision(5));
    assert!(tree.balancer(&id(0)).is_none_or(|web| web.purged.is_none()));
}

#[test]
fn many_deletes_take_no_memory_once_they_are_absorbed() {
    let mut tree = tree();
    let lag = 500;
    for revision in 2..100_000 {
        if revision % 2 == 0 {
            put(
                &mut tree,
                revision,
                &[member(usize::try_from(revision).unwrap())],
            );
        } else {
            delete(
                &mut tree,
                revision,
                &[member(usize::try_from(revision - 1).unwrap())],
            );
        }
        if revision % lag == 0 {
            tree.forget_up_to(Revision(revision - lag));
        }
        let departures = tree.balancer(&id(0)).map_or(0, |web| web.departures.len());
        assert!(departures <= 500, "{departures} at {revision}");
        assert!(tree.lost.keys.len() <= 500);
    }
}

#[test]
fn deletes_that_nobody_absorbs_are_bounded() {
    let mut tree = tree();
    for number in 0..70_000 {
        let revision = 2 * i64::try_from(number).unwrap() + 2;
        put(&mut tree, revision, &[web(number)]);
        delete(&mut tree, revision + 1, &[web(number)]);
    }
    assert!(tree.balancers.len() <= 65_536, "{}", tree.balancers.len());
    assert_eq!(causes(&tree, 69_999).len(), 1, "the newest stay");
    for number in 0..10_000 {
        let revision = 200_000 + 2 * i64::try_from(number).unwrap();
        put(&mut tree, revision, &[member(number)]);
        delete(&mut tree, revision + 1, &[member(number)]);
    }
    let kept = causes(&tree, 0);
    assert!(kept.len() <= 4096, "{}", kept.len());
    assert_eq!(kept.last(), Some(&(Cause::Explicit, 219_999)));
}

#[test]
fn members_that_were_leaving_when_their_lease_expired_are_no_purge() {
    let mut tree = tree();
    put(&mut tree, 2, &[web(0), member(2)]);
    tree.apply(Step {
        is_request: false,
        ..step(3, gone(&[web(0), member(2)], Cause::Explicit))
    });
    assert_eq!(tree.balancer(&id(0)).unwrap().purged, None);
    assert_eq!(causes(&tree, 0), [(Cause::Explicit, 3); 2]);
}

fn corrected(revision: i64, of: i64, keys: &[String]) -> Step {
    Step {
        corrections: vec![Correction {
            revision: Revision(of),
            keys: keys.to_vec(),
        }],
        ..step(revision, Vec::new())
    }
}

#[test]
fn a_corrected_cause_is_news() {
    let mut tree = tree();
    put(&mut tree, 2, &[web(0), member(2)]);
    let expired = gone(&[member(2)], Cause::LeaseEnded);
    tree.apply(Step {
        is_request: false,
        ..step(3, expired)
    });
    tree.apply(corrected(5, 3, &[member(2)]));
    assert_eq!(causes(&tree, 0), [(Cause::Explicit, 5)]);
}

#[test]
fn deletes_that_turn_out_explicit_may_be_a_purge() {
    for re_added in [false, true] {
        let mut tree = tree();
        put(&mut tree, 2, &[web(0), member(2), member(3)]);
        let kept = if re_added {
            vec![member(3)]
        } else {
            Vec::new()
        };
        let lost: Vec<String> = [web(0), member(2), member(3)]
            .into_iter()
            .filter(|key| !kept.contains(key))
            .collect();
        tree.apply(Step {
            is_request: false,
            ..step(3, gone(&lost, Cause::LeaseEnded))
        });
        tree.apply(corrected(5, 3, &lost));
        let purged = tree.balancer(&id(0)).unwrap().purged;
        assert_eq!(
            purged.is_some(),
            !re_added,
            "a member that stayed is no purge"
        );
    }
}

#[test]
fn values_that_look_wrong_are_remembered_until_they_are_mended() {
    let mut tree = tree();
    let doubtful = |tree: &Tree| tree.doubtful.keys().cloned().collect::<Vec<_>>();
    let write = |tree: &mut Tree, revision: i64, key: &str, value: &str| {
        let entry = Entry {
            value: value.as_bytes().into(),
            create_revision: Revision(2),
            mod_revision: Revision(revision),
            lease: None,
        };
        let key = key.to_owned();
        tree.apply(step(revision, vec![Change::Put { key, entry }]));
    };
    let config = "/lbManager/elb/us-east-1/web0/config";
    write(&mut tree, 2, &web(0), "drain=true");
    write(&mut tree, 3, &web(1), r#"{"weight": "x"}"#);
    write(&mut tree, 4, config, "null");
    write(&mut tree, 5, &web(2), "");
    assert_eq!(doubtful(&tree), [config.to_owned(), web(0), web(1)]);
    assert!(tree.doubtful[&web(1)].contains("weight is \"x\""));
    write(&mut tree, 6, &web(0), r#"{"drain": true}"#);
    delete(&mut tree, 7, &[web(1), config.to_owned()]);
    assert_eq!(doubtful(&tree), [""; 0]);
}
