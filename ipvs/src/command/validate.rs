use std::net::SocketAddr;
use std::time::Duration;

use super::{Command, Reason};
use crate::model::{
    DestinationConfig, DestinationKey, Forward, MAX_PERSISTENCE, MAX_WEIGHT, Protocol,
    ServiceConfig, ServiceFlags, ServiceKey, TunnelKind,
};

/// The first thing that is wrong with a command.
pub(super) fn check(command: &Command) -> Result<(), Reason> {
    identity(command)?;
    match command {
        Command::AddService { service, config } | Command::EditService { service, config } => {
            protocol(service)?;
            service_config(service, config)
        }
        Command::AddDestination {
            service,
            destination,
            config,
        }
        | Command::EditDestination {
            service,
            destination,
            config,
        } => destination_config(service, *destination, config),
        Command::DeleteService { .. }
        | Command::DeleteDestination { .. }
        | Command::ResetCounters { .. } => Ok(()),
    }
}

/// An entry that messages cannot tell from another is not even removed.
fn identity(command: &Command) -> Result<(), Reason> {
    if let ServiceKey::Address { address, .. } = command.service() {
        scope(address)?;
    }
    match command.destination() {
        Some(destination) => scope(&destination.0),
        None => Ok(()),
    }
}

fn scope(address: &SocketAddr) -> Result<(), Reason> {
    match address {
        SocketAddr::V6(six) if six.scope_id() != 0 || six.flowinfo() != 0 => Err(Reason::Scope),
        _ => Ok(()),
    }
}

fn protocol(service: &ServiceKey) -> Result<(), Reason> {
    match service {
        ServiceKey::Address {
            protocol: Protocol::Other(number),
            ..
        } => Err(Reason::Protocol(*number)),
        _ => Ok(()),
    }
}

fn service_config(service: &ServiceKey, config: &ServiceConfig) -> Result<(), Reason> {
    let marked = matches!(service, ServiceKey::Fwmark { .. });
    if service.port().is_none() && !marked && config.persistence.is_none() {
        return Err(Reason::ServicePort);
    }
    let one_packet = config.flags.contains(ServiceFlags::ONE_PACKET);
    if one_packet && !marked && !is_udp(service) {
        return Err(Reason::OnePacket);
    }
    if !config.netmask.fits(service.family()) {
        let mask = config.netmask;
        return Err(Reason::Netmask { mask });
    }
    match (config.persistence, config.engine) {
        (Some(duration), _) => persistence(duration),
        (None, Some(engine)) => Err(Reason::Engine(engine)),
        (None, None) => Ok(()),
    }
}

fn is_udp(service: &ServiceKey) -> bool {
    matches!(service, ServiceKey::Address { protocol, .. } if *protocol == Protocol::Udp)
}

fn persistence(duration: Duration) -> Result<(), Reason> {
    let possible = Duration::from_secs(1)..=MAX_PERSISTENCE;
    if possible.contains(&duration) && duration.subsec_nanos() == 0 {
        Ok(())
    } else {
        Err(Reason::Persistence(duration))
    }
}

fn destination_config(
    service: &ServiceKey,
    destination: DestinationKey,
    config: &DestinationConfig,
) -> Result<(), Reason> {
    if config.weight > MAX_WEIGHT {
        return Err(Reason::Weight(config.weight));
    }
    let (lower, upper) = (config.lower_threshold, config.upper_threshold);
    if lower > upper {
        return Err(Reason::Thresholds { lower, upper });
    }
    forward(config.forward)?;
    families(service, destination, config.forward)?;
    ports(service, destination, config.forward)
}

fn forward(forward: Forward) -> Result<(), Reason> {
    match forward {
        Forward::Other(number) => Err(Reason::Forward(number)),
        Forward::Tunnel(TunnelKind::Other { kind, flags, .. }) => {
            Err(Reason::Tunnel { kind, flags })
        }
        Forward::Masq | Forward::Direct | Forward::Local | Forward::Tunnel(_) => Ok(()),
    }
}

fn families(
    service: &ServiceKey,
    destination: DestinationKey,
    forward: Forward,
) -> Result<(), Reason> {
    let (service, destination) = (service.family(), destination.family());
    if service == destination || matches!(forward, Forward::Tunnel(_)) {
        return Ok(());
    }
    Err(Reason::MixedFamilies {
        service,
        destination,
    })
}

fn ports(
    service: &ServiceKey,
    destination: DestinationKey,
    forward: Forward,
) -> Result<(), Reason> {
    let port = destination.port();
    match service.port() {
        Some(_) if port == 0 => Err(Reason::DestinationPort),
        Some(expected) if port != expected && forward != Forward::Masq => {
            Err(Reason::OtherPort { port, expected })
        }
        _ => Ok(()),
    }
}
