//! Each message as it is shown.

use launcher::definition::{Document, parse};
use presence::keys::Tree;
use proptest::prelude::*;

use super::fixtures::{RIGHT, WITHOUT_KEY, problems};

#[test]
fn a_key_that_was_forgotten_is_named() {
    assert_eq!(
        problems(WITHOUT_KEY),
        [
            "12:3: \"nginx:latest\" has no key before it; did you mean \"image\": \
             \"nginx:latest\"?"
        ]
    );
}

/// A document of one line, and what is said of it.
#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(problems(text), [*expected], "{text}");
    }
}

#[test]
fn keys() {
    check(&[
        (
            "{}",
            "1:1: image: is missing: write the image that is to run",
        ),
        ("[x]", "1:1: a mapping of keys is expected, a list is found"),
        (
            "{image: x, volume: [/a]}",
            "1:12: unknown key \"volume\"; did you mean \"volumes\"?",
        ),
        (
            "{image: x, zebra: 1}",
            "1:12: unknown key \"zebra\"; `launcher schema` lists what is known",
        ),
        (
            "{image: x, update: {max_paralel: 1}}",
            "1:21: update: unknown key \"max_paralel\"; did you mean \"max_parallel\"?",
        ),
        (
            "{image: x, monitor: {check_exe: []}}",
            "1:22: monitor: unknown key \"check_exe\"; known here: check_http",
        ),
        (
            "{image: x, depends_on: [db]}",
            "1:12: \"depends_on\" is no key of a definition; systemd orders services: Wants= and After= in the unit",
        ),
        (
            "services: {web: {image: x}}",
            "1:1: \"services\" is no key of a definition; this is a compose file; a definition is what is below services.NAME",
        ),
        (
            "{image: x, name: a, _id: b}",
            "1:26: _id: \"a\" is expected, as name says; \"b\" is found",
        ),
        (
            "{image: x, name: a/b}",
            "1:18: name: service name \"a/b\" is not valid: 1 to 100 of A-Z a-z 0-9 . _ - are expected, the first a letter or digit",
        ),
        (
            "{image: x, command: [a], service_args: [b]}",
            "1:26: service_args is another name of command, which is at 1:12",
        ),
    ]);
}

#[test]
fn values() {
    check(&[
        (
            "image: Nginx",
            "1:8: image: \"Nginx\" is no name of an image: its name is in lower case",
        ),
        (
            "image: [x]",
            "1:8: image: a text is expected, a list is found",
        ),
        (
            "{image: x, command: {a: b}}",
            "1:21: command: a command as a text, or as a list of words is expected, a mapping of keys is found",
        ),
        (
            "{image: x, command: \"a 'b\"}",
            "1:21: command: \"a 'b\" cannot be split into words: a quote or a backslash is open",
        ),
        (
            "{image: x, environment: [=a]}",
            "1:25: environment: \"\" is no name: it is not empty, and holds no = and no NUL",
        ),
        (
            "{image: x, environment: {A: [b]}}",
            "1:29: environment.A: a text is expected, a list is found",
        ),
        (
            "{image: x, environment: {A: \"a\\0\"}}",
            "1:29: environment.A: the text holds a NUL character, which no program can be given",
        ),
        (
            "{image: x, pull_policy: sometimes}",
            "1:25: pull_policy: one of if_not_present, missing, always, never is expected, sometimes is found",
        ),
        (
            "{image: x, port: 0}",
            "1:18: port: \"0\" is no port: a number from 1 to 65535 is expected",
        ),
        (
            "{image: x, ports: [\"8080:x\"]}",
            "1:20: ports[0]: \"8080:x\" maps no port: \"x\" is no port and no range of ports from 1 to 65535; [HOST_IP:][PUBLISHED:]TARGET[/PROTOCOL] is expected, such as 8080:80",
        ),
        (
            "{image: x, ports: [{target: 80, publish: 1}]}",
            "1:33: ports[0]: unknown key \"publish\"; did you mean \"published\"?",
        ),
        (
            "{image: x, volumes: [\"a b:/c\"]}",
            "1:22: volumes[0]: \"a b:/c\" is no volume: its source \"a b\" is no absolute path of the host, and no name of a volume: letters, digits and . _ - after the first",
        ),
        (
            "{image: x, volumes: [{type: bind, target: /a}]}",
            "1:22: volumes[0]: type: bind needs a source that is an absolute path of the host",
        ),
        (
            "{image: x, volumes: [/a, \"/b:/a\"]}",
            "1:26: volumes[1]: something is mounted at \"/a\" already",
        ),
    ]);
}

