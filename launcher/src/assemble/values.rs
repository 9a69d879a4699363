//! What a definition's variables stand for.

use std::net::{IpAddr, SocketAddr};

use presence::model::HostId;
use presence::process::host_address::{AddressArgs, AddressError};

use super::location::own_address;
use crate::definition::{Definition, Target, Values, Variable};
use crate::runtime::Container;

/// What variables stand for on this host, whichever container it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// `$HOSTNAME`.
    pub host_id: HostId,
    /// `$HOST_IP`; `None` where nothing needs it.
    pub host_ip: Option<IpAddr>,
    /// `$INSTANCE_ID`; `None` where nothing needs it.
    pub instance_id: Option<String>,
}

impl HostFacts {
    /// What these targets need, as far as this host knows it itself: all but `$INSTANCE_ID`.
    pub fn of(
        targets: &[Target],
        host_id: HostId,
        address: &AddressArgs,
    ) -> Result<Self, AddressError> {
        let is_listed = |target: &Target| matches!(target, Target::Service(_));
        let needs_address = is_used(targets, Variable::HostIp) || targets.iter().any(is_listed);
        Ok(Self {
            host_id,
            host_ip: needs_address.then(|| address.of_host()).transpose()?,
            instance_id: None,
        })
    }

    /// Whether the instance metadata has to be asked for these.
    pub fn need_metadata(targets: &[Target]) -> bool {
        is_used(targets, Variable::InstanceId)
    }
}

fn is_used(targets: &[Target], variable: Variable) -> bool {
    targets.iter().any(|target| target.has(variable))
}

/// What all variables stand for, with this container as it was inspected.
pub fn values(definition: &Definition, container: &Container, host: &HostFacts) -> Values {
    let port = definition.service_port();
    let published = port.and_then(|port| container.ports.get(&format!("{port}/tcp")));
    Values {
        instance_id: host.instance_id.clone(),
        host_ip: host.host_ip,
        host_port: published.and_then(|places| host_port(places)),
        container_ip: own_address(container),
        port: port.map(|port| port.0),
        hostname: host.host_id.clone(),
    }
}

/// One that is open at every address of the host, if there is one. Docker may choose another port
/// for IPv6 than for IPv4.
fn host_port(places: &[SocketAddr]) -> Option<u16> {
    let preferred = |place: &&SocketAddr| (!place.ip().is_unspecified(), place.is_ipv6());
    places.iter().min_by_key(preferred).map(SocketAddr::port)
}
