use proptest::collection::vec;
use proptest::prelude::*;

use super::super::numbers::{Cmds, Dest, Stat, Svc, Top};
use super::super::{Body, Request, Writer, encode, messages};
use super::{dump_of_destinations, dump_of_services, header};
use crate::model::{Family, Service};
use crate::{arbitrary, wire};

proptest! {
    #[test]
    fn services_come_back(services in vec(arbitrary::service(), 0..5)) {
        prop_assert_eq!(wire::services(&dump_of_services(&services)), Ok(services));
    }

    #[test]
    fn destinations_come_back(
        destinations in vec(arbitrary::destination(), 0..5),
        service in arbitrary::family(),
    ) {
        let datagram = dump_of_destinations(&destinations);
        prop_assert_eq!(wire::destinations(&datagram, service), Ok(destinations));
    }

    #[test]
    fn timeouts_come_back(timeouts in arbitrary::timeouts()) {
        let mut writer = Writer::default();
        encode(&mut writer, header(), &Request::SetTimeouts(&timeouts));
        let message = messages(writer.bytes()).next().unwrap().unwrap();
        let Body::Payload(payload) = message.body().unwrap() else {
            panic!("no attributes");
        };
        prop_assert_eq!(wire::timeouts(payload), Ok(timeouts));
    }

    #[test]
    fn what_is_not_known_is_passed_over(service in arbitrary::service(), at in 13_u16..100) {
        let mut writer = Writer::default();
        writer.message(header(), Cmds::NewService, |w| {
            w.attribute(Top::UnrecognizedConst(at), b"new");
            w.nested(Top::Service, |w| {
                w.attribute(Svc::UnrecognizedConst(at), b"newer");
                super::service_key(w, &service.key);
                super::service_config(w, service.key.family(), &service.config);
                w.nested(Svc::Stats64, |w| {
                    w.attribute(Stat::UnrecognizedConst(at), b"");
                    super::stats(w, &service.stats);
                });
            });
        });
        prop_assert_eq!(wire::services(writer.bytes()), Ok(vec![service]));
    }
}

/// Linux before 4.2 has statistics of 32 bits, with bytes in 64.
#[test]
fn old_statistics_are_read_where_there_are_no_new_ones() {
    let mut writer = Writer::default();
    writer.message(header(), Cmds::NewDest, |w| {
        w.nested(Top::Dest, |w| {
            w.attribute(Dest::Addr, &[10, 0, 1, 7]);
            w.port(Dest::Port, 8080);
            for kind in [
                Dest::FwdMethod,
                Dest::Weight,
                Dest::UThresh,
                Dest::LThresh,
                Dest::ActiveConns,
                Dest::InactConns,
                Dest::PersistConns,
            ] {
                w.number(kind, 0);
            }
            w.nested(Dest::Stats, |w| {
                w.number(Stat::Conns, 3);
                w.attribute(Stat::InBytes, &(1_u64 << 40).to_ne_bytes());
            });
        });
    });
    let destinations = wire::destinations(writer.bytes(), Family::V4).unwrap();
    assert_eq!(destinations[0].key.to_string(), "10.0.1.7:8080");
    assert_eq!(destinations[0].stats.connections, 3);
    assert_eq!(destinations[0].stats.bytes_in, 1 << 40);
}

#[test]
fn what_is_missing_is_named() {
    let mut writer = Writer::default();
    writer.message(header(), Cmds::NewService, |w| {
        w.nested(Top::Service, |w| w.half_number(Svc::Af, 2));
    });
    let error = wire::services(writer.bytes()).unwrap_err();
    assert_eq!(error.to_string(), "a service without its attribute ADDR");
    let none: Result<Vec<Service>, _> = wire::services(&writer.bytes()[..18]);
    none.unwrap_err();
}
