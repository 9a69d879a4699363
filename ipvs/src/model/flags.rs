use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// How a service schedules, beyond its scheduler: `IP_VS_SVC_F_*`.
///
/// What schedulers make of the three bits that are theirs differs: for `sh`
/// and `mh` the first is [`FALLBACK`](Self::FALLBACK) and the second
/// [`PORT`](Self::PORT). Bits that this crate does not know are kept.
///
/// ```
/// use ipvs::ServiceFlags;
///
/// let flags = ServiceFlags::FALLBACK | ServiceFlags::PORT;
/// assert!(flags.contains(ServiceFlags::SCHEDULER_1));
/// assert!(!flags.contains(ServiceFlags::ONE_PACKET));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceFlags(u32);

impl ServiceFlags {
    /// Each packet is scheduled anew, for UDP.
    pub const ONE_PACKET: Self = Self(0x4);
    /// The scheduler's first.
    pub const SCHEDULER_1: Self = Self(0x8);
    /// The scheduler's second.
    pub const SCHEDULER_2: Self = Self(0x10);
    /// The scheduler's third.
    pub const SCHEDULER_3: Self = Self(0x20);
    /// `sh` and `mh`: another destination instead of none where the one that
    /// the client hashes to has weight 0 or is over its threshold.
    pub const FALLBACK: Self = Self::SCHEDULER_1;
    /// `sh` and `mh`: the client's port is hashed with its address.
    pub const PORT: Self = Self::SCHEDULER_2;

    /// The kernel's own bits. PERSISTENT (0x1) is told by
    /// [`ServiceConfig::persistence`](crate::ServiceConfig::persistence), and
    /// HASHED (0x2) is set on every service that is read.
    pub(crate) const PERSISTENT: u32 = 0x1;
    pub(crate) const HASHED: u32 = 0x2;

    /// The flags with these bits, without those that are the kernel's own.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & !(Self::PERSISTENT | Self::HASHED))
    }

    /// The bits.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of the others are set.
    pub const fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Whether none is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for ServiceFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for ServiceFlags {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

/// `ops,flag-1,flag-2,flag-3`, as ipvsadm calls them, others in hexadecimal.
impl fmt::Display for ServiceFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            (Self::ONE_PACKET, "ops"),
            (Self::SCHEDULER_1, "flag-1"),
            (Self::SCHEDULER_2, "flag-2"),
            (Self::SCHEDULER_3, "flag-3"),
        ];
        let (mut rest, mut separator) = (self.0, "");
        for (flag, name) in named {
            if self.contains(flag) {
                write!(f, "{separator}{name}")?;
                rest &= !flag.0;
                separator = ",";
            }
        }
        if rest != 0 {
            write!(f, "{separator}{rest:#x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ServiceFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceFlags({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_bits_are_no_flags() {
        assert!(ServiceFlags::from_bits(0x3).is_empty());
        assert_eq!(ServiceFlags::from_bits(0x86).bits(), 0x84);
    }

    #[test]
    fn flags_are_named_as_ipvsadm_does() {
        assert_eq!(ServiceFlags::default().to_string(), "");
        assert_eq!(
            ServiceFlags::from_bits(u32::MAX).to_string(),
            "ops,flag-1,flag-2,flag-3,0xffffffc0"
        );
    }
}
