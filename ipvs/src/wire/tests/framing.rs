//! What is written is what neli makes of it.

use std::io::Cursor;

use neli::consts::nl::NlmF;
use neli::genl::{Genlmsghdr, Nlattr};
use neli::nl::Nlmsghdr;
use neli::types::Buffer;
use neli::{FromBytes, ToBytes};
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::numbers::{Cmds, Top};
use super::super::{Header, Request, Writer, encode};
use super::FAMILY;
use crate::{Command, arbitrary};

type NeliMessage = Nlmsghdr<u16, Genlmsghdr<Cmds, Top>>;

proptest! {
    #[test]
    fn neli_reads_and_writes_the_same(commands in vec(arbitrary::command(), 1..5)) {
        let mut writer = Writer::default();
        for (sequence, command) in (0..).zip(&commands) {
            encode(&mut writer, header(sequence), &Request::Command(command));
        }
        let mut ours = Cursor::new(writer.bytes());
        let mut again = Cursor::new(Vec::new());
        for (sequence, command) in (0..).zip(&commands) {
            let message = NeliMessage::from_bytes(&mut ours).unwrap();
            prop_assert_eq!(*message.nl_type(), FAMILY);
            prop_assert_eq!(*message.nl_flags(), NlmF::REQUEST | NlmF::ACK);
            prop_assert_eq!(*message.nl_seq(), sequence);
            let body = message.get_payload().unwrap();
            let destination = usize::from(command.destination().is_some());
            let attributes: &[Nlattr<Top, Buffer>] = body.attrs().as_ref();
            prop_assert_eq!(attributes.len(), 1 + destination);
            prop_assert_eq!(*body.cmd(), number(command));
            message.to_bytes(&mut again).unwrap();
        }
        prop_assert_eq!(again.get_ref().as_slice(), writer.bytes());
    }
}

fn header(sequence: u32) -> Header {
    Header {
        kind: FAMILY,
        flags: NlmF::REQUEST | NlmF::ACK,
        sequence,
    }
}

fn number(command: &Command) -> Cmds {
    match command {
        Command::AddService { .. } => Cmds::NewService,
        Command::EditService { .. } => Cmds::SetService,
        Command::DeleteService { .. } => Cmds::DelService,
        Command::AddDestination { .. } => Cmds::NewDest,
        Command::EditDestination { .. } => Cmds::SetDest,
        Command::DeleteDestination { .. } => Cmds::DelDest,
        Command::ResetCounters { .. } => Cmds::Zero,
    }
}
