//! The tree of load balancers and members, as the mirror keeps it: per load
//! balancer what is listed, and who departed and why.

mod forget;
mod listing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use litemap::LiteMap;
use presence::departure::{Cause, Change, Correction, Step};
use presence::keys::{self, KeyError, TreeKey};
use presence::mirror::View;
use presence::model::{
    BalancerId, BalancerOptions, Class, MemberId, MemberKey, MemberOptions, OptionsError, Parsed,
    Revision,
};
use presence::store::Entry;

use self::forget::Lost;

/// Malformed keys that are remembered to be reported.
const MALFORMED: usize = 1000;

/// Everything below the prefix. Cheap to clone: what did not change is shared.
#[derive(Debug, Clone)]
pub struct Tree {
    keys: Arc<keys::Tree>,
    /// Options for everything.
    pub general: Option<Arc<Config>>,
    /// Every load balancer that has keys, or lost its last one lately.
    pub balancers: Arc<BTreeMap<BalancerId, Arc<BalancerTree>>>,
    /// Keys that mean nothing, and why.
    pub malformed: Arc<BTreeMap<String, KeyError>>,
    /// Keys whose values look wrong, and why.
    pub doubtful: Arc<BTreeMap<String, String>>,
    lost: Arc<Lost>,
}

/// What the tree says of one load balancer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BalancerTree {
    /// The newest change of its own keys.
    pub revision: Revision,
    /// Its options.
    pub config: Option<Arc<Config>>,
    /// Its members, in both classes.
    pub members: LiteMap<(Class, MemberId), Listed>,
    /// Members that are not listed any more.
    pub departures: BTreeMap<(Class, MemberId), Departure>,
    /// When it was purged: stop managing, leave the members.
    pub purged: Option<Revision>,
}

/// A `config` key.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// When it was last written.
    pub mod_revision: Revision,
    /// What it says.
    pub options: Result<Parsed<BalancerOptions>, OptionsError>,
}

/// A member's key.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// When it was first written.
    pub create_revision: Revision,
    /// When it was last written.
    pub mod_revision: Revision,
    /// What its value says; boxed, because nearly all values are empty.
    options: Option<Box<Result<Parsed<MemberOptions>, OptionsError>>>,
}

/// Why a member is not listed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Departure {
    /// When its key vanished.
    pub revision: Revision,
    /// Why.
    pub cause: Cause,
}

impl Listed {
    /// A member as its key says.
    pub fn new(entry: &Entry) -> Self {
        let parsed = MemberOptions::parse(&entry.value);
        let defaults = parsed == Ok(Parsed::default());
        Self {
            create_revision: entry.create_revision,
            mod_revision: entry.mod_revision,
            options: (!defaults).then(|| Box::new(parsed)),
        }
    }

    /// Its options.
    pub fn options(&self) -> Result<MemberOptions, OptionsError> {
        match self.options.as_deref() {
            None => Ok(MemberOptions::default()),
            Some(parsed) => parsed.clone().map(|parsed| parsed.options),
        }
    }

    /// Why its value looks like a mistake.
    pub fn warning(&self) -> Option<&str> {
        match self.options.as_deref() {
            Some(Ok(parsed)) => parsed.warning.as_deref(),
            _ => None,
        }
    }

    /// What is wrong with its value.
    fn problem(&self) -> Option<String> {
        problem(self.options.as_deref()?)
    }

    /// Fields of its value that nobody knows.
    pub fn unknown_fields(&self) -> &[String] {
        match self.options.as_deref() {
            Some(Ok(parsed)) => &parsed.unknown,
            _ => &[],
        }
    }
}

impl Departure {
    /// A replaced history may be shorter than the one that this is from. What
    /// was not in it yet must not look like the future.
    fn no_later_than(self, at: Revision) -> Self {
        Self {
            revision: self.revision.min(at),
            ..self
        }
    }
}

impl BalancerTree {
    /// Whether it is a member, in whichever class.
    pub fn lists(&self, member: &MemberId) -> bool {
        [Class::Multiple, Class::Single]
            .into_iter()
            .any(|class| self.members.contains_key(&(class, member.clone())))
    }

