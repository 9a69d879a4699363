use std::collections::HashSet;

use neli::consts::nl::NlmF;

use super::{ATTEMPTS, Error, Failure, Ipvs, Link};
use crate::info::Info;
use crate::model::{Destination, Entry, Service, ServiceKey};
use crate::timeouts::Timeouts;
use crate::wire::{self, Request, Writer};

const DUMP: NlmF = NlmF::REQUEST.union(NlmF::DUMP);

impl Ipvs {
    /// Every service, with its statistics.
    ///
    /// The kernel tells a large table in parts, and does not hold others off
    /// in between: a service may be missing where another was removed
    /// meanwhile, even in another network namespace.
    pub fn services(&mut self) -> Result<Vec<Service>, Error> {
        self.read("the services", services)
    }

    /// The destinations of a service, with their statistics, in the kernel's
    /// order. None where there is no such service: the kernel does not tell
    /// the difference.
    pub fn destinations(&mut self, service: &ServiceKey) -> Result<Vec<Destination>, Error> {
        self.read("the destinations", |link, writer| {
            destinations(link, writer, service)
        })
    }

    /// Every service with its destinations. One that was removed while they
    /// were read has none.
    pub fn table(&mut self) -> Result<Vec<Entry>, Error> {
        self.read("the table", |link, writer| {
            let services = services(link, writer)?;
            let entries = services.into_iter().map(|service| {
                Ok(Entry {
                    destinations: destinations(link, writer, &service.key)?,
                    service,
                })
            });
            entries.collect()
        })
    }

    /// What the kernel says of its IPVS.
    pub fn info(&mut self) -> Result<Info, Error> {
        self.read("its version", |link, writer| {
            one(link, writer, &Request::Info, |payload| {
                Ok(wire::info(payload)?)
            })
        })
    }

    /// For how long connections without packets are kept.
    pub fn timeouts(&mut self) -> Result<Timeouts, Error> {
        self.read("the time-outs", |link, writer| {
            one(link, writer, &Request::Timeouts, |payload| {
                Ok(wire::timeouts(payload)?)
            })
        })
    }

    /// Sets for how long connections without packets are kept, from their
    /// next packet on. Fractions of a second are cut off; what is 0 stays as
    /// it is.
    pub fn set_timeouts(&mut self, timeouts: &Timeouts) -> Result<(), Error> {
        self.read("to set the time-outs", |link, writer| {
            let request = Request::SetTimeouts(timeouts);
            link.ask(writer, &request, NlmF::REQUEST | NlmF::ACK, |_| Ok(()))
        })
    }

    /// Asks again what was interrupted, and gives up a socket that may have
    /// answers left.
    fn read<T>(
        &mut self,
        what: &'static str,
        mut ask: impl FnMut(&mut Link, &mut Writer) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            self.reopen()?;
            let link = self.link.as_mut().expect("just opened");
            let failure = match ask(link, &mut self.writer) {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if failure.spoils_socket() {
                self.link = None;
            }
            if attempts == ATTEMPTS || !failure.is_passing() {
                return Err(failure.into_error(what, self.settings.timeout, attempts));
            }
        }
    }
}

/// What was told twice, because something was added between two parts, is
/// taken once.
fn services(link: &mut Link, writer: &mut Writer) -> Result<Vec<Service>, Failure> {
    let mut all = Vec::new();
    link.ask(writer, &Request::Services, DUMP, |payload| {
        all.push(wire::service(payload)?);
        Ok(())
    })?;
    let mut seen = HashSet::with_capacity(all.len());
    all.retain(|service| seen.insert(service.key));
    Ok(all)
}

fn destinations(
    link: &mut Link,
    writer: &mut Writer,
    service: &ServiceKey,
) -> Result<Vec<Destination>, Failure> {
    let mut all = Vec::new();
    link.ask(writer, &Request::Destinations(service), DUMP, |payload| {
        all.push(wire::destination(payload, service.family())?);
        Ok(())
    })?;
    let mut seen = HashSet::with_capacity(all.len());
    all.retain(|destination| seen.insert(destination.key));
    Ok(all)
}

/// The one part that an answer has.
fn one<T>(
    link: &mut Link,
    writer: &mut Writer,
    request: &Request<'_>,
    decode: impl Fn(&[u8]) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut answer = None;
    link.ask(writer, request, NlmF::REQUEST, |payload| {
        answer = Some(decode(payload)?);
        Ok(())
    })?;
    answer.ok_or(Failure::Garbled(wire::DecodeError::Missing {
        what: "answer",
        attribute: "any",
    }))
}
