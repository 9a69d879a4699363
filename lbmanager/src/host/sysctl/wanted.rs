//! Which settings are wanted, and why.

use std::str::FromStr;

use ipvs::{Family, Protocol, ServiceKey};

use crate::host::service::Service;

pub(super) const FORWARDING_V6: &str = "net.ipv6.conf.all.forwarding";

/// A setting of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Its name, as sysctl has it.
    pub name: &'static str,
    /// What it is to be.
    pub value: u32,
    /// What goes wrong otherwise.
    pub why: &'static str,
}

impl Setting {
    /// They are switches: whatever is not 0 is on.
    pub fn is_met_by(&self, value: u32) -> bool {
        (value == 0) == (self.value == 0)
    }
}

/// What the table has, as far as settings are concerned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own"
)]
pub struct Needs {
    /// Services.
    pub services: bool,
    /// Ones that may be for UDP.
    pub udp: bool,
    /// Ones that remember clients.
    pub persistent: bool,
    /// Real servers whose packets are rewritten, by IPv4.
    pub masq_v4: bool,
    /// The same, by IPv6.
    pub masq_v6: bool,
    /// Rules that masquerade.
    pub rules: bool,
}

impl Needs {
    /// Of these services; `rules` says whether some are masqueraded.
    pub fn of(services: &[Service], rules: bool) -> Self {
        let masq = |family| {
            let mut services = services.iter();
            services
                .any(|service| service.key.family() == family && !service.masqueraded.is_empty())
        };
        Self {
            services: !services.is_empty(),
            udp: services.iter().any(|service| may_be_udp(&service.key)),
            persistent: services.iter().any(|service| service.persistent),
            masq_v4: masq(Family::V4),
            masq_v6: masq(Family::V6),
            rules,
        }
    }
}

fn may_be_udp(key: &ServiceKey) -> bool {
    match key {
        ServiceKey::Address { protocol, .. } => *protocol == Protocol::Udp,
        ServiceKey::Fwmark { .. } => true,
    }
}

/// The version of a kernel, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    /// 6 of 6.1.
    pub major: u32,
    /// 1 of 6.1.
    pub minor: u32,
}

/// What is no version of a kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no version of a kernel: one like 6.1.0-28-amd64 is expected")]
pub struct NoVersion(String);

/// `6.1.0-28-amd64`, as in /proc/sys/kernel/osrelease.
impl FromStr for KernelVersion {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit());
        let mut number = || numbers.next().and_then(|number| number.parse().ok());
        let version = number().zip(number());
        let (major, minor) = version.ok_or_else(|| NoVersion(text.to_owned()))?;
        Ok(Self { major, minor })
    }
}

/// The settings that are wanted. A kernel whose version is not known is taken
/// for one of these years.
pub fn wanted(needs: &Needs, kernel: Option<KernelVersion>) -> Vec<Setting> {
    let is_old = kernel.is_some_and(|kernel| kernel < KernelVersion { major: 5, minor: 9 });
    let all = [
        (
            needs.rules,
            "net.ipv4.vs.conntrack",
            1,
            "without it the rules of --masquerade match nothing, and a client next to the real \
             server gets no answer",
        ),
        (
            needs.services,
            "net.ipv4.vs.expire_nodest_conn",
            1,
            if needs.udp {
                "without it packets of UDP clients whose real server is gone vanish, instead of \
                 going to another"
            } else {
                "without it connections to a real server that is gone hang until they time out"
            },
        ),
        (
            needs.persistent,
            "net.ipv4.vs.expire_quiescent_template",
            1,
            "without it clients of a persistent service are still sent to a real server that \
             drains",
        ),
        (
            needs.services && is_old,
            "net.ipv4.vs.conn_reuse_mode",
            0,
            "kernels before 5.9 delay a new connection from a port that was used before by a \
             second",
        ),
        (
            needs.masq_v4,
            "net.ipv4.ip_forward",
            1,
            "without it the answers of real servers that are reached by masq do not get back to \
             clients",
        ),
        (
            needs.masq_v6,
            FORWARDING_V6,
            1,
            "without it the answers of real servers that are reached by masq do not get back to \
             clients of IPv6",
        ),
    ];
    let wanted = all.into_iter().filter(|(is_wanted, ..)| *is_wanted);
    wanted
        .map(|(_, name, value, why)| Setting { name, value, why })
        .collect()
}
