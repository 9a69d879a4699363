use launcher::definition::Values;
use launcher::publish::Places;
use serde_json::{Value, json};

use crate::{instance, targets, values};

fn services(publish: &str, values: &Values) -> Vec<(String, Value)> {
    let places = Places::resolve(&targets(publish), &instance("7-0a1b2c3d"), values).unwrap();
    let since = "2026-11-20T12:00:00Z".parse().unwrap();
    let wanted = places.services(true, since).keys.into_iter();
    let value = |wanted: presence::publisher::WantedKey| match wanted.content {
        presence::publisher::Content::Plain(value) => serde_json::from_slice(&value).unwrap(),
        other @ presence::publisher::Content::Member(_) => panic!("{other:?}"),
    };
    wanted.map(|(key, wanted)| (key, value(wanted))).collect()
}

#[test]
fn a_service_is_where_it_is_reached_from_farthest() {
    let mapped = values("172.17.0.2");
    let bridged = Values {
        host_port: None,
        ..mapped.clone()
    };
    let of_host = Values {
        container_ip: None,
        ..bridged.clone()
    };
    for (values, host, port) in [
        (&mapped, "192.0.2.7", 8080),
        (&bridged, "172.17.0.2", 80),
        (&of_host, "192.0.2.7", 80),
    ] {
        let expected = json!({
            "host": host, "port": port, "service_id": "host-1.web", "state": "up",
            "info": {"zone": "a", "at": "host-1"}, "since": "2026-11-20T12:00:00Z",
        });
        let found = services("[{service: Web, info: {zone: a, at: $HOSTNAME}}]", values);
        let key = "/service-monitor/web/hosts/host-1.web".to_owned();
        assert_eq!(found, [(key, expected)]);
    }
}

#[test]
fn what_is_the_managers_is_left_out() {
    let publish = "[{key: '/lbManager/elb/us-east-1/web/multiple/$INSTANCE_ID', scope: service}, \
                   {service: web, scope: service}]";
    let places = Places::resolve(&targets(publish), &instance("7-0a1b2c3d"), &values("::1"));
    assert_eq!(places.unwrap(), Places::default());
}

#[test]
fn what_is_not_known_is_named_with_its_target() {
    let unknown = Values {
        instance_id: None,
        host_ip: None,
        ..values("::1")
    };
    for (publish, message) in [
        (
            crate::ELB,
            "publish: /lbManager/elb/us-east-1/web/multiple/$INSTANCE_ID: $INSTANCE_ID is not known here",
        ),
        (
            "{service: web}",
            "publish: service web: $HOST_IP is not known here",
        ),
    ] {
        let targets = targets(&format!("[{publish}]"));
        let error = Places::resolve(&targets, &instance("7-0a1b2c3d"), &unknown).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        assert!(message.ends_with(&source.unwrap()), "{error}");
        assert_eq!(error.to_string(), message);
    }
}
