//! Where this host is reached by others.

use std::io;
use std::net::IpAddr;

use clap::Args;
use nix::ifaddrs::getifaddrs;

use super::exit::Failure;

/// What fleet tells its units (`EnvironmentFile=/etc/environment`).
pub const VARIABLE: &str = "COREOS_PRIVATE_IPV4";

/// The kernel's tables of routes of this network namespace: proc(5).
const ROUTES: &str = "/proc/self/net/route";
const ROUTES6: &str = "/proc/self/net/ipv6_route";

/// A route that leads nowhere (`RTF_REJECT`).
const REJECT: u32 = 0x200;

/// There is no address to publish.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// What was given is none.
    #[error(
        "{source_name} is {value:?}: an address of this host is expected, such as 10.0.0.7 or fd00::7"
    )]
    Invalid {
        /// The flag or variable.
        source_name: &'static str,
        /// What it holds.
        value: String,
    },
    /// No interface leads to everywhere.
    #[error("this host has no default route, so its address is not known; give --host-ip")]
    NoRoute,
    /// It leads there without an address.
    #[error(
        "{0}, which has the default route, has no address that others could use; give --host-ip"
    )]
    NoAddress(String),
    /// The kernel does not tell.
    #[error("cannot read the addresses of this host; give --host-ip")]
    Unknown(#[source] io::Error),
    /// Only this host knows it.
    #[error(
        "{0} is an address inside of Docker's own network, where no other host finds it; give \
         --host-ip or COREOS_PRIVATE_IPV4 (docker run --env COREOS_PRIVATE_IPV4), or use \
         docker run --network host"
    )]
    Bridged(IpAddr),
}

impl From<AddressError> for Failure {
    fn from(error: AddressError) -> Self {
        match error {
            AddressError::Invalid { .. } => Self::usage(error),
            _ => Self::configuration(error),
        }
    }
}

/// What says where this host is reached.
#[derive(Debug, Clone, Args)]
pub struct AddressArgs {
    /// Where others reach this host [default: the address of the interface
    /// with the default route] [env: COREOS_PRIVATE_IPV4]
    #[arg(long, value_name = "ADDRESS")]
    host_ip: Option<String>,
}

impl AddressArgs {
    /// The address of this host: as the flag says, or the variable, or that of
    /// the interface with the default route.
    pub fn of_host(&self) -> Result<IpAddr, AddressError> {
        let variable = std::env::var(VARIABLE).ok();
        match chosen(self.host_ip.as_deref(), variable.as_deref())? {
            Some(address) => Ok(address),
            None => unless_bridged(by_default_route()?),
        }
    }
}

/// What somebody said. Empty is nothing, as for etcdctl's variables.
fn chosen(flag: Option<&str>, variable: Option<&str>) -> Result<Option<IpAddr>, AddressError> {
    let said = [("--host-ip", flag), (VARIABLE, variable)];
    let said = said.into_iter().find_map(|(name, value)| {
        let value = value.filter(|value| !value.is_empty())?;
        Some((name, value))
    });
    let Some((source_name, value)) = said else {
        return Ok(None);
    };
    match value.parse::<IpAddr>() {
        Ok(address) if !address.is_unspecified() => Ok(Some(address)),
        _ => Err(AddressError::Invalid {
            source_name,
            value: value.to_owned(),
        }),
    }
}

/// Docker gives its bridge 172.17.0.0/16 unless it is told otherwise.
fn unless_bridged(address: IpAddr) -> Result<IpAddr, AddressError> {
    match address {
        IpAddr::V4(v4) if v4.octets()[..2] == [172, 17] => Err(AddressError::Bridged(address)),
        _ => Ok(address),
    }
}

/// The address of the interface with the default route; of IPv6 only where
/// there is no other.
fn by_default_route() -> Result<IpAddr, AddressError> {
    // A kernel without IPv6 has no such file.
    let table = |file| std::fs::read_to_string(file).unwrap_or_default();
    if let Some(interface) = default_interface(&table(ROUTES)) {
        return address(interface, IpAddr::is_ipv4);
    }
    match default_interface6(&table(ROUTES6)) {
        Some(interface) => address(interface, is_global6),
        None => Err(AddressError::NoRoute),
    }
}

/// The first address of an interface that will do.
fn address(interface: &str, will_do: fn(&IpAddr) -> bool) -> Result<IpAddr, AddressError> {
    let all = getifaddrs().map_err(|error| AddressError::Unknown(error.into()))?;
    let own = all.filter(|found| found.interface_name == interface);
    let mut ips = own.filter_map(|found| {
        let address = found.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| Some(IpAddr::V6(address.as_sockaddr_in6()?.ip())))
    });
    ips.find(will_do)
        .ok_or_else(|| AddressError::NoAddress(interface.to_owned()))
}

