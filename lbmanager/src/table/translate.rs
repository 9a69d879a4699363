//! From the vocabulary of the tree to that of the kernel. Pure.

use std::num::NonZeroU32;

use ipvs::{
    DestinationConfig, DestinationKey, Family, Netmask, Scheduler, ServiceConfig, ServiceFlags,
    ServiceKey, TunnelKind,
};
use presence::model::{
    EffectiveOptions, Forward, MemberId, MemberOptions, SchedulerFlag, VirtualService,
    VirtualServiceOptions, real_server,
};

/// What the kernel calls it.
pub fn service_key(service: VirtualService) -> Option<ServiceKey> {
    Some(match service {
        VirtualService::Tcp(address) => ServiceKey::tcp(address),
        VirtualService::Udp(address) => ServiceKey::udp(address),
        VirtualService::Sctp(address) => ServiceKey::sctp(address),
        VirtualService::Mark4(mark) => ServiceKey::fwmark(NonZeroU32::new(mark)?),
        VirtualService::Mark6(mark) => ServiceKey::fwmark6(NonZeroU32::new(mark)?),
    })
}

/// A member by its address.
pub fn server_key(member: &MemberId) -> Option<DestinationKey> {
    real_server(member.as_str()).ok().map(DestinationKey)
}

/// A real server by its name in the tree.
pub fn member(server: DestinationKey) -> MemberId {
    MemberId::from(server.0)
}

/// How a virtual service is to be set up.
pub fn service_config(key: &ServiceKey, options: &EffectiveOptions) -> ServiceConfig {
    let options = &options.service;
    let name = options.scheduler.as_deref();
    let scheduler = name.and_then(|name| name.parse().ok());
    let scheduler = scheduler.unwrap_or(Scheduler::WLC);
    let netmask = options.netmask.map(Netmask::Prefix);
    let fitting = netmask.filter(|netmask| netmask.fits(key.family()));
    ServiceConfig {
        flags: flags(scheduler, options),
        persistence: options.persistence,
        netmask: fitting.unwrap_or(Netmask::host(key.family())),
        ..ServiceConfig::new(key.family(), scheduler)
    }
}

/// Without the fallback `sh` and `mh` refuse the clients that hash to a real
/// server of weight 0: nobody could be drained.
fn flags(scheduler: Scheduler, options: &VirtualServiceOptions) -> ServiceFlags {
    let Some(flags) = &options.scheduler_flags else {
        return match scheduler {
            Scheduler::SH | Scheduler::MH => ServiceFlags::FALLBACK,
            _ => ServiceFlags::default(),
        };
    };
    flags.iter().fold(ServiceFlags::default(), |all, flag| {
        all | match flag {
            SchedulerFlag::Fallback => ServiceFlags::FALLBACK,
            SchedulerFlag::Port => ServiceFlags::PORT,
            SchedulerFlag::Ops => ServiceFlags::ONE_PACKET,
        }
    })
}

/// How a real server is to be used.
pub fn server_config(options: &MemberOptions) -> DestinationConfig {
    let forward = match options.forward.unwrap_or(Forward::Masq) {
        Forward::Masq => ipvs::Forward::Masq,
        Forward::Direct => ipvs::Forward::Direct,
        Forward::Tunnel => ipvs::Forward::Tunnel(TunnelKind::Ipip),
    };
    DestinationConfig {
        upper_threshold: options.upper_threshold.unwrap_or(0),
        lower_threshold: options.lower_threshold.unwrap_or(0),
        ..DestinationConfig::new(forward, options.weight.unwrap_or(1))
    }
}

/// Whether the kernel counts the connections of a real server. Of UDP it does
/// not, and one of weight 0 would swallow the packets of busy senders.
pub fn can_drain(key: &ServiceKey) -> bool {
    !matches!(
        key,
        ServiceKey::Address {
            protocol: ipvs::Protocol::Udp,
            ..
        }
    )
}

/// What of the options does not fit the service, and is left out.
pub fn problem(key: &ServiceKey, options: &EffectiveOptions) -> Option<String> {
    let bits = options.service.netmask?;
    let most = match key.family() {
        Family::V4 => 32,
        Family::V6 => 128,
    };
    (bits > most).then(|| {
        format!("netmask is {bits}, but at most {most} is expected for {key}: all bits count")
    })
}

/// Whether its real servers answer a TCP connect if they are well.
pub fn is_tcp(key: &ServiceKey) -> bool {
    matches!(
        key,
        ServiceKey::Address {
            protocol: ipvs::Protocol::Tcp,
            ..
        }
    )
}
