//! Observes as much as a decision needs, and decides. Writes nothing.

use std::time::Duration;

use litemap::LiteMap;
use presence::model::{BalancerId, MemberId};
use presence::process::backoff::Backoff;
use tokio::time::sleep;

use crate::backend::{Backend, BackendError, Urgency};
use crate::desired::Desired;
use crate::observed::{Condition, Described, Health, Observed};
use crate::plan::{self, Context, Plan};
use crate::record::{MemberRecord, Record, State};

/// How often a load balancer is described again where its description and its
/// health disagree.
const REPEATS: usize = 3;

/// What a plan is to be made from, but for what the load balancer says.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Which load balancer.
    pub id: &'a BalancerId,
    /// What the tree wants of it.
    pub desired: &'a Desired,
    /// What is known of it.
    pub record: &'a Record,
    /// Everything else.
    pub context: &'a Context,
    /// Whether health is due even if no decision depends on it.
    pub health_is_due: bool,
    /// Whether a change waits for the health, or only the status.
    pub urgency: Urgency,
}

/// A plan, and whether health was read for it.
pub struct Answer {
    /// The plan.
    pub plan: Plan,
    /// Whether the load balancer was asked for health.
    pub with_health: bool,
}

impl Question<'_> {
    /// Looks at the load balancer. Health costs a request for each of them, so
    /// it is asked for only where it is due, or can matter: where somebody may
    /// leave, or has yet to get in service, or drains.
    ///
    /// `described` is from an earlier pass and may be out of date. It is good
    /// enough for what only registers. Whoever is to be deregistered was
    /// described in this pass.
    ///
    /// `patience` says how a failure to read health is met.
    pub async fn ask<B: Backend>(
        &self,
        backend: &B,
        described: &mut Option<Described>,
        patience: &mut Patience,
    ) -> Result<Answer, BackendError> {
        let mut sight = Sight::new(self.id, backend, described).await?;
        if let Some(observed) = self.as_recorded(sight.described) {
            let plan = self.plan(&observed);
            let harmless = plan.deregister.is_empty() && plan.record.withheld.is_empty();
            if harmless && (!plan.is_waiting() || !plan.register.is_empty()) {
                return Ok(Answer {
                    plan,
                    with_health: false,
                });
            }
            if !plan.deregister.is_empty() {
                sight.refresh().await?;
            }
        }
        self.ask_health(sight, patience).await
    }

    async fn ask_health<B: Backend>(
        &self,
        mut sight: Sight<'_, B>,
        patience: &mut Patience,
    ) -> Result<Answer, BackendError> {
        loop {
            let health = sight.backend.health(self.id, self.urgency).await;
            let health = patience.meet(health)?;
            self.settle_differences(&mut sight, &health).await?;
            let mut plan = self.plan(&self.observed(sight.described, health, patience));
            if plan.deregister.is_empty() || sight.is_fresh {
                let described = &sight.described.registered;
                plan.deregister
                    .retain(|member, _| described.contains(member));
                return Ok(Answer {
                    plan,
                    with_health: true,
                });
            }
            sight.refresh().await?;
        }
    }

    /// Describes again while the description and the health disagree: one of
    /// them is out of date.
    async fn settle_differences<B: Backend>(
        &self,
        sight: &mut Sight<'_, B>,
        health: &Health,
    ) -> Result<(), BackendError> {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for repeat in 0..REPEATS {
            if !self.differ(sight.described, health) {
                return Ok(());
            }
            if repeat > 0 || sight.is_fresh {
                sleep(backoff.failed()).await;
            }
            sight.refresh().await?;
        }
        Ok(())
    }

    fn differ(&self, described: &Described, health: &Health) -> bool {
        let Health::Read(told) = health else {
            return self.misses_leaving(described);
        };
        let is_told = |member: &MemberId| told.contains_key(member);
        let is_listed = |(member, condition): (&MemberId, &Condition)| {
            *condition == Condition::Draining || described.registered.contains(member)
        };
        !described.registered.iter().all(is_told) || !told.iter().all(is_listed)
    }

    fn plan(&self, observed: &Observed) -> Plan {
        plan::plan(self.desired, observed, self.record.clone(), self.context)
    }

    /// What was described, if everyone there was in service when last seen.
    fn as_recorded(&self, described: &Described) -> Option<Observed> {
        let serves = |member: &MemberId| {
            let known = self.record.members.get(member);
            known.is_some_and(|known| known.state == State::Serving)
        };
        let mut members = self.record.members.values();
        if self.health_is_due
            || self.record.contact.is_none()
            || !described.registered.iter().all(serves)
            || members.any(|known| known.state == State::Draining)
            || self.misses_leaving(described)
        {
            return None;
        }
        let members = described.registered.iter().cloned();
        Some(Observed {
            members: members.map(|id| (id, Condition::InService)).collect(),
            healthy_after: described.healthy_after,
            unreadable: None,
        })
    }

    /// Whether a member that is to leave, and was registered, is not described.
    /// Once it is gone it is forgotten; so that is not believed without asking
    /// for health.
    fn misses_leaving(&self, described: &Described) -> bool {
        self.record.members.iter().any(|(member, known)| {
            known.removal.is_some()
                && matches!(
                    known.state,
                    State::Serving | State::Registering | State::OutOfService
                )
                && !described.registered.contains(member)
        })
    }

    fn observed(&self, described: &Described, health: Health, patience: &Patience) -> Observed {
        let (mut members, mut unreadable) = match health {
            Health::Read(told) => (told, None),
            Health::Unreadable(why) => {
                let draining = if patience.is_exhausted() {
                    // AWS will answer some time, and until then it drains.
                    self.draining()
                } else {
                    LiteMap::new()
                };
                (draining, Some(why))
            }
        };
        for member in &described.registered {
            let known = self.record.members.get(member);
            let condition = members.entry(member.clone()).or_insert(Condition::Unread);
            if *condition == Condition::Draining && known.is_some_and(was_registered) {
                let why = "the load balancer still reports that it is being deregistered";
                *condition = Condition::Registering(why.to_owned());
            }
            if *condition == Condition::Unread && unreadable.is_none() {
                let why = "the load balancer lists members without their health";
                unreadable = Some(why.to_owned());
            }
        }
        Observed {
            members,
            healthy_after: described.healthy_after,
            unreadable,
        }
    }

    /// Those that drained when last seen.
    fn draining(&self) -> LiteMap<MemberId, Condition> {
        let members = self.record.members.iter();
        members
            .filter(|(_, known)| known.state == State::Draining)
            .map(|(member, _)| (member.clone(), Condition::Draining))
            .collect()
    }
}

