use std::str::SplitAsciiWhitespace;

use super::fields::{address, key, method};
use super::model::{Destination, Service};
use crate::model::DestinationKey;

/// A line that is not what the kernel writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {number}: {wrong}: {line:?}")]
pub struct ParseError {
    /// Which line, from 1.
    pub number: usize,
    /// The line.
    pub line: String,
    /// What is wrong with it.
    pub wrong: &'static str,
}

/// How many lines of headings there are.
const HEADINGS: usize = 3;

/// Parses the whole text.
pub fn parse(text: &str) -> Result<Vec<Service>, ParseError> {
    let mut services: Vec<Service> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let parsed = if index < HEADINGS {
            heading(index, line)
        } else {
            entry(line, &mut services)
        };
        parsed.map_err(|wrong| ParseError {
            number: index + 1,
            line: line.to_owned(),
            wrong,
        })?;
    }
    if text.lines().nth(HEADINGS - 1).is_none() {
        return Err(ParseError {
            number: text.lines().count() + 1,
            line: String::new(),
            wrong: "three lines of headings are expected",
        });
    }
    Ok(services)
}

/// The first says what the file is; those after it, what the fields are.
fn heading(index: usize, line: &str) -> Result<(), &'static str> {
    if index == 0 && !line.starts_with("IP Virtual Server version ") {
        return Err("not the heading of an IPVS table");
    }
    Ok(())
}

fn entry(line: &str, services: &mut Vec<Service>) -> Result<(), &'static str> {
    let mut fields = line.split_ascii_whitespace();
    match fields.next() {
        None => (),
        Some("->") => {
            let service = services
                .last_mut()
                .ok_or("a destination without a service")?;
            service.destinations.push(destination(fields)?);
        }
        Some(protocol) => services.push(service(protocol, fields)?),
    }
    Ok(())
}

fn service(protocol: &str, mut fields: SplitAsciiWhitespace<'_>) -> Result<Service, &'static str> {
    let rest = fields.next().ok_or("no address or mark")?;
    let key = key(protocol, rest).ok_or("no protocol with an address, nor a mark")?;
    let scheduler = fields.next().ok_or("no scheduler")?;
    let flags = |word: &str| fields.clone().any(|field| field == word);
    Ok(Service {
        key,
        scheduler: scheduler.parse().map_err(|_| "no scheduler")?,
        persistent: flags("persistent"),
        one_packet: flags("ops"),
        destinations: Vec::new(),
    })
}

fn destination(mut fields: SplitAsciiWhitespace<'_>) -> Result<Destination, &'static str> {
    let mut next = |missing| fields.next().ok_or(missing);
    let key = address(next("no address")?).ok_or("no address")?;
    let method = method(next("no forwarding method")?);
    let weight = signed(next("no weight")?).ok_or("no weight")?;
    let active = signed(next("no active connections")?).ok_or("no active connections")?;
    let inactive = signed(next("no inactive connections")?).ok_or("no inactive connections")?;
    Ok(Destination {
        key: DestinationKey(key),
        method,
        weight,
        active,
        inactive,
    })
}

/// The kernel writes unsigned counters as signed ones, which for a moment may
/// be below 0.
fn signed(text: &str) -> Option<u32> {
    let number: i32 = text.parse().ok()?;
    Some(number.max(0).unsigned_abs())
}
