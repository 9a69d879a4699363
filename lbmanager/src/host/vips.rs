//! `--bind-vips IFACE`: virtual addresses on an interface of this host.
//!
//! Addresses carry no owner, so what was added here is in a ledger, which
//! whoever calls this keeps: [`VipPlan::before`] is to be written before the
//! plan is carried out, [`VipPlan::after`] after it. Nothing that is not in the
//! ledger is ever removed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::links::{Interface, Links, Route};
use super::subnet::host_prefix;

/// An address that was added to an interface by this.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bound {
    /// The interface's name.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
}

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VipPlan {
    /// Addresses that are missing.
    pub add: BTreeSet<Bound>,
    /// Addresses of this making that are not wanted any more.
    pub remove: BTreeSet<Bound>,
    /// Addresses of this making that stay.
    pub keep: BTreeSet<Bound>,
    /// Wanted addresses that another interface has already: the host answers
    /// for them as it is, so they are left there.
    pub elsewhere: BTreeMap<IpAddr, String>,
}

/// Why no address can be bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// There is no such interface.
    #[error(
        "cannot bind virtual addresses (--bind-vips): this host has no interface {name}; make it \
         with `ip link add {name} type dummy && ip link set {name} up`, or name one of: {there}"
    )]
    Missing {
        /// The name that was given.
        name: String,
        /// Those that there are.
        there: String,
    },
    /// It is switched off: the host would not answer for its addresses.
    #[error(
        "cannot bind virtual addresses (--bind-vips): the interface {name} is down; switch it on \
         with `ip link set {name} up`"
    )]
    Down {
        /// The name that was given.
        name: String,
    },
}

/// Compares what is wanted with what there is. Without an interface (the
/// option is not given any more) nothing is wanted.
///
/// Addresses of the ledger that are gone, or were put there anew by somebody
/// else with another prefix, are in no part of the plan: they are forgotten.
pub fn plan(
    interface: Option<&str>,
    wanted: &BTreeSet<IpAddr>,
    links: &Links,
    ours: &BTreeSet<Bound>,
) -> VipPlan {
    let mut plan = VipPlan::default();
    for bound in ours.iter().filter(|bound| is_there(bound, links)) {
        let stays = interface == Some(&*bound.interface) && wanted.contains(&bound.address);
        let part = if stays {
            &mut plan.keep
        } else {
            &mut plan.remove
        };
        part.insert(bound.clone());
    }
    let Some(name) = interface else { return plan };
    let has = links.0.get(name).map(|link| &link.addresses);
    for address in wanted {
        if has.is_some_and(|has| has.contains_key(address)) {
            continue;
        }
        let bound = |interface: &str| Bound {
            interface: interface.to_owned(),
            address: *address,
        };
        match links.elsewhere(*address, name) {
            // Of this making, on the interface that was named before: it moves.
            Some(other) if !plan.remove.contains(&bound(other)) => {
                plan.elsewhere.insert(*address, other.to_owned());
            }
            _ => {
                plan.add.insert(bound(name));
            }
        }
    }
    plan
}

/// Whether it is as it was added: a single address.
fn is_there(bound: &Bound, links: &Links) -> bool {
    let link = links.0.get(&bound.interface);
    let prefix = link.and_then(|link| link.addresses.get(&bound.address));
    prefix == Some(&host_prefix(bound.address))
}

/// Whether virtual addresses can be bound to the interface of this name.
pub fn usable<'a>(name: &str, links: &'a Links) -> Result<&'a Interface, Unusable> {
    let name = name.to_owned();
    match links.0.get(&name) {
        Some(link) if link.up => Ok(link),
        Some(_) => Err(Unusable::Down { name }),
        None => {
            let there: Vec<&str> = links.0.keys().map(String::as_str).collect();
            let there = there.join(", ");
            Err(Unusable::Missing { name, there })
        }
    }
}

impl VipPlan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }

    /// The ledger as it is to be before the plan is carried out: all that may
    /// be of this making, whenever it is interrupted.
    pub fn before(&self) -> BTreeSet<Bound> {
        let all = self.keep.iter().chain(&self.add).chain(&self.remove);
        all.cloned().collect()
    }

    /// The ledger as it is to be after: without what was removed.
    pub fn after(&self, done: &Done) -> BTreeSet<Bound> {
        let mut ledger = self.before();
        ledger.retain(|bound| {
            let failed = done.failed.contains_key(bound);
            if self.add.contains(bound) {
                !failed && !done.foreign.contains(bound)
            } else {
                failed || self.keep.contains(bound)
            }
        });
        ledger
    }
}

/// What became of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// What was not done, and why.
    pub failed: BTreeMap<Bound, String>,
    /// What somebody else added in the meantime.
    pub foreign: BTreeSet<Bound>,
}

/// Carries out a plan: adds first, goes on past what fails.
pub fn carry_out(plan: &VipPlan, links: &Links, route: &mut Route) -> Done {
    let mut done = Done::default();
    let steps = plan.add.iter().map(|bound| (bound, true));
    let steps = steps.chain(plan.remove.iter().map(|bound| (bound, false)));
    for (bound, add) in steps {
        let name = &bound.interface;
        let result = match usable(name, links) {
            // What is down can be cleared all the same.
            Err(Unusable::Down { .. }) if !add => Ok(links.0[name].index),
            other => other.map(|link| link.index),
        };
        let result = result.map_err(|unusable| unusable.to_string());
        let result = result.and_then(|index| {
            let changed = if add {
                route.add(bound.address, name, index)
            } else {
                route.remove(bound.address, name, index)
            };
            changed.map_err(|error| super::chain(&error))
        });
        match result {
            Ok(false) if add => {
                done.foreign.insert(bound.clone());
            }
            Ok(_) => {}
            Err(why) => {
                done.failed.insert(bound.clone(), why);
            }
        }
    }
    done
}

#[cfg(test)]
mod tests;
