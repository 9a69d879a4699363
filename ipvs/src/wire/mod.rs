//! The messages of the kernel's IPVS family, as bytes: requests are encoded,
//! answers decoded. Nothing here does any IO.
//!
//! Decoding takes any bytes without a panic. Attributes that are not known
//! are passed over, since kernels add some; one that is needed and missing is
//! an error that names it.
//!
//! Enumerations, flags and the values of attributes are neli's. Framing is
//! not: neli builds a vector for each attribute, and a table of 60,000 entries
//! has a million of them; and its reader of error messages underflows on short
//! ones. The tests hold neli's own framing against it.

mod attributes;
mod decode;
mod encode;
mod error;
mod message;
mod numbers;
#[cfg(test)]
mod tests;
mod writer;

pub use decode::{destination, family_number, info, service, timeouts};
pub use encode::{Header, Request, encode};
pub use error::DecodeError;
pub use message::{Body, Message, Messages, messages};
pub use writer::Writer;

use crate::model::{Destination, Family, Service};

/// Every service in a datagram of a dump.
pub fn services(datagram: &[u8]) -> Result<Vec<Service>, DecodeError> {
    payloads(datagram, service)
}

/// Every destination in a datagram of a dump, of a service of this family.
pub fn destinations(datagram: &[u8], family: Family) -> Result<Vec<Destination>, DecodeError> {
    payloads(datagram, |payload| destination(payload, family))
}

fn payloads<T>(
    datagram: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut all = Vec::new();
    for message in messages(datagram) {
        if let Body::Payload(payload) = message?.body()? {
            all.push(decode(payload)?);
        }
    }
    Ok(all)
}

/// Decodes bytes as every kind of answer, and drops what comes out: whatever
/// they are, it returns. It is here to be fuzzed.
#[doc(hidden)]
pub fn decode_everything(bytes: &[u8]) {
    drop(services(bytes));
    for family in [Family::V4, Family::V6] {
        drop(destinations(bytes, family));
    }
    let bodies = messages(bytes).filter_map(|message| message.ok()?.body().ok());
    let payloads = bodies.filter_map(|body| match body {
        Body::Payload(payload) => Some(payload),
        Body::Noop | Body::Done(_) | Body::Ack(_) => None,
    });
    for payload in payloads.chain([bytes]) {
        let _ = info(payload);
        let _ = timeouts(payload);
        let _ = family_number(payload);
        drop(service(payload));
        drop(destination(payload, Family::V4));
    }
}