#[test]
fn limits_and_the_rest() {
    check(&[
        (
            "{image: x, mem_limit: much}",
            "1:23: mem_limit: \"much\" is no amount of memory: write bytes, or 512k, 64m, 1.5g",
        ),
        (
            "{image: x, mem_limit: 1m}",
            "1:23: mem_limit: 1048576 bytes are below 6m, the least that Docker takes",
        ),
        (
            "{image: x, cpus: 0}",
            "1:18: cpus: 0 is below 0.01, the least that Docker takes",
        ),
        (
            "{image: x, pids_limit: 0}",
            "1:24: pids_limit: 0 is not above 0, and not -1 for no limit",
        ),
        (
            "{image: x, oom_score_adj: 2000}",
            "1:27: oom_score_adj: 2000 is not from -1000 to 1000",
        ),
        (
            "{image: x, ulimits: {nofiles: 1}}",
            "1:31: ulimits.nofiles: there is no such limit; did you mean \"nofile\"?",
        ),
        (
            "{image: x, ulimits: {nofile: {soft: 2, hard: 1}}}",
            "1:30: ulimits.nofile: soft 2 and hard 1 are no limits: numbers from 0 are expected, or -1 for none, and soft not above hard",
        ),
        (
            "{image: x, stop_signal: SIGNONE}",
            "1:25: stop_signal: \"SIGNONE\" is no signal: SIGTERM, 15 or SIGRTMIN+3, for example, is expected",
        ),
        (
            "{image: x, drain: soon}",
            "1:19: drain: \"soon\" is no duration: write 1m30s, 500ms or bare seconds",
        ),
        (
            "{image: x, drain: 2d}",
            "1:19: drain: 2days is above 1day, the longest that is allowed",
        ),
        (
            "{image: x, labels: {launcher.name: y}}",
            "1:36: labels.launcher.name: labels that begin with launcher. are launcher's own",
        ),
        (
            "{image: x, env_file: env}",
            "1:22: env_file[0]: its path \"env\" is no absolute path",
        ),
        (
            "{image: x, network_mode: mine}",
            "1:26: network_mode: \"mine\" is none of bridge, host, none, container:NAME; networks of a name go below networks",
        ),
        (
            "{image: x, network_mode: host, ports: [80]}",
            "1:39: ports: no port is mapped with network_mode: host; leave them out",
        ),
        (
            "{image: x, pid: mine}",
            "1:17: pid: \"mine\" is none of host, container:NAME",
        ),
        (
            "{image: x, uts: 'container:x'}",
            "1:17: uts: \"container:x\" is none of host",
        ),
        (
            "{image: x, working_dir: web}",
            "1:25: working_dir: \"web\" is no absolute path",
        ),
        (
            "{image: x, build: {context: /a, dockerfile: ../b}}",
            "1:45: build.dockerfile: \"../b\" is no path within context",
        ),
        (
            "{image: x, sysctls: [net.core.somaxconn]}",
            "1:21: sysctls.net.core.somaxconn: it has no value",
        ),
        (
            "{image: x, update: {healthy_deadline: 5s}}",
            "1:39: update.healthy_deadline: 5s is not above min_healthy_time, 10s",
        ),
    ]);
}

