//! The host's interfaces and their addresses.

mod decode;
mod route;

use std::collections::BTreeMap;
use std::net::IpAddr;

pub use self::route::{Error, Route};
use super::subnet::Subnet;

/// The interfaces of a host, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links(pub BTreeMap<String, Interface>);

/// One interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// The kernel's number for it.
    pub index: u32,
    /// Whether it is switched on.
    pub up: bool,
    /// Whether it joins others.
    pub bridge: bool,
    /// Its addresses, each with the length of its prefix; the longest, where
    /// one is there several times.
    pub addresses: BTreeMap<IpAddr, u8>,
}

impl Links {
    /// The networks that are reached through a bridge, without those of a
    /// single address.
    pub fn bridged(&self) -> impl Iterator<Item = Subnet> {
        let bridges = self.0.values().filter(|link| link.bridge && link.up);
        let addresses = bridges.flat_map(|link| &link.addresses);
        let subnets = addresses.filter_map(|(address, prefix)| Subnet::of(*address, *prefix));
        // Everybody's link-local network is the same one.
        subnets.filter(|subnet| !subnet.is_host() && !subnet.is_link_local())
    }

    /// Which interface has an address, other than this one.
    pub fn elsewhere(&self, address: IpAddr, than: &str) -> Option<&str> {
        let mut others = self.0.iter().filter(|(name, _)| *name != than);
        let found = others.find(|(_, link)| link.addresses.contains_key(&address));
        found.map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_bridges_that_are_up() {
        let link = |bridge, up, addresses: &[(&str, u8)]| Interface {
            index: 1,
            up,
            bridge,
            addresses: addresses
                .iter()
                .map(|(address, prefix)| (address.parse().unwrap(), *prefix))
                .collect(),
        };
        let links = Links(BTreeMap::from([
            ("eth0".to_owned(), link(false, true, &[("192.0.2.9", 24)])),
            (
                "br0".to_owned(),
                link(
                    true,
                    true,
                    &[
                        ("10.9.0.1", 24),
                        ("10.9.0.77", 32),
                        ("fd09::1", 64),
                        ("fe80::1", 64),
                        ("169.254.0.1", 16),
                    ],
                ),
            ),
            ("br1".to_owned(), link(true, false, &[("10.8.0.1", 24)])),
        ]));
        let bridged: Vec<String> = links.bridged().map(|subnet| subnet.to_string()).collect();
        assert_eq!(bridged, ["10.9.0.0/24", "fd09::/64"]);
        let address = "10.9.0.77".parse().unwrap();
        assert_eq!(links.elsewhere(address, "lb0"), Some("br0"));
        assert_eq!(links.elsewhere(address, "br0"), None);
    }
}
