use neli::consts::nl::{NlmF, Nlmsg};

use super::error::DecodeError;
use super::writer::ALIGNMENT;

/// The bytes of a message's header, and of the generic header that follows.
const HEADER: usize = 16;
const GENERIC_HEADER: usize = 4;

/// A message as it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The family that it is of, or one of netlink's own below 16.
    pub kind: u16,
    /// `NLM_F_*`.
    pub flags: NlmF,
    /// Which request it answers.
    pub sequence: u32,
    /// Whose request it answers.
    pub port: u32,
    payload: &'a [u8],
}

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// Nothing.
    Noop,
    /// The end of a dump, with the error number that ended it or 0.
    Done(i32),
    /// The error number of a request, 0 for success.
    Ack(i32),
    /// The attributes of an answer.
    Payload(&'a [u8]),
}

impl<'a> Message<'a> {
    /// What it says.
    pub fn body(&self) -> Result<Body<'a>, DecodeError> {
        Ok(match Nlmsg::from(self.kind) {
            Nlmsg::Noop => Body::Noop,
            Nlmsg::Done => Body::Done(self.error_number()?),
            Nlmsg::Error => Body::Ack(self.error_number()?),
            _ => Body::Payload(self.after(GENERIC_HEADER)?),
        })
    }

    /// Whether it is part of a dump during which the table was changed.
    pub fn is_interrupted(&self) -> bool {
        self.flags.contains(NlmF::DUMP_INTR)
    }

    /// The kernel has them negative.
    fn error_number(&self) -> Result<i32, DecodeError> {
        let bytes = self.payload.first_chunk().ok_or(self.too_short(4))?;
        Ok(i32::from_ne_bytes(*bytes).wrapping_neg())
    }

    fn after(&self, header: usize) -> Result<&'a [u8], DecodeError> {
        self.payload.get(header..).ok_or(self.too_short(header))
    }

    fn too_short(&self, wanted: usize) -> DecodeError {
        DecodeError::Length {
            what: "message",
            says: HEADER + wanted,
            have: HEADER + self.payload.len(),
        }
    }
}

/// The messages of a datagram, one after another, up to the first whose
/// length is impossible.
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

/// The messages of a datagram.
pub fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages { rest: datagram }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let next = self.split();
        if next.is_err() {
            self.rest = &[];
        }
        Some(next)
    }
}

impl<'a> Messages<'a> {
    fn split(&mut self) -> Result<Message<'a>, DecodeError> {
        let header: &[u8; HEADER] = self.rest.first_chunk().ok_or(self.length_error(HEADER))?;
        let length = usize::try_from(word(header, 0)).unwrap_or(usize::MAX);
        let payload = self.rest.get(HEADER..length);
        let payload = payload.ok_or(self.length_error(length))?;
        let padded = length.next_multiple_of(ALIGNMENT);
        self.rest = self.rest.get(padded..).unwrap_or_default();
        Ok(Message {
            kind: half_word(header, 4),
            flags: NlmF::from_bits_retain(half_word(header, 6)),
            sequence: word(header, 8),
            port: word(header, 12),
            payload,
        })
    }

    fn length_error(&self, says: usize) -> DecodeError {
        DecodeError::Length {
            what: "message",
            says,
            have: self.rest.len(),
        }
    }
}

fn word(header: &[u8; HEADER], at: usize) -> u32 {
    u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

fn half_word(header: &[u8; HEADER], at: usize) -> u16 {
    u16::from_ne_bytes([header[at], header[at + 1]])
}
