use std::net::IpAddr;

use neli::consts::nl::NlmF;

use super::numbers::{
    CSUM, Cmds, DIRECT, Dest, GRE, GUE, INET, INET6, LOCAL, MASQ, REMCSUM, Svc, TUNNEL, Top,
};
use super::writer::Writer;
use crate::command::Command;
use crate::model::{
    Checksum, DestinationConfig, DestinationKey, Family, Forward, ServiceConfig, ServiceFlags,
    ServiceKey, TunnelKind,
};
use crate::timeouts::Timeouts;

/// What a message says beside its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The number that the kernel gave the family.
    pub kind: u16,
    /// What kind of answer is wanted.
    pub flags: NlmF,
    /// What the answer is known by.
    pub sequence: u32,
}

/// What the kernel can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// A change.
    Command(&'a Command),
    /// Every service: a dump.
    Services,
    /// The destinations of a service: a dump, empty where there is no such
    /// service.
    Destinations(&'a ServiceKey),
    /// The version and the size of the connection table.
    Info,
    /// The time-outs of connections.
    Timeouts,
    /// Sets the time-outs of connections.
    SetTimeouts(&'a Timeouts),
}

/// Appends a request.
pub fn encode(writer: &mut Writer, header: Header, request: &Request<'_>) {
    match request {
        Request::Command(command) => self::command(writer, header, command),
        Request::Services => writer.message(header, Cmds::GetService, |_| ()),
        Request::Destinations(key) => writer.message(header, Cmds::GetDest, |w| service(w, key)),
        Request::Info => writer.message(header, Cmds::GetInfo, |_| ()),
        Request::Timeouts => writer.message(header, Cmds::GetConfig, |_| ()),
        Request::SetTimeouts(timeouts) => writer.message(header, Cmds::SetConfig, |w| {
            for (kind, duration) in [
                (Top::TimeoutTcp, timeouts.tcp),
                (Top::TimeoutTcpFin, timeouts.tcp_fin),
                (Top::TimeoutUdp, timeouts.udp),
            ] {
                w.number(kind, seconds(duration));
            }
        }),
    }
}

fn command(writer: &mut Writer, header: Header, command: &Command) {
    match command {
        Command::AddService { service, config } => {
            writer.message(header, Cmds::NewService, |w| {
                full_service(w, service, config);
            });
        }
        Command::EditService { service, config } => {
            writer.message(header, Cmds::SetService, |w| {
                full_service(w, service, config);
            });
        }
        Command::DeleteService { service: key } => {
            writer.message(header, Cmds::DelService, |w| service(w, key));
        }
        Command::AddDestination {
            service: key,
            destination,
            config,
        } => writer.message(header, Cmds::NewDest, |w| {
            service(w, key);
            full_destination(w, *destination, config);
        }),
        Command::EditDestination {
            service: key,
            destination,
            config,
        } => writer.message(header, Cmds::SetDest, |w| {
            service(w, key);
            full_destination(w, *destination, config);
        }),
        Command::DeleteDestination {
            service: key,
            destination,
        } => writer.message(header, Cmds::DelDest, |w| {
            service(w, key);
            w.nested(Top::Dest, |w| destination_key(w, *destination));
        }),
        Command::ResetCounters { service: key } => {
            writer.message(header, Cmds::Zero, |w| service(w, key));
        }
    }
}

fn service(writer: &mut Writer, key: &ServiceKey) {
    writer.nested(Top::Service, |w| service_key(w, key));
}

fn full_service(writer: &mut Writer, key: &ServiceKey, config: &ServiceConfig) {
    writer.nested(Top::Service, |w| {
        service_key(w, key);
        service_config(w, key.family(), config);
    });
}

fn full_destination(writer: &mut Writer, key: DestinationKey, config: &DestinationConfig) {
    writer.nested(Top::Dest, |w| {
        destination_key(w, key);
        destination_config(w, config);
    });
}

pub(super) fn service_key(writer: &mut Writer, key: &ServiceKey) {
    writer.half_number(Svc::Af, family(key.family()));
    match key {
        ServiceKey::Address { protocol, address } => {
            writer.half_number(Svc::Protocol, protocol.number());
            match address.ip() {
                IpAddr::V4(four) => writer.attribute(Svc::Addr, &four.octets()),
                IpAddr::V6(six) => writer.attribute(Svc::Addr, &six.octets()),
            }
            writer.port(Svc::Port, address.port());
        }
        ServiceKey::Fwmark { mark, .. } => writer.number(Svc::Fwmark, mark.get()),
    }
}

pub(super) fn service_config(writer: &mut Writer, family: Family, config: &ServiceConfig) {
    let persistent = config.persistence.map_or(0, |_| ServiceFlags::PERSISTENT);
    writer.text(Svc::SchedName, config.scheduler.as_str());
    writer.attribute(Svc::Flags, &flags(config.flags.bits() | persistent));
    writer.number(Svc::Timeout, config.persistence.map_or(0, seconds));
    writer.attribute(Svc::Netmask, &config.netmask.to_bytes(family));
    if let Some(engine) = &config.engine {
        writer.text(Svc::PeName, engine.as_str());
    }
}

/// The bits with the mask of those that they replace: all but the kernel's.
fn flags(bits: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&bits.to_ne_bytes());
    bytes[4..].copy_from_slice(&(!ServiceFlags::HASHED).to_ne_bytes());
    bytes
}

pub(super) fn destination_key(writer: &mut Writer, key: DestinationKey) {
    writer.half_number(Dest::AddrFamily, family(key.family()));
    match key.0.ip() {
        IpAddr::V4(four) => writer.attribute(Dest::Addr, &four.octets()),
        IpAddr::V6(six) => writer.attribute(Dest::Addr, &six.octets()),
    }
    writer.port(Dest::Port, key.port());
}

pub(super) fn destination_config(writer: &mut Writer, config: &DestinationConfig) {
    let method = match config.forward {
        Forward::Masq => MASQ,
        Forward::Local => LOCAL,
        Forward::Tunnel(_) => TUNNEL,
        Forward::Direct => DIRECT,
        Forward::Other(number) => number,
    };
    writer.number(Dest::FwdMethod, method);
    writer.number(Dest::Weight, config.weight);
    writer.number(Dest::UThresh, config.upper_threshold);
    writer.number(Dest::LThresh, config.lower_threshold);
    if let Forward::Tunnel(kind) = config.forward {
        tunnel(writer, kind);
    }
}

/// IP in IP is what the kernel does where nothing is said, and all that Linux
/// before 5.2 does.
fn tunnel(writer: &mut Writer, tunnel: TunnelKind) {
    let (kind, port, flags) = match tunnel {
        TunnelKind::Ipip => return,
        TunnelKind::Gue { port, checksum } => (GUE, port.get(), checksum_flags(checksum)),
        TunnelKind::Gre { checksum } => (GRE, 0, if checksum { CSUM } else { 0 }),
        TunnelKind::Other { kind, port, flags } => (kind, port, flags),
    };
    writer.attribute(Dest::TunType, &[kind]);
    writer.port(Dest::TunPort, port);
    writer.half_number(Dest::TunFlags, flags);
}

fn checksum_flags(checksum: Checksum) -> u16 {
    match checksum {
        Checksum::None => 0,
        Checksum::Udp => CSUM,
        Checksum::Remote => REMCSUM,
    }
}

fn family(family: Family) -> u16 {
    match family {
        Family::V4 => INET,
        Family::V6 => INET6,
    }
}

/// What is longer than the kernel can count is cut off; validation allows
/// nothing of the kind.
fn seconds(duration: std::time::Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
