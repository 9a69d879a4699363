//! Everything there is: the store, the load balancer, the manager, the time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use lbmanager::history::Freeze;
use lbmanager::observed::Condition;
use lbmanager::tree::Tree;
use presence::keys::{self, TreeKey};
use presence::mirror::View;
use presence::model::{
    BalancerId, Class, Kind, MemberId, MemberKey, MemberOptions, Ownership, Revision,
};

use super::action::{Action, MEMBERS, Options, Value};
use super::balancer::{Balancer, after};
use super::check;
use super::driver::{Decision, Driver, End, Fault, Orders};
use super::etcd::{Etcd, Op};
use super::promise::{Facts, Promise};
use super::truth::Truth;

pub struct World {
    pub now: Timestamp,
    pub etcd: Etcd,
    pub balancer: Balancer,
    pub driver: Driver,
    pub view: Tree,
    seen: i64,
    pub frozen: Option<Freeze>,
    replacements: u32,
    pub released: Option<Revision>,
    pub truth: Truth,
    promise: Promise,
    keys: keys::Tree,
    pub id: BalancerId,
    another: BalancerId,
    pub changes: Vec<Timestamp>,
}

/// Says what is wrong.
pub type Verdict = Result<(), String>;

pub fn member(number: u8) -> MemberId {
    MemberId::parse(Kind::Elb, &format!("i-0000000{number}")).unwrap()
}

fn of_mask(mask: u8) -> impl Iterator<Item = MemberId> {
    (0..MEMBERS)
        .filter(move |number| mask & (1 << number) != 0)
        .map(member)
}

impl World {
    pub fn new(delays: Vec<Option<Duration>>) -> Self {
        let keys = keys::Tree::new(keys::DEFAULT_PREFIX).unwrap();
        let delays: BTreeMap<_, _> = (0..MEMBERS).map(member).zip(delays).collect();
        let mut world = Self {
            now: Timestamp::from_second(1_700_000_000).unwrap(),
            etcd: Etcd::new(),
            balancer: Balancer::new(delays),
            driver: Driver::default(),
            view: Tree::new(keys.clone().into()),
            seen: 1,
            frozen: None,
            replacements: 0,
            released: None,
            truth: Truth::default(),
            promise: Promise::default(),
            keys,
            id: "elb/us-east-1/web".parse().unwrap(),
            another: "elb/us-east-1/api".parse().unwrap(),
            changes: Vec::new(),
        };
        world.driver = Driver::start(&world.etcd, world.now, 0);
        let elsewhere = world.key_of(&world.another, Class::Multiple, &member(0));
        world
            .etcd
            .commit(vec![Op::Put(elsewhere, String::new(), None)]);
        world
    }

    fn key_of(&self, balancer: &BalancerId, class: Class, member: &MemberId) -> String {
        self.keys.key(&TreeKey::Member(MemberKey {
            balancer: balancer.clone(),
            class,
            member: member.clone(),
        }))
    }

    fn key(&self, class: Class, member: &MemberId) -> String {
        self.key_of(&self.id, class, member)
    }

    /// What is listed now, whoever has seen it, and the values.
    pub fn listed(&self) -> BTreeMap<(Class, MemberId), String> {
        let all = [Class::Multiple, Class::Single].into_iter();
        all.flat_map(|class| (0..MEMBERS).map(move |number| (class, member(number))))
            .filter_map(|(class, member)| {
                let entry = self.etcd.keys.get(&self.key(class, &member))?;
                let value = String::from_utf8(entry.value.to_vec()).unwrap();
                Some(((class, member), value))
            })
            .collect()
    }

