use std::time::Duration;

use neli::consts::nl::NlmF;

use super::error::Error;
use super::failure::Failure;
use super::family;
use super::settings::Settings;
use super::socket::Socket;
use crate::wire::{self, Body, Header, Message, Request, Writer};

/// An open socket that knows the number of the kernel's family, and whose
/// requests are numbered.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) socket: Socket,
    /// How many commands are sent at once, and how many bytes.
    pub(super) batch: usize,
    pub(super) batch_bytes: usize,
    pub(super) family: u16,
    sequence: u32,
    timeout: Duration,
}

impl Link {
    /// Opens a socket that may be used: the family is there, and the process
    /// is permitted to.
    pub(super) fn open(settings: &Settings, writer: &mut Writer) -> Result<Self, Error> {
        let mut link = Self::bare(settings)?;
        link.find_family()?;
        let checked = link.ask(writer, &Request::Info, NlmF::REQUEST, |payload| {
            wire::info(payload).map(|_| ()).map_err(Failure::from)
        });
        checked.map_err(|failure| failure.into_error("its version", settings.timeout, 1))?;
        Ok(link)
    }

    /// Opens a socket that does not know the family yet.
    pub(super) fn bare(settings: &Settings) -> Result<Self, Error> {
        let socket = Socket::open(settings)?;
        let (answers, requests) = socket.buffers()?;
        Ok(Self {
            socket,
            batch: (answers / settings.reply_size.max(1)).clamp(1, settings.batch.max(1)),
            // Half, since the kernel has room for its own needs in it, and a
            // message is looked at only after it was written.
            batch_bytes: requests.min(settings.send_buffer) / 2,
            family: 0,
            sequence: 0,
            timeout: settings.timeout,
        })
    }

    /// The numbers of the next requests, the first of them.
    pub(super) fn number(&mut self, requests: usize) -> u32 {
        let first = self.sequence;
        let requests = u32::try_from(requests).expect("a batch is bounded");
        self.sequence = first.wrapping_add(requests);
        first
    }

    /// The header of a request.
    pub(super) fn header(&self, sequence: u32, flags: NlmF) -> Header {
        Header {
            kind: self.family,
            flags,
            sequence,
        }
    }

    /// Asks one thing, and gives each part of the answer away.
    pub(super) fn ask(
        &mut self,
        writer: &mut Writer,
        request: &Request<'_>,
        flags: NlmF,
        each: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let sequence = self.number(1);
        writer.clear();
        wire::encode(writer, self.header(sequence, flags), request);
        self.converse(writer.bytes(), sequence, each)
    }

    fn find_family(&mut self) -> Result<(), Error> {
        let sequence = self.number(1);
        let mut number = None;
        self.converse(&family::question(sequence), sequence, |payload| {
            number = wire::family_number(payload)?;
            Ok(())
        })
        .map_err(|failure| failure.into_error("the number of IPVS", self.timeout, 1))?;
        self.family = number.ok_or(Error::NoModule)?;
        Ok(())
    }

    /// A multi-part answer ends with a message of its own; one that has a
    /// single part ends with it.
    fn converse(
        &mut self,
        question: &[u8],
        sequence: u32,
        mut each: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.socket
            .send(question)
            .map_err(|errno| Failure::Socket("send to", errno))?;
        let mut finished = false;
        while !finished {
            self.socket.receive(|message| {
                if message.sequence == sequence {
                    finished |= part(message, &mut each)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// Whether it was the last.
fn part(
    message: &Message<'_>,
    each: &mut impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    if message.is_interrupted() {
        return Err(Failure::Interrupted);
    }
    match message.body()? {
        Body::Noop => Ok(false),
        Body::Done(0) | Body::Ack(0) => Ok(true),
        Body::Done(number) | Body::Ack(number) => {
            Err(Failure::Refused(nix::errno::Errno::from_raw(number)))
        }
        Body::Payload(payload) => {
            each(payload)?;
            Ok(!message.flags.contains(NlmF::MULTI))
        }
    }
}
