//! Bytes as the kernel's headers have them, written down by hand.

use neli::consts::nl::NlmF;

use super::super::{Body, DecodeError, Header, Request, Writer, encode, messages};
use crate::Command;
use crate::model::{DestinationConfig, DestinationKey, Forward, ServiceKey};

#[test]
#[cfg(target_endian = "little")]
fn a_destination_is_added() {
    let service = ServiceKey::tcp("10.0.0.1:80".parse().unwrap());
    let destination = DestinationKey("10.0.1.7:8080".parse().unwrap());
    let config = DestinationConfig::new(Forward::Masq, 5);
    let header = Header {
        kind: 0x1c,
        flags: NlmF::REQUEST,
        sequence: 0x0102_0304,
    };
    let mut writer = Writer::default();
    let command = Command::AddDestination {
        service,
        destination,
        config,
    };
    encode(&mut writer, header, &Request::Command(&command));
    let expected: &[&[u8]] = &[
        &[116, 0, 0, 0, 0x1c, 0, 1, 0, 4, 3, 2, 1, 0, 0, 0, 0],
        &[5, 1, 0, 0],
        &[36, 0, 1, 0x80],
        &[6, 0, 1, 0, 2, 0, 0, 0],
        &[6, 0, 2, 0, 6, 0, 0, 0],
        &[8, 0, 3, 0, 10, 0, 0, 1],
        &[6, 0, 4, 0, 0, 80, 0, 0],
        &[60, 0, 2, 0x80],
        &[6, 0, 11, 0, 2, 0, 0, 0],
        &[8, 0, 1, 0, 10, 0, 1, 7],
        &[6, 0, 2, 0, 0x1f, 0x90, 0, 0],
        &[8, 0, 3, 0, 0, 0, 0, 0],
        &[8, 0, 4, 0, 5, 0, 0, 0],
        &[8, 0, 5, 0, 0, 0, 0, 0],
        &[8, 0, 6, 0, 0, 0, 0, 0],
    ];
    assert_eq!(writer.bytes(), expected.concat());
}

/// The header of a message with this kind, and what follows.
fn message(kind: u16, rest: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + rest.len()).unwrap();
    let kind = kind.to_ne_bytes();
    [&length.to_ne_bytes()[..], &kind, &[0; 10], rest].concat()
}

#[test]
fn answers_are_told_apart() {
    let ack = [
        message(2, &0_i32.to_ne_bytes()),
        message(2, &(-17_i32).to_ne_bytes()),
    ]
    .concat();
    let bodies: Vec<_> = messages(&ack).map(|m| m.unwrap().body().unwrap()).collect();
    assert_eq!(bodies, [Body::Ack(0), Body::Ack(17)]);
    let done = message(3, &(-4_i32).to_ne_bytes());
    let done = messages(&done).next().unwrap().unwrap();
    assert_eq!(done.body(), Ok(Body::Done(4)));
    let data = message(30, &[1, 1, 0, 0, 7, 7]);
    let data = messages(&data).next().unwrap().unwrap();
    assert_eq!(data.body(), Ok(Body::Payload(&[7, 7])));
}

#[test]
fn short_answers_are_errors() {
    let short = message(2, &[0, 0]);
    let short = messages(&short).next().unwrap().unwrap();
    let error = DecodeError::Length {
        what: "message",
        says: 20,
        have: 18,
    };
    assert_eq!(short.body(), Err(error));
    for length in [0_u32, 15, 17, u32::MAX] {
        let mut bytes = message(30, &[]);
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        let all: Vec<_> = messages(&bytes).collect();
        assert!(matches!(all[..], [Err(_)]), "{length}");
    }
}
