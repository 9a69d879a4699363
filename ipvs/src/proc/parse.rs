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
    let (mut parser, mut services) = (Parser::default(), Vec::new());
    for line in text.lines() {
        services.extend(parser.line(line)?);
    }
    services.extend(parser.end()?);
    Ok(services)
}

/// Parses lines as they come.
#[derive(Debug, Default)]
pub(super) struct Parser {
    lines: usize,
    /// The last service, of which more destinations may come.
    last: Option<Service>,
}

impl Parser {
    /// Takes the next line; gives the service that ended before it.
    pub(super) fn line(&mut self, line: &str) -> Result<Option<Service>, ParseError> {
        let parsed = if self.lines < HEADINGS {
            heading(self.lines, line)
        } else {
            entry(line, &mut self.last)
        };
        self.lines += 1;
        parsed.map_err(|wrong| self.error(line, wrong))
    }

    /// Gives the service that ended with the text.
    pub(super) fn end(&mut self) -> Result<Option<Service>, ParseError> {
        if self.lines < HEADINGS {
            self.lines += 1;
            return Err(self.error("", "three lines of headings are expected"));
        }
        Ok(self.last.take())
    }

    fn error(&self, line: &str, wrong: &'static str) -> ParseError {
        ParseError {
            number: self.lines,
            line: line.to_owned(),
            wrong,
        }
    }
}

/// The first says what the file is; those after it, what the fields are.
fn heading(index: usize, line: &str) -> Result<Option<Service>, &'static str> {
    if index == 0 && !line.starts_with("IP Virtual Server version ") {
        return Err("not the heading of an IPVS table");
    }
    Ok(None)
}

fn entry(line: &str, last: &mut Option<Service>) -> Result<Option<Service>, &'static str> {
    let mut fields = line.split_ascii_whitespace();
    match fields.next() {
        None => Ok(None),
        Some("->") => {
            let service = last.as_mut().ok_or("a destination without a service")?;
            service.destinations.push(destination(fields)?);
            Ok(None)
        }
        Some(protocol) => Ok(last.replace(service(protocol, fields)?)),
    }
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