/// Whether it was registered after it was seen draining.
fn was_registered(known: &MemberRecord) -> bool {
    known.state == State::Registering && known.registered_at.is_some()
}

/// What was described of a load balancer, and whether in this pass.
struct Sight<'a, B> {
    id: &'a BalancerId,
    backend: &'a B,
    described: &'a mut Described,
    is_fresh: bool,
}

impl<'a, B: Backend> Sight<'a, B> {
    async fn new(
        id: &'a BalancerId,
        backend: &'a B,
        described: &'a mut Option<Described>,
    ) -> Result<Self, BackendError> {
        let is_fresh = described.is_none();
        let described = match described {
            Some(described) => described,
            unknown => unknown.insert(backend.describe(id).await?),
        };
        Ok(Self {
            id,
            backend,
            described,
            is_fresh,
        })
    }

    async fn refresh(&mut self) -> Result<(), BackendError> {
        *self.described = self.backend.describe(self.id).await?;
        self.is_fresh = true;
        Ok(())
    }
}

/// How often in a row reading the health may fail before it counts as
/// something that cannot be read: who is to be registered, and who was
/// deleted, cannot wait for it for ever.
#[derive(Debug, Default)]
pub struct Patience {
    failures: u32,
}

impl Patience {
    const FAILURES: u32 = 3;

    fn meet(&mut self, answer: Result<Health, BackendError>) -> Result<Health, BackendError> {
        match answer {
            Err(error) if error.is_temporary() => {
                self.failures = Self::FAILURES.min(self.failures + 1);
                if !self.is_exhausted() {
                    return Err(error);
                }
                Ok(Health::Unreadable(error.to_string()))
            }
            answer => {
                self.failures = 0;
                answer
            }
        }
    }

    fn is_exhausted(&self) -> bool {
        self.failures == Self::FAILURES
    }
}