    /// Whether it is known why the member is not listed.
    pub fn explains(&self, member: &MemberId) -> bool {
        let known = |class| self.departures.get(&(class, member.clone()));
        let mut departures = [Class::Multiple, Class::Single]
            .into_iter()
            .filter_map(known);
        self.purged.is_some() || departures.any(|gone| gone.cause != Cause::Unknown)
    }

    /// How many members came, were written again, or departed since.
    pub fn changes_after(&self, revision: Revision) -> usize {
        let listed = self.members.values().map(|listed| listed.mod_revision);
        let departed = self.departures.values().map(|gone| gone.revision);
        let changes = listed.chain(departed);
        changes.filter(|change| *change > revision).count()
    }

    fn is_empty(&self) -> bool {
        self.members.is_empty() && self.config.is_none()
    }

    /// Whether it had no member at that revision, as far as it is known `now`,
    /// when deletes of that revision were explained.
    fn was_emptied(&self, revision: Revision, now: Revision) -> bool {
        let mut members = self.members.values();
        let mut departures = self.departures.values();
        members.all(|listed| listed.create_revision > revision)
            && departures.all(|gone| gone.revision <= revision || gone.revision == now)
    }
}

impl Tree {
    /// The key of a member.
    pub fn member_key(&self, id: &BalancerId, class: Class, member: &MemberId) -> String {
        self.keys.key(&TreeKey::Member(MemberKey {
            balancer: id.clone(),
            class,
            member: member.clone(),
        }))
    }

    /// What the keys of a load balancer begin with.
    pub fn prefix_of(&self, id: &BalancerId) -> String {
        self.keys.below(id)
    }

    /// Whether there is no member and no config.
    pub fn has_no_key(&self) -> bool {
        self.balancers.values().all(|balancer| balancer.is_empty())
    }

    /// Whether a load balancer of the tree before has lost its last member.
    pub fn empties_any_of(&self, before: &Self) -> bool {
        if Arc::ptr_eq(&self.balancers, &before.balancers) {
            return false;
        }
        // Both are in one order, and nearly all of it is shared.
        let mut now = self.balancers.iter().peekable();
        before.balancers.iter().any(|(id, listed)| {
            while now.next_if(|(other, _)| *other < id).is_some() {}
            let same = now.next_if(|(other, _)| *other == id);
            let has_none = |now: &BalancerTree| now.members.is_empty();
            match same {
                Some((_, now)) if Arc::ptr_eq(now, listed) => false,
                Some((_, now)) => !listed.members.is_empty() && has_none(now),
                None => !listed.members.is_empty(),
            }
        })
    }

    /// Whether all keys of the tree before are gone, and not known why.
    pub fn was_emptied_unseen_since(&self, before: &Self) -> bool {
        if before.has_no_key() || !self.has_no_key() {
            return false;
        }
        before.balancers.iter().any(|(id, listed)| {
            let now = self.balancer(id);
            let mut members = listed.members.keys().map(|(_, member)| member);
            members.any(|member| now.is_none_or(|now| !now.explains(member)))
        })
    }

    /// An empty tree below that prefix.
    pub fn new(keys: Arc<keys::Tree>) -> Self {
        Self {
            keys,
            general: None,
            balancers: Arc::default(),
            malformed: Arc::default(),
            doubtful: Arc::default(),
            lost: Arc::default(),
        }
    }

    /// Options for everything, as its key says.
    pub fn general(&self) -> Option<&Config> {
        self.general.as_deref()
    }

    /// What the tree says of one load balancer.
    pub fn balancer(&self, id: &BalancerId) -> Option<&Arc<BalancerTree>> {
        self.balancers.get(id)
    }

    fn change(&mut self, id: &BalancerId, revision: Revision) -> &mut BalancerTree {
        let balancers = Arc::make_mut(&mut self.balancers);
        let tree = Arc::make_mut(balancers.entry(id.clone()).or_default());
        tree.revision = tree.revision.max(revision);
        tree
    }

