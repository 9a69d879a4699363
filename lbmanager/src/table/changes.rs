//! From what is decided of one virtual service to commands. Pure.

use ipvs::{Command, DestinationConfig, ServiceConfig};
use jiff::Timestamp;
use litemap::LiteMap;
use presence::model::MemberId;

use super::image::Server;
use super::line::{Around, Change, LOOK, Line, Phase, holds, leaving};
use super::translate;
use crate::desired::Desired;
use crate::plan::{self, Plan};
use crate::record::{MemberRecord, Reason, Role, Withheld};

impl Line {
    pub(super) fn change_service(
        &self,
        desired: &Desired,
        around: &Around<'_>,
        changes: &mut Vec<Change>,
    ) {
        let refused = self.is_refused(around.now);
        let wanted = !desired.is_empty() || self.tree.config.is_some();
        let config = translate::service_config(&self.key, &desired.options);
        let command = match around.present {
            None if wanted && !refused => (Phase::AddService, self.add_service(config)),
            Some(present) if wanted && !refused => {
                // An engine is nothing that the tree can say.
                let engine = present.config.engine;
                let config = ServiceConfig { engine, ..config };
                if present.config == config {
                    return;
                }
                let service = self.key;
                (Phase::Update, Command::EditService { service, config })
            }
            Some(present) if !wanted && present.servers.is_empty() && around.frozen.is_none() => {
                let service = self.key;
                (Phase::RemoveService, Command::DeleteService { service })
            }
            _ => return,
        };
        changes.push(Change {
            phase: command.0,
            command: command.1,
            member: None,
            reason: None,
        });
    }

    fn add_service(&self, config: ServiceConfig) -> Command {
        Command::AddService {
            service: self.key,
            config,
        }
    }

    pub(super) fn change_servers(
        &self,
        desired: &Desired,
        plan: &Plan,
        around: &Around<'_>,
        changes: &mut Vec<Change>,
    ) {
        let refused = self.is_refused(around.now);
        if around.present.is_none() && refused {
            return;
        }
        let nobody = LiteMap::new();
        let servers = around.present.map_or(&nobody, |present| &present.servers);
        for member in &plan.register {
            let Some(wanted) = desired.members.get(member) else {
                continue;
            };
            let config = translate::server_config(&wanted.options);
            changes.extend(self.enter(member, config, servers));
        }
        for (key, server) in servers {
            let member = translate::member(*key);
            let known = self.record.members.get(&member);
            let refused = self.refused.get(&member);
            let waits = refused.is_some_and(|refused| refused.again > around.now);
            let Some(known) = known.filter(|_| !waits && !plan.register.contains(&member)) else {
                continue;
            };
            if let Some(reason) = plan.deregister.get(&member) {
                changes.push(self.leave(&member, server, *reason));
            } else if let Some(since) = known.quiesced_at {
                if self.is_drained(known, since, server, desired, around) {
                    changes.push(self.remove(&member));
                }
            } else if known.wanted == Role::Serve
                && let Some(wanted) = desired.members.get(&member)
            {
                let config = translate::server_config(&wanted.options);
                if config != server.config {
                    changes.extend(self.edit(Phase::Update, &member, config));
                }
            }
        }
    }

    fn enter(
        &self,
        member: &MemberId,
        config: DestinationConfig,
        servers: &LiteMap<ipvs::DestinationKey, Server>,
    ) -> Option<Change> {
        let destination = translate::server_key(member)?;
        if servers.contains_key(&destination) {
            return self.edit(Phase::Add, member, config);
        }
        Some(Change {
            phase: Phase::Add,
            command: Command::AddDestination {
                service: self.key,
                destination,
                config,
            },
            member: Some(member.clone()),
            reason: None,
        })
    }

    fn edit(&self, phase: Phase, member: &MemberId, config: DestinationConfig) -> Option<Change> {
        Some(Change {
            phase,
            command: Command::EditDestination {
                service: self.key,
                destination: translate::server_key(member)?,
                config,
            },
            member: Some(member.clone()),
            reason: None,
        })
    }

    /// No new connections; where they cannot be counted, gone at once.
    fn leave(&self, member: &MemberId, server: &Server, reason: Reason) -> Change {
        if !translate::can_drain(&self.key) {
            return Change {
                reason: Some(reason),
                ..self.remove(member)
            };
        }
        let config = DestinationConfig {
            weight: 0,
            ..server.config
        };
        Change {
            reason: Some(reason),
            ..self
                .edit(Phase::Quiesce, member, config)
                .unwrap_or_else(|| self.remove(member))
        }
    }

    fn remove(&self, member: &MemberId) -> Change {
        let destination = translate::server_key(member);
        let destination = destination.expect("it came from the kernel's table");
        Change {
            phase: Phase::Remove,
            command: Command::DeleteDestination {
                service: self.key,
                destination,
            },
            member: Some(member.clone()),
            reason: None,
        }
    }

    /// What is left alone is left as it serves: whoever was on his way out when
    /// nobody was to care any more is gone.
    pub(super) fn end_drains(&self, leaving: &[MemberId], around: &Around<'_>) -> Vec<Change> {
        let is_there = |member: &&MemberId| {
            let server = translate::server_key(member);
            let present = around.present.zip(server);
            present.is_some_and(|(present, server)| present.servers.contains_key(&server))
        };
        let leaving = leaving.iter().filter(is_there);
        leaving.map(|member| self.remove(member)).collect()
    }

    /// Whoever was on his way out when nobody may be removed any more is held
    /// where he is.
    pub(super) fn hold_drains(&mut self, desired: &Desired, around: &Around<'_>) {
        for member in leaving(&self.record) {
            let known = self.record.members.get(&member);
            let Some(removal) = known.and_then(|known| known.removal) else {
                continue;
            };
            let frozen = around.frozen.filter(|freeze| freeze.holds(&removal));
            let frozen = frozen.map(|freeze| freeze.why.as_ref());
            let Some(why) = frozen.or(desired.blocked.as_deref()) else {
                continue;
            };
            let withheld = Withheld {
                reason: removal.reason,
                why: why.to_owned(),
                until: None,
            };
            self.record_mut().withheld.insert(member, withheld);
        }
    }

    /// Whether one that gets no new connections may go.
    fn is_drained(
        &self,
        known: &MemberRecord,
        since: Timestamp,
        server: &Server,
        desired: &Desired,
        around: &Around<'_>,
    ) -> bool {
        // One that is not ready waits for its readiness with what it has.
        let waits = known
            .removal
            .is_some_and(|removal| removal.reason == Reason::NotReady);
        // One that was not ready has as long from when it was told to leave.
        let told = known.removal.map_or(since, |removal| removal.since);
        let over = plan::after(since.max(told), desired.options.drain) <= around.now;
        let looked = plan::after(since, LOOK) <= around.now;
        let empty = looked && server.active == 0;
        let is_held = known.removal.is_some_and(|removal| holds(around, &removal));
        !is_held && !waits && (over || empty || !translate::can_drain(&self.key))
    }
}