    pub fn perform(&mut self, action: &Action) -> Verdict {
        match action {
            Action::Pass(fault) => return self.pass(*fault).map(|_| ()),
            Action::Wait(seconds) => {
                let wait = Duration::from_secs(u64::from(*seconds));
                self.pass_time(after(self.now, wait));
            }
            Action::Put {
                class,
                members,
                lease,
                value,
            } => {
                self.put(*class, *members, *lease, *value);
            }
            Action::Delete {
                multiple,
                single,
                config,
            } => {
                self.delete(*multiple, *single, *config, false);
            }
            Action::Purge { another } => self.delete(u8::MAX, u8::MAX, true, *another),
            Action::DeleteHereAndThere { class, member } => match class {
                Class::Multiple => self.delete(1 << member, 0, false, true),
                Class::Single => self.delete(0, 1 << member, false, true),
            },
            Action::SwitchClass(class) => self.switch_class(*class),
            Action::EndLease(slot) => self.end_lease(*slot),
            Action::Configure(options) => {
                self.configure(&TreeKey::BalancerConfig(self.id.clone()), *options);
            }
            Action::ConfigureAll(options) => self.configure(&TreeKey::Config, *options),
            Action::Tamper {
                member: number,
                registers: true,
            } => {
                self.balancer.register(&member(*number), self.now);
            }
            Action::Tamper {
                member: number,
                registers: false,
            } => {
                self.balancer.deregister(&member(*number), self.now);
            }
            Action::Sick { member: number, is } => {
                set(&mut self.balancer.sick, *number, *is);
            }
            Action::Refused { member: number, is } => {
                set(&mut self.balancer.refused, *number, *is);
            }
            Action::Vague { member: number, is } => {
                set(&mut self.balancer.vague, *number, *is);
            }
            Action::Readable(is) => self.balancer.readable = *is,
            Action::Release => self.release(),
            Action::Reload => self.reload(),
            Action::Restart { compacted } => self.restart(*compacted),
            Action::Restore(back) => self.restore(*back),
            Action::ReleaseAll => {
                self.frozen = None;
                self.release();
            }
        }
        Ok(())
    }

    /// The key of a release is written; its revision is newer than any before.
    fn release(&mut self) {
        self.released = Some(Revision(self.etcd.advance()));
        let listed = self.listed();
        let is_listed = |member: &MemberId| listed.keys().any(|(_, other)| other == member);
        let unlisted = (0..MEMBERS).map(member).filter(|id| !is_listed(id));
        self.promise.released(unlisted);
    }

    pub fn pass_time(&mut self, until: Timestamp) {
        self.now = until;
        self.balancer.tick(until);
    }

    fn put(&mut self, class: Class, members: u8, lease: Option<u8>, value: Value) {
        for member in of_mask(members) {
            let key = self.key(class, &member);
            let value = value.text(self.etcd.revision);
            self.etcd.commit(vec![Op::Put(key, value, lease)]);
            self.truth.listed(&member);
            self.promise
                .written(class, &member, self.driver.record.class);
        }
    }

    fn delete(&mut self, multiple: u8, single: u8, config: bool, another: bool) {
        let before = self.listed();
        let multiple = of_mask(multiple).map(|member| (Class::Multiple, member));
        let single = of_mask(single).map(|member| (Class::Single, member));
        let gone: Vec<_> = multiple
            .chain(single)
            .filter(|key| before.contains_key(key))
            .collect();
        let mut ops: Vec<Op> = gone
            .iter()
            .map(|(class, member)| Op::Delete(self.key(*class, member)))
            .collect();
        let own_config = self.keys.key(&TreeKey::BalancerConfig(self.id.clone()));
        let had_config = config && self.etcd.keys.contains_key(&own_config);
        if config {
            ops.push(Op::Delete(own_config));
        }
        let elsewhere = self.key_of(&self.another, Class::Multiple, &member(0));
        let emptied_another = another && self.etcd.keys.contains_key(&elsewhere);
        if another {
            ops.push(Op::Delete(elsewhere));
        }
        for (class, member) in &gone {
            let on_lease = self.etcd.keys[&self.key(*class, member)].lease.is_some();
            self.truth.vanished(member, true, on_lease);
            self.promise.deleted(*class, member, self.etcd.revision + 1);
        }
        self.etcd.commit(ops);
        let purges = gone.len() > 1 || had_config || emptied_another;
        if !gone.is_empty() && purges && self.listed().is_empty() {
            self.truth.purged();
        }
    }

