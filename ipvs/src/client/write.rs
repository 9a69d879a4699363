use std::sync::Arc;

use nix::errno::Errno;

use super::batch::Batch;
use super::outcome::{CommandError, Lost, Outcome, Refusal};
use super::{Error, Failure, Ipvs};
use crate::command::Command;

impl Ipvs {
    /// Carries commands out in order, some hundred at a time, and tells what
    /// became of each, in the same order.
    ///
    /// Nothing is atomic: one that fails does not keep the others from being
    /// done. What is [`Unknown`](CommandError::Unknown) may have been done;
    /// the table has to be read. After a time-out the rest is not sent.
    #[must_use = "commands fail one by one"]
    pub fn execute(&mut self, commands: &[Command]) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = commands.iter().map(validate).collect();
        let valid = (0..commands.len()).filter(|index| outcomes[*index].is_ok());
        let valid: Vec<usize> = valid.collect();
        let mut rest = &valid[..];
        let mut batch = Batch::default();
        while !rest.is_empty() {
            let sent = match self.send(&mut batch, commands, rest) {
                Ok(sent) => sent,
                Err(error) => {
                    give_up(&mut outcomes, rest, error);
                    break;
                }
            };
            let (now, later) = rest.split_at(batch.len());
            let lost = sent.err().map(Failure::into_lost);
            for (index, answer) in now.iter().zip(batch.answers()) {
                outcomes[*index] = outcome(&commands[*index], *answer, lost);
            }
            rest = later;
            if lost == Some(Lost::TimedOut) {
                give_up(&mut outcomes, rest, self.timed_out());
                break;
            }
        }
        outcomes
    }

    /// Sends what is sent at once. The outer error means that nothing was;
    /// the inner one that answers are missing.
    fn send(
        &mut self,
        batch: &mut Batch,
        commands: &[Command],
        indices: &[usize],
    ) -> Result<Result<(), Failure>, Error> {
        self.reopen()?;
        let link = self.link.as_mut().expect("just opened");
        let commands = indices.iter().map(|index| &commands[*index]);
        batch.fill(link, &mut self.writer, commands);
        let sent = link.socket.send(self.writer.bytes());
        if let Err(source) = sent {
            let doing = "send to";
            self.link = None;
            return Err(Error::Socket { doing, source });
        }
        let collected = batch.collect(link);
        if collected.is_err() {
            self.link = None;
        }
        Ok(collected)
    }

    fn timed_out(&self) -> Error {
        Error::TimedOut {
            what: "changes",
            after: self.settings.timeout,
        }
    }
}

fn validate(command: &Command) -> Outcome {
    let invalid = |invalid| CommandError::Invalid(Box::new(invalid));
    command.validate().map_err(invalid)
}

/// Of a command that was sent: what the kernel says, or whether silence means
/// success.
fn outcome(command: &Command, answer: Option<Errno>, lost: Option<Lost>) -> Outcome {
    match (answer, lost) {
        (Some(errno), _) => Err(Refusal::of(command, errno).into()),
        (None, Some(lost)) => Err(CommandError::Unknown(lost)),
        (None, None) => Ok(()),
    }
}

fn give_up(outcomes: &mut [Outcome], rest: &[usize], error: Error) {
    let error = Arc::new(error);
    for index in rest {
        outcomes[*index] = Err(CommandError::NotSent(error.clone()));
    }
}