/// One that is whole without the name of an interface.
fn is_global6(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if !v6.is_unicast_link_local() && !v6.is_loopback())
}

/// The interface of the default route that the kernel prefers: that of the
/// lowest metric.
fn default_interface(table: &str) -> Option<&str> {
    let routes = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [
            interface,
            "00000000",
            _,
            flags,
            _,
            _,
            metric,
            "00000000",
            ..,
        ] = fields[..]
        else {
            return None;
        };
        let leads_there = u32::from_str_radix(flags, 16).ok()? & REJECT == 0;
        leads_there.then_some((metric.parse::<u32>().ok()?, interface))
    });
    routes
        .min_by_key(|(metric, _)| *metric)
        .map(|(_, name)| name)
}

/// The same of IPv6.
fn default_interface6(table: &str) -> Option<&str> {
    let routes = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [to, "00", _, _, _, metric, _, _, flags, interface] = fields[..] else {
            return None;
        };
        let leads_there = u32::from_str_radix(flags, 16).ok()? & REJECT == 0;
        let is_default = to.bytes().all(|digit| digit == b'0');
        let metric = u32::from_str_radix(metric, 16).ok()?;
        (is_default && leads_there).then_some((metric, interface))
    });
    routes
        .min_by_key(|(metric, _)| *metric)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_comes_before_the_variable_and_empty_is_nothing() {
        for (flag, variable, expected) in [
            (None, None, None),
            (Some(""), Some(""), None),
            (None, Some("10.0.0.7"), Some("10.0.0.7")),
            (Some("fd00::7"), Some("10.0.0.7"), Some("fd00::7")),
            // Whoever says so knows it.
            (Some("172.17.0.2"), None, Some("172.17.0.2")),
        ] {
            let expected = expected.map(|address: &str| address.parse().unwrap());
            assert_eq!(chosen(flag, variable).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_by_the_name_of_where_it_stands() {
        for (flag, variable, start) in [
            (Some("es-1"), None, "--host-ip is \"es-1\": an address"),
            (Some("0.0.0.0"), None, "--host-ip is \"0.0.0.0\": an"),
            (None, Some("x"), "COREOS_PRIVATE_IPV4 is \"x\": an"),
        ] {
            let error = chosen(flag, variable).unwrap_err().to_string();
            assert!(error.starts_with(start), "{error}");
        }
    }

    #[test]
    fn an_address_of_docker_s_own_network_is_refused() {
        for (address, allowed) in [
            ("172.17.0.2", false),
            ("172.17.255.1", false),
            ("172.18.0.2", true),
            ("10.172.17.0", true),
            ("::ffff", true),
        ] {
            let found = unless_bridged(address.parse().unwrap());
            assert_eq!(found.is_ok(), allowed, "{address}");
        }
    }
    #[test]
    fn the_default_route_of_the_lowest_metric_counts() {
        let head = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n";
        let lan = "eth0 0002A8C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n";
        let slow = "wlan0 00000000 0102A8C0 0003 0 0 600 00000000 0 0 0\n";
        let fast = "eth0 00000000 0102A8C0 0003 0 0 100 00000000 0 0 0\n";
        let nowhere = "* 00000000 00000000 0200 0 0 0 00000000 0 0 0\n";
        let of = |lines: &[&str]| {
            let table = head.to_owned() + &lines.concat();
            default_interface(&table).map(str::to_owned)
        };
        assert_eq!(of(&[lan, slow, fast, nowhere]).as_deref(), Some("eth0"));
        assert_eq!(of(&[slow]).as_deref(), Some("wlan0"));
        assert_eq!(of(&[lan, nowhere]), None);
        assert_eq!(default_interface(""), None);
    }

    #[test]
    fn so_it_does_with_ipv6() {
        let zero = "0".repeat(32);
        let line = |to: &str, length, metric, flags, interface| {
            format!(
                "{to} {length} {zero} 00 {zero} {metric} 00000001 00000000 {flags} {interface}\n"
            )
        };
        let lan = line(
            &format!("fd{}", "0".repeat(30)),
            "40",
            "00000100",
            "00000001",
            "eth1",
        );
        let default = line(&zero, "00", "00000400", "00000003", "eth0");
        let nowhere = line(&zero, "00", "00000001", "00200200", "lo");
        let table = format!("{lan}{nowhere}{default}");
        assert_eq!(default_interface6(&table), Some("eth0"));
        assert_eq!(default_interface6(&format!("{lan}{nowhere}")), None);
    }
}