    fn switch_class(&mut self, to: Class) {
        let other = match to {
            Class::Multiple => Class::Single,
            Class::Single => Class::Multiple,
        };
        let moving = self
            .listed()
            .into_iter()
            .filter(|((class, _), _)| *class == other);
        let mut ops = Vec::new();
        for ((_, member), value) in moving {
            ops.push(Op::Put(self.key(to, &member), value, None));
            ops.push(Op::Delete(self.key(other, &member)));
            self.truth.vanished(&member, true, false);
            self.truth.listed(&member);
            self.promise.deleted(other, &member, self.etcd.revision + 1);
            self.promise.written(to, &member, None);
        }
        self.etcd.commit(ops);
    }

    fn end_lease(&mut self, slot: u8) {
        let before = self.listed();
        self.etcd.end_lease(slot);
        let after = self.listed();
        for key in before.keys().filter(|key| !after.contains_key(key)) {
            self.truth.vanished(&key.1, false, true);
        }
        self.truth.purge_is_unsure();
    }

    fn configure(&mut self, key: &TreeKey, options: Options) {
        let key = self.keys.key(key);
        let op = match options.text() {
            Some(text) => Op::Put(key, text.to_owned(), None),
            None => Op::Delete(key),
        };
        self.etcd.commit(vec![op]);
    }

    /// The watch goes on.
    fn follow(&mut self) {
        for step in self.etcd.steps_after(self.seen) {
            self.view.apply(step);
        }
        self.seen = self.etcd.revision;
    }

    fn reload(&mut self) {
        let mut view = self.etcd.view_at(self.etcd.revision, &self.keys);
        view.succeed(&self.view, Revision(self.etcd.revision));
        self.view = view;
        self.seen = self.etcd.revision;
        self.truth.purge_is_unsure();
    }

    fn restart(&mut self, compacted: u8) {
        self.driver = Driver::start(&self.etcd, self.now, self.replacements);
        let known = self.etcd.status.is_some();
        let from = match self.driver.record.revision.0 {
            revision if known && revision > 0 && revision <= self.etcd.revision => revision,
            _ => self.etcd.revision,
        };
        let lost = (self.etcd.revision - from) * i64::from(compacted) / 4;
        self.seen = (from + lost).min(self.etcd.revision);
        self.view = self.etcd.view_at(self.seen, &self.keys);
        self.truth.restarted();
        self.promise.restarted(self.now);
    }

    fn restore(&mut self, back: u8) {
        let revision = (self.etcd.revision - i64::from(back)).max(1);
        self.etcd.restore(revision);
        self.frozen = Some(Freeze {
            why: "the history was replaced".into(),
            revision: Revision(self.etcd.revision),
        });
        self.replacements += 1;
        self.truth.restored();
        let listed = self.listed();
        let all = [Class::Multiple, Class::Single].into_iter();
        let all = all.flat_map(|class| (0..MEMBERS).map(move |number| (class, member(number))));
        let unlisted = all.filter(|key| !listed.contains_key(key));
        self.promise.restored(revision, unlisted);
        self.released = self.released.filter(|at| at.0 <= revision);
        for (_, member) in self.listed().into_keys() {
            self.truth.listed(&member);
        }
        self.reload();
    }

