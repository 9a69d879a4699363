use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::virtual_service::real_server;
use super::{BalancerId, Class, InvalidName, Kind};

/// A member of a load balancer by its canonical name: an EC2 instance, an
/// address, or an address with a port, as the kind of load balancer has it.
///
/// Deserialized it is what a manager once wrote, and only ever compared with
/// members that were parsed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemberId(Arc<str>);

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
fn check_instance(text: &str) -> Result<(), InvalidName> {
    let is_id = |text: &str| {
        text.strip_prefix("i-").is_some_and(|hex| {
            (8..=17).contains(&hex.len())
                && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    if is_id(text) {
        return Ok(());
    }
    let lower = text.to_ascii_lowercase();
    if is_id(&lower) {
        return Err(InvalidName::spelling("member", text, &lower));
    }
    Err(InvalidName::new(
        "member",
        text,
        "an EC2 instance ID is expected: i- and 8 to 17 hexadecimal digits",
    ))
}

fn check_target(text: &str) -> Result<(), InvalidName> {
    if let Some((instance, port)) = text.split_once(':').filter(|_| text.starts_with("i-")) {
        check_instance(instance)?;
        let number: Option<u16> = port.parse().ok().filter(|port| *port != 0);
        return match number {
            Some(number) if number.to_string() == port => Ok(()),
            Some(number) => {
                let canonical = format!("{instance}:{number}");
                Err(InvalidName::spelling("member", text, &canonical))
            }
            None => Err(InvalidName::new(
                "member",
                text,
                "the port is a number from 1 to 65535",
            )),
        };
    }
    if text.starts_with("i-") {
        return check_instance(text);
    }
    if text.parse::<IpAddr>().is_ok() {
        return check_address(text);
    }
    real_server(text).map(|_| ()).map_err(|error| {
        InvalidName::new(
            "member",
            text,
            format!(
                "an instance ID or an address, each with an optional :port, is expected ({})",
                error.allowed
            ),
        )
    })
}

fn check_address(text: &str) -> Result<(), InvalidName> {
    let address: IpAddr = text
        .parse()
        .map_err(|_| InvalidName::new("member", text, "an IPv4 or IPv6 address is expected"))?;
    let canonical = address.to_string();
    if canonical == text {
        Ok(())
    } else {
        Err(InvalidName::spelling("member", text, &canonical))
    }
}
