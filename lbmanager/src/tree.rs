//! The tree of load balancers and members, as the mirror keeps it: per load
//! balancer what is listed, and who departed and why.

mod listing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use litemap::LiteMap;
use presence::departure::{Cause, Change, Step};
use presence::keys::{self, KeyError, TreeKey};
use presence::mirror::View;
use presence::model::{
    BalancerId, BalancerOptions, Class, MemberId, MemberKey, MemberOptions, OptionsError, Parsed,
    Revision,
};
use presence::store::Entry;

/// Departures kept for each load balancer. One that is forgotten counts as a
/// departure for an unknown reason, which is the careful reading.
const DEPARTURES: usize = 4096;

/// Load balancers without any key whose departures are kept.
const EMPTIED: usize = 65_536;

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

    fn forget_oldest_departures(&mut self) {
        while self.departures.len() > DEPARTURES {
            let oldest = self
                .departures
                .iter()
                .min_by_key(|(_, departure)| departure.revision)
                .map(|(member, _)| member.clone());
            if let Some(oldest) = oldest {
                self.departures.remove(&oldest);
            }
        }
    }
}

impl Tree {
    /// An empty tree below that prefix.
    pub fn new(keys: Arc<keys::Tree>) -> Self {
        Self {
            keys,
            general: None,
            balancers: Arc::default(),
            malformed: Arc::default(),
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
        match self.keys.parse(key) {
            Ok(TreeKey::Config) => self.general = Some(Arc::new(Config::new(entry))),
            Ok(TreeKey::BalancerConfig(id)) => {
                let tree = self.change(&id, entry.mod_revision);
                tree.config = Some(Arc::new(Config::new(entry)));
            }
            Ok(TreeKey::Member(MemberKey {
                balancer,
                class,
                member,
            })) => {
                let tree = self.change(&balancer, entry.mod_revision);
                let member = (class, member);
                tree.departures.remove(&member);
                tree.members.insert(member, Listed::new(entry));
            }
            Err(error) => self.ignore(key, error),
        }
    }

    fn ignore(&mut self, key: &str, error: KeyError) {
        if self.malformed.len() < MALFORMED && !self.malformed.contains_key(key) {
            Arc::make_mut(&mut self.malformed).insert(key.to_owned(), error);
        }
    }

    fn gone(&mut self, key: &str, cause: Cause, revision: Revision, deletes: &mut Deletes) {
        match self.keys.parse(key) {
            Ok(TreeKey::Config) => self.general = None,
            Ok(TreeKey::BalancerConfig(id)) => {
                self.change(&id, revision).config = None;
                if cause == Cause::Explicit {
                    deletes.of(&id).config = true;
                }
            }
            Ok(TreeKey::Member(key)) => {
                let tree = self.change(&key.balancer, revision);
                let member = (key.class, key.member);
                if tree.members.remove(&member).is_some() {
                    tree.departures
                        .insert(member, Departure { revision, cause });
                    tree.forget_oldest_departures();
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
        let emptied: Vec<(&BalancerId, &Deleted)> = deletes
            .0
            .iter()
            .filter(|(id, deleted)| {
                let left = self.balancers.get(*id);
                deleted.members > 0 && left.is_some_and(|tree| tree.members.is_empty())
            })
            .collect();
        let several = emptied.len() > 1;
        for (id, deleted) in emptied {
            if several || deleted.members > 1 || deleted.config {
                let tree = self.change(id, revision);
                tree.departures.clear();
                tree.purged = Some(revision);
            }
        }
    }

    /// Those that were emptied just now stay, however many they are: nobody
    /// has seen yet why.
    fn forget_oldest_emptied(&mut self, now: Revision) {
        let mut emptied: Vec<(Revision, BalancerId)> = self
            .balancers
            .iter()
            .filter(|(_, tree)| tree.is_empty() && tree.revision < now)
            .map(|(id, tree)| (tree.revision, id.clone()))
            .collect();
        if emptied.len() <= EMPTIED {
            return;
        }
        emptied.sort();
        let balancers = Arc::make_mut(&mut self.balancers);
        for (_, id) in emptied.iter().take(emptied.len() - EMPTIED) {
            balancers.remove(id);
        }
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
        let mut deletes = Deletes::default();
        let mut gone = false;
        for change in step.changes {
            match change {
                Change::Put { key, entry } => self.put(&key, &entry),
                Change::Gone { key, cause } => {
                    gone = true;
                    self.gone(&key, cause, step.revision, &mut deletes);
                }
            }
        }
        self.judge_purges(step.revision, &deletes);
        if gone {
            self.forget_oldest_emptied(step.revision);
        }
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
            let tree = self.change(id, newest.unwrap_or(old.revision.min(at)));
            tree.departures.extend(departed);
            tree.purged = old.purged.map(|purged| purged.min(at));
            tree.forget_oldest_departures();
        }
    }
}
