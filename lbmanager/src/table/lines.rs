//! All virtual services of this host, and which of them have to be looked at.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipvs::ServiceKey;
use jiff::Timestamp;
use presence::model::{BalancerId, Kind, Region, Revision};

use super::Settings;
use super::ledger::{Ledger, key_of};
use super::line::{Line, Over, Quiet};
use super::outbox::Outbox;
use super::unite::unite;
use crate::absorb;
use crate::history::Freeze;
use crate::manager::whole::Orders;
use crate::peers::{Share, Shares};
use crate::record::Record;
use crate::tree::{BalancerTree, Config};

/// All virtual services of this host.
#[derive(Debug)]
pub struct Lines {
    regions: Vec<Region>,
    all: BTreeMap<ServiceKey, Line>,
    /// What the tree says, as it was last taken in.
    said: Arc<BTreeMap<BalancerId, Arc<BalancerTree>>>,
    /// Records of a manager before, until the tree was taken in.
    records: BTreeMap<ServiceKey, (BalancerId, Record)>,
    /// Who has to be looked at.
    pub due: BTreeSet<ServiceKey>,
    /// Who is not managed any more, once its status may be deleted.
    pub ending: BTreeMap<ServiceKey, Over>,
    /// Regions whose word on a virtual service does not count, and why.
    pub refused: BTreeMap<BalancerId, String>,
    /// Regions that have nothing to say any more of a virtual service that
    /// others still speak of: their statuses go.
    pub parting: BTreeSet<BalancerId>,
    general: Option<Arc<Config>>,
    frozen: Option<Freeze>,
    replacements: u32,
    start: Timestamp,
}

impl Lines {
    /// Those that these records know.
    pub fn new(
        records: BTreeMap<BalancerId, Record>,
        settings: &Settings,
        now: Timestamp,
        outbox: &Outbox,
    ) -> Self {
        let mut by_key: BTreeMap<ServiceKey, (BalancerId, Record)> = BTreeMap::new();
        // Until one of them speaks.
        let parting = records.keys().cloned().collect();
        for (id, mut record) in records {
            outbox.known(id.clone(), &record.to_json());
            record.clamp_times(now);
            let Some(key) = key_of(&id) else { continue };
            // Of one that is in several regions each has the same record.
            let newer = by_key
                .get(&key)
                .is_none_or(|(_, other)| weight(other) < weight(&record));
            if newer {
                by_key.insert(key, (id, record));
            }
        }
        Self {
            regions: settings.regions.clone(),
            all: BTreeMap::new(),
            said: Arc::default(),
            records: by_key,
            due: BTreeSet::new(),
            ending: BTreeMap::new(),
            refused: BTreeMap::new(),
            parting,
            general: None,
            frozen: None,
            replacements: 0,
            start: now,
        }
    }

    /// Takes in what is news. Whose releases are news is seen by the line.
    pub fn take_in(&mut self, orders: &Orders, ledger: &Ledger, now: Timestamp) {
        let mut changed = self.news(orders);
        if !self.records.is_empty() {
            // The first time: who is known from before, listed or not.
            for (key, (id, _)) in &self.records {
                changed.entry(*key).or_insert_with(|| id.clone());
            }
        }
        for (key, id) in ledger.iter() {
            // What we made, and nobody else speaks of.
            if !self.all.contains_key(key) {
                changed.entry(*key).or_insert_with(|| id.clone());
            }
        }
        for (key, id) in changed {
            self.unite(key, &id, ledger, now);
        }
        self.take_in_general(orders);
    }

    /// Virtual services whose keys changed, each as it is called in one of the
    /// regions. What the tree has forgotten had been empty for long.
    fn news(&mut self, orders: &Orders) -> BTreeMap<ServiceKey, BalancerId> {
        let before = std::mem::replace(&mut self.said, Arc::clone(&orders.balancers));
        if Arc::ptr_eq(&before, &self.said) {
            return BTreeMap::new();
        }
        // They are the last in the order of kinds.
        let of_ipvs = self.said.iter().rev();
        let of_ipvs = of_ipvs.take_while(|(id, _)| id.kind() == Kind::Ipvs);
        let news = of_ipvs.filter(|(id, tree)| {
            let known = before.get(id);
            self.regions.contains(id.region())
                && known.is_none_or(|known| !Arc::ptr_eq(known, tree))
        });
        let news = news.filter_map(|(id, _)| Some((key_of(id)?, id.clone())));
        news.collect()
    }

