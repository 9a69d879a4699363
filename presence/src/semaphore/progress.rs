//! How the wait goes, for the one who waits.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::queue::{Place, Queue};
use crate::model::{HostId, Revision, ServiceId};

/// How the wait goes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// The queue as it was last read; `None`: it never was.
    pub queue: Option<Queue>,
    /// How many may hold.
    pub allowed: u32,
    /// Our own place in it. `None`: we have none, or another process of our
    /// service has it.
    pub token: Option<Revision>,
    /// Who holds, and for how long still.
    pub holders: Vec<Holder>,
    /// How often our entry ended while we waited, so that we had to queue up
    /// anew at the end.
    pub requeued: u32,
    /// Why it does not go on at the moment.
    pub trouble: Option<String>,
}

/// One that holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Holder {
    /// Who.
    pub service: ServiceId,
    /// On which host, and since when, where that can be read.
    pub host_since: Option<(HostId, Timestamp)>,
    /// When it ends if nobody renews it. `None`: never.
    pub ends: Option<Instant>,
}

impl Holder {
    pub(super) fn new(place: &Place, left: Option<Duration>) -> Self {
        let ticket = place.ticket.as_ref();
        Self {
            service: place.service.clone(),
            host_since: ticket.map(|ticket| (ticket.host.clone(), ticket.since)),
            ends: left.map(|left| Instant::now() + left),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.service)?;
        if let Some((host, _)) = &self.host_since {
            write!(f, " on {host}")?;
        }
        match self.ends {
            Some(ends) => {
                let left = ends.saturating_duration_since(Instant::now());
                write!(f, " for {} s still, if not renewed", left.as_secs())
            }
            None => f.write_str(" until somebody deletes its key: it has no lease"),
        }
    }
}

impl Progress {
    /// How many wait ahead of us.
    pub fn waiting_ahead(&self) -> Option<usize> {
        let (queue, token) = (self.queue.as_ref()?, self.token?);
        let ahead = queue.places.iter().filter(|place| place.token < token);
        Some(ahead.filter(|place| !place.holds()).count())
    }
}

impl fmt::Display for Progress {
    /// A sentence without a full stop.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(trouble) = &self.trouble {
            return write!(f, "waiting: {trouble}");
        }
        match (&self.queue, self.waiting_ahead()) {
            (None, _) => return f.write_str("queueing up"),
            (_, Some(0)) => f.write_str("waiting, next in the queue")?,
            (_, Some(ahead)) => write!(f, "waiting, {ahead} ahead in the queue")?,
            (_, None) => f.write_str("waiting for the entry of the same service ID")?,
        }
        if self.requeued > 0 {
            write!(
                f,
                ", queued up anew as the entry had ended ({} x)",
                self.requeued
            )?;
        }
        let slots = self.queue.as_ref().and_then(|queue| queue.slots.as_ref());
        if let Some(Err(text)) = slots.map(|slots| &slots.number) {
            write!(f, "; slots is {text:?} and no number, so 1 may hold")?;
        } else {
            write!(f, "; {} may hold", self.allowed)?;
        }
        for (n, holder) in self.holders.iter().enumerate() {
            let before = if n == 0 { "; held by " } else { ", " };
            write!(f, "{before}{holder}")?;
        }
        Ok(())
    }
}
