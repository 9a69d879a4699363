//! One form for all spellings.

use presence::model::Revision;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use super::fixtures::{RIGHT, definition};

#[test]
fn it_says_what_is_special_and_nothing_else() {
    let web = definition("{port: 80, image: x, health_check: http, drain: 30s, cap_add: []}");
    assert_eq!(
        web.canonical(),
        r#"{"health_check":{"http":{}},"image":"x","port":80}"#
    );
    assert_eq!(
        web.pretty(),
        "{\n  \"health_check\": {\n    \"http\": {}\n  },\n  \"image\": \"x\",\n  \"port\": 80\n}\n"
    );
    // Somebody's revisions are called so: it may never change.
    assert_eq!(web.revision(Revision(42)).to_string(), "42-554ccd46");
}

#[test]
fn spellings_are_the_same() {
    for (one, other) in [
        (
            "image: x",
            "{\"image\": \"x\", \"name\": \"web\", \"_rev\": \"1-a\", \"x-y\": 1}",
        ),
        (
            "{image: x, command: a 'b c'}",
            "{image: x, service_args: [a, b c]}",
        ),
        (
            "{image: x, environment: [B=2, A]}",
            "{image: x, environment: {A: , B: 2}}",
        ),
        ("{image: x, labels: {a: }}", "{image: x, labels: [a=]}"),
        (
            "{image: x, mem_limit: 64m}",
            "{image: x, mem_limit: 67108864}",
        ),
        ("{image: x, drain: 90}", "{image: x, drain: 1m30s}"),
        (
            "{image: x, ports: ['1-2:1-2/tcp']}",
            "{image: x, ports: ['1:1', {target: 2, published: 2}]}",
        ),
        (
            "{image: x, volumes: [/a/:/b:rw]}",
            "{image: x, volumes: [{source: /a, target: /b}]}",
        ),
        (
            "{image: x, ulimits: {nofile: 9}}",
            "{image: x, ulimits: {nofile: {soft: 9, hard: 9}}}",
        ),
        (
            "{image: x, healthcheck: {disable: true}}",
            "{image: x, health_check: none}",
        ),
        (
            "{image: x, port: 1, health_check: tcp}",
            "{image: x, port: '1', health_check: {tcp: {fall: 3}}}",
        ),
        (
            "{image: x, update: {auto_revert: true}}",
            "{image: x, update: {max_parallel: 1}}",
        ),
        (
            "{image: x, publish: [{service: Web}]}",
            "{image: x, publish: [{service: web, scope: instance}]}",
        ),
    ] {
        assert_eq!(
            definition(one).canonical(),
            definition(other).canonical(),
            "{one}"
        );
    }
}

#[test]
fn what_means_something_else_is_another_one() {
    let texts = [
        "{image: x}",
        "{image: y}",
        "{image: x, port: 1}",
        "{image: x, init: true}",
        "{image: x, environment: {A: }}",
        "{image: x, environment: {A: ''}}",
        "{image: x, command: []}",
        "{image: x, volumes: [/a, /b]}",
        "{image: x, volumes: [/b, /a]}",
        "{image: x, update: {auto_revert: false}}",
        "{image: x, health_check: none}",
        // For whichever tree, and for one only.
        "{image: x, publish: [elb/us-east-1/web/multiple/i-01234567]}",
        "{image: x, publish: [/lbManager/elb/us-east-1/web/multiple/i-01234567]}",
    ];
    let mut digests: Vec<_> = texts.iter().map(|text| definition(text).sha256()).collect();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), texts.len());
}

#[test]
fn the_fixtures_are_what_their_canonical_forms_say() {
    for (name, text) in RIGHT {
        let web = definition(text);
        assert_eq!(definition(&web.canonical()), web, "{name}");
        assert_eq!(definition(&web.pretty()), web, "{name}");
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,6}",
        "\\PC{1,12}",
        "[0-9.:#'\"\\\\\n {}\\[\\]$]{1,8}"
    ]
}

