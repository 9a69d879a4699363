use std::time::Duration;

use launcher::definition::{
    HealthCheck, KeyTemplate, NetworkMode, Port, PullPolicy, Source, Target, UrlPath, Values,
};

use presence::keys::Tree;

use super::fixtures::{RIGHT, definition, parsed};

fn fixture(name: &str) -> &'static str {
    RIGHT.iter().find(|(known, _)| *known == name).unwrap().1
}

#[test]
fn what_is_left_out_has_its_default() {
    let web = definition("image: nginx");
    assert_eq!(web.pull_policy, PullPolicy::Missing);
    assert_eq!(web.drain.0, Duration::from_secs(30));
    assert_eq!(web.stop_grace_period.0, Duration::from_secs(10));
    let update = &web.update;
    assert_eq!((update.max_parallel.get(), update.auto_revert), (1, true));
    assert_eq!(update.min_healthy_time.0, Duration::from_secs(10));
    assert_eq!(update.healthy_deadline.0, Duration::from_mins(5));
    assert!(web.health_check.is_none() && web.publish.is_empty());
}

#[test]
fn the_full_form_is_read() {
    let web = definition(fixture("full.yaml"));
    let Some(HealthCheck::Http(check)) = &web.health_check else {
        panic!("{:?}", web.health_check);
    };
    assert_eq!(check.path.as_str(), "/healthz");
    assert_eq!(check.timing().start_timeout.0, Duration::from_mins(5));
    let values = Values {
        instance_id: Some("i-0123abcd".to_owned()),
        host_ip: None,
        host_port: None,
        container_ip: "172.18.0.5".parse().ok(),
        port: Some(80),
        hostname: "host-1".parse().unwrap(),
    };
    let keys: Vec<String> = web
        .publish
        .iter()
        .filter_map(|target| match target {
            Target::Member(target) => Some(target.key.resolve(&values).unwrap().to_string()),
            Target::Service(_) => None,
        })
        .collect();
    assert_eq!(
        keys,
        [
            "elb/us-east-1/webserversLB/multiple/i-0123abcd",
            "ipvs/host-1/172.18.0.1:7001/multiple/172.18.0.5:80",
        ]
    );
}

#[test]
fn compose_s_words_mean_what_they_mean_there() {
    let api = definition(fixture("compose.yaml"));
    let variable = |name: &str| api.environment.0[name].as_deref();
    assert_eq!(variable("TZ"), Some("UTC"), "by a merge key");
    assert_eq!(variable("RATE"), Some("1.10"), "as it is spelled");
    assert_eq!(variable("GREETING"), Some("line one\nline \"two\" \\ end"));
    assert_eq!(variable("TOKEN"), None, "from launcher's own environment");
    let command = api.command.as_ref().unwrap();
    assert_eq!(command.0, ["api", "--listen", ":8000", "--name", "the api"]);
    let Some(HealthCheck::Exec(check)) = &api.health_check else {
        panic!("{:?}", api.health_check);
    };
    assert_eq!(check.0.command.0, ["api", "check"]);
    let timing = check.0.timing();
    assert_eq!(
        (timing.interval.0, timing.timeout.0),
        (Duration::from_secs(10), Duration::from_secs(30))
    );
    assert_eq!(timing.fall.get(), 5);
    assert_eq!(timing.start_timeout.0, Duration::from_secs(60 + 5 * 10));
    assert_eq!(api.mem_limit.unwrap().0, 512 << 20);
    assert!(api.volumes[0].read_only);
    assert_eq!(api.volumes[1].source, Source::Volume("cache".to_owned()));
    assert_eq!(api.labels.0["team"].as_deref(), Some("api"));
}

#[test]
fn the_prior_systems_documents_are_read() {
    let shop = parsed(fixture("couchdb.json"));
    assert_eq!(shop.name.unwrap().as_str(), "shop");
    assert_eq!(shop.definition.port, Some(Port(8080)));
    assert!(matches!(
        shop.definition.health_check,
        Some(HealthCheck::Http(_))
    ));
    let pages = parsed(fixture("runner.yaml"));
    assert_eq!(pages.name.unwrap().as_str(), "pages");
    let pages = pages.definition;
    assert_eq!(
        pages.volumes[0].to_string(),
        "/srv/pages:/usr/share/nginx/html:ro"
    );
    assert_eq!(pages.environment.0["COLOUR"].as_deref(), Some("green"));
    assert_eq!(
        (pages.service_port(), pages.monitor_port()),
        (None, Port(80))
    );
    assert_eq!(pages.command.unwrap().0, ["nginx", "-g", "daemon off;"]);
    let page = &pages.monitor.check_http[0];
    assert_eq!(page.path, "/index.html".parse::<UrlPath>().unwrap());
    assert_eq!(page.frequency.0, Duration::from_secs(30));
}