    fn put(&mut self, key: &str, entry: &Entry) {
        let problem = match self.keys.parse(key) {
            Ok(TreeKey::Config) => {
                let config = Config::new(entry);
                let problem = problem(&config.options);
                self.general = Some(Arc::new(config));
                problem
            }
            Ok(TreeKey::BalancerConfig(id)) => {
                let config = Config::new(entry);
                let problem = problem(&config.options);
                self.change(&id, entry.mod_revision).config = Some(Arc::new(config));
                problem
            }
            Ok(TreeKey::Member(MemberKey {
                balancer,
                class,
                member,
            })) => {
                let listed = Listed::new(entry);
                let problem = listed.problem();
                let tree = self.change(&balancer, entry.mod_revision);
                let member = (class, member);
                tree.departures.remove(&member);
                tree.members.insert(member, listed);
                problem
            }
            Err(error) => return self.ignore(key, error),
        };
        self.doubt(key, problem);
    }

    /// Remembers what is wrong with the value of a key; `None`: nothing is.
    fn doubt(&mut self, key: &str, problem: Option<String>) {
        match problem {
            Some(problem) if self.doubtful.len() < MALFORMED => {
                Arc::make_mut(&mut self.doubtful).insert(key.to_owned(), problem);
            }
            None if self.doubtful.contains_key(key) => {
                Arc::make_mut(&mut self.doubtful).remove(key);
            }
            _ => {}
        }
    }

    fn ignore(&mut self, key: &str, error: KeyError) {
        if self.malformed.len() < MALFORMED && !self.malformed.contains_key(key) {
            Arc::make_mut(&mut self.malformed).insert(key.to_owned(), error);
        }
    }

    fn gone(&mut self, key: &str, cause: Cause, revision: Revision, deletes: &mut Deletes) {
        self.doubt(key, None);
        match self.keys.parse(key) {
            Ok(TreeKey::Config) => self.general = None,
            Ok(TreeKey::BalancerConfig(id)) => {
                self.change(&id, revision).config = None;
                self.loses(&id, revision);
                if cause == Cause::Explicit {
                    deletes.of(&id).config = true;
                }
            }
            Ok(TreeKey::Member(key)) => {
                let tree = self.change(&key.balancer, revision);
                let member = (key.class, key.member);
                if tree.members.remove(&member).is_some() {
                    tree.departs(member, Departure { revision, cause });
                    self.loses(&key.balancer, revision);
                    if cause == Cause::Explicit {
                        deletes.of(&key.balancer).members += 1;
                    }
                }
            }
            Err(_) => {
                if self.malformed.contains_key(key) {
                    Arc::make_mut(&mut self.malformed).remove(key);
                }
            }
        }
    }

    /// Deleting more than one lone key of a load balancer until none is left
    /// means "stop managing it", not "empty it".
    fn judge_purges(&mut self, revision: Revision, deletes: &Deletes) {
        let is_emptied = |tree: &BalancerTree| tree.members.is_empty();
        for id in self.purged(deletes, is_emptied) {
            self.purge(&id, revision);
        }
    }

    fn purged(
        &self,
        deletes: &Deletes,
        is_emptied: impl Fn(&BalancerTree) -> bool,
    ) -> Vec<BalancerId> {
        let emptied: Vec<(&BalancerId, &Deleted)> = deletes
            .0
            .iter()
            .filter(|(id, deleted)| {
                deleted.members > 0 && self.balancers.get(*id).is_some_and(|tree| is_emptied(tree))
            })
            .collect();
        let several = emptied.len() > 1;
        let purged = emptied
            .into_iter()
            .filter(|(_, deleted)| several || deleted.members > 1 || deleted.config);
        purged.map(|(id, _)| id.clone()).collect()
    }

    fn purge(&mut self, id: &BalancerId, revision: Revision) {
        let tree = self.change(id, revision);
        tree.departures.clear();
        tree.purged = Some(revision);
    }

