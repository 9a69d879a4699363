//! Observes as much as a decision needs, and decides. Writes nothing.

use std::collections::BTreeMap;

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
    pub async fn ask<B: Backend>(&self, backend: &B) -> Result<(Described, Plan), BackendError> {
        let described = backend.describe(self.id).await?;
        if let Some(observed) = self.as_recorded(&described) {
            let plan = self.plan(&observed);
            let harmless = plan.deregister.is_empty() && plan.record.withheld.is_empty();
            if harmless && (!plan.waiting || !plan.register.is_empty()) {
                return Ok((described, plan));
            }
        }
        let plan = self.ask_health(backend, &described).await?;
        Ok((described, plan))
    }

    /// Looks at the health only, where who is registered is known.
    pub async fn ask_health<B: Backend>(
        &self,
        backend: &B,
        described: &Described,
    ) -> Result<Plan, BackendError> {
        let health = backend.health(self.id).await?;
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

fn observed(described: &Described, health: Health) -> Observed {
    let (told, unreadable) = match health {
        Health::Read(told) => (told, None),
        Health::Unreadable(why) => (BTreeMap::new(), Some(why)),
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
