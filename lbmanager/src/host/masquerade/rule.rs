//! A rule, as iptables is told of it and as it tells of it.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;

use ipvs::{Protocol, ServiceKey};

use crate::host::subnet::{Subnet, host_prefix};

/// Connections through a service, from and to a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// Where client and server are.
    pub subnet: Subnet,
    /// Which connections.
    pub matching: Matching,
}

/// By what the connections of a service are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Matching {
    /// What the client called.
    Called {
        /// The transport protocol.
        protocol: Protocol,
        /// The virtual address.
        address: IpAddr,
        /// The port, where it is a single one.
        port: Option<u16>,
    },
    /// The mark that its packets carry.
    Mark(NonZeroU32),
}

impl Matching {
    /// The connections of a service; `None` for one of a protocol that IPVS
    /// does not schedule.
    pub fn of(key: &ServiceKey) -> Option<Self> {
        match *key {
            ServiceKey::Fwmark { mark, .. } => Some(Self::Mark(mark)),
            ServiceKey::Address {
                protocol: Protocol::Other(_),
                ..
            } => None,
            ServiceKey::Address { protocol, address } => Some(Self::Called {
                protocol,
                address: address.ip(),
                port: key.port(),
            }),
        }
    }
}

/// What follows `-A CHAIN`, spelled as `iptables-save` spells it.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subnet, matching } = self;
        write!(f, "-s {subnet} -d {subnet} ")?;
        match matching {
            Matching::Called {
                protocol,
                address,
                port,
            } => {
                let protocol = protocol_name(*protocol);
                write!(f, "-p {protocol} -m conntrack --ctorigdst {address}")?;
                if let Some(port) = port {
                    write!(f, " --ctorigdstport {port}")?;
                }
            }
            Matching::Mark(mark) => write!(f, "-m mark --mark {mark:#x}")?,
        }
        f.write_str(" -j MASQUERADE")
    }
}

fn protocol_name(protocol: Protocol) -> String {
    match protocol {
        Protocol::Tcp => "tcp".to_owned(),
        Protocol::Udp => "udp".to_owned(),
        Protocol::Sctp => "sctp".to_owned(),
        Protocol::Other(number) => number.to_string(),
    }
}

fn protocol_named(name: &str) -> Option<Protocol> {
    let number = match name {
        "tcp" => 6,
        "udp" => 17,
        "sctp" => 132,
        _ => name.parse().ok()?,
    };
    match Protocol::from_number(number) {
        Protocol::Other(_) => None,
        known => Some(known),
    }
}

/// Reads what follows `-A CHAIN`, in whatever order and spelling; `None` where
/// it is not a rule of ours to the letter.
pub fn parse(text: &str) -> Option<Rule> {
    let mut words = text.split_ascii_whitespace();
    let mut said = Said::default();
    while let Some(option) = words.next() {
        said.take(option, words.next()?)?;
    }
    said.rule()
}

/// What was read so far.
#[derive(Default)]
struct Said {
    source: Option<Subnet>,
    destination: Option<Subnet>,
    protocol: Option<Protocol>,
    address: Option<IpAddr>,
    port: Option<u16>,
    mark: Option<NonZeroU32>,
    masquerade: bool,
}

impl Said {
    /// Takes an option and its value; `None` for one that ours do not have, or
    /// that comes a second time.
    fn take(&mut self, option: &str, value: &str) -> Option<()> {
        match option {
            "-s" => once(&mut self.source, value.parse().ok()?),
            "-d" => once(&mut self.destination, value.parse().ok()?),
            "-p" => once(&mut self.protocol, protocol_named(value)?),
            "--ctorigdst" => once(&mut self.address, single(value)?),
            "--ctorigdstport" => once(&mut self.port, value.parse().ok()?),
            "--mark" => once(&mut self.mark, number(value)?),
            "-j" if value == "MASQUERADE" => {
                let first = !self.masquerade;
                self.masquerade = true;
                first.then_some(())
            }
            // By itself it matches nothing less.
            "-m" => ["conntrack", "mark", "tcp", "udp", "sctp"]
                .contains(&value)
                .then_some(()),
            _ => None,
        }
    }

