//! What the table needs of the host's network, compared with it and applied.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::links::{Error, Links, Route};
use super::masquerade::{self, Programs, Rule};
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

/// Sets addresses and settings.
///
/// The order is: [`Host::links`], [`Host::plan`]; write [`VipPlan::before`] to
/// the ledger; [`Host::apply`]; write [`Report::ledger`].
#[derive(Debug)]
pub struct Host {
    settings: HostSettings,
    route: Option<Route>,
}

/// What must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPlan {
    /// To the addresses.
    pub vips: VipPlan,
    /// The rules that must be there.
    pub rules: BTreeSet<Rule>,
    /// The settings that are wanted.
    pub settings: Vec<Setting>,
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
            settings,
        }
    }

    /// The host's interfaces as they are now.
    pub fn links(&mut self) -> Result<Links, Error> {
        let links = self.route()?.links();
        // A socket that fails is opened again the next time.
        links.inspect_err(|_| self.route = None)
    }

    /// What these services and virtual addresses need on a host with these
    /// interfaces. `ours` is the ledger.
    pub fn plan(
        &self,
        addresses: &BTreeSet<IpAddr>,
        services: &[Service],
        ours: &BTreeSet<Bound>,
        links: &Links,
    ) -> HostPlan {
        let interface = self.settings.bind_vips.as_deref();
        let rules = match self.settings.masquerade {
            masquerade::Mode::Auto => masquerade::plan(services, links.bridged()),
            masquerade::Mode::Off => BTreeSet::new(),
        };
        let needs = Needs::of(services, !rules.is_empty());
        HostPlan {
            vips: vips::plan(interface, addresses, links, ours),
            settings: sysctl::wanted(&needs, self.settings.proc.kernel()),
            rules,
        }
    }

    /// Applies the settings, then the addresses. The rules are for
    /// [`masquerade::Masquerade`].
    pub fn apply(&mut self, plan: &HostPlan, links: &Links) -> Report {
        let mut report = Report::default();
        let settings = &self.settings;
        for finding in sysctl::settle(settings.sysctl, &plan.settings, &settings.proc) {
            if finding.is_problem() {
                report.problems.insert(finding.to_string());
            } else {
                report.changes.push(finding.to_string());
            }
        }
        self.apply_addresses(plan, links, &mut report);
        report
    }

    fn apply_addresses(&mut self, plan: &HostPlan, links: &Links, report: &mut Report) {
        if let Some(name) = &self.settings.bind_vips
            && let Err(unusable) = vips::usable(name, links)
        {
            report.problems.insert(unusable.to_string());
        }
        let elsewhere = plan.vips.elsewhere.iter();
        report.notes.extend(elsewhere.map(|(address, interface)| {
            format!("{address} is an address of {interface} already: it is left there")
        }));
        if plan.vips.is_empty() {
            report.ledger = Some(plan.vips.before());
            return;
        }
        match self.route() {
            Ok(route) => {
                let done = vips::carry_out(&plan.vips, links, route);
                report.ledger = Some(plan.vips.after(&done));
                report.changes.extend(changes(&plan.vips, &done));
                report.problems.extend(done.failed.into_values());
            }
            Err(error) => {
                report.problems.insert(super::chain(&error));
            }
        }
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
