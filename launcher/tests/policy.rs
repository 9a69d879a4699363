//! Definitions that ask for too much, and policies that allow it.

use launcher::definition::{Definition, parse};
use launcher::policy::Policy;

fn definition(text: &str) -> Definition {
    parse(text)
        .unwrap_or_else(|problems| panic!("{text}: {problems:?}"))
        .definition
}

fn refused(policy: &Policy, text: &str) -> Vec<String> {
    let refusals = policy.refusals(&definition(text));
    refusals.iter().map(ToString::to_string).collect()
}

/// What a definition asks for, what is said of that, and the policy that allows it.
const CASES: [(&str, &str, &str); 24] = [
    (
        "privileged: true",
        "privileged: it may do all that the host may; privileged: true allows it",
        "privileged: true",
    ),
    (
        "network_mode: host",
        "network_mode: \"host\" is not its own; namespaces: [network] allows it",
        "namespaces: [network]",
    ),
    (
        "network_mode: container:x",
        "network_mode: \"container:x\" is not its own; namespaces: [network] allows it",
        "namespaces: [network]",
    ),
    (
        "pid: host",
        "pid: \"host\" is not its own; namespaces: [pid] allows it",
        "namespaces: [pid]",
    ),
    (
        "pid: container:x",
        "pid: \"container:x\" is not its own; namespaces: [pid] allows it",
        "namespaces: [pid]",
    ),
    (
        "ipc: host",
        "ipc: \"host\" is not its own; namespaces: [ipc] allows it",
        "namespaces: [ipc]",
    ),
    (
        "uts: host",
        "uts: \"host\" is not its own; namespaces: [uts] allows it",
        "namespaces: [uts]",
    ),
    (
        "userns_mode: host",
        "userns_mode: \"host\" is not its own; namespaces: [user] allows it",
        "namespaces: [user]",
    ),
    (
        "cap_add: [NET_ADMIN]",
        "cap_add[0]: \"NET_ADMIN\" is not allowed; capabilities allows it by its name",
        "capabilities: [cap_net_admin]",
    ),
    (
        "devices: ['/dev/fuse:/dev/fuse']",
        "devices[0]: \"/dev/fuse:/dev/fuse\" is not allowed; devices allows it by its name",
        "devices: [/dev/fuse]",
    ),
    (
        "security_opt: [seccomp=unconfined]",
        "security_opt[0]: \"seccomp=unconfined\" is not allowed; security_options allows it by its name",
        "security_options: [seccomp=unconfined]",
    ),
    (
        "runtime: mine",
        "runtime[0]: \"mine\" is not allowed; runtimes allows it by its name",
        "runtimes: [mine]",
    ),
    (
        "volumes: ['/var/run/docker.sock:/s:ro']",
        "volumes[0]: Docker's socket is reached by \"/var/run/docker.sock\"; docker_socket: true allows it",
        "docker_socket: true",
    ),
    (
        "volumes: ['/run:/s:ro']",
        "volumes[0]: Docker's socket is reached by \"/run\"; docker_socket: true allows it",
        "docker_socket: true",
    ),
    (
        "volumes: ['/:/host:ro']",
        "volumes[0]: Docker's socket is reached by \"/\"; docker_socket: true allows it",
        "docker_socket: true",
    ),
    (
        "volumes: ['//etc/./cron.d:/x']",
        "volumes[0]: \"/etc/cron.d\" is of the system, and mounted for writing; mount it with :ro, or add it to system_paths",
        "system_paths: [/etc/cron.d]",
    ),
    (
        "env_file: //etc/shadow",
        "env_file[0]: \"/etc/shadow\" is of the system; add it to volumes",
        "volumes: [/etc]",
    ),
    (
        "build: {context: /root}",
        "build.context: \"/root\" is of the system; add it to volumes",
        "volumes: [/root]",
    ),
    (
        "{port: 80, monitor: {check_http: [{path: /, expected: {body_file: /etc/shadow}}]}}",
        "monitor.check_http[0].expected.body_file: \"/etc/shadow\" is of the system; add it to volumes",
        "volumes: [/etc/shadow]",
    ),
    (
        "environment: [ETCDCTL_PASSWORD]",
        "environment.ETCDCTL_PASSWORD: without a value it is launcher's own; environment allows it by its name",
        "environment: [ETCDCTL_PASSWORD]",
    ),
    (
        "container_create_args: --privileged",
        "privileged: it may do all that the host may; privileged: true allows it",
        "privileged: true",
    ),
    (
        "container_create_args: -v /var/run/docker.sock:/s",
        "volumes[0]: Docker's socket is reached by \"/var/run/docker.sock\"; docker_socket: true allows it",
        "{docker_socket: true, system_paths: [/var/run]}",
    ),
    (
        "volumes: ['/home/me:/x']",
        "volumes[0]: \"/home/me\" is of the system, and mounted for writing; mount it with :ro, or add it to system_paths",
        "system_paths: [/home/]",
    ),
    (
        "volumes: ['/var:/x']",
        "volumes[0]: Docker's socket is reached by \"/var\"; docker_socket: true allows it",
        "{docker_socket: true, system_paths: [/var]}",
    ),
];

