use std::fmt;
use std::str::FromStr;

/// How many bytes the kernel has for a name, without the NUL at its end
/// (`IP_VS_SCHEDNAME_MAXLEN`, `IP_VS_PENAME_MAXLEN`).
const MAX_LENGTH: usize = 15;

/// A name as modules of the kernel have it, held inline: a table has one for
/// each of its services.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Name([u8; MAX_LENGTH]);

impl Name {
    const fn from_static(text: &str) -> Self {
        let (text, mut bytes, mut at) = (text.as_bytes(), [0; MAX_LENGTH], 0);
        while at < text.len() {
            bytes[at] = text[at];
            at += 1;
        }
        Self(bytes)
    }

    fn parse(what: &'static str, text: &str) -> Result<Self, InvalidName> {
        let allowed = |c: u8| c.is_ascii_graphic();
        if text.is_empty() || text.len() > MAX_LENGTH || !text.bytes().all(allowed) {
            let name = text.to_owned();
            return Err(InvalidName { what, name });
        }
        Ok(Self::from_static(text))
    }

    fn as_str(&self) -> &str {
        let end = self.0.iter().position(|b| *b == 0).unwrap_or(MAX_LENGTH);
        std::str::from_utf8(&self.0[..end]).expect("parsed from ASCII")
    }
}

/// A name that no module of the kernel can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} {name:?}: a name of 1 to {MAX_LENGTH} printable ASCII characters without a space is \
     expected"
)]
pub struct InvalidName {
    what: &'static str,
    name: String,
}

macro_rules! named {
    ($type:ident, $what:literal) => {
        impl $type {
            /// The name.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Name::parse($what, text).map(Self)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($type), self.as_str())
            }
        }
    };
}

/// How a service chooses the destination of a new connection, by the name of
/// the kernel's module without its `ip_vs_`. The kernel loads the module when
/// a service first wants it.
///
/// ```
/// use ipvs::Scheduler;
///
/// assert_eq!("mh".parse(), Ok(Scheduler::MH));
/// assert!("a name with spaces".parse::<Scheduler>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scheduler(Name);

named!(Scheduler, "scheduler");

impl Scheduler {
    /// Round robin.
    pub const RR: Self = Self(Name::from_static("rr"));
    /// Weighted round robin.
    pub const WRR: Self = Self(Name::from_static("wrr"));
    /// Least connections.
    pub const LC: Self = Self(Name::from_static("lc"));
    /// Weighted least connections.
    pub const WLC: Self = Self(Name::from_static("wlc"));
    /// Weighted failover: the heaviest that is available.
    pub const FO: Self = Self(Name::from_static("fo"));
    /// Weighted overflow: the heaviest that has less connections than weight.
    pub const OVF: Self = Self(Name::from_static("ovf"));
    /// Locality-based least connections.
    pub const LBLC: Self = Self(Name::from_static("lblc"));
    /// Locality-based least connections with replication.
    pub const LBLCR: Self = Self(Name::from_static("lblcr"));
    /// Destination hashing.
    pub const DH: Self = Self(Name::from_static("dh"));
    /// Source hashing.
    pub const SH: Self = Self(Name::from_static("sh"));
    /// Shortest expected delay.
    pub const SED: Self = Self(Name::from_static("sed"));
    /// Never queue.
    pub const NQ: Self = Self(Name::from_static("nq"));
    /// Maglev hashing, from Linux 4.18.
    pub const MH: Self = Self(Name::from_static("mh"));
    /// Power of two choices, from Linux 5.14.
    pub const TWOS: Self = Self(Name::from_static("twos"));

    /// Every scheduler of Linux 6.12.
    pub const KNOWN: [Self; 14] = [
        Self::RR,
        Self::WRR,
        Self::LC,
        Self::WLC,
        Self::FO,
        Self::OVF,
        Self::LBLC,
        Self::LBLCR,
        Self::DH,
        Self::SH,
        Self::SED,
        Self::NQ,
        Self::MH,
        Self::TWOS,
    ];
}

/// What of a packet tells one persistent client from another, beside its
/// address: by the name of the kernel's module without its `ip_vs_pe_`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Engine(Name);

named!(Engine, "persistence engine");

impl Engine {
    /// The Call-ID of SIP, for UDP services.
    pub const SIP: Self = Self(Name::from_static("sip"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_schedulers_parse_to_themselves() {
        for scheduler in Scheduler::KNOWN {
            assert_eq!(scheduler.as_str().parse(), Ok(scheduler));
        }
        assert_eq!("sip".parse(), Ok(Engine::SIP));
    }

    #[test]
    fn a_name_has_at_most_fifteen_bytes() {
        let longest = "a".repeat(15);
        assert_eq!(longest.parse::<Scheduler>().unwrap().as_str(), longest);
        let error = "a".repeat(16).parse::<Scheduler>().unwrap_err();
        assert!(
            error.to_string().contains("\"aaaaaaaaaaaaaaaa\""),
            "{error}"
        );
        for bad in ["", "a b", "a\0b", "é", "a\n"] {
            bad.parse::<Scheduler>().unwrap_err();
        }
    }
}
