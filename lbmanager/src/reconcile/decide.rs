//! Observes as much as a decision needs, and decides. Writes nothing.

use litemap::LiteMap;
use presence::model::{BalancerId, MemberId};

use crate::backend::{Backend, BackendError};
use crate::desired::Desired;
use crate::observed::{Condition, Described, Health, Observed};
use crate::plan::{self, Context, Plan};
use crate::record::{Record, State};

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
}

impl Question<'_> {
    /// Looks at the load balancer. Health costs a request for each of them, so
    /// it is asked for only where it can matter: where somebody may leave, or
    /// has yet to get in service.
    ///
    /// `patience` says how a failure to read it is met.
    pub async fn ask<B: Backend>(
        &self,
        backend: &B,
        described: &Described,
        patience: &mut Patience,
    ) -> Result<Plan, BackendError> {
        if let Some(observed) = self.as_recorded(described) {
            let plan = self.plan(&observed);
            let harmless = plan.deregister.is_empty() && plan.record.withheld.is_empty();
            if harmless && (!plan.is_waiting() || !plan.register.is_empty()) {
                return Ok(plan);
            }
        }
        let health = patience.meet(backend.health(self.id).await)?;
        Ok(self.plan(&observed(described, health)))
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
        if self.record.contact.is_none() || !described.registered.iter().all(serves) {
            return None;
        }
        let members = described.registered.iter().cloned();
        Some(Observed {
            members: members.map(|id| (id, Condition::InService)).collect(),
            healthy_after: described.healthy_after,
            unreadable: None,
        })
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
    fn meet(&mut self, answer: Result<Health, BackendError>) -> Result<Health, BackendError> {
        const FAILURES: u32 = 3;
        match answer {
            Err(error) if error.is_temporary() => {
                self.failures += 1;
                if self.failures < FAILURES {
                    return Err(error);
                }
                self.failures = FAILURES;
                Ok(Health::Unreadable(error.to_string()))
            }
            answer => {
                self.failures = 0;
                answer
            }
        }
    }
}

fn observed(described: &Described, health: Health) -> Observed {
    let (told, unreadable) = match health {
        Health::Read(told) => (told, None),
        Health::Unreadable(why) => (LiteMap::new(), Some(why)),
    };
    let mut members = told;
    for member in &described.registered {
        members.entry(member.clone()).or_insert_with(|| {
            Condition::Unknown("the load balancer says nothing about it".to_owned())
        });
    }
    Observed {
        members,
        healthy_after: described.healthy_after,
        unreadable,
    }
}
