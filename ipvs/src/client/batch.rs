use neli::consts::nl::NlmF;
use nix::errno::Errno;

use super::failure::Failure;
use super::link::Link;
use crate::command::Command;
use crate::wire::{self, Body, Message, Request, Writer};

/// Commands that are sent at once, and what is known of them.
///
/// The kernel carries a batch out in order before `send` returns, and answers
/// every command that fails. So only the last asks for an answer in any case:
/// once that is there, those without one were done. It halves the work, since
/// an answer costs the kernel as much as a command. Where answers were lost,
/// the socket says so (ENOBUFS) before it gives any further.
#[derive(Debug, Default)]
pub(super) struct Batch {
    first: u32,
    /// The answer to each, `None` where there was none.
    answers: Vec<Option<Errno>>,
    complete: bool,
}

impl Batch {
    /// Writes as many of the commands as are sent at once. How many those
    /// were is [`Batch::len`].
    pub(super) fn fill<'a>(
        &mut self,
        link: &mut Link,
        writer: &mut Writer,
        commands: impl ExactSizeIterator<Item = &'a Command>,
    ) {
        writer.clear();
        self.answers.clear();
        self.complete = false;
        let most = commands.len().min(link.batch);
        self.first = link.number(most);
        for (sequence, command) in (0..).zip(commands.take(most)) {
            let last = self.answers.len() + 1 == most || writer.bytes().len() >= link.batch_bytes;
            let flags = if last {
                NlmF::REQUEST | NlmF::ACK
            } else {
                NlmF::REQUEST
            };
            let header = link.header(self.first.wrapping_add(sequence), flags);
            wire::encode(writer, header, &Request::Command(command));
            self.answers.push(None);
            if last {
                break;
            }
        }
    }

    /// How many commands it has.
    pub(super) fn len(&self) -> usize {
        self.answers.len()
    }

    /// The answer to each, in order. `None` means done where
    /// [`Batch::collect`] has succeeded, and else nothing.
    pub(super) fn answers(&self) -> &[Option<Errno>] {
        &self.answers
    }

    /// Receives until every command's answer is there.
    pub(super) fn collect(&mut self, link: &mut Link) -> Result<(), Failure> {
        while !self.complete {
            let received = link.socket.receive(|message| self.note(message));
            if received == Err(Failure::Overrun) {
                self.salvage(link);
            }
            received?;
        }
        Ok(())
    }

    /// What was kept of the answers before some were lost.
    fn salvage(&mut self, link: &mut Link) {
        while link.socket.drain(|message| self.note(message)).is_ok() {}
    }

    /// Answers to what was asked before are none of its own.
    fn note(&mut self, message: &Message<'_>) -> Result<(), Failure> {
        let offset = message.sequence.wrapping_sub(self.first) as usize;
        let last = self.len().checked_sub(1) == Some(offset);
        if let (Some(answer), Body::Ack(number)) = (self.answers.get_mut(offset), message.body()?) {
            *answer = (number != 0).then(|| Errno::from_raw(number));
            self.complete |= last;
        }
        Ok(())
    }
}