    /// One pass. `None`: there was nothing to decide.
    pub fn pass(&mut self, fault: Fault) -> Result<Option<Decision>, String> {
        self.follow();
        if fault == Fault::Unreadable {
            return Ok(None);
        }
        let view = self.view.clone();
        let tree = view.balancer(&self.id).cloned().unwrap_or_default();
        let orders = Orders {
            tree: &tree,
            general: view.general(),
            released: self.released,
            frozen: self.frozen.clone(),
            replacements: self.replacements,
        };
        let was_add_only = self.driver.is_add_only();
        let Some(desired) = self.driver.absorb(&orders, self.now) else {
            self.forget();
            return Ok(None);
        };
        if was_add_only && desired.options.ownership != Ownership::AddOnly {
            self.truth
                .disowned(|member| desired.members.contains_key(member));
        }
        let decision = self
            .driver
            .decide(&desired, &orders, &self.balancer, self.now);
        check::decision(self, &decision)?;
        self.keeps_promise(&decision)?;
        let before = self.balancer.registered();
        let end = self
            .driver
            .carry_out(&decision, &mut self.balancer, &mut self.etcd, fault);
        self.note(&before, &decision, end);
        if end == End::Done || (decision.plan.has_steps() && fault != Fault::NotAnnounced) {
            self.promise.stored();
        }
        match end {
            End::Crashed => self.restart(0),
            End::Done if self.driver.is_finished(&decision, &orders) => self.forget(),
            _ => {}
        }
        Ok(Some(decision))
    }

    fn note(&mut self, before: &BTreeSet<MemberId>, decision: &Decision, end: End) {
        let after = self.balancer.registered();
        if *before != after {
            self.changes.push(self.now);
        }
        let added = after.difference(before).cloned().collect();
        self.truth.acted(decision, &added);
        if end == End::Done {
            self.truth
                .reported(decision, |member| self.balancer.holds(member));
        }
    }

    fn forget(&mut self) {
        self.etcd.delete_status();
        self.driver = Driver::start(&self.etcd, self.now, self.replacements);
        self.truth.forgotten();
        self.promise.forgotten();
    }

    fn keeps_promise(&mut self, decision: &Decision) -> Verdict {
        let facts = self.facts(decision);
        let ours = |member: &&MemberId| {
            self.truth.known.contains(*member) || self.truth.placed.contains(*member)
        };
        let registered = facts.registered.iter();
        let unmanaged = registered.filter(|member| !ours(member)).cloned().collect();
        let removed = decision.plan.deregister.keys().cloned().collect();
        self.promise.observe(&facts, &unmanaged);
        self.promise.judge(&facts, &removed)
    }

    fn facts(&self, decision: &Decision) -> Facts {
        let class = decision.desired.class;
        let options = &decision.desired.options;
        let observed = &decision.observed;
        let is_unhealthy = |member: &&MemberId| {
            let condition = observed.members.get(*member);
            observed.unreadable.is_none() && matches!(condition, Some(Condition::OutOfService(_)))
        };
        let is_unreported = |member: &&MemberId| {
            let condition = observed.members.get(*member);
            observed.unreadable.is_some() || matches!(condition, Some(Condition::Unknown(_)))
        };
        let keys = self.listed().into_iter();
        let keys = keys.filter(|((listed_in, _), _)| Some(*listed_in) == class);
        let mut listed = BTreeSet::new();
        let mut asked_out = BTreeMap::new();
        for ((class, member), value) in keys {
            let parsed = MemberOptions::parse(value.as_bytes()).map(|parsed| parsed.options);
            // Options that cannot be read leave the last ones in force.
            let stays = parsed.is_ok_and(|options| {
                !options.drain && (options.ready || !decision.desired.options.honor_readiness)
            });
            if !stays {
                let key = self.key(class, &member);
                asked_out.insert(member.clone(), self.etcd.keys[&key].mod_revision.0);
            }
            listed.insert(member);
        }
        Facts {
            now: self.now,
            frozen: self.frozen.as_ref().map(|freeze| freeze.revision.0),
            paused: options.paused,
            class,
            listed,
            elsewhere: decision.desired.elsewhere.keys().cloned().collect(),
            asked_out,
            registered: self.balancer.registered(),
            serving: check::serving(decision),
            unhealthy: observed
                .members
                .keys()
                .filter(is_unhealthy)
                .cloned()
                .collect(),
            unreported: observed
                .members
                .keys()
                .filter(is_unreported)
                .cloned()
                .collect(),
            max_removals: options.max_removals,
        }
    }
}

fn set(of: &mut BTreeSet<MemberId>, number: u8, is: bool) {
    if is {
        of.insert(member(number));
    } else {
        of.remove(&member(number));
    }
}
