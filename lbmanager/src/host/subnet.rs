//! Networks.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// All addresses that begin alike. The bits after the prefix are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subnet {
    first: IpAddr,
    prefix: u8,
}

impl Subnet {
    /// The network that an address with this prefix is in; `None` where the
    /// prefix is longer than the address.
    pub fn of(address: IpAddr, prefix: u8) -> Option<Self> {
        (prefix <= host_prefix(address)).then(|| Self {
            first: mask(address, prefix),
            prefix,
        })
    }

    /// Whether the address is one of it.
    pub fn contains(&self, address: IpAddr) -> bool {
        Self::of(address, self.prefix) == Some(*self)
    }

    /// Whether it is one of IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.first.is_ipv4()
    }

    /// Whether its addresses mean something on one link only.
    pub fn is_link_local(&self) -> bool {
        match self.first {
            IpAddr::V4(four) => four.is_link_local(),
            IpAddr::V6(six) => six.is_unicast_link_local(),
        }
    }

    /// Whether it is no more than one address.
    pub fn is_host(&self) -> bool {
        self.prefix == host_prefix(self.first)
    }
}

/// The prefix of a single address: 32 or 128.
pub fn host_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn mask(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(four) => {
            let keep = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            Ipv4Addr::from_bits(four.to_bits() & keep).into()
        }
        IpAddr::V6(six) => {
            let keep = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
            Ipv6Addr::from_bits(six.to_bits() & keep).into()
        }
    }
}

/// `10.9.0.0/24`, `fd09::/64`.
impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// What is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network: one like 10.9.0.0/24 or fd09::/64 is expected")]
pub struct NoSubnet(String);

/// `10.9.0.0/24`; a single address without prefix too.
impl FromStr for Subnet {
    type Err = NoSubnet;

    fn from_str(text: &str) -> Result<Self, NoSubnet> {
        let wrong = || NoSubnet(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| wrong())?,
            None => host_prefix(address),
        };
        Self::of(address, prefix).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_in_its_network() {
        let subnet = Subnet::of("10.9.0.1".parse().unwrap(), 24).unwrap();
        assert_eq!(subnet.to_string(), "10.9.0.0/24");
        assert!(subnet.contains("10.9.0.255".parse().unwrap()));
        assert!(!subnet.contains("10.9.1.0".parse().unwrap()));
        assert!(!subnet.contains("fd09::1".parse().unwrap()));
        let all: Subnet = "::/0".parse().unwrap();
        assert!(all.contains("fd09::1".parse().unwrap()));
        assert!(!all.contains("10.9.0.1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.9.0.0/33", "fd09::/129", "10.9.0.0/", "10.9/16"] {
            assert_eq!(text.parse::<Subnet>(), Err(NoSubnet(text.to_owned())));
        }
    }

    proptest! {
        #[test]
        fn it_is_read_as_it_is_written(address: IpAddr, prefix in 0_u8..=128) {
            prop_assume!(prefix <= host_prefix(address));
            let subnet = Subnet::of(address, prefix).unwrap();
            prop_assert!(subnet.contains(address));
            prop_assert_eq!(subnet.to_string().parse(), Ok(subnet));
            prop_assert_eq!(subnet.is_host(), subnet.contains(address) && prefix == host_prefix(address));
        }

        #[test]
        fn what_differs_within_the_prefix_is_outside(address: u128, prefix in 1_u32..=128, bit: u32) {
            let bit = 127 - bit % prefix;
            let subnet = Subnet::of(Ipv6Addr::from_bits(address).into(), u8::try_from(prefix).unwrap());
            let other = Ipv6Addr::from_bits(address ^ (1 << bit));
            prop_assert!(!subnet.unwrap().contains(other.into()));
        }
    }
}
