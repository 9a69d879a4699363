//! Where a container is reached.

use std::net::{IpAddr, Ipv4Addr};

use crate::runtime::{Container, ContainerRuntime, RuntimeError};

/// As many containers are asked in turn whose network each of them is in.
const LONGEST_CHAIN: usize = 4;

/// Where a container is reached from this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// At this address.
    Address(IpAddr),
    /// Nowhere, and why.
    Nowhere(String),
}

/// Whose address it is reached at.
enum Place<'a> {
    There(Location),
    /// That of another container, by its name or ID.
    Of(&'a str),
}

/// Where the container is reached: in a network of Docker's at its address in the first one, in the
/// host's at 127.0.0.1, in another container's at that one's. An address is known only while its
/// container runs.
pub async fn locate<R: ContainerRuntime>(
    runtime: &R,
    container: &Container,
) -> Result<Location, RuntimeError> {
    let mut whose = container.clone();
    for _ in 0..LONGEST_CHAIN {
        let name = match place(&whose) {
            Place::There(location) => return Ok(location),
            Place::Of(name) => name.to_owned(),
        };
        let Some(next) = runtime.inspect_any(&name).await? else {
            let words = format!("container {name}, whose network it is in, is gone");
            return Ok(Location::Nowhere(words));
        };
        whose = next;
    }
    let words = format!("more than {LONGEST_CHAIN} containers are in each other's network");
    Ok(Location::Nowhere(words))
}

fn place(container: &Container) -> Place<'_> {
    if let Some(name) = container.network_mode.strip_prefix("container:") {
        return Place::Of(name);
    }
    let location = match container.network_mode.as_str() {
        "host" => Location::Address(Ipv4Addr::LOCALHOST.into()),
        "none" => Location::Nowhere("it has no network".to_owned()),
        network => match own_address(container) {
            Some(address) => Location::Address(address),
            None => Location::Nowhere(format!(
                "{} has no address on network {network}",
                container.name
            )),
        },
    };
    Place::There(location)
}

/// Its own address in its first network, if it has one.
pub(super) fn own_address(container: &Container) -> Option<IpAddr> {
    let network = match container.network_mode.as_str() {
        "default" => "bridge",
        network => network,
    };
    container.addresses.get(network).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::State;
    use crate::runtime::fake::FakeRuntime;

    fn container(name: &str, network_mode: &str, addresses: &[(&str, &str)]) -> Container {
        let addresses = addresses.iter();
        Container {
            id: format!("id-of-{name}"),
            name: name.to_owned(),
            network_mode: network_mode.to_owned(),
            addresses: addresses
                .map(|(network, address)| ((*network).to_owned(), address.parse().unwrap()))
                .collect(),
            ..Container::new(State::Running)
        }
    }

    /// What is on the host beside it.
    fn neighbours() -> FakeRuntime {
        let runtime = FakeRuntime::new();
        for (name, mode, addresses) in [
            ("x", "front", &[("front", "10.1.0.2")][..]),
            ("ended", "front", &[]),
            ("on-host", "host", &[]),
            ("in-x", "container:id-of-x", &[]),
            ("a", "container:b", &[]),
            ("b", "container:a", &[]),
        ] {
            runtime.add_container(container(name, mode, addresses));
        }
        runtime
    }

    #[tokio::test]
    async fn probes_go_where_the_table_says() {
        let both = [("back", "10.2.0.2"), ("front", "10.1.0.2")];
        let bridge = [("bridge", "172.17.0.2")];
        for (mode, addresses, expected) in [
            ("bridge", &bridge[..], Ok("172.17.0.2")),
            ("default", &bridge, Ok("172.17.0.2")),
            ("front", &both, Ok("10.1.0.2")),
            ("back", &both, Ok("10.2.0.2")),
            ("six", &[("six", "fd00::2")], Ok("fd00::2")),
            ("host", &[], Ok("127.0.0.1")),
            ("container:x", &[], Ok("10.1.0.2")),
            ("container:id-of-x", &[], Ok("10.1.0.2")),
            ("container:in-x", &[], Ok("10.1.0.2")),
            ("container:on-host", &[], Ok("127.0.0.1")),
            ("none", &[], Err("it has no network")),
            ("front", &[], Err("web has no address on network front")),
            (
                "container:ended",
                &[],
                Err("ended has no address on network front"),
            ),
            (
                "container:y",
                &[],
                Err("container y, whose network it is in, is gone"),
            ),
            (
                "container:a",
                &[],
                Err("more than 4 containers are in each other's network"),
            ),
        ] {
            let web = container("web", mode, addresses);
            let found = locate(&neighbours(), &web).await.unwrap();
            let expected = match expected {
                Ok(address) => Location::Address(address.parse().unwrap()),
                Err(words) => Location::Nowhere(words.to_owned()),
            };
            assert_eq!(found, expected, "{mode}");
        }
    }
}