    fn rule(self) -> Option<Rule> {
        let subnet = self.source?;
        if self.destination != Some(subnet) || !self.masquerade {
            return None;
        }
        let matching = match (self.mark, self.protocol, self.address, self.port) {
            (Some(mark), None, None, None) => Matching::Mark(mark),
            (None, Some(protocol), Some(address), port) => Matching::Called {
                protocol,
                address,
                port,
            },
            _ => return None,
        };
        Some(Rule { subnet, matching })
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

/// A single address, with or without its prefix.
fn single(text: &str) -> Option<IpAddr> {
    let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
    let address = address.parse().ok()?;
    let is_whole = prefix.is_empty() || prefix.parse() == Ok(host_prefix(address));
    is_whole.then_some(address)
}

/// A mark, with or without the mask of all its bits.
fn number(text: &str) -> Option<NonZeroU32> {
    let text = text.strip_suffix("/0xffffffff").unwrap_or(text);
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    NonZeroU32::new(number.ok()?)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub fn any_rule() -> impl Strategy<Value = Rule> {
        let protocol = prop::sample::select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp]);
        let port = proptest::option::of(1_u16..);
        let mark = proptest::option::of((1_u32..).prop_map(|mark| NonZeroU32::new(mark).unwrap()));
        (any::<(IpAddr, u8)>(), protocol, port, mark).prop_map(
            |((address, prefix), protocol, port, mark)| {
                let prefix = prefix % host_prefix(address);
                let subnet = Subnet::of(address, prefix).unwrap();
                let matching = mark.map_or(
                    Matching::Called {
                        protocol,
                        address,
                        port,
                    },
                    Matching::Mark,
                );
                Rule { subnet, matching }
            },
        )
    }

    #[test]
    fn other_spellings_are_the_same_rule() {
        let plain = "-s 10.9.0.0/24 -d 10.9.0.0/24 -p tcp -m conntrack --ctorigdst 192.0.2.1 \
                     --ctorigdstport 80 -j MASQUERADE";
        let other = "-d 10.9.0.0/24 -s 10.9.0.0/24 -p 6 -m tcp -m conntrack --ctorigdstport 80 \
                     --ctorigdst 192.0.2.1/32 -j MASQUERADE";
        assert_eq!(parse(plain), parse(other));
        assert_eq!(parse(plain).unwrap().to_string(), plain);
        let mark = "-s fd09::/64 -d fd09::/64 -m mark --mark 0x7/0xffffffff -j MASQUERADE";
        let mark = parse(mark).unwrap();
        assert_eq!(mark.matching, Matching::Mark(7.try_into().unwrap()));
    }

    #[test]
    fn what_was_tampered_with_is_none_of_ours() {
        for rule in [
            "",
            "-j MASQUERADE",
            "-s 10.9.0.0/24 -d 10.8.0.0/24 -m mark --mark 0x7 -j MASQUERADE",
            "-s 10.9.0.0/24 -d 10.9.0.0/24 -m mark --mark 0x7 -j ACCEPT",
            "-s 10.9.0.0/24 -d 10.9.0.0/24 -m mark ! --mark 0x7 -j MASQUERADE",
            "! -s 10.9.0.0/24 -d 10.9.0.0/24 -m mark --mark 0x7 -j MASQUERADE",
            "-s 10.9.0.0/24 -d 10.9.0.0/24 -m mark --mark 0x7/0xff -j MASQUERADE",
            "-s 10.9.0.0/24 -d 10.9.0.0/24 -m mark --mark 0x7 -j MASQUERADE --random",
            "-s 10.9.0.0/24 -d 10.9.0.0/24 -p tcp -m conntrack --ctorigdst 192.0.2.0/24 -j \
             MASQUERADE",
            "-s 10.9.0.0/24 -d 10.9.0.0/24 -p icmp -m conntrack --ctorigdst 192.0.2.1 -j \
             MASQUERADE",
        ] {
            assert_eq!(parse(rule), None, "{rule}");
        }
    }

    proptest! {
        #[test]
        fn it_is_read_as_it_is_written(rule in any_rule()) {
            prop_assert_eq!(parse(&rule.to_string()), Some(rule));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text: String) {
            let _ = parse(&text);
        }
    }
}
