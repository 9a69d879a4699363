//! `--masquerade auto`: clients next to the real server.
//!
//! A client behind a bridge of this host that calls a virtual service gets
//! sent to a real server behind the same bridge, which sees the client's own
//! address and answers it directly, past this host: the client knows nothing
//! of such a connection. So those connections get the bridge's address as
//! their source, and the answers come back this way.
//!
//! There is a rule for each service and bridge network, in a chain of our own
//! of the table `nat`, to which `POSTROUTING` jumps. It matches connections
//! from that network to that network whose original destination is the
//! service's (`--ctorigdst`, known where `net.ipv4.vs.conntrack` is 1): what
//! goes from client to server directly is left alone, also where bridged
//! packets pass iptables. That is what `-m ipvs` would tell as well; the match
//! for connections is on every host that has a container.
//!
//! | module | kind | what it is |
//! | --- | --- | --- |
//! | [`rule`] | pure | a rule, written and read |
//! | [`present`] | pure | what `iptables-save` shows of ours, and what is to be changed |
//! | `driver` | driver | [`Masquerade`]: runs the host's programs |

mod driver;
pub mod present;
pub mod rule;

use std::collections::BTreeSet;

pub use self::driver::{Look, Masquerade, Problem, Programs};
pub use self::rule::{Matching, Rule};
use super::service::Service;
use super::subnet::Subnet;

/// What is done about clients next to the real server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Their connections are masqueraded, where there are some.
    #[default]
    Auto,
    /// Nothing; rules of an earlier run are removed.
    Off,
}

/// The chain that holds the rules. Whatever is in it is ours.
pub const CHAIN: &str = "LBMANAGER-POSTROUTING";

/// The rules that these services need on a host whose bridges have these
/// networks.
pub fn plan(services: &[Service], bridged: impl IntoIterator<Item = Subnet>) -> BTreeSet<Rule> {
    let bridged: BTreeSet<Subnet> = bridged.into_iter().collect();
    let rules = services.iter().flat_map(|service| {
        let matching = Matching::of(&service.key);
        let servers = &service.masqueraded;
        let near = bridged.iter().filter(|subnet| {
            let family = ipvs::Family::V4 == service.key.family();
            let has = servers.iter().any(|server| subnet.contains(*server));
            family == subnet.is_ipv4() && has
        });
        near.filter_map(move |subnet| {
            let subnet = *subnet;
            matching.map(|matching| Rule { subnet, matching })
        })
    });
    rules.collect()
}

#[cfg(test)]
mod tests {
    use ipvs::ServiceKey;

    use super::*;

    fn service(key: ServiceKey, servers: &[&str]) -> Service {
        Service {
            key,
            persistent: false,
            masqueraded: servers
                .iter()
                .map(|server| server.parse().unwrap())
                .collect(),
        }
    }

    #[test]
    fn a_rule_for_each_service_and_network_of_its_servers() {
        let services = [
            service(
                ServiceKey::tcp("192.0.2.1:80".parse().unwrap()),
                &["10.9.0.11", "10.9.0.12", "10.8.0.3", "203.0.113.5"],
            ),
            service(ServiceKey::udp("192.0.2.1:53".parse().unwrap()), &[]),
            service(ServiceKey::fwmark6(7.try_into().unwrap()), &["fd09::b"]),
            service(
                ServiceKey::tcp("192.0.2.2:80".parse().unwrap()),
                &["203.0.113.5"],
            ),
        ];
        let bridged = ["10.9.0.0/24", "10.8.0.0/16", "10.7.0.0/16", "fd09::/64"];
        let bridged = bridged.map(|subnet| subnet.parse().unwrap());
        let rules: Vec<String> = plan(&services, bridged)
            .iter()
            .map(Rule::to_string)
            .collect();
        assert_eq!(
            rules,
            [
                "-s 10.8.0.0/16 -d 10.8.0.0/16 -p tcp -m conntrack --ctorigdst 192.0.2.1 \
                 --ctorigdstport 80 -j MASQUERADE",
                "-s 10.9.0.0/24 -d 10.9.0.0/24 -p tcp -m conntrack --ctorigdst 192.0.2.1 \
                 --ctorigdstport 80 -j MASQUERADE",
                "-s fd09::/64 -d fd09::/64 -m mark --mark 0x7 -j MASQUERADE",
            ]
        );
        assert_eq!(plan(&services, []), BTreeSet::new());
    }
}