    /// Deletes that turned out to be explicit count as news of this revision.
    fn correct(&mut self, correction: &Correction, now: Revision) {
        let mut deletes = Deletes::default();
        for key in &correction.keys {
            match self.keys.parse(key) {
                Ok(TreeKey::Member(key)) => {
                    let member = (key.class, key.member);
                    let departure = self.balancers.get(&key.balancer);
                    let departure = departure.and_then(|tree| tree.departures.get(&member));
                    if departure.is_some_and(|why| why.revision == correction.revision) {
                        let explicit = Departure {
                            revision: now,
                            cause: Cause::Explicit,
                        };
                        let tree = self.change(&key.balancer, now);
                        tree.departs(member, explicit);
                        self.loses(&key.balancer, now);
                        deletes.of(&key.balancer).members += 1;
                    }
                }
                Ok(TreeKey::BalancerConfig(id)) => deletes.of(&id).config = true,
                _ => {}
            }
        }
        for id in self.purged(&deletes, |tree| tree.was_emptied(correction.revision, now)) {
            self.purge(&id, now);
        }
    }
}

/// What is wrong with a value, if it can be told without its key.
fn problem<T>(options: &Result<Parsed<T>, OptionsError>) -> Option<String> {
    match options {
        Err(error) => Some(error.to_string()),
        Ok(parsed) => match parsed.unknown.first() {
            Some(field) => Some(format!("the field {field:?} is not known")),
            None => parsed.warning.clone(),
        },
    }
}

impl Config {
    fn new(entry: &Entry) -> Self {
        Self {
            mod_revision: entry.mod_revision,
            options: BalancerOptions::parse(&entry.value),
        }
    }
}

/// What one revision deleted on purpose.
#[derive(Default)]
struct Deletes(BTreeMap<BalancerId, Deleted>);

#[derive(Default)]
struct Deleted {
    members: usize,
    config: bool,
}

impl Deletes {
    fn of(&mut self, id: &BalancerId) -> &mut Deleted {
        self.0.entry(id.clone()).or_default()
    }
}

impl View for Tree {
    fn list(&mut self, key: &str, entry: &Entry) {
        self.put(key, entry);
    }

    fn list_all(&mut self, entries: &[(String, Entry)]) {
        self.put_all(entries);
    }

    fn apply(&mut self, step: Step) {
        for correction in &step.corrections {
            self.correct(correction, step.revision);
        }
        let mut deletes = Deletes::default();
        for change in step.changes {
            match change {
                Change::Put { key, entry } => self.put(&key, &entry),
                Change::Gone { key, cause } => {
                    self.gone(&key, cause, step.revision, &mut deletes);
                }
            }
        }
        // Each publisher deletes its keys one by one; several that were about to
        // leave when their lease expired are no purge.
        if step.is_request {
            self.judge_purges(step.revision, &deletes);
        }
        self.forget_oldest(step.revision);
    }

    fn succeed(&mut self, before: &Self, at: Revision) {
        let lost = Departure {
            revision: at,
            cause: Cause::Unknown,
        };
        for (id, old) in before.balancers.iter() {
            let listed: BTreeSet<_> = self
                .balancers
                .get(id)
                .map(|tree| tree.members.keys().cloned().collect())
                .unwrap_or_default();
            let missing = old.members.keys().map(|member| (member, lost));
            let known = old
                .departures
                .iter()
                .map(|(member, why)| (member, why.no_later_than(at)));
            let departed: Vec<_> = known
                .chain(missing)
                .filter(|(member, _)| !listed.contains(*member))
                .map(|(member, why)| (member.clone(), why))
                .collect();
            // One that had but a config is heard of once more as well.
            let stays = self.balancers.contains_key(id);
            if departed.is_empty() && old.purged.is_none() && stays {
                continue;
            }
            let newest = departed.iter().map(|(_, why)| why.revision).max();
            let revision = newest.unwrap_or(old.revision.min(at));
            let tree = self.change(id, revision);
            tree.purged = old.purged.map(|purged| purged.min(at));
            for (member, why) in departed {
                self.loses(id, why.revision);
                self.change(id, revision).departs(member, why);
            }
            self.loses(id, revision);
        }
        self.forget_oldest(at);
    }

    fn forget_absorbed(&mut self, up_to: Revision) {
        self.forget_up_to(up_to);
    }
}
