mod bytes;
mod framing;
mod round_trip;
mod table;

use neli::consts::nl::NlmF;

use super::encode::{destination_config, destination_key, service_config, service_key};
use super::numbers::{Cmds, Dest, Stat, Svc, Top};
use super::{Header, Writer};
use crate::model::{Destination, Service, Stats};

/// What the kernel's number of the family is taken to be.
const FAMILY: u16 = 30;

fn header() -> Header {
    Header {
        kind: FAMILY,
        flags: NlmF::MULTI,
        sequence: 1,
    }
}

/// A dump of services as the kernel would write it.
fn dump_of_services(services: &[Service]) -> Vec<u8> {
    let mut writer = Writer::default();
    for service in services {
        writer.message(header(), Cmds::NewService, |w| {
            w.nested(Top::Service, |w| {
                service_key(w, &service.key);
                service_config(w, service.key.family(), &service.config);
                w.nested(Svc::Stats64, |w| stats(w, &service.stats));
            });
        });
    }
    writer.bytes().to_vec()
}

/// A dump of destinations as the kernel would write it.
fn dump_of_destinations(destinations: &[Destination]) -> Vec<u8> {
    let mut writer = Writer::default();
    for destination in destinations {
        writer.message(header(), Cmds::NewDest, |w| {
            w.nested(Top::Dest, |w| {
                destination_key(w, destination.key);
                destination_config(w, &destination.config);
                w.number(Dest::ActiveConns, destination.connections.active);
                w.number(Dest::InactConns, destination.connections.inactive);
                w.number(Dest::PersistConns, destination.connections.persistent);
                w.nested(Dest::Stats64, |w| stats(w, &destination.stats));
            });
        });
    }
    writer.bytes().to_vec()
}

fn stats(writer: &mut Writer, stats: &Stats) {
    let rates = &stats.rates;
    for (kind, value) in [
        (Stat::Conns, stats.connections),
        (Stat::InPkts, stats.packets_in),
        (Stat::OutPkts, stats.packets_out),
        (Stat::InBytes, stats.bytes_in),
        (Stat::OutBytes, stats.bytes_out),
        (Stat::Cps, rates.connections),
        (Stat::InPps, rates.packets_in),
        (Stat::OutPps, rates.packets_out),
        (Stat::InBps, rates.bytes_in),
        (Stat::OutBps, rates.bytes_out),
    ] {
        writer.attribute(kind, &value.to_ne_bytes());
    }
}
