use std::fmt;
use std::net::Ipv4Addr;

use super::Family;

/// Which part of a client's address a persistent service remembers it by.
///
/// The kernel has one for every service, persistent or not;
/// [`Netmask::host`] is what ipvsadm writes where none is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Netmask {
    /// The first so many bits: 0 to 32 for IPv4, 1 to 128 for IPv6.
    Prefix(u8),
    /// An IPv4 mask with holes. The kernel takes it, so it can be read, and
    /// is refused when writing.
    Scattered(Ipv4Addr),
}

impl Netmask {
    /// The whole address.
    pub const fn host(family: Family) -> Self {
        Self::Prefix(family.bits())
    }

    /// Whether a service of this family can have it.
    pub fn fits(self, family: Family) -> bool {
        match (self, family) {
            (Self::Prefix(length), Family::V4) => length <= 32,
            (Self::Prefix(length), Family::V6) => (1..=128).contains(&length),
            (Self::Scattered(_), _) => false,
        }
    }

    /// The four bytes of a message: a mask in network order for IPv4, the
    /// length in the machine's order for IPv6.
    pub(crate) fn to_bytes(self, family: Family) -> [u8; 4] {
        match (self, family) {
            (Self::Prefix(length), Family::V4) => {
                let host_bits = 32_u32.saturating_sub(length.into());
                u32::MAX.checked_shl(host_bits).unwrap_or(0).to_be_bytes()
            }
            (Self::Prefix(length), Family::V6) => u32::from(length).to_ne_bytes(),
            (Self::Scattered(mask), _) => mask.octets(),
        }
    }

    /// `None` where the kernel could not have written this.
    pub(crate) fn from_bytes(family: Family, bytes: [u8; 4]) -> Option<Self> {
        if family == Family::V6 {
            let length = u32::from_ne_bytes(bytes);
            return u8::try_from(length).ok().map(Self::Prefix);
        }
        let mask = u32::from_be_bytes(bytes);
        let length = mask.leading_ones();
        if length + mask.trailing_zeros() < 32 {
            return Some(Self::Scattered(bytes.into()));
        }
        u8::try_from(length).ok().map(Self::Prefix)
    }
}

/// `/24`, or `255.0.255.0` where it has holes.
impl fmt::Display for Netmask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(length) => write!(f, "/{length}"),
            Self::Scattered(mask) => mask.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mask_of_both_families_comes_back() {
        for family in [Family::V4, Family::V6] {
            for mask in (0..=128).map(Netmask::Prefix) {
                if mask.fits(family) {
                    let bytes = mask.to_bytes(family);
                    assert_eq!(
                        Netmask::from_bytes(family, bytes),
                        Some(mask),
                        "{family} {mask}"
                    );
                }
            }
        }
    }

    #[test]
    fn ipv4_is_a_mask_and_ipv6_a_length() {
        assert_eq!(Netmask::Prefix(24).to_bytes(Family::V4), [255, 255, 255, 0]);
        assert_eq!(Netmask::Prefix(0).to_bytes(Family::V4), [0; 4]);
        assert_eq!(
            Netmask::Prefix(64).to_bytes(Family::V6),
            64_u32.to_ne_bytes()
        );
    }

    #[test]
    fn holes_are_kept() {
        let mask = Netmask::from_bytes(Family::V4, [255, 0, 255, 0]).unwrap();
        assert_eq!(mask.to_string(), "255.0.255.0");
        assert_eq!(mask.to_bytes(Family::V4), [255, 0, 255, 0]);
        assert!(!mask.fits(Family::V4));
        assert_eq!(Netmask::from_bytes(Family::V6, 256_u32.to_ne_bytes()), None);
    }
}
