use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use super::super::attributes::{Attribute, attributes};
use super::super::error::DecodeError;
use super::super::numbers::{Svc, Top};
use super::stats::RawStats;
use super::{RawAddress, family, needed, only};
use crate::model::{
    Engine, Family, Netmask, Protocol, Scheduler, Service, ServiceConfig, ServiceFlags, ServiceKey,
};

const WHAT: &str = "service";

/// A service from the attributes of an answer.
pub fn service(payload: &[u8]) -> Result<Service, DecodeError> {
    let mut raw = RawService::default();
    for attribute in attributes(WHAT, only(payload, "SERVICE", Top::Service)?.payload) {
        raw.add(&attribute?)?;
    }
    raw.finish()
}

/// Attributes come in any order, and what some mean depends on others.
#[derive(Default)]
struct RawService<'a> {
    family: Option<Family>,
    protocol: Option<u16>,
    address: Option<RawAddress>,
    port: Option<u16>,
    mark: Option<NonZeroU32>,
    scheduler: Option<Scheduler>,
    flags: Option<u32>,
    timeout: Option<u32>,
    netmask: Option<Attribute<'a>>,
    engine: Option<Engine>,
    stats: RawStats<'a>,
}

impl<'a> RawService<'a> {
    fn add(&mut self, attribute: &Attribute<'a>) -> Result<(), DecodeError> {
        match attribute.kind() {
            Svc::Af => self.family = Some(family(attribute)?),
            Svc::Protocol => self.protocol = Some(attribute.value()?),
            Svc::Addr => self.address = Some(RawAddress::decode(attribute)?),
            Svc::Port => self.port = Some(attribute.port()?),
            Svc::Fwmark => self.mark = NonZeroU32::new(attribute.value()?),
            Svc::SchedName => self.scheduler = Some(name(attribute, "scheduler")?),
            Svc::Flags => self.flags = Some(flags(attribute)?),
            Svc::Timeout => self.timeout = Some(attribute.value()?),
            Svc::Netmask => self.netmask = Some(*attribute),
            Svc::PeName => self.engine = Some(name(attribute, "persistence engine")?),
            Svc::Stats => self.stats.old = Some(*attribute),
            Svc::Stats64 => self.stats.new = Some(*attribute),
            Svc::UnrecognizedConst(_) => (),
        }
        Ok(())
    }

    fn finish(self) -> Result<Service, DecodeError> {
        let family = needed(self.family, WHAT, "AF")?;
        Ok(Service {
            key: self.key(family)?,
            config: self.config(family)?,
            stats: self.stats.finish(WHAT)?,
        })
    }

    fn key(&self, family: Family) -> Result<ServiceKey, DecodeError> {
        if let Some(mark) = self.mark {
            return Ok(ServiceKey::Fwmark { family, mark });
        }
        let address = needed(self.address, WHAT, "ADDR")?.of(family);
        let port = needed(self.port, WHAT, "PORT")?;
        Ok(ServiceKey::Address {
            protocol: Protocol::from_number(needed(self.protocol, WHAT, "PROTOCOL")?),
            address: SocketAddr::new(address, port),
        })
    }

    fn config(&self, family: Family) -> Result<ServiceConfig, DecodeError> {
        let flags = needed(self.flags, WHAT, "FLAGS")?;
        let timeout = needed(self.timeout, WHAT, "TIMEOUT")?;
        let persistent = flags & ServiceFlags::PERSISTENT != 0;
        Ok(ServiceConfig {
            scheduler: needed(self.scheduler, WHAT, "SCHED_NAME")?,
            flags: ServiceFlags::from_bits(flags),
            persistence: persistent.then(|| Duration::from_secs(timeout.into())),
            netmask: netmask(&needed(self.netmask, WHAT, "NETMASK")?, family)?,
            engine: self.engine,
        })
    }
}

fn name<T: std::str::FromStr>(
    attribute: &Attribute<'_>,
    expected: &'static str,
) -> Result<T, DecodeError> {
    let text = attribute.text()?;
    text.parse().map_err(|_| attribute.wrong(&text, expected))
}

/// The bits; the mask beside them is for writing.
fn flags(attribute: &Attribute<'_>) -> Result<u32, DecodeError> {
    let [a, b, c, d, ..] = attribute.array::<8>()?;
    Ok(u32::from_ne_bytes([a, b, c, d]))
}

fn netmask(attribute: &Attribute<'_>, family: Family) -> Result<Netmask, DecodeError> {
    let bytes = attribute.array()?;
    Netmask::from_bytes(family, bytes)
        .ok_or_else(|| attribute.wrong(&format!("{bytes:?}"), "prefix length"))
}