fn with_image(asked: &str) -> String {
    match asked.strip_prefix('{') {
        Some(rest) => format!("{{image: x, {rest}"),
        None => format!("image: x\n{asked}"),
    }
}

#[test]
fn what_is_not_allowed_is_refused_until_it_is() {
    for (asked, message, allowing) in CASES {
        let text = with_image(asked);
        let refusals = refused(&Policy::default(), &text);
        assert_eq!(
            refusals.first().map(String::as_str),
            Some(message),
            "{asked}"
        );
        let policy = Policy::parse(allowing).unwrap();
        assert_eq!(refused(&policy, &text), [""; 0], "{asked}");
    }
}

#[test]
fn what_is_harmless_is_allowed() {
    for asked in [
        "port: 80",
        "volumes: ['/srv/web:/web', '/etc/ssl:/ssl:ro', 'data:/data', '/anonymous']",
        "security_opt: [no-new-privileges]",
        "cap_drop: [ALL]",
        "environment: {A: b}",
        "env_file: /srv/web/env",
        "network_mode: none",
        "ipc: private",
    ] {
        assert_eq!(
            refused(&Policy::default(), &with_image(asked)),
            [""; 0],
            "{asked}"
        );
    }
}

#[test]
fn lists_say_what_alone_is_allowed() {
    let policy =
        Policy::parse("images: ['registry.example/*', nginx]\nvolumes: [/srv/web, 'cache-*']\n")
            .unwrap();
    let fine = "image: registry.example/web:1\nvolumes: ['/srv/web/a:/a', 'cache-1:/c']\n";
    assert_eq!(refused(&policy, fine), [""; 0]);
    let wrong = "image: evil/nginx\nvolumes: ['/srv/web2:/a', 'data:/b']\nenv_file: /srv/env\n";
    assert_eq!(
        refused(&policy, wrong),
        [
            "image: \"evil/nginx\" is none of images: registry.example/*, nginx",
            "volumes[0]: \"/srv/web2\" is none of volumes: /srv/web, cache-*",
            "volumes[1]: \"data\" is none of volumes: /srv/web, cache-*",
            "env_file[0]: \"/srv/env\" is none of volumes: /srv/web, cache-*",
        ]
    );
}

#[test]
fn a_policy_with_a_slip_is_refused() {
    for (text, message) in [
        (
            "priviledged: true",
            "1:1: unknown key \"priviledged\"; did you mean \"privileged\"?",
        ),
        (
            "namespaces: [mount]",
            "1:14: namespaces[0]: one of network, pid, ipc, uts, user is expected, mount is found",
        ),
        (
            "docker_socket: yes",
            "1:16: docker_socket: true or false is expected, yes is found",
        ),
    ] {
        let problems = Policy::parse(text).unwrap_err();
        assert_eq!(problems[0].to_string(), message);
    }
}

#[test]
fn the_page_lists_every_key() {
    let page = testbed::documents::one("docs/policy.md").unwrap();
    let schema = schemars::schema_for!(Policy);
    let keys = schema
        .get("properties")
        .and_then(|keys| keys.as_object())
        .unwrap();
    assert_eq!(keys.len(), 11);
    for key in keys.keys() {
        assert!(
            page.contains(&format!("| `{key}` |")),
            "docs/policy.md lacks {key}"
        );
    }
}
