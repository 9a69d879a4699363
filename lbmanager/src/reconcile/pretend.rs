//! `--dry-run`: says what would be done, and does nothing.

use std::collections::BTreeSet;

use super::pass::{Passed, until};
use super::{Hook, Reconciler};
use crate::backend::Backend;
use crate::desired::Desired;
use crate::plan::Plan;
use presence::store::Store;

impl<S: Store, B: Backend, H: Hook> Reconciler<S, B, H> {
    /// Reports as after the pass that is left out. What is remembered is what
    /// was before: it is what the next pass will find again.
    pub(super) fn pretend(&mut self, desired: &Desired, plan: &Plan) -> Passed {
        let before = std::mem::replace(&mut self.record, plan.record.clone());
        self.report(desired, plan);
        self.record = before;
        let lines = lines(plan);
        for line in lines.difference(&self.said) {
            tracing::info!("{}: dry run: would {line}", self.id);
        }
        self.said = lines;
        let now = self.shared.clock.now();
        Passed::Next(plan.look_again.map(|at| until(at, now)))
    }
}

fn lines(plan: &Plan) -> BTreeSet<String> {
    let register = plan
        .register
        .iter()
        .map(|member| format!("register {member}"));
    let deregister = plan
        .deregister
        .iter()
        .map(|(member, reason)| format!("deregister {member}: {reason}"));
    let withheld = plan.record.withheld.iter().map(|(member, withheld)| {
        let (reason, why) = (withheld.reason, &withheld.why);
        format!("deregister {member}, but not now: {reason}; {why}")
    });
    register.chain(deregister).chain(withheld).collect()
}
