mod destination;
mod other;
mod service;
mod stats;

pub use destination::destination;
pub use other::{family_number, info, timeouts};
pub use service::service;

use std::net::{IpAddr, Ipv6Addr};

use super::attributes::{Attribute, attributes};
use super::error::DecodeError;
use super::numbers::{INET, INET6, Top};
use crate::model::Family;

/// The attribute that holds everything of an answer.
fn only<'a>(
    payload: &'a [u8],
    what: &'static str,
    wanted: Top,
) -> Result<Attribute<'a>, DecodeError> {
    for attribute in attributes("message", payload) {
        let attribute = attribute?;
        if attribute.kind::<Top>() == wanted {
            return Ok(attribute);
        }
    }
    Err(DecodeError::Missing {
        what: "message",
        attribute: what,
    })
}

fn family(attribute: &Attribute<'_>) -> Result<Family, DecodeError> {
    match attribute.value::<u16>()? {
        INET => Ok(Family::V4),
        INET6 => Ok(Family::V6),
        other => Err(attribute.wrong(&other, "IPv4 (2) or IPv6 (10)")),
    }
}

/// An address as messages have it: IPv4 in the first 4 of 16 bytes.
#[derive(Clone, Copy)]
struct RawAddress([u8; 16]);

impl RawAddress {
    /// 4 bytes are taken as well: it is what is written.
    fn decode(attribute: &Attribute<'_>) -> Result<Self, DecodeError> {
        if let Ok([a, b, c, d]) = attribute.array() {
            return Ok(Self([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
        }
        attribute.array().map(Self)
    }

    fn of(self, family: Family) -> IpAddr {
        let [a, b, c, d, ..] = self.0;
        match family {
            Family::V4 => [a, b, c, d].into(),
            Family::V6 => Ipv6Addr::from(self.0).into(),
        }
    }
}

/// What is needed of an attribute that may have been missing.
fn needed<T>(
    value: Option<T>,
    what: &'static str,
    attribute: &'static str,
) -> Result<T, DecodeError> {
    value.ok_or(DecodeError::Missing { what, attribute })
}