#[test]
fn health() {
    check(&[
        (
            "{image: x, health_check: ping}",
            "1:26: health_check: one of http, tcp, up, exec, image, none is expected, ping is found",
        ),
        (
            "{image: x, health_check: htp}",
            "1:26: health_check: one of http, tcp, up, exec, image, none is expected, htp is found; did you mean \"http\"?",
        ),
        (
            "{image: x, health_check: {tcp: , up: }}",
            "1:26: health_check: exactly one of http, tcp, up, exec, image, none is expected, a mapping of keys is found",
        ),
        (
            "{image: x, health_check: {}}",
            "1:26: health_check: exactly one of http, tcp, up, exec, image, none is expected, a mapping of keys is found",
        ),
        (
            "{image: x, health_check: {htp: }}",
            "1:27: health_check: unknown key \"htp\"; did you mean \"http\"?",
        ),
        (
            "{image: x, health_check: http}",
            "1:26: health_check.http: there is no port to ask: write port, here or for the whole service",
        ),
        (
            "{image: x, health_check: exec}",
            "1:26: health_check: a command as a list of words or a text, or a mapping with command, is expected, nothing is found",
        ),
        (
            "{image: x, health_check: {exec: []}}",
            "1:33: health_check.exec: a command is expected: it has no word",
        ),
        (
            "{image: x, port: 80, health_check: {http: {status: 2xx}}}",
            "1:52: health_check.http.status: \"2xx\" names no status codes: codes from 100 to 599 are expected, such as 200-299 or 200,204",
        ),
        (
            "{image: x, port: 80, health_check: {http: {path: x}}}",
            "1:50: health_check.http.path: \"x\" is no path of a URL: it begins with a slash and has no spaces",
        ),
        (
            "{image: x, port: 80, health_check: {tcp: {interval: 10ms}}}",
            "1:53: health_check.tcp.interval: 10ms is below 100ms, the shortest that is allowed",
        ),
        (
            "{image: x, port: 80, network_mode: none, health_check: tcp}",
            "1:56: health_check.tcp: without a network nothing can be asked: write exec, image or none",
        ),
        (
            "{image: x, healthcheck: {test: [PING]}}",
            "1:32: healthcheck.test: a test is [CMD, PROGRAM, ARGUMENTS…], [CMD-SHELL, COMMAND] or [NONE]",
        ),
        (
            "{image: x, healthcheck: {interval: 0}}",
            "1:25: healthcheck: 0s is below 100ms, the shortest that is allowed",
        ),
        (
            "{image: x, health_check: image, healthcheck: {interval: 5s}}",
            "1:46: healthcheck: health_check is given as well; write one of both",
        ),
        (
            "{image: x, port: 80, monitor: {check_http: [{frequency: 5}]}}",
            "1:45: monitor.check_http[0]: \"path\" is missing",
        ),
        (
            "{image: x, network_mode: none, monitor: {check_http: [{path: /}]}}",
            "1:55: monitor.check_http[0]: without a network no page can be asked for; leave it out",
        ),
        (
            "{image: x, monitor: {check_http: [{path: /, expected: {body: a, body_file: /a}}]}}",
            "1:55: monitor.check_http[0].expected: body and body_file are given; write one of both",
        ),
    ]);
}

