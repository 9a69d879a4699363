//! Options of virtual services of IPVS, and what of a member's options fits
//! them.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{DURATION, DurationText, Fields, Forward, MemberOptions, OptionsError};
use crate::model::virtual_service::real_server;
use crate::model::{BalancerId, Kind, MemberId, VirtualService, excerpt};
use crate::process::duration;

/// How a virtual service schedules, where the tree says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VirtualServiceOptions {
    /// The kernel's name of the scheduler; `wlc` where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<String>,
    /// Flags; of `sh` and `mh`, where nothing is said, `fallback`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler_flags: Option<Vec<SchedulerFlag>>,
    /// For how long a client stays with its real server; not at all where
    /// nothing is said.
    #[serde(skip_serializing_if = "Option::is_none", with = "duration::option")]
    pub persistence: Option<Duration>,
    /// Clients whose addresses share so many leading bits are one client, for
    /// persistence; all bits where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netmask: Option<u8>,
}

/// How a scheduler schedules: `ipvsadm(8)`, `--sched-flags` and `--ops`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SchedulerFlag {
    /// `sh`, `mh`: another real server instead of none where the one that the
    /// client hashes to gets no new connections.
    Fallback,
    /// `sh`, `mh`: the client's port counts as well.
    Port,
    /// UDP: each packet is scheduled anew.
    Ops,
}

impl VirtualServiceOptions {
    pub(super) fn take(fields: &mut Fields) -> Result<Self, OptionsError> {
        Ok(Self {
            scheduler: scheduler(fields)?,
            scheduler_flags: fields.take(
                "scheduler_flags",
                "a list of fallback, port and ops is expected",
            )?,
            persistence: persistence(fields)?,
            netmask: netmask(fields)?,
        })
    }

    /// These options, and where they are silent, those of `general`.
    pub(super) fn over(&self, general: &Self) -> Self {
        let flags = self.scheduler_flags.as_ref();
        Self {
            scheduler: self.scheduler.clone().or_else(|| general.scheduler.clone()),
            scheduler_flags: flags.or(general.scheduler_flags.as_ref()).cloned(),
            persistence: self.persistence.or(general.persistence),
            netmask: self.netmask.or(general.netmask),
        }
    }
}

/// `IP_VS_SCHEDNAME_MAXLEN` is 16, with the NUL at the end.
fn scheduler(fields: &mut Fields) -> Result<Option<String>, OptionsError> {
    let allowed = "the kernel's name of a scheduler is expected, such as wlc, rr, sh or mh";
    let Some(name) = fields.take::<String>("scheduler", allowed)? else {
        return Ok(None);
    };
    let is_name = (1..=15).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if is_name {
        return Ok(Some(name));
    }
    Err(refused("scheduler", &format!("{name:?}"), allowed))
}

/// The kernel takes whole seconds, and `ipvsadm` up to 31 days.
fn persistence(fields: &mut Fields) -> Result<Option<Duration>, OptionsError> {
    const LONGEST: Duration = Duration::from_hours(31 * 24);
    let text = fields.take::<DurationText>("persistence", DURATION)?;
    let Some(DurationText(time)) = text.filter(|text| !text.0.is_zero()) else {
        return Ok(None);
    };
    if time.subsec_nanos() == 0 && time <= LONGEST {
        return Ok(Some(time));
    }
    let value = humantime::format_duration(time).to_string();
    let allowed = "whole seconds up to 31 days are expected";
    Err(refused("persistence", &value, allowed))
}

fn netmask(fields: &mut Fields) -> Result<Option<u8>, OptionsError> {
    let allowed = "a number of leading bits is expected: 1 to 32, for IPv6 1 to 128";
    match fields.take::<u8>("netmask", allowed)? {
        Some(bits) if !(1..=128).contains(&bits) => {
            Err(refused("netmask", &bits.to_string(), allowed))
        }
        bits => Ok(bits),
    }
}

fn refused(field: &'static str, value: &str, allowed: &str) -> OptionsError {
    OptionsError::Field {
        field,
        value: excerpt(value),
        allowed: allowed.to_owned(),
    }
}

impl MemberOptions {
    /// Whether these options can be those of this member of this load
    /// balancer.
    pub fn fit(&self, id: &BalancerId, member: &MemberId) -> Result<(), OptionsError> {
        if id.kind() != Kind::Ipvs {
            return Ok(());
        }
        let (Ok(service), Ok(server)) = (id.name().parse(), real_server(member.as_str())) else {
            return Ok(());
        };
        self.fit_port(service, server)?;
        self.fit_family(service, server)?;
        self.fit_thresholds()
    }

    /// Where packets keep their destination the real server has the port that
    /// the client named.
    fn fit_port(&self, service: VirtualService, server: SocketAddr) -> Result<(), OptionsError> {
        let port = service.address().map(|address| address.port());
        match (self.forward, port) {
            (Some(Forward::Direct | Forward::Tunnel), Some(port)) if port != server.port() => {
                let forward = self.forward.map(Forward::as_str).unwrap_or_default();
                let allowed = format!(
                    "the real server's port {} would have to be the virtual service's, {port}: \
                     direct and tunnel leave the packet as it is; masq does not",
                    server.port()
                );
                Err(refused("forward", forward, &allowed))
            }
            _ => Ok(()),
        }
    }

    /// The kernel takes a real server of the other family with tunnelling only.
    fn fit_family(&self, service: VirtualService, server: SocketAddr) -> Result<(), OptionsError> {
        if service.is_ipv6() == server.is_ipv6() || self.forward == Some(Forward::Tunnel) {
            return Ok(());
        }
        let forward = self.forward.unwrap_or(Forward::Masq).as_str();
        let allowed = "the virtual service and the real server are of different families (IPv4, \
                       IPv6), which only tunnel bridges";
        Err(refused("forward", forward, allowed))
    }

    fn fit_thresholds(&self) -> Result<(), OptionsError> {
        let lower = self.lower_threshold.unwrap_or(0);
        match self.upper_threshold {
            Some(upper) if upper > 0 && lower > upper => {
                let allowed = format!("at most upper_threshold is expected, which is {upper}");
                Err(refused("lower_threshold", &lower.to_string(), &allowed))
            }
            _ => Ok(()),
        }
    }
}
