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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::spec::tests::definition;
    use crate::runtime::State;

    fn host() -> HostFacts {
        HostFacts {
            host_id: "host-1".parse().unwrap(),
            host_ip: "10.0.0.7".parse().ok(),
            instance_id: Some("i-7".to_owned()),
        }
    }

    fn container(network_mode: &str, ports: &[&str]) -> Container {
        let places = ports.iter().map(|place| place.parse().unwrap());
        Container {
            network_mode: network_mode.to_owned(),
            addresses: [("front".to_owned(), "10.1.0.2".parse().unwrap())].into(),
            ports: [
                ("80/tcp".to_owned(), places.collect()),
                ("80/udp".to_owned(), vec!["0.0.0.0:9".parse().unwrap()]),
            ]
            .into(),
            ..Container::new(State::Running)
        }
    }

    #[test]
    fn variables_stand_for_what_was_found() {
        let found = values(
            &definition("{image: web, port: 80}"),
            &container("front", &["0.0.0.0:32768", "[::]:32769"]),
            &host(),
        );
        let expected = Values {
            instance_id: Some("i-7".to_owned()),
            host_ip: "10.0.0.7".parse().ok(),
            host_port: Some(32768),
            container_ip: "10.1.0.2".parse().ok(),
            port: Some(80),
            hostname: "host-1".parse().unwrap(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_not_there_is_not_known() {
        let web = container("host", &[]);
        let found = values(&definition("{image: web}"), &web, &host());
        assert_eq!((found.container_ip, found.port), (None, None));
        assert_eq!(found.host_port, None);
    }

    #[test]
    fn a_port_that_all_can_reach_comes_before_others() {
        for (places, expected) in [
            (&["127.0.0.1:1", "0.0.0.0:2"][..], Some(2)),
            (&["[::]:1", "0.0.0.0:2"], Some(2)),
            (&["[::1]:1", "[::]:2"], Some(2)),
            (&["10.0.0.7:3"], Some(3)),
            (&[], None),
        ] {
            let places: Vec<_> = places.iter().map(|place| place.parse().unwrap()).collect();
            assert_eq!(host_port(&places), expected, "{places:?}");
        }
    }
}
