use proptest::prelude::*;

use super::*;
use crate::model::BalancerId;

fn member(value: &str) -> Result<Parsed<MemberOptions>, String> {
    MemberOptions::parse(value.as_bytes()).map_err(|error| error.to_string())
}

fn balancer(value: &str) -> Result<Parsed<BalancerOptions>, String> {
    BalancerOptions::parse(value.as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn what_is_no_object_means_the_defaults() {
    for value in ["", " ", "up", "1", "10.0.0.1", "{}", " {}\n"] {
        assert_eq!(member(value), Ok(Parsed::default()), "{value:?}");
        assert_eq!(balancer(value), Ok(Parsed::default()), "{value:?}");
    }
    let mistakes = [
        ("[]", "the value \"[]\" is not a JSON object"),
        ("null", "the value \"null\" is not a JSON object"),
        ("\"{}\"", "is not a JSON object"),
        ("drain", "the value \"drain\" is not a JSON object"),
        (
            "drain=true\n",
            "the value \"drain=true\" is not a JSON object",
        ),
        ("Weight: 3", "is not a JSON object"),
        ("\u{feff}{\"drain\": true}", "starts with a byte order mark"),
    ];
    for (value, expected) in mistakes {
        let Parsed {
            options,
            unknown,
            warning,
        } = member(value).unwrap();
        assert_eq!((options, unknown), Default::default(), "{value:?}");
        let warning = warning.unwrap();
        assert!(warning.contains(expected), "{warning}");
        let config = balancer(value).unwrap();
        assert_eq!(config.options, BalancerOptions::default(), "{value:?}");
        assert_eq!(config.warning, Some(warning));
    }
    assert!(MemberOptions::parse(b"\xff\xfe").is_ok());
    let options = MemberOptions::default();
    assert!(options.ready && !options.drain);
    assert_eq!((options.weight, options.since), (None, None));
}

#[test]
fn every_member_option_is_read() {
    let value = r#"{"weight": 65535, "forward": "tunnel", "upper_threshold": 9,
                    "lower_threshold": 3, "ready": false, "drain": true, "since": 42,
                    "leaving": true}"#;
    let options = MemberOptions {
        weight: Some(65535),
        forward: Some(Forward::Tunnel),
        upper_threshold: Some(9),
        lower_threshold: Some(3),
        ready: false,
        drain: true,
        since: Some(Revision(42)),
        leaving: true,
    };
    let unknown = Vec::new();
    assert_eq!(
        member(value),
        Ok(Parsed {
            options,
            unknown,
            warning: None
        })
    );
}

#[test]
fn every_option_of_a_load_balancer_is_read() {
    let value = r#"{"ownership": "own", "adopt": true, "drain": "1m30s", "paused": true,
                    "max_removals": 0.25, "panic_threshold": 1, "honor_readiness": false,
                    "scheduler": "mh", "scheduler_flags": ["fallback", "port"],
                    "persistence": 360, "netmask": 24}"#;
    let options = BalancerOptions {
        ownership: Some(Ownership::Own),
        adopt: Some(true),
        drain: Some(Duration::from_secs(90)),
        paused: Some(true),
        max_removals: Some(0.25),
        panic_threshold: Some(1.0),
        honor_readiness: Some(false),
        service: VirtualServiceOptions {
            scheduler: Some("mh".to_owned()),
            scheduler_flags: Some(vec![SchedulerFlag::Fallback, SchedulerFlag::Port]),
            persistence: Some(Duration::from_mins(6)),
            netmask: Some(24),
        },
    };
    let unknown = Vec::new();
    assert_eq!(
        balancer(value),
        Ok(Parsed {
            options,
            unknown,
            warning: None
        })
    );
    let seconds = balancer(r#"{"drain": 90}"#).unwrap().options;
    assert_eq!(seconds.drain, Some(Duration::from_secs(90)));
}

#[test]
fn unknown_fields_are_named_and_the_others_are_read() {
    let parsed = member(r#"{"wieght": 5, "weight": 7, "Ready": false}"#).unwrap();
    assert_eq!(parsed.unknown, ["Ready", "wieght"]);
    assert_eq!(parsed.options.weight, Some(7));
    assert!(parsed.options.ready);
    let parsed = balancer(r#"{"pause": true}"#).unwrap();
    assert_eq!(parsed.unknown, ["pause"]);
    assert_eq!(parsed.options.paused, None);
}

#[test]
fn a_member_field_that_holds_what_it_may_not_is_named_with_its_value() {
    for (field, value, allowed) in [
        ("weight", "-1", "a whole number from 0 to 65535 is expected"),
        (
            "weight",
            "65536",
            "a whole number from 0 to 65535 is expected",
        ),
        (
            "weight",
            "4294967296",
            "a whole number from 0 to 65535 is expected",
        ),
        (
            "weight",
            "1.5",
            "a whole number from 0 to 65535 is expected",
        ),
        (
            "weight",
            "\"10\"",
            "a whole number from 0 to 65535 is expected",
        ),
        (
            "weight",
            "null",
            "a whole number from 0 to 65535 is expected",
        ),
        (
            "forward",
            "\"nat\"",
            "one of masq, direct, tunnel is expected",
        ),
        ("upper_threshold", "true", "a whole number is expected"),
        ("lower_threshold", "[1]", "a whole number is expected"),
        ("ready", "\"false\"", "true or false is expected"),
        ("ready", "0", "true or false is expected"),
        ("drain", "\"30s\"", "true or false is expected"),
        ("since", "\"42\"", "a revision is expected"),
    ] {
        let error = member(&format!("{{\"{field}\": {value}}}")).unwrap_err();
        assert_eq!(error, format!("{field} is {value}, but {allowed}"));
    }
}

#[test]
fn a_load_balancer_field_that_holds_what_it_may_not_is_named_with_its_value() {
    let duration = "a duration such as \"1m30s\", or seconds, is expected";
    let share = "a share from 0 to 1 is expected";
    for (field, value, allowed) in [
        (
            "ownership",
            "\"shared\"",
            "exclusive, own or add-only is expected",
        ),
        ("adopt", "\"yes\"", "true or false is expected"),
        ("drain", "true", duration),
        ("drain", "-1", duration),
        ("drain", "\"soon\"", duration),
        ("paused", "1", "true or false is expected"),
        ("max_removals", "1.5", share),
        ("max_removals", "-0.1", share),
        ("panic_threshold", "\"half\"", share),
        ("honor_readiness", "null", "true or false is expected"),
    ] {
        let error = balancer(&format!("{{\"{field}\": {value}}}")).unwrap_err();
        assert_eq!(error, format!("{field} is {value}, but {allowed}"));
    }
}

#[test]
fn what_starts_as_an_object_and_is_none_is_an_error_with_its_place() {
    for (value, place) in [
        ("{", "EOF while parsing an object at line 1 column 1"),
        ("{\"ready\": no}", "expected ident at line 1 column 12"),
        ("{\"ready\": false,\n}", "trailing comma at line 2 column 1"),
        ("{} x", "trailing characters at line 1 column 4"),
    ] {
        let message = format!("the value is not a JSON object: {place}");
        assert_eq!(member(value), Err(message.clone()));
        assert_eq!(balancer(value), Err(message));
    }
    assert!(MemberOptions::parse(b"{\"forward\": \"\xff\"}").is_err());
}

#[test]
fn rank_is_since_unless_that_is_from_the_future() {
    for (since, rank) in [(None, 10), (Some(3), 3), (Some(10), 10), (Some(11), 10)] {
        let options = MemberOptions {
            since: since.map(Revision),
            ..MemberOptions::default()
        };
        assert_eq!(options.rank(Revision(10)), Revision(rank), "{since:?}");
    }
}

#[test]
fn a_load_balancer_s_own_options_go_over_the_general_ones() {
    let own = balancer(r#"{"paused": false, "max_removals": 0.1}"#).unwrap();
    let general = balancer(r#"{"paused": true, "adopt": true, "drain": "5s"}"#).unwrap();
    let both = own.options.over(&general.options);
    let expected = r#"{"paused": false, "max_removals": 0.1, "adopt": true, "drain": 5}"#;
    assert_eq!(both, balancer(expected).unwrap().options);
}

#[test]
fn where_nothing_is_said_the_documented_defaults_hold() {
    for kind in Kind::ALL {
        let expected = EffectiveOptions {
            ownership: Ownership::Exclusive,
            adopt: false,
            paused: false,
            max_removals: 0.5,
            panic_threshold: 0.5,
            honor_readiness: matches!(kind, Kind::Ipvs | Kind::Route53),
            drain: Duration::from_secs(30),
            service: VirtualServiceOptions::default(),
        };
        assert_eq!(BalancerOptions::default().effective(kind), expected);
    }
}

#[test]
fn what_a_virtual_service_cannot_be_is_refused() {
    for (value, message) in [
        (
            r#"{"scheduler": "w l c"}"#,
            "scheduler is \"w l c\", but the kernel's name of a scheduler is expected, such as \
             wlc, rr, sh or mh",
        ),
        (
            r#"{"scheduler_flags": ["falback"]}"#,
            "scheduler_flags is [\"falback\"], but a list of fallback, port and ops is expected",
        ),
        (
            r#"{"persistence": "1500ms"}"#,
            "persistence is 1s 500ms, but whole seconds up to 31 days are expected",
        ),
        (
            r#"{"netmask": 129}"#,
            "netmask is 129, but a number of leading bits is expected: 1 to 32, for IPv6 1 to 128",
        ),
    ] {
        assert_eq!(balancer(value).unwrap_err(), message);
    }
}

#[test]
fn what_does_not_fit_the_virtual_service_is_refused() {
    let fit = |service: &str, server: &str, value: &str| {
        let id: BalancerId = format!("ipvs/edge/{service}").parse().unwrap();
        let server = id.member(server).unwrap();
        let fit = member(value).unwrap().options.fit(&id, &server);
        fit.map_err(|error| error.to_string())
    };
    let masq = "10.0.1.7:8080";
    assert_eq!(fit("10.0.0.1:80", masq, ""), Ok(()));
    let direct = r#"{"forward": "direct"}"#;
    assert_eq!(fit("10.0.0.1:80", "10.0.1.7:80", direct), Ok(()));
    assert_eq!(fit("fwmark:1", masq, direct), Ok(()));
    let error = fit("10.0.0.1:80", masq, direct).unwrap_err();
    let expected = "forward is direct, but the real server's port 8080 would have to be the \
                    virtual service's, 80: ";
    assert!(error.starts_with(expected), "{error}");
    let error = fit("10.0.0.1:80", "[2001:db8::7]:80", "").unwrap_err();
    assert!(error.contains("different families"), "{error}");
    let tunnel = r#"{"forward": "tunnel"}"#;
    assert_eq!(fit("10.0.0.1:80", "[2001:db8::7]:80", tunnel), Ok(()));
    let thresholds = r#"{"upper_threshold": 5, "lower_threshold": 6}"#;
    let error = fit("10.0.0.1:80", masq, thresholds).unwrap_err();
    assert!(
        error.starts_with("lower_threshold is 6, but at most"),
        "{error}"
    );
}

fn member_options() -> impl Strategy<Value = MemberOptions> {
    use proptest::option::of;
    let forward = prop_oneof![
        Just(Forward::Masq),
        Just(Forward::Direct),
        Just(Forward::Tunnel)
    ];
    (
        of(0..=65_535u32),
        of(forward),
        of(any::<u32>()),
        of(any::<u32>()),
        any::<bool>(),
        any::<bool>(),
        of(1..i64::MAX),
        any::<bool>(),
    )
        .prop_map(
            |(weight, forward, upper_threshold, lower_threshold, ready, drain, since, leaving)| {
                MemberOptions {
                    weight,
                    forward,
                    upper_threshold,
                    lower_threshold,
                    ready,
                    drain,
                    since: since.map(Revision),
                    leaving,
                }
            },
        )
}

proptest! {
    #[test]
    fn what_a_publisher_writes_is_read(options in member_options()) {
        let value = serde_json::to_vec(&options).unwrap();
        let parsed = MemberOptions::parse(&value).unwrap();
        prop_assert_eq!(parsed, Parsed { options, unknown: Vec::new(), warning: None });
    }

    #[test]
    fn any_value_is_options_or_an_error(value: Vec<u8>, text in "\\{.*") {
        let _ = MemberOptions::parse(&value);
        let _ = BalancerOptions::parse(&value);
        let _ = MemberOptions::parse(text.as_bytes());
        let _ = BalancerOptions::parse(text.as_bytes());
    }
}
