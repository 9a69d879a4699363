//! No bytes make the decoder panic: neither any at all, nor those of a dump
//! with some changed, which get further.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::{dump_of_destinations, dump_of_services};
use crate::{arbitrary, wire};

proptest! {
    #[test]
    fn of_any_kind(bytes in vec(any::<u8>(), 0..600)) {
        wire::decode_everything(&bytes);
    }

    #[test]
    fn those_of_services(
        services in vec(arbitrary::service(), 1..3),
        changes in vec(any::<(Index, u8)>(), 1..8),
        length in any::<Index>(),
    ) {
        wire::decode_everything(&changed(dump_of_services(&services), &changes, length));
    }

    #[test]
    fn those_of_destinations(
        destinations in vec(arbitrary::destination(), 1..3),
        changes in vec(any::<(Index, u8)>(), 1..8),
        length in any::<Index>(),
    ) {
        wire::decode_everything(&changed(dump_of_destinations(&destinations), &changes, length));
    }

    /// Lengths are what a decoder trips over, so they are changed alone too.
    #[test]
    fn with_a_length_that_is_small(services in vec(arbitrary::service(), 1..3), at: Index, to in 0_u8..20) {
        let mut bytes = dump_of_services(&services);
        let words = bytes.len() / 4;
        bytes[at.index(words) * 4] = to;
        wire::decode_everything(&bytes);
    }
}

/// Some bytes changed, and cut off somewhere, half of the times.
fn changed(mut bytes: Vec<u8>, changes: &[(Index, u8)], length: Index) -> Vec<u8> {
    for (index, to) in changes {
        let index = index.index(bytes.len());
        bytes[index] = *to;
    }
    let length = length.index(bytes.len() * 2);
    bytes.truncate(length);
    bytes
}
