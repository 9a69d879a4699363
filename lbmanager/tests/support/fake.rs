//! Load balancers in memory, on tokio's clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use lbmanager::backend::{Backend, BackendError, Outcome, Urgency};
use lbmanager::observed::{Condition, Described, Health};
use presence::model::{BalancerId, MemberId};
use tokio::time::Instant;

/// Load balancers that come into being when first asked for.
#[derive(Debug, Clone, Default)]
pub struct FakeBackend(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    balancers: BTreeMap<BalancerId, Members>,
    calls: Vec<Call>,
    refused: BTreeSet<MemberId>,
    sick: BTreeSet<MemberId>,
    failing_writes: usize,
    no_registering: bool,
    no_health: bool,
    vague: BTreeSet<MemberId>,
    missing: BTreeSet<BalancerId>,
    health_delay: Duration,
    registration: Duration,
    draining: Duration,
    leaving: BTreeMap<BalancerId, Members>,
    unmentioned: BTreeSet<MemberId>,
    lingering: BTreeSet<MemberId>,
    kept: BTreeSet<MemberId>,
    established: BTreeSet<MemberId>,
    failing_describes: usize,
    empty_describes: usize,
    gaps: Vec<String>,
}

type Members = BTreeMap<MemberId, Instant>;

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    Describe(BalancerId),
    Health(BalancerId),
    Register(BalancerId, BTreeSet<MemberId>),
    Deregister(BalancerId, BTreeSet<MemberId>),
}

/// healthy threshold times interval of these load balancers.
pub const HEALTHY_AFTER: Duration = Duration::from_secs(10);

impl FakeBackend {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn with_health_delay(self, delay: Duration) -> Self {
        self.state().health_delay = delay;
        self
    }

    /// So long after it is registered, a member is reported as being registered.
    pub fn with_registration(self, time: Duration) -> Self {
        self.state().registration = time;
        self
    }

    /// Deregistered members drain for so long.
    pub fn with_draining(self, time: Duration) -> Self {
        self.state().draining = time;
        self
    }

    /// Deregisters members by hand.
    pub fn tamper_out(&self, id: &BalancerId, members: &[&str]) {
        let mut state = self.state();
        let balancer = state.balancers.entry(id.clone()).or_default();
        balancer.retain(|member, _| !members.contains(&member.as_str()));
    }

    /// As if these members had been in service for long.
    pub fn set_in_service(&self, id: &BalancerId, members: &[&str]) {
        let members = members.iter().map(|member| id.member(member).unwrap());
        self.state().established = members.collect();
    }

    /// Health leaves these members out, or does not any more.
    pub fn set_unmentioned(&self, id: &BalancerId, members: &[&str]) {
        let members = members.iter().map(|member| id.member(member).unwrap());
        self.state().unmentioned = members.collect();
    }

    /// Health reports these members as being deregistered though they are
    /// registered, or does not any more.
    pub fn set_lingering(&self, id: &BalancerId, members: &[&str]) {
        let members = members.iter().map(|member| id.member(member).unwrap());
        self.state().lingering = members.collect();
    }

    /// Deregistering this member is rejected from now on.
    pub fn keep(&self, id: &BalancerId, member: &str) {
        let member = id.member(member).unwrap();
        self.state().kept.insert(member);
    }

    /// The next so many describes fail.
    pub fn fail_describes(&self, n: usize) {
        self.state().failing_describes = n;
    }

    /// The next so many describes list no member.
    pub fn empty_describes(&self, n: usize) {
        self.state().empty_describes = n;
    }

    /// Puts members in by hand, in service at once.
    pub fn tamper(&self, id: &BalancerId, members: &[&str]) {
        let mut state = self.state();
        let long_ago = Instant::now();
        for member in members {
            let member = id.member(member).unwrap();
            state
                .balancers
                .entry(id.clone())
                .or_default()
                .insert(member, long_ago);
        }
    }

    pub fn refuse(&self, id: &BalancerId, member: &str) {
        let member = id.member(member).unwrap();
        self.state().refused.insert(member);
    }

    /// No such member gets in service, until this is called with no member.
    pub fn set_sick(&self, id: &BalancerId, members: &[&str]) {
        let members = members.iter().map(|member| id.member(member).unwrap());
        self.state().sick = members.collect();
    }

    pub fn never_healthy(&self, id: &BalancerId, member: &str) {
        let member = id.member(member).unwrap();
        self.state().sick.insert(member);
    }

    pub fn fail_writes(&self, n: usize) {
        self.state().failing_writes = n;
    }

    /// Registering is denied from now on.
    pub fn deny_registering(&self) {
        self.state().no_registering = true;
    }

    /// Reading the health fails from now on.
    pub fn hide_health(&self) {
        self.state().no_health = true;
    }

    /// The load balancer does not know how it is.
    pub fn vague(&self, id: &BalancerId, members: &[&str]) {
        let members = members.iter().map(|member| id.member(member).unwrap());
        self.state().vague.extend(members);
    }

    /// There is no such load balancer, or there is again.
    pub fn set_missing(&self, id: &BalancerId, is: bool) {
        let mut state = self.state();
        if is {
            state.missing.insert(id.clone());
        } else {
            state.missing.remove(id);
        }
    }

    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    pub fn forget_calls(&self) {
        self.state().calls.clear();
    }

    pub fn writes(&self) -> usize {
        let state = self.state();
        let writes = state
            .calls
            .iter()
            .filter(|call| matches!(call, Call::Register(..) | Call::Deregister(..)));
        writes.count()
    }