#[test]
fn targets() {
    check(&[
        (
            "{image: x, publish: [/elb/us-east-1/web/multiple/i-01234567]}",
            "1:22: publish[0]: invalid key \"/elb/us-east-1/web/multiple/i-01234567\": expected \"elb/us-east-1/web/multiple/i-01234567\", or the prefix before it",
        ),
        (
            "{image: x, publish: [lbManager/elb/us-east-1/web/multiple/i-01234567]}",
            "1:22: publish[0]: key \"lbManager/elb/us-east-1/web/multiple/i-01234567\": type \"lbManager\" is not valid: one of elb, elbv2, route53, ipvs is expected",
        ),
        (
            "{image: x, publish: [elb/us-east-1/web/config]}",
            "1:22: publish[0]: \"elb/us-east-1/web/config\" is the key of options, not of a member",
        ),
        (
            "{image: x, publish: [/lbManager/alb/us-east-1/web/multiple/i-01234567]}",
            "1:22: publish[0]: key \"/lbManager/alb/us-east-1/web/multiple/i-01234567\": type \"alb\" is not valid: one of elb, elbv2, route53, ipvs is expected",
        ),
        (
            "{image: x, publish: [/launcher/elb/us-east-1/web/multiple/i-01234567]}",
            "1:22: publish[0]: prefix \"/launcher/\" is not valid: /launcher/ holds other keys of the scheme; choose another",
        ),
        (
            "{image: x, publish: [/web]}",
            "1:22: publish[0]: invalid key \"/web\": expected TYPE/REGION/NAME/CLASS/MEMBER",
        ),
        (
            "{image: x, publish: [/lbManager/elb/us-east-1/web/$INSTANCE_ID]}",
            "1:22: publish[0]: key \"/lbManager/elb/us-east-1/web/i-0123456789abcdef0\" has 4 segments below the prefix; <type>/<region>/<name>/<class>/<member> or <type>/<region>/<name>/config is expected (with $INSTANCE_ID i-0123456789abcdef0 for example)",
        ),
        (
            "{image: x, publish: [/lbManager/elb/us-east-1/web/config]}",
            "1:22: publish[0]: \"/lbManager/elb/us-east-1/web/config\" is the key of options, not of a member",
        ),
        (
            "{image: x, publish: [/lbManager/elb/us-east-1/web/multiple/$HOST_IP]}",
            "1:22: publish[0]: key \"/lbManager/elb/us-east-1/web/multiple/192.0.2.1\": member \"192.0.2.1\" is not valid: an EC2 instance ID is expected: i- and 8 to 17 hexadecimal digits (with $HOST_IP 192.0.2.1 for example)",
        ),
        (
            "{image: x, publish: [/lbManager/elb/us-east-1/web/multiple/$INSTANCE]}",
            "1:22: publish[0]: $INSTANCE is no variable, did you mean $INSTANCE_ID?; known are $INSTANCE_ID $HOST_IP $HOST_PORT $CONTAINER_IP $PORT $HOSTNAME",
        ),
        (
            "{image: x, publish: [{scope: service}]}",
            "1:22: publish[0]: exactly one of key, service is expected",
        ),
        (
            "{image: x, publish: [{service: web, options: {}}]}",
            "1:22: publish[0]: options is for a target with key",
        ),
        (
            "{image: x, publish: [{service: a b}]}",
            "1:32: publish[0].service: label \"a b\" is not valid: 1 to 128 of a-z 0-9 . _ - are expected",
        ),
        (
            "{image: x, publish: [{key: /lbManager/elb/us-east-1/web/multiple/$INSTANCE_ID, options: {wieght: 1}}]}",
            "1:22: publish[0]: options.wieght is no option of a member, did you mean \"weight\"?; known are weight, forward, upper_threshold, lower_threshold",
        ),
        (
            "{image: x, publish: [{key: /lbManager/elb/us-east-1/web/multiple/$INSTANCE_ID, options: {weight: x}}]}",
            "1:22: publish[0]: options.weight is \"x\", but a whole number from 0 to 65535 is expected",
        ),
        (
            "{image: x, publish: [{key: /lbManager/elb/us-east-1/web/multiple/$INSTANCE_ID, options: {forward: masq}}]}",
            "1:22: publish[0]: options.forward is for ipvs; a member of elb has no such option",
        ),
        (
            "{image: x, publish: [{key: /lbManager/elb/us-east-1/web/multiple/$INSTANCE_ID, options: {ready: true}}]}",
            "1:22: publish[0]: options.ready is launcher's own to write",
        ),
        (
            "{image: x, publish: [/lbManager/ipvs/$HOSTNAME/10.0.0.1:80/multiple/$HOST_IP:$PORT]}",
            "1:22: publish[0]: $PORT is not known; write port, the one that the service listens at",
        ),
        (
            "{image: x, port: 80, publish: [/lbManager/ipvs/edge/10.0.0.1:80/multiple/$CONTAINER_IP:$PORT]}",
            "1:32: publish[0]: $CONTAINER_IP is not reached from other hosts, and the region is not $HOSTNAME, the host's own; write $HOST_IP:$HOST_PORT, or routed: true if its network is routed",
        ),
        (
            "{image: x, port: 80, network_mode: host, publish: [/lbManager/ipvs/$HOSTNAME/10.0.0.1:80/multiple/$CONTAINER_IP:$PORT]}",
            "1:52: publish[0]: there is no $CONTAINER_IP with network_mode: host; write $HOST_IP:$PORT: the container listens at the host's addresses",
        ),
        (
            "{image: x, port: 80, publish: [{key: /lbManager/ipvs/edge/10.0.0.1:80/multiple/$HOST_IP:$HOST_PORT, scope: service}]}",
            "1:32: publish[0]: $HOST_PORT is another one for each instance, and scope: service is for all of them; write $HOST_IP and a port of the host that is fixed in ports",
        ),
        (
            "{image: x, publish: [{service: a}, {service: A}]}",
            "1:36: publish[1]: publish[0] is the same already",
        ),
        (
            "{image: x, publish: [elb/us-east-1/web/multiple/i-01234567, /lbManager/elb/us-east-1/web/multiple/i-01234567]}",
            "1:61: publish[1]: publish[0] is the same already",
        ),
    ]);
}

