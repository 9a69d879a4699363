use std::net::SocketAddr;
use std::num::NonZeroU16;

use super::super::attributes::{Attribute, attributes};
use super::super::error::DecodeError;
use super::super::numbers::{
    CSUM, DIRECT, Dest, GRE, GUE, IPIP, LOCAL, MASQ, REMCSUM, TUNNEL, Top,
};
use super::stats::RawStats;
use super::{RawAddress, family, needed, only};
use crate::model::{
    Checksum, Connections, Destination, DestinationConfig, DestinationKey, Family, Forward,
    TunnelKind,
};

const WHAT: &str = "destination";

/// A destination from the attributes of an answer. The family is its
/// service's: Linux before 3.18 does not say the destination's own.
pub fn destination(payload: &[u8], service: Family) -> Result<Destination, DecodeError> {
    let mut raw = RawDestination::default();
    for attribute in attributes(WHAT, only(payload, "DEST", Top::Dest)?.payload) {
        raw.add(&attribute?)?;
    }
    raw.finish(service)
}

/// Attributes come in any order, and what some mean depends on others.
#[derive(Default)]
struct RawDestination<'a> {
    family: Option<Family>,
    address: Option<RawAddress>,
    port: Option<u16>,
    method: Option<u32>,
    weight: Option<u32>,
    upper: Option<u32>,
    lower: Option<u32>,
    active: Option<u32>,
    inactive: Option<u32>,
    persistent: Option<u32>,
    tunnel: (u8, u16, u16),
    stats: RawStats<'a>,
}

impl<'a> RawDestination<'a> {
    fn add(&mut self, attribute: &Attribute<'a>) -> Result<(), DecodeError> {
        match attribute.kind() {
            Dest::AddrFamily => self.family = Some(family(attribute)?),
            Dest::Addr => self.address = Some(RawAddress::decode(attribute)?),
            Dest::Port => self.port = Some(attribute.port()?),
            Dest::FwdMethod => self.method = Some(attribute.value()?),
            Dest::Weight => self.weight = Some(attribute.value()?),
            Dest::UThresh => self.upper = Some(attribute.value()?),
            Dest::LThresh => self.lower = Some(attribute.value()?),
            Dest::ActiveConns => self.active = Some(attribute.value()?),
            Dest::InactConns => self.inactive = Some(attribute.value()?),
            Dest::PersistConns => self.persistent = Some(attribute.value()?),
            Dest::TunType => self.tunnel.0 = attribute.value()?,
            Dest::TunPort => self.tunnel.1 = attribute.port()?,
            Dest::TunFlags => self.tunnel.2 = attribute.value()?,
            Dest::Stats => self.stats.old = Some(*attribute),
            Dest::Stats64 => self.stats.new = Some(*attribute),
            Dest::UnrecognizedConst(_) => (),
        }
        Ok(())
    }

    fn finish(self, service: Family) -> Result<Destination, DecodeError> {
        let address = needed(self.address, WHAT, "ADDR")?;
        let address = address.of(self.family.unwrap_or(service));
        let port = needed(self.port, WHAT, "PORT")?;
        Ok(Destination {
            key: DestinationKey(SocketAddr::new(address, port)),
            config: self.config()?,
            connections: self.connections()?,
            stats: self.stats.finish(WHAT)?,
        })
    }

    fn config(&self) -> Result<DestinationConfig, DecodeError> {
        Ok(DestinationConfig {
            forward: match needed(self.method, WHAT, "FWD_METHOD")? {
                MASQ => Forward::Masq,
                LOCAL => Forward::Local,
                TUNNEL => Forward::Tunnel(tunnel(self.tunnel)),
                DIRECT => Forward::Direct,
                other => Forward::Other(other),
            },
            weight: needed(self.weight, WHAT, "WEIGHT")?,
            upper_threshold: needed(self.upper, WHAT, "U_THRESH")?,
            lower_threshold: needed(self.lower, WHAT, "L_THRESH")?,
        })
    }

    fn connections(&self) -> Result<Connections, DecodeError> {
        Ok(Connections {
            active: needed(self.active, WHAT, "ACTIVE_CONNS")?,
            inactive: needed(self.inactive, WHAT, "INACT_CONNS")?,
            persistent: needed(self.persistent, WHAT, "PERSIST_CONNS")?,
        })
    }
}

/// What does not fit is kept as it is, so that it differs from whatever is
/// wanted.
fn tunnel((kind, port, flags): (u8, u16, u16)) -> TunnelKind {
    match (kind, NonZeroU16::new(port), flags) {
        (IPIP, ..) => TunnelKind::Ipip,
        (GUE, Some(port), 0) => gue(port, Checksum::None),
        (GUE, Some(port), CSUM) => gue(port, Checksum::Udp),
        (GUE, Some(port), REMCSUM) => gue(port, Checksum::Remote),
        (GRE, _, 0 | CSUM) => TunnelKind::Gre {
            checksum: flags == CSUM,
        },
        _ => TunnelKind::Other { kind, port, flags },
    }
}

fn gue(port: NonZeroU16, checksum: Checksum) -> TunnelKind {
    TunnelKind::Gue { port, checksum }
}
