//! What a pass looks at first: drift, connections, who does not answer.

use std::collections::BTreeMap;

use ipvs::{DestinationKey, ServiceKey, proc};
use presence::store::Store;

use super::kernel::{Kernel, KernelError};
use super::{Table, translate};
use crate::manager::whole::Orders;
use crate::reconcile::Failing;

/// Every so many resyncs read everything, not the text only.
const SWEEPS: u32 = 12;
/// More services than this are not looked at one by one.
const FEW: usize = 32;

type Counts = BTreeMap<ServiceKey, BTreeMap<DestinationKey, u32>>;

impl<S: Store, K: Kernel> Table<S, K> {
    /// At a resync the text is compared with what is known; what differs, and
    /// now and then everything, is read anew.
    pub(super) async fn look_for_drift(&mut self, orders: &Orders) -> Result<bool, Failing> {
        if self.resync == orders.resync {
            return Ok(false);
        }
        let sweeps = (self.sweeps + 1) % SWEEPS;
        let differs = match &self.image {
            Some(image) if sweeps != 0 => {
                image.differs(&self.parts.kernel.ask(Kernel::sweep).await?)
            }
            _ => true,
        };
        if differs {
            self.image = None;
        }
        self.resync = orders.resync;
        self.sweeps = sweeps;
        Ok(true)
    }

    /// Who of those that are held does not answer may have changed.
    pub(super) fn mind_the_silent(&mut self) {
        let silent = self.silent.borrow_and_update().clone();
        let held: Vec<ServiceKey> = self
            .lines
            .iter()
            .filter(|line| {
                let mut withheld = line
                    .record
                    .withheld
                    .keys()
                    .filter_map(translate::server_key);
                withheld.any(|server| silent.contains(&server.0))
            })
            .map(|line| line.key)
            .collect();
        self.lines.due.extend(held);
    }

    /// How many connections those have left that are on their way out.
    pub(super) async fn count_connections(&mut self) -> Result<(), Failing> {
        let draining: Vec<ServiceKey> = self
            .lines
            .due
            .iter()
            .filter(|key| {
                let line = self.lines.get(key);
                let mut members = line
                    .into_iter()
                    .flat_map(|line| line.record.members.values());
                members.any(|known| known.quiesced_at.is_some())
            })
            .copied()
            .collect();
        if draining.is_empty() {
            return Ok(());
        }
        let counts = if draining.len() > FEW {
            let text = self.parts.kernel.ask(Kernel::sweep).await?;
            counts_of_text(&draining, &text)
        } else {
            self.counts_one_by_one(draining).await?
        };
        if let Some(image) = &mut self.image {
            for (key, active) in &counts {
                image.count(key, active);
            }
        }
        Ok(())
    }

    async fn counts_one_by_one(&self, keys: Vec<ServiceKey>) -> Result<Counts, KernelError> {
        let ask = move |kernel: &mut K| {
            let counted = keys.into_iter().map(|key| {
                let servers = kernel.servers(&key)?.into_iter();
                let active = servers.map(|server| (server.key, server.connections.active));
                Ok((key, active.collect()))
            });
            counted.collect()
        };
        self.parts.kernel.ask(ask).await
    }
}

fn counts_of_text(keys: &[ServiceKey], text: &[proc::Service]) -> Counts {
    let text: BTreeMap<proc::Key, &proc::Service> =
        text.iter().map(|service| (service.key, service)).collect();
    let counted = keys.iter().filter_map(|key| {
        let servers = text.get(&key.into())?.destinations.iter();
        Some((
            *key,
            servers.map(|server| (server.key, server.active)).collect(),
        ))
    });
    counted.collect()
}
