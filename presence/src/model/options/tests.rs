use proptest::prelude::*;

use super::*;

fn member(value: &str) -> Result<Parsed<MemberOptions>, String> {
    MemberOptions::parse(value.as_bytes()).map_err(|error| error.to_string())
}

fn balancer(value: &str) -> Result<Parsed<BalancerOptions>, String> {
    BalancerOptions::parse(value.as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn what_is_no_object_means_the_defaults() {
    for value in ["", " ", "up", "1", "[]", "null", "\"{}\"", "{}", " {}\n"] {
        assert_eq!(member(value), Ok(Parsed::default()), "{value:?}");
        assert_eq!(balancer(value), Ok(Parsed::default()), "{value:?}");
    }
    assert!(MemberOptions::parse(b"\xff\xfe").is_ok());
    let options = MemberOptions::default();
    assert!(options.ready && !options.drain);
    assert_eq!((options.weight, options.since), (None, None));
}

#[test]
fn every_member_option_is_read() {
    let value = r#"{"weight": 65535, "forward": "tunnel", "upper_threshold": 9,
                    "lower_threshold": 3, "ready": false, "drain": true, "since": 42}"#;
    let options = MemberOptions {
        weight: Some(65535),
        forward: Some(Forward::Tunnel),
        upper_threshold: Some(9),
        lower_threshold: Some(3),
        ready: false,
        drain: true,
        since: Some(Revision(42)),
    };
    let unknown = Vec::new();
    assert_eq!(member(value), Ok(Parsed { options, unknown }));
}

#[test]
fn every_option_of_a_load_balancer_is_read() {
    let value = r#"{"ownership": "own", "adopt": true, "drain": "1m30s", "paused": true,
                    "max_removals": 0.25, "panic_threshold": 1, "honor_readiness": false}"#;
    let options = BalancerOptions {
        ownership: Some(Ownership::Own),
        adopt: Some(true),
        drain: Some(Duration::from_secs(90)),
        paused: Some(true),
        max_removals: Some(0.25),
        panic_threshold: Some(1.0),
        honor_readiness: Some(false),
    };
    let unknown = Vec::new();
    assert_eq!(balancer(value), Ok(Parsed { options, unknown }));
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
        ("ownership", "\"shared\"", "exclusive or own is expected"),
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
        };
        assert_eq!(BalancerOptions::default().effective(kind), expected);
    }
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
    )
        .prop_map(
            |(weight, forward, upper_threshold, lower_threshold, ready, drain, since)| {
                MemberOptions {
                    weight,
                    forward,
                    upper_threshold,
                    lower_threshold,
                    ready,
                    drain,
                    since: since.map(Revision),
                }
            },
        )
}

proptest! {
    #[test]
    fn what_a_publisher_writes_is_read(options in member_options()) {
        let value = serde_json::to_vec(&options).unwrap();
        let parsed = MemberOptions::parse(&value).unwrap();
        prop_assert_eq!(parsed, Parsed { options, unknown: Vec::new() });
    }

    #[test]
    fn any_value_is_options_or_an_error(value: Vec<u8>, text in "\\{.*") {
        let _ = MemberOptions::parse(&value);
        let _ = BalancerOptions::parse(&value);
        let _ = MemberOptions::parse(text.as_bytes());
        let _ = BalancerOptions::parse(text.as_bytes());
    }
}
