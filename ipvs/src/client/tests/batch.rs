//! Which answer belongs to which command. The kernel need not have IPVS: it
//! answers commands of no family with success, and of an unknown one with
//! ENOENT.

use std::time::Duration;

use super::super::batch::Batch;
use super::super::failure::Failure;
use super::super::link::Link;
use super::super::settings::Settings;
use crate::wire::Writer;
use crate::{Command, Errno, ServiceKey};

const NO_FAMILY: u16 = 0;
const UNKNOWN: u16 = 0xfff0;

fn link() -> Link {
    let settings = Settings {
        timeout: Duration::from_millis(50),
        ..Settings::default()
    };
    Link::bare(&settings).unwrap()
}

/// Three commands, sent where they are to be.
fn batch(link: &mut Link, family: u16, send: bool) -> Batch {
    let service = ServiceKey::tcp("10.0.0.1:80".parse().unwrap());
    let commands = [Command::DeleteService { service }; 3];
    let (mut batch, mut writer) = (Batch::default(), Writer::default());
    link.family = family;
    batch.fill(link, &mut writer, commands.iter());
    if send {
        link.socket.send(writer.bytes()).unwrap();
    }
    batch
}

#[test]
fn the_last_answer_stands_for_all_that_had_none() {
    let mut link = link();
    let mut batch = batch(&mut link, NO_FAMILY, true);
    assert_eq!(batch.collect(&mut link), Ok(()));
    assert_eq!(batch.answers(), [None; 3]);
}

#[test]
fn each_that_fails_has_an_answer() {
    let mut link = link();
    let mut batch = batch(&mut link, UNKNOWN, true);
    assert_eq!(batch.collect(&mut link), Ok(()));
    assert_eq!(batch.answers(), [Some(Errno::ENOENT); 3]);
}

#[test]
fn numbers_go_round() {
    let mut link = link();
    link.number(u32::MAX as usize - 1);
    let mut batch = batch(&mut link, UNKNOWN, true);
    assert_eq!(batch.collect(&mut link), Ok(()));
    assert_eq!(batch.answers(), [Some(Errno::ENOENT); 3]);
}

#[test]
fn stale_answers_are_passed_over() {
    let mut link = link();
    batch(&mut link, UNKNOWN, true);
    let mut batch = batch(&mut link, NO_FAMILY, true);
    assert_eq!(batch.collect(&mut link), Ok(()));
    assert_eq!(batch.answers(), [None; 3]);
}

#[test]
fn silence_ends() {
    let mut link = link();
    batch(&mut link, UNKNOWN, true);
    let mut batch = batch(&mut link, NO_FAMILY, false);
    assert_eq!(batch.collect(&mut link), Err(Failure::TimedOut));
    assert_eq!(batch.answers(), [None; 3]);
}