    pub fn registered(&self, id: &BalancerId) -> BTreeSet<String> {
        let state = self.state();
        let members = state.balancers.get(id).into_iter().flat_map(BTreeMap::keys);
        members.map(ToString::to_string).collect()
    }

    /// Moments at which a load balancer lost its last member in service while
    /// it kept or was about to get others.
    pub fn gaps(&self) -> Vec<String> {
        self.state().gaps.clone()
    }
}

impl State {
    fn serves(&self, member: &MemberId, since: Instant) -> bool {
        let delay = self.health_delay.max(self.registration);
        let is_up = self.established.contains(member) || since.elapsed() >= delay;
        is_up && !self.sick.contains(member)
    }

    fn serving(&self, id: &BalancerId) -> usize {
        let members = self.balancers.get(id).into_iter().flatten();
        members
            .filter(|(member, since)| self.serves(member, **since))
            .count()
    }

    fn write(&mut self) -> Option<BackendError> {
        if self.failing_writes == 0 {
            return None;
        }
        self.failing_writes -= 1;
        Some(BackendError::Unavailable("as the test said".to_owned()))
    }
}

impl Backend for FakeBackend {
    async fn describe(&self, id: &BalancerId) -> Result<Described, BackendError> {
        let mut state = self.state();
        state.calls.push(Call::Describe(id.clone()));
        if state.missing.contains(id) {
            return Err(BackendError::NotFound("there is no such one".to_owned()));
        }
        if state.failing_describes > 0 {
            state.failing_describes -= 1;
            return Err(BackendError::Unavailable("no description".to_owned()));
        }
        let members = state.balancers.entry(id.clone()).or_default();
        let mut registered: BTreeSet<MemberId> = members.keys().cloned().collect();
        if state.empty_describes > 0 {
            state.empty_describes -= 1;
            registered.clear();
        }
        Ok(Described {
            registered,
            healthy_after: HEALTHY_AFTER,
        })
    }

    async fn health(&self, id: &BalancerId, _: Urgency) -> Result<Health, BackendError> {
        let mut state = self.state();
        state.calls.push(Call::Health(id.clone()));
        if state.no_health {
            return Err(BackendError::Unavailable("no answer".to_owned()));
        }
        let members = state.balancers.get(id).into_iter().flatten();
        let members = members.filter(|(member, _)| !state.unmentioned.contains(*member));
        let conditions = members.map(|(member, since)| {
            let condition = if state.vague.contains(member) {
                Condition::Unknown("transient error".to_owned())
            } else if state.lingering.contains(member) {
                Condition::Draining
            } else if !state.established.contains(member) && since.elapsed() < state.registration {
                Condition::Registering("in progress".to_owned())
            } else if state.serves(member, *since) {
                Condition::InService
            } else {
                Condition::OutOfService("not yet".to_owned())
            };
            (member.clone(), condition)
        });
        let leaving = state.leaving.get(id).into_iter().flatten();
        let leaving = leaving.filter(|(_, since)| since.elapsed() < state.draining);
        let leaving = leaving.map(|(member, _)| (member.clone(), Condition::Draining));
        Ok(Health::Read(leaving.chain(conditions).collect()))
    }

    async fn register(&self, id: &BalancerId, members: &BTreeSet<MemberId>) -> Outcome {
        let mut state = self.state();
        state
            .calls
            .push(Call::Register(id.clone(), members.clone()));
        if state.no_registering {
            return Outcome {
                error: Some(BackendError::Denied("not you".to_owned())),
                ..Outcome::default()
            };
        }
        let mut outcome = Outcome {
            error: state.write(),
            ..Outcome::default()
        };
        // As at AWS, what fails may have been done all the same.
        for member in members {
            if state.refused.contains(member) {
                let why = "there is no such instance".to_owned();
                outcome.rejected.insert(member.clone(), why);
                continue;
            }
            let balancer = state.balancers.entry(id.clone()).or_default();
            balancer.entry(member.clone()).or_insert_with(Instant::now);
            if let Some(leaving) = state.leaving.get_mut(id) {
                leaving.remove(member);
            }
            if outcome.error.is_none() {
                outcome.done.insert(member.clone());
            }
        }
        outcome
    }

    async fn deregister(&self, id: &BalancerId, members: &BTreeSet<MemberId>) -> Outcome {
        let mut state = self.state();
        state
            .calls
            .push(Call::Deregister(id.clone(), members.clone()));
        if let Some(error) = state.write() {
            return Outcome {
                error: Some(error),
                ..Outcome::default()
            };
        }
        let before = state.serving(id);
        let (kept, done): (BTreeSet<_>, BTreeSet<_>) = members
            .iter()
            .cloned()
            .partition(|member| state.kept.contains(member));
        let balancer = state.balancers.entry(id.clone()).or_default();
        let left: Vec<_> = balancer
            .extract_if(.., |member, _| done.contains(member))
            .map(|(member, _)| (member, Instant::now()))
            .collect();
        state.leaving.entry(id.clone()).or_default().extend(left);
        if before > 0 && state.serving(id) == 0 {
            let gap = format!("{id} lost its last member in service with {members:?}");
            state.gaps.push(gap);
        }
        let why = |member| (member, "there is no such instance".to_owned());
        Outcome {
            done,
            rejected: kept.into_iter().map(why).collect(),
            error: None,
        }
    }
}