#[test]
fn targets_outside_of_the_tree() {
    let own = "{image: x, publish: [elb/us-east-1/web/multiple/$INSTANCE_ID, \
               /two/elb/us-east-1/web/multiple/i-01234567, \
               {key: /two/ipvs/edge/10.0.0.1:80/single/$HOST_IP:80}]}";
    let document = Document::parse(own).unwrap();
    let outside = |prefix: &str| {
        let tree = Tree::new(prefix).unwrap();
        let problems = document.outside(&tree).into_iter();
        problems
            .map(|problem| problem.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(outside("/two"), [""; 0]);
    assert_eq!(
        outside("/lbManager"),
        [
            "1:63: publish[1]: invalid key \"/two/elb/us-east-1/web/multiple/i-01234567\": expected a key below \"/lbManager/\"; write it relative to the prefix: elb/us-east-1/web/multiple/i-01234567",
            "1:107: publish[2]: invalid key \"/two/ipvs/edge/10.0.0.1:80/single/$HOST_IP:80\": expected a key below \"/lbManager/\"; write it relative to the prefix: ipvs/edge/10.0.0.1:80/single/$HOST_IP:80",
        ]
    );
    // /tw is not a prefix of the path, only of its text.
    assert_eq!(outside("/tw").len(), 2);
}

#[test]
fn options_of_docker_create() {
    check(&[(
        "{image: x, container_create_args: {a: b}}",
        "1:35: container_create_args: a list of words, or a text, is expected, a mapping of keys is found",
    )]);
    assert_eq!(
        problems("{image: x, container_create_args: [--name=a, --zebra=1, --restart, -e]}"),
        [
            "1:36: container_create_args: \"--name=a\" is no option that is known here; launcher \
             names its containers itself",
            "1:46: container_create_args: \"--zebra=1\" is no option that is known here; leave it \
             out, or write the key that is the same",
            "1:57: container_create_args: \"--restart\" is no option that is known here; systemd \
             starts it again: Restart= in the unit",
            "1:68: container_create_args: -e has no value",
        ]
    );
    check(&[
        (
            "{image: x, user: a, container_create_args: [-u, b]}",
            "1:49: container_create_args: user is said at 1:12 already",
        ),
        (
            "{image: x, container_create_args: [-v, x]}",
            "1:40: volumes[0]: \"x\" is no volume: its target \"x\" is no absolute path",
        ),
        (
            "{image: x, container_create_args: \"-v 'a\"}",
            "1:35: container_create_args: \"-v 'a\" has an open quote or backslash",
        ),
    ]);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[ \\PC\n]*") {
        let _ = parse(&text);
    }

    #[test]
    fn a_document_that_was_damaged_is_read_or_refused(
        which in 0..RIGHT.len(),
        place in any::<prop::sample::Index>(),
        cut in 0..8_usize,
        put in "\\PC{0,4}",
    ) {
        let text: Vec<char> = RIGHT[which].1.chars().collect();
        let start = place.index(text.len());
        let end = (start + cut).min(text.len());
        let damaged: String = text[..start].iter().copied().chain(put.chars())
            .chain(text[end..].iter().copied()).collect();
        if let Err(problems) = parse(&damaged) {
            prop_assert!(!problems.is_empty());
            let lines = damaged.lines().count() + 1;
            prop_assert!(problems.iter().all(|problem| (1..=lines).contains(&problem.at.line)));
        }
    }
}
