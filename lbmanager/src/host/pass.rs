//! All that is set around the table, in the order that a pass needs.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::links::{Error, Links, Route};
use super::masquerade::{self, Look, Masquerade, Programs, Rule};
use super::service::Service;
use super::sysctl::{self, Needs, Proc, Setting};
use super::vips::{self, Bound, VipPlan};

/// What the operator asked for.
#[derive(Debug, Clone, Default)]
pub struct HostSettings {
    /// `--bind-vips`: the interface that gets the virtual addresses.
    pub bind_vips: Option<String>,
    /// `--masquerade`.
    pub masquerade: masquerade::Mode,
    /// `--sysctl`.
    pub sysctl: sysctl::Mode,
    /// What is run for rules.
    pub programs: Programs,
    /// Where settings are.
    pub proc: Proc,
}

/// Keeps what is around the table as it is to be.
///
/// A pass is: [`Host::plan`]; write [`VipPlan::before`] to the ledger;
/// [`Host::before_table`]; change the table; [`Host::after_table`]; write
/// [`Report::ledger`].
#[derive(Debug)]
pub struct Host {
    settings: HostSettings,
    route: Option<Route>,
    masquerade: Masquerade,
}

/// What a pass is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPlan {
    /// To the addresses.
    pub vips: VipPlan,
    /// The rules that are to be there.
    pub rules: BTreeSet<Rule>,
    /// The settings that are wanted.
    pub settings: Vec<Setting>,
    links: Links,
}

/// What came of it, for the operator. The same is reported each pass as long as
/// it is so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What is not as it should be, and what to do.
    pub problems: BTreeSet<String>,
    /// What was changed.
    pub changes: Vec<String>,
    /// What is as it is on purpose.
    pub notes: Vec<String>,
    /// After the addresses: those that are of this making.
    pub ledger: Option<BTreeSet<Bound>>,
}

impl Host {
    /// Touches nothing yet.
    pub fn new(settings: HostSettings) -> Self {
        Self {
            route: None,
            masquerade: Masquerade::new(settings.programs.clone()),
            settings,
        }
    }

    /// What is to be done for these services and virtual addresses, on this
    /// host as it is now. `ours` is the ledger.
    pub fn plan(
        &mut self,
        addresses: &BTreeSet<IpAddr>,
        services: &[Service],
        ours: &BTreeSet<Bound>,
    ) -> Result<HostPlan, Error> {
        let links = self.route()?.links();
        // A socket that fails is opened anew the next time.
        let links = links.inspect_err(|_| self.route = None)?;
        let interface = self.settings.bind_vips.as_deref();
        let rules = match self.settings.masquerade {
            masquerade::Mode::Auto => masquerade::plan(services, links.bridged()),
            masquerade::Mode::Off => BTreeSet::new(),
        };
        let needs = Needs::of(services, !rules.is_empty());
        Ok(HostPlan {
            vips: vips::plan(interface, addresses, &links, ours),
            settings: sysctl::wanted(&needs, self.settings.proc.kernel()),
            rules,
            links,
        })
    }

    /// Settings and rules.
    pub async fn before_table(&mut self, plan: &HostPlan, look: Look) -> Report {
        let mut report = Report::default();
        let settings = &self.settings;
        for finding in sysctl::settle(settings.sysctl, &plan.settings, &settings.proc) {
            if finding.is_problem() {
                report.problems.insert(finding.to_string());
            } else {
                report.changes.push(finding.to_string());
            }
        }
        let problems = self.masquerade.settle(&plan.rules, look).await;
        let problems = problems.iter().map(ToString::to_string);
        report.problems.extend(problems);
        report
    }

    /// Addresses.
    pub fn after_table(&mut self, plan: &HostPlan) -> Report {
        let mut report = Report::default();
        if let Some(name) = &self.settings.bind_vips
            && let Err(unusable) = vips::usable(name, &plan.links)
        {
            report.problems.insert(unusable.to_string());
        }
        let elsewhere = plan.vips.elsewhere.iter();
        report.notes.extend(elsewhere.map(|(address, interface)| {
            format!("{address} is an address of {interface} already: it is left there")
        }));
        if plan.vips.is_empty() {
            report.ledger = Some(plan.vips.before());
            return report;
        }
        match self.route() {
            Ok(route) => {
                let done = vips::carry_out(&plan.vips, &plan.links, route);
                report.ledger = Some(plan.vips.after(&done));
                report.changes = changes(&plan.vips, &done);
                report.problems.extend(done.failed.into_values());
            }
            Err(error) => {
                report.problems.insert(super::chain(&error));
            }
        }
        report
    }

    fn route(&mut self) -> Result<&mut Route, Error> {
        let route = match self.route.take() {
            Some(route) => route,
            None => Route::open()?,
        };
        Ok(self.route.insert(route))
    }
}

fn changes(plan: &VipPlan, done: &vips::Done) -> Vec<String> {
    let is_done = |bound: &&Bound| {
        let bound: &Bound = bound;
        !done.failed.contains_key(bound) && !done.foreign.contains(bound)
    };
    let added = plan.add.iter().filter(is_done).map(|bound| {
        let Bound { interface, address } = bound;
        format!("added the address {address} to {interface}")
    });
    let removed = plan.remove.iter().filter(is_done).map(|bound| {
        let Bound { interface, address } = bound;
        format!("removed the address {address} from {interface}")
    });
    added.chain(removed).collect()
}