fn key_of(target: usize) -> Value {
    [
        json!("/lbManager/elb/us-east-1/web/multiple/$INSTANCE_ID"),
        json!({"key": "ipvs/$HOSTNAME/10.0.0.1:80/single/$CONTAINER_IP:${PORT}", "options": {"weight": 3}}),
        json!({"key": "/lbManager/route53/global/Z1/a.example/multiple/$HOST_IP", "scope": "service"}),
        json!({"key": "/lbManager/elbv2/eu-west-1/web/multiple/$CONTAINER_IP", "routed": true}),
        json!({"service": "web", "info": {"at": "$HOSTNAME$$x"}}),
    ][target].clone()
}

fn health() -> impl Strategy<Value = Value> {
    let timing = (1..100_u32, 1..9_u16, any::<bool>());
    (
        select(vec!["http", "tcp", "up", "exec", "image", "none"]),
        timing,
    )
        .prop_map(|(kind, (interval, fall, short))| match kind {
            "none" => json!("none"),
            "exec" => json!({"exec": {"command": ["a", "b c"], "fall": fall}}),
            kind if short => json!(kind),
            kind => {
                let interval = format!("{interval}s");
                json!({kind: {"interval": interval, "fall": fall}})
            }
        })
}

/// Keys with values that are right, each there or not.
fn documents() -> impl Strategy<Value = Map<String, Value>> {
    let some = |value: Value, there: bool| there.then_some(value);
    let first = (
        any::<[bool; 8]>(),
        1..u16::MAX,
        btree_map("[A-Z_]{1,5}", proptest::option::of(text()), 0..4),
        vec(text(), 0..3),
        health(),
        vec(0..5_usize, 0..4),
        1..1000_u32,
        select(vec!["missing", "always", "never"]),
    );
    first.prop_map(
        move |(there, port, environment, command, health, targets, drain, pull)| {
            let mut targets = targets;
            targets.sort_unstable();
            targets.dedup();
            let publish: Vec<Value> = targets.into_iter().map(key_of).collect();
            let fields = [
                ("image", Some(json!("registry.example/web:1"))),
                ("port", Some(json!(port))),
                ("environment", some(json!(environment), there[0])),
                ("command", some(json!(command), there[1])),
                ("health_check", some(health, there[2])),
                ("publish", some(json!(publish), there[3])),
                ("drain", some(json!(drain), there[4])),
                ("pull_policy", some(json!(pull), there[5])),
                (
                    "volumes",
                    some(json!(["/a:/b:ro", "data:/c", "/d"]), there[6]),
                ),
                (
                    "update",
                    some(
                        json!({"max_parallel": drain, "min_healthy_time": "1s"}),
                        there[7],
                    ),
                ),
            ];
            let fields = fields.into_iter();
            fields
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect()
        },
    )
}

/// What anybody may write out, because it is the default.
fn defaults() -> Vec<(&'static str, Value)> {
    vec![
        ("stop_grace_period", json!("10s")),
        ("init", json!(false)),
        ("ports", json!([])),
        ("labels", json!({})),
        ("user", Value::Null),
        ("mem_limit", Value::Null),
        ("oom_score_adj", json!(0)),
        ("monitor", json!({"check_http": []})),
        ("tmpfs", json!([])),
    ]
}

fn written_defaults() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    let defaults = defaults();
    let most = defaults.len();
    subsequence(defaults, 0..=most)
}

/// The document in YAML, its keys in this order.
fn yaml(fields: &[(String, Value)]) -> String {
    let line = |(name, value): &(String, Value)| format!("{name}: {value}\n");
    fields.iter().map(line).collect()
}

proptest! {
    #[test]
    fn what_is_printed_is_read_again(document in documents()) {
        let web = definition(&Value::Object(document).to_string());
        prop_assert_eq!(&definition(&web.canonical()), &web);
        prop_assert_eq!(definition(&web.pretty()).canonical(), web.canonical());
    }

    #[test]
    fn order_language_and_written_defaults_do_not_matter(
        document in documents(),
        fields in written_defaults(),
        seed in any::<u64>(),
    ) {
        let json = definition(&Value::Object(document.clone()).to_string());
        let mut entries: Vec<(String, Value)> = document.into_iter().collect();
        entries.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let order = |name: &str| {
            let bytes = name.bytes();
            bytes.fold(seed, |hash, byte| hash.rotate_left(7).wrapping_mul(31) ^ u64::from(byte))
        };
        entries.sort_by_key(|(name, _)| order(name));
        prop_assert_eq!(definition(&yaml(&entries)).canonical(), json.canonical());
    }
}
