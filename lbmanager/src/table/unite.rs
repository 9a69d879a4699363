//! One virtual service in several regions of one host. Pure.

use std::sync::Arc;

use presence::model::BalancerId;

use crate::desired;
use crate::record::Record;
use crate::tree::BalancerTree;

/// What several regions say of one virtual service.
#[derive(Debug, Clone, PartialEq)]
pub struct United {
    /// All of it that counts.
    pub tree: Arc<BalancerTree>,
    /// Whose word counts, in the order of the regions.
    pub ids: Vec<BalancerId>,
    /// Whose does not, and why.
    pub refused: Vec<(BalancerId, String)>,
}

/// Unites what the regions say, the one named first first: members are united
/// where class and config agree, else the first one counts alone.
pub fn unite(said: &[(BalancerId, Arc<BalancerTree>)], before: &Record) -> United {
    // Who has nothing to say any more overrules nobody.
    let (speaks, silent): (Vec<_>, Vec<_>) =
        said.iter().partition(|(_, tree)| !tree.says_nothing());
    let mut all = speaks.into_iter().chain(silent);
    let Some((first, tree)) = all.next() else {
        return United {
            tree: Arc::default(),
            ids: Vec::new(),
            refused: Vec::new(),
        };
    };
    let mut united = United {
        tree: Arc::clone(tree),
        ids: vec![first.clone()],
        refused: Vec::new(),
    };
    for (id, other) in all {
        if other.says_nothing() {
            Arc::make_mut(&mut united.tree).take_in(other);
        } else if let Some(why) = disagree(&united.tree, other, before) {
            let why = format!("{first} is named first, and {why}");
            united.refused.push((id.clone(), why));
        } else {
            Arc::make_mut(&mut united.tree).take_in(other);
            united.ids.push(id.clone());
        }
    }
    united
}

fn disagree(first: &BalancerTree, other: &BalancerTree, before: &Record) -> Option<String> {
    let class = |tree| desired::class_in_force(tree, before);
    if let (Some(one), Some(another)) = (class(first), class(other))
        && one != another
    {
        return Some(format!(
            "its class is {one}, not {another}: nothing is done with these"
        ));
    }
    let options = |tree: &BalancerTree| {
        let config = tree.config.as_ref()?;
        config
            .options
            .as_ref()
            .ok()
            .map(|parsed| parsed.options.clone())
    };
    let differ = options(first).unwrap_or_default() != options(other).unwrap_or_default();
    differ.then(|| "its config says something else: nothing is done with these".to_owned())
}

impl BalancerTree {
    /// What another region says as well. Where both list a member, what the
    /// first says of it counts.
    fn take_in(&mut self, other: &Self) {
        self.revision = self.revision.max(other.revision);
        for (member, listed) in &other.members {
            self.members
                .entry(member.clone())
                .or_insert_with(|| listed.clone());
        }
        for (member, departure) in &other.departures {
            self.departures.entry(member.clone()).or_insert(*departure);
        }
        let listed: Vec<_> = self.departures.keys().cloned().collect();
        for member in listed {
            if self.members.contains_key(&member) {
                self.departures.remove(&member);
            }
        }
        // What one region was told to leave alone another may still manage.
        self.purged = match (self.purged, other.purged) {
            (purged, None) if other.members.is_empty() => purged,
            (None, purged) if self.members.is_empty() => purged,
            (one, another) => one.zip(another).map(|(one, another)| one.max(another)),
        };
    }
}