#[test]
fn options_of_docker_create_are_taken_for_keys() {
    let keys = definition(
        "image: x\nenvironment: {A: 1, B: '', C: }\nvolumes: [/a:/b]\nnetwork_mode: host\n\
         init: true\nmem_limit: 64m\nuser: me\nlabels: [a=b]\n",
    );
    for options in [
        "[-e, A=1, --env=B=, -eC, -v, '/a:/b', --net=host, --init, -m, 64m, -u, me, -la=b]",
        "-e A=1 -e B= -e C -v /a:/b --network host --init=true -m64m --user me --label a=b",
    ] {
        let text = format!("image: x\ncontainer_create_args: {options}");
        assert_eq!(definition(&text), keys, "{options}");
        let text = format!("image: x\nenvironment: {{D: 1}}\ncontainer_create_args: {options}");
        assert_eq!(definition(&text).environment.0.len(), 4, "{options}");
    }
}

#[test]
fn a_health_check_is_its_name_or_what_is_special() {
    for (text, name) in [
        ("http", "http"),
        ("tcp", "tcp"),
        ("up", "up"),
        ("image", "image"),
        ("none", "none"),
        ("{up: {path: /health}}", "up"),
        ("{http: }", "http"),
        ("{exec: [test, -e, /ready]}", "exec"),
        ("{exec: test -e /ready}", "exec"),
        ("{exec: {command: test, interval: 5s}}", "exec"),
        ("{image: {start_timeout: 10m}}", "image"),
    ] {
        let web = definition(&format!("image: x\nport: 80\nhealth_check: {text}"));
        assert_eq!(web.health_check.unwrap().name(), name, "{text}");
    }
    for (text, name) in [
        ("{test: curl -f localhost}", "exec"),
        ("{test: [CMD, curl]}", "exec"),
        ("{test: [CMD-SHELL, curl || exit 1]}", "exec"),
        ("{test: [NONE]}", "none"),
        ("{disable: true}", "none"),
        ("{interval: 5s}", "image"),
    ] {
        let web = definition(&format!("image: x\nhealthcheck: {text}"));
        assert_eq!(web.health_check.unwrap().name(), name, "{text}");
    }
}

#[test]
fn a_service_address_is_a_target_of_ipvs() {
    let target = Target::of_service_address("172.18.0.1:7001").unwrap();
    let written = definition(
        "image: x\nport: 80\n\
         publish: ['ipvs/$HOSTNAME/172.18.0.1:7001/multiple/$CONTAINER_IP:${PORT}']",
    );
    assert_eq!(written.publish, [target]);
    let error = Target::of_service_address("172.18.0.1")
        .unwrap_err()
        .to_string();
    assert!(error.contains("IP:PORT"), "{error}");
}

#[test]
fn a_key_is_relative_to_the_prefix_or_below_it() {
    let key = |text: &str| text.parse::<KeyTemplate>().unwrap();
    let values = Values {
        instance_id: None,
        host_ip: None,
        host_port: None,
        container_ip: None,
        port: None,
        hostname: "host-1".parse().unwrap(),
    };
    let below = "ipvs/$HOSTNAME/10.0.0.1:80/single/10.0.0.2:80";
    let tree = |prefix: &str| Tree::new(prefix).unwrap();
    let relative = key(below);
    for prefix in ["/lbManager", "/a/b", "/team/elb", "/ipvs/ipvs"] {
        let absolute = key(&format!("{prefix}/{below}"));
        assert_eq!(absolute.to_string(), format!("{prefix}/{below}"));
        assert_eq!(absolute.resolve(&values), relative.resolve(&values));
        assert!(absolute.is_in_own_region() && relative.is_in_own_region());
        assert!(absolute.is_within(&tree(prefix)) && relative.is_within(&tree(prefix)));
        assert!(!absolute.is_within(&tree("/other")));
    }
}

#[test]
fn networks_are_a_list_or_a_mapping() {
    let names = |text: &str| -> Vec<String> {
        let web = definition(&format!("image: x\nnetworks: {text}"));
        web.networks
            .0
            .into_iter()
            .map(|network| network.name)
            .collect()
    };
    assert_eq!(names("[b, a]"), ["b", "a"]);
    assert_eq!(
        names("{b: , a: {aliases: [x]}}"),
        ["a", "b"],
        "a mapping has no order"
    );
    let web = definition("image: x\nnetwork_mode: container:other");
    assert_eq!(
        web.network_mode,
        Some(NetworkMode::Container("other".to_owned()))
    );
}
