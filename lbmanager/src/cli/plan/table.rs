//! Looks at the virtual services of the local kernel.

use std::collections::BTreeSet;
use std::sync::Arc;

use ipvs::ServiceKey;
use jiff::Timestamp;
use presence::keys::status::ManagerRole;
use presence::model::{BalancerId, HostId, Kind, Region};
use presence::process::exit::Failure;

use super::gather::Known;
use super::{Planned, look};
use crate::manager::whole::Orders;
use crate::plan::Plan;
use crate::record::{Record, State};
use crate::table::Settings;
use crate::table::decide::Scene;
use crate::table::image::Image;
use crate::table::kernel::{Kernel, Linux};
use crate::table::ledger::{Kept, Ledger, key_of};
use crate::table::line::{Decision, Line};
use crate::table::lines::Lines;
use crate::table::outbox::Outbox;

/// Whose kernel is looked at.
pub(super) struct Place {
    pub host: HostId,
    pub regions: Vec<Region>,
    pub hold: std::time::Duration,
}

impl Place {
    /// Whether its virtual services are looked at here.
    pub fn has(&self, id: &BalancerId) -> bool {
        id.kind() == Kind::Ipvs && self.regions.contains(id.region())
    }

    /// The plan for those of the virtual services that were chosen.
    pub async fn plan(
        &self,
        known: &Known,
        chosen: &BTreeSet<BalancerId>,
        now: Timestamp,
    ) -> Result<Vec<Planned>, Failure> {
        let ledger = self.ledger(known);
        let orders = known.orders();
        let mut lines = self.lines(known, now);
        lines.take_in(&orders, &ledger, now);
        let is_chosen = |ids: &[BalancerId]| ids.iter().any(|id| chosen.contains(id));
        let keys: Vec<ServiceKey> = lines
            .iter()
            .filter(|line| is_chosen(&line.ids))
            .map(|line| line.key)
            .collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let table = tokio::task::spawn_blocking(|| Linux::default().table());
        let image = match table.await.map_err(Failure::unexpected)? {
            Ok(entries) => Image::new(entries),
            Err(error) => {
                let unseen = |key| unseen(&lines, key, &error.words);
                return Ok(keys.iter().map(unseen).collect());
            }
        };
        let scene = Scene {
            now,
            hold: self.hold,
            settle: std::time::Duration::ZERO,
            ledger: &ledger,
            image: Some(&image),
            silent: &BTreeSet::new(),
        };
        let refused = lines.refused.clone();
        let planned = keys.iter().filter_map(|key| {
            let before = Arc::clone(&lines.get(key)?.record);
            let decision = lines.decide(key, &orders, &scene)?;
            Some(planned(lines.get(key)?, decision, &before))
        });
        let mut planned: Vec<Planned> = planned.collect();
        let refused = refused.into_iter().filter(|(id, _)| chosen.contains(id));
        planned.extend(refused.map(|(id, why)| Planned {
            load_balancer: id.to_string(),
            problems: vec![why],
            ..Planned::default()
        }));
        Ok(planned)
    }

    fn lines(&self, known: &Known, now: Timestamp) -> Lines {
        let records = known.records.iter().filter(|(id, _)| self.has(id));
        let records = records.map(|(id, record)| (id.clone(), record.clone()));
        let settings = Settings {
            keys: known.keys.clone(),
            host: self.host.clone(),
            regions: self.regions.clone(),
            settle: std::time::Duration::ZERO,
            hold: self.hold,
            dry_run: true,
        };
        Lines::new(records.collect(), &settings, now, &Outbox::default())
    }

    /// Whose the services are is only known to the manager. What it has a
    /// status of it cares for; who of the members is its own the status says.
    fn ledger(&self, known: &Known) -> Ledger {
        let kept = known.records.keys().filter(|id| self.has(id));
        let kept = kept.filter_map(|id| {
            let id = id.clone();
            let is_adopted = true;
            Some((key_of(&id)?, Kept { id, is_adopted }))
        });
        Ledger::with(kept)
    }
}

impl Known {
    fn orders(&self) -> Orders {
        Orders {
            balancers: Arc::clone(&self.tree.balancers),
            general: self.tree.general.clone(),
            releases: Arc::clone(&self.releases),
            shares: Arc::default(),
            frozen: self.frozen.get(&ManagerRole::Ipvs).cloned(),
            replacements: 0,
            resync: 0,
        }
    }
}

fn unseen(lines: &Lines, key: &ServiceKey, why: &str) -> Planned {
    Planned {
        load_balancer: lines
            .get(key)
            .map(|line| line.id().to_string())
            .unwrap_or_default(),
        error: Some(why.to_owned()),
        ..Planned::default()
    }
}

fn planned(line: &Line, decision: Decision, before: &Record) -> Planned {
    let members = line.record.members.values();
    let drains = members.clone().any(|known| known.state == State::Draining);
    let mut planned = Planned {
        load_balancer: line.id().to_string(),
        class: decision.desired.class,
        ..Planned::default()
    };
    if decision.over.is_none() {
        let record = Record::clone(&line.record);
        let plan = Plan {
            record,
            ..decision.plan
        };
        look::tell(&mut planned, plan, before);
    }
    let mut changes = decision.changes;
    changes.sort_by_key(|change| change.phase);
    planned.commands = changes
        .iter()
        .map(|change| change.command.to_string())
        .collect();
    planned.waiting |= drains;
    planned.in_sync &= planned.commands.is_empty() && !planned.waiting;
    planned
}
