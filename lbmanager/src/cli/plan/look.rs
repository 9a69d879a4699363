//! Looks at load balancers through whichever backend they need.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use presence::model::{BalancerId, Kind, MemberId};
use prometheus_client::registry::Registry;

use super::gather;
use super::{Entering, Leaving, Planned, Staying};
use crate::absorb;
use crate::backend::{Backend, BackendError, Urgency};
use crate::cli::backends::{self, Take};
use crate::plan::Plan;
use crate::reconcile::{Patience, Question};
use crate::record::{Reason, Record, State};

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Plan, BackendError>> + Send + 'a>>;

/// A backend whose type does not matter any more.
pub(super) trait Look: Send + Sync {
    /// The plan, from what the load balancer says.
    fn look<'a>(&'a self, question: Question<'a>) -> Answer<'a>;
}

impl<B: Backend> Look for B {
    fn look<'a>(&'a self, question: Question<'a>) -> Answer<'a> {
        Box::pin(async move {
            let patience = &mut Patience::default();
            let answer = question.ask(self, &mut None, patience).await?;
            Ok(answer.plan)
        })
    }
}

/// Each load balancer with the backend to look through. Those whose kind is
/// not looked at are left out.
pub(super) struct Looks {
    pub of: BTreeMap<BalancerId, Arc<dyn Look>>,
}

struct Looking(BTreeMap<Kind, Arc<dyn Look>>);

impl Take for Looking {
    fn take<B: Backend>(&mut self, kind: Kind, backend: B) {
        self.0.insert(kind, Arc::new(backend));
    }
}

impl Looks {
    /// Makes only the backends that are needed: who has no load balancer in
    /// AWS needs no way there.
    pub(super) fn new(
        balancers: impl Iterator<Item = BalancerId>,
        wanted: &BTreeSet<Kind>,
    ) -> Self {
        let (within, without): (BTreeSet<_>, BTreeSet<_>) =
            balancers.partition(|id| wanted.contains(&id.kind()));
        for kind in without
            .iter()
            .map(BalancerId::kind)
            .collect::<BTreeSet<_>>()
        {
            tracing::info!("the load balancers of kind {kind} are not looked at by this lbmanager");
        }
        let needed = within.iter().map(BalancerId::kind).collect();
        let mut looking = Looking(BTreeMap::new());
        let no_write = || Err("plan writes nothing".to_owned());
        backends::make(&needed, &mut Registry::default(), no_write, &mut looking);
        let look = |id: BalancerId| {
            let look = looking.0.get(&id.kind())?.clone();
            Some((id, look))
        };
        Self {
            of: within.into_iter().filter_map(look).collect(),
        }
    }
}

/// The plan for one load balancer.
pub(super) async fn plan(id: &BalancerId, look: &dyn Look, asked: gather::Question) -> Planned {
    let mut planned = Planned {
        load_balancer: id.to_string(),
        class: asked.desired.class,
        problems: asked.record.problems.clone(),
        ..Planned::default()
    };
    if absorb::has_nothing_left(&asked.record, &asked.desired) {
        planned.in_sync = true;
        return planned;
    }
    let question = Question {
        id,
        desired: &asked.desired,
        record: &asked.record,
        context: &asked.context,
        health_is_due: false,
        urgency: Urgency::Decision,
    };
    match look.look(question).await {
        Ok(plan) => tell(&mut planned, plan, &asked.before),
        Err(error) => planned.error = Some(error.to_string()),
    }
    planned
}

pub(super) fn tell(planned: &mut Planned, plan: Plan, before: &Record) {
    planned.in_sync = plan.is_in_sync();
    planned.waiting = plan.is_waiting();
    planned.register = plan
        .register
        .into_iter()
        .map(|member| Entering {
            note: refused_before(&member, before),
            member,
        })
        .collect();
    planned.deregister = plan
        .deregister
        .into_iter()
        .map(|(member, reason)| Leaving {
            note: withheld_before(&member, reason, before),
            member,
            reason,
        })
        .collect();
    planned.problems = plan.record.problems;
    planned.withheld = plan
        .record
        .withheld
        .into_iter()
        .map(|(member, withheld)| Staying { member, withheld })
        .collect();
}

fn refused_before(member: &MemberId, before: &Record) -> Option<String> {
    let known = before.members.get(member)?;
    let why = known.detail.as_deref().unwrap_or("no reason is known");
    (known.state == State::Rejected).then(|| format!("it was refused when last tried: {why}"))
}

fn withheld_before(member: &MemberId, reason: Reason, before: &Record) -> Option<String> {
    if let Some(withheld) = before.withheld.get(member) {
        return Some(format!(
            "the manager withholds it at present: {}",
            withheld.why
        ));
    }
    let settles = reason == Reason::Stranger;
    settles.then(|| "once the tree has been quiet for a while (--settle)".to_owned())
}
