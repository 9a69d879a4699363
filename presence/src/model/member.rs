use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use smol_str::{SmolStr, ToSmolStr as _};

use super::virtual_service::real_server;
use super::{BalancerId, Class, InvalidName, Kind};

/// A member of a load balancer by its canonical name: an EC2 instance, an
/// address, or an address with a port, as the kind of load balancer has it.
///
/// Deserialized it is what a manager once wrote, and only ever compared with
/// members that were parsed.
///
/// Of these there are many, and most of what is done with them is to compare:
/// instances and addresses of IPv4 are in the value itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemberId(SmolStr);

impl MemberId {
    /// Parses a member of a load balancer of this kind.
    pub fn parse(kind: Kind, text: &str) -> Result<Self, InvalidName> {
        match kind {
            Kind::Elb => check_instance(text)?,
            Kind::Elbv2 => check_target(text)?,
            Kind::Route53 => check_address(text)?,
            Kind::Ipvs => real_server(text).map(|_| ())?,
        }
        Ok(Self(text.into()))
    }

    /// The segment of the key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A real server of IPVS.
impl From<SocketAddr> for MemberId {
    fn from(address: SocketAddr) -> Self {
        Self(address.to_smolstr())
    }
}

impl std::borrow::Borrow<str> for MemberId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The key of one member: where, in which class, who.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberKey {
    /// The load balancer.
    pub balancer: BalancerId,
    /// The class the member is listed in.
    pub class: Class,
    /// The member.
    pub member: MemberId,
}

/// `<type>/<region>/<name>/<class>/<member>`, as below the prefix.
impl fmt::Display for MemberKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.balancer, self.class, self.member)
    }
}

/// `i-` and 8 or 17 hexadecimal digits by the EC2 API reference; the lengths
/// between are taken because nothing depends on their absence.
fn is_instance(text: &str) -> bool {
    text.strip_prefix("i-").is_some_and(|hex| {
        (8..=17).contains(&hex.len()) && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn check_instance(text: &str) -> Result<(), InvalidName> {
    if is_instance(text) {
        return Ok(());
    }
    let canonical = text.to_ascii_lowercase();
    if !is_instance(&canonical) {
        let allowed = "an EC2 instance ID is expected: i- and 8 to 17 hexadecimal digits";
        return Err(InvalidName::new("member", text, allowed));
    }
    check_spelling(text, &canonical)
}

/// An instance, an IPv4 or an IPv6 address, each with an optional port.
fn check_target(text: &str) -> Result<(), InvalidName> {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let instance = host.to_ascii_lowercase();
    if is_instance(&instance) {
        let canonical = match port.map(port_number) {
            None => instance,
            Some(Some(port)) => format!("{instance}:{port}"),
            Some(None) => {
                let allowed = "the port is a number from 1 to 65535";
                return Err(InvalidName::new("member", text, allowed));
            }
        };
        return check_spelling(text, &canonical);
    }
    if text.parse::<IpAddr>().is_ok() {
        return check_address(text);
    }
    real_server(text).map(|_| ()).map_err(|error| {
        if error.canonical.is_some() {
            return error;
        }
        let allowed = "an instance ID (i- and 8 to 17 hexadecimal digits) or an address is \
                       expected, each with an optional :port from 1 to 65535, and IPv6 addresses \
                       with a port in brackets";
        InvalidName::new("member", text, allowed)
    })
}

fn port_number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

fn check_address(text: &str) -> Result<(), InvalidName> {
    let address: IpAddr = text
        .parse()
        .map_err(|_| InvalidName::new("member", text, "an IPv4 or IPv6 address is expected"))?;
    check_spelling(text, &address.to_canonical().to_string())
}

fn check_spelling(text: &str, canonical: &str) -> Result<(), InvalidName> {
    if canonical == text {
        Ok(())
    } else {
        Err(InvalidName::spelling("member", text, canonical))
    }
}