    fn unite(&mut self, key: ServiceKey, id: &BalancerId, ledger: &Ledger, now: Timestamp) {
        let known = self.records.remove(&key);
        let mut said = self.said(id);
        let speaks = said.iter().any(|(_, tree)| !tree.says_nothing());
        if !speaks && known.is_none() && !self.all.contains_key(&key) && !ledger.has(&key) {
            return;
        }
        if said.is_empty() {
            said.push((id.clone(), Arc::default()));
        }
        let record = known.map(|(_, record)| Arc::new(record));
        let record = record.unwrap_or_default();
        let Some((first, _)) = said.first() else {
            return;
        };
        let line = self.all.entry(key).or_insert_with(|| Line {
            key,
            ids: vec![first.clone()],
            tree: Arc::default(),
            record,
            look_at: None,
            is_met: false,
            refused: BTreeMap::new(),
            service_refused: None,
            quiet: Quiet {
                start: self.start,
                since: now,
            },
        });
        let united = unite(&said, &line.record);
        self.parting.extend(line.ids.iter().cloned());
        for (id, _) in &said {
            self.parting
                .extend(self.refused.remove_entry(id).map(|(id, _)| id));
        }
        for id in united
            .ids
            .iter()
            .chain(united.refused.iter().map(|(id, _)| id))
        {
            self.parting.remove(id);
        }
        self.refused.extend(united.refused);
        if united.tree.revision != line.tree.revision {
            line.quiet.since = now;
        }
        line.tree = united.tree;
        line.ids = united.ids;
        line.service_refused = None;
        self.due.insert(key);
    }

    /// What each region says of it, the one named first first.
    fn said(&self, id: &BalancerId) -> Vec<(BalancerId, Arc<BalancerTree>)> {
        let regions = self.regions.iter();
        let said = regions.filter_map(|region| self.said.get_key_value(&id.in_region(region)));
        said.map(|(id, tree)| (id.clone(), Arc::clone(tree)))
            .collect()
    }

    fn take_in_general(&mut self, orders: &Orders) {
        let same_general = match (&self.general, &orders.general) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        if !same_general || self.frozen != orders.frozen {
            self.due.extend(self.all.keys());
        }
        if self.replacements != orders.replacements {
            for line in self.all.values_mut() {
                // Revisions of another history compare with nothing here.
                let tree = Arc::clone(&line.tree);
                let frozen = orders.frozen.as_ref();
                let at = frozen.map_or(tree.revision, |freeze| freeze.revision);
                absorb::adopt_history(line.record_mut(), &tree, at);
            }
            self.due.extend(self.all.keys());
        }
        for line in self.all.values() {
            if line.release(orders) > line.record.released {
                self.due.insert(line.key);
            }
        }
        self.general.clone_from(&orders.general);
        self.frozen.clone_from(&orders.frozen);
        self.replacements = orders.replacements;
    }

    /// Whether the history was replaced since it was last taken in.
    pub fn is_of_another_history(&self, orders: &Orders) -> bool {
        self.replacements != orders.replacements
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Everybody has to be looked at.
    pub fn all_due(&mut self) {
        self.due.extend(self.all.keys());
    }

    /// Those whose time has come.
    pub fn mind_the_time(&mut self, now: Timestamp) {
        let due = self
            .all
            .values()
            .filter(|line| line.look_at.is_some_and(|at| at <= now));
        self.due.extend(due.map(|line| line.key));
    }

    /// When the next one's time comes.
    pub fn next_look(&self) -> Option<Timestamp> {
        self.all.values().filter_map(|line| line.look_at).min()
    }

    /// One of them.
    pub fn get_mut(&mut self, key: &ServiceKey) -> Option<&mut Line> {
        self.all.get_mut(key)
    }

    /// One of them.
    pub fn get(&self, key: &ServiceKey) -> Option<&Line> {
        self.all.get(key)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Line> {
        self.all.values()
    }

    /// All of them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Line> {
        self.all.values_mut()
    }

    /// It is not managed any more.
    pub fn forget(&mut self, key: &ServiceKey) -> Option<Line> {
        self.due.remove(key);
        self.ending.remove(key);
        self.all.remove(key)
    }

    /// Who else serves the regions that it is in. A host's own is its own,
    /// whoever else serves it.
    pub fn share(&self, line: &Line, shares: &Shares) -> Share {
        let own = self.regions.first();
        let regions = line.ids.iter().map(BalancerId::region);
        let mut others = BTreeSet::new();
        let mut is_decided = true;
        for region in regions.filter(|region| Some(*region) != own) {
            match shares.get(region) {
                Some(Share::With(hosts)) => others.extend(hosts.iter().cloned()),
                Some(Share::Alone) => {}
                Some(Share::Undecided) | None => is_decided = false,
            }
        }
        match (others.is_empty(), is_decided) {
            (false, _) => Share::With(others),
            (true, true) => Share::Alone,
            (true, false) => Share::Undecided,
        }
    }

    /// Whether all that is known of it is from this host's own region.
    pub fn is_own(&self, line: &Line) -> bool {
        let own = self.regions.first();
        line.ids.iter().all(|id| Some(id.region()) == own)
    }
}

/// Of a region whose word does not count the record knows no member.
fn weight(record: &Record) -> (bool, Revision) {
    (!record.members.is_empty(), record.revision)
}

impl BalancerTree {
    /// Whether it has neither members nor a config.
    pub(super) fn says_nothing(&self) -> bool {
        self.members.is_empty() && self.config.is_none()
    }
}
