//! What a container is to be, and what Docker's own client says that it is.

use launcher::definition::{Port, Protocol};
use launcher::runtime::spec::{
    HealthTiming, Joined, NetworkMode, OwnCheck, PortMapping, Source, Ulimit, Volume,
};
use launcher::runtime::{Container, ContainerRuntime as _, RuntimeError, State};

use crate::real::Real;
use crate::{Rig as _, joined, seen, spec};

pub async fn as_docker_has_it(real: &Real) {
    let mut spec = spec(real);
    let text = |text: &str| text.to_owned();
    spec.labels.insert(text("team"), text("a=b"));
    let process = &mut spec.process;
    process
        .environment
        .insert(text("QUOTED"), text("a \"b\"\n$c=\\d"));
    process.command = Some(vec![text("say/out/1/a b")]);
    process.user = Some(text("0:0"));
    process.stop_signal = Some(text("SIGINT"));
    process.working_dir = Some(text("/tmp"));
    spec.files.read_only = true;
    spec.files.tmpfs.insert(text("/run"), text("size=1m"));
    spec.files.mounts.push(Volume {
        source: Source::Path(text("/usr/share")),
        target: text("/shared"),
        read_only: true,
        options: Vec::new(),
    });
    spec.limits.memory = Some(64 << 20);
    spec.limits.nano_cpus = Some(500_000_000);
    let nofile = Ulimit {
        soft: 100,
        hard: 200,
    };
    spec.limits.ulimits.insert(text("nofile"), nofile);
    spec.security.cap_drop.push(text("NET_RAW"));
    spec.network.hostname = Some(text("inside"));
    spec.network
        .extra_hosts
        .insert(text("db"), text("10.0.0.9"));
    spec.network.ports.push(PortMapping {
        target: Port(80),
        published: None,
        host_ip: Some([127, 0, 0, 1].into()),
        protocol: Protocol::Tcp,
    });
    let ours = real.runtime().create(&spec).await.unwrap();
    real.runtime().start(&ours).await.unwrap();
    for (format, expected) in [
        ("{{.Name}}", format!("/{}", spec.name()).as_str()),
        ("{{.Config.Labels.team}}", "a=b"),
        ("{{json .Config.Env}}", r#"["QUOTED=a \"b\"\n$c=\\d"]"#),
        ("{{json .Config.Cmd}}", r#"["say/out/1/a b"]"#),
        ("{{json .Config.Entrypoint}}", r#"["/usr/bin/contained"]"#),
        (
            "{{.Config.User}} {{.Config.WorkingDir}} {{.Config.StopSignal}}",
            "0:0 /tmp SIGINT",
        ),
        ("{{.Config.Hostname}}", "inside"),
        (
            "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.Tmpfs}}",
            "true map[/run:size=1m]",
        ),
        (
            "{{range .Mounts}}{{.Source}} {{.Destination}} {{.RW}}{{end}}",
            "/usr/share /shared false",
        ),
        (
            "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}",
            "67108864 500000000",
        ),
        (
            "{{json .HostConfig.Ulimits}}",
            r#"[{"Name":"nofile","Hard":200,"Soft":100}]"#,
        ),
        (
            "{{.HostConfig.CapDrop}} {{.HostConfig.ExtraHosts}}",
            "[NET_RAW] [db:10.0.0.9]",
        ),
        ("{{.HostConfig.LogConfig.Type}}", "local"),
        (
            "{{.HostConfig.AutoRemove}} {{.HostConfig.RestartPolicy.Name}}",
            "false",
        ),
    ] {
        assert_eq!(real.format(&ours, format).await, expected, "{format}");
    }
    let container = real.runtime().inspect(&ours).await.unwrap().unwrap();
    assert_eq!(container.stop_signal.as_deref(), Some("SIGINT"));
    let [port] = container.ports["80/tcp"][..] else {
        panic!("{:?}", container.ports);
    };
    let format = r#"{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}"#;
    assert_eq!(real.format(&ours, format).await, port.port().to_string());
    let address = container.addresses["bridge"].to_string();
    assert_eq!(
        real.format(&ours, "{{.NetworkSettings.IPAddress}}").await,
        address
    );
    real.runtime().remove(&ours).await.unwrap();
}

async fn not_started(real: &Real, entrypoint: &str) -> u8 {
    let mut spec = spec(real);
    spec.process.entrypoint = Some(vec![entrypoint.to_owned()]);
    let ours = real.runtime().create(&spec).await.unwrap();
    let error = real.runtime().start(&ours).await.unwrap_err();
    real.runtime().remove(&ours).await.unwrap();
    assert!(error.to_string().contains(entrypoint), "{error}");
    match error {
        RuntimeError::Command { code, .. } => code,
        other => panic!("{other}"),
    }
}

pub async fn no_command(real: &Real) {
    assert_eq!(not_started(real, "no-such-command").await, 127);
    assert_eq!(not_started(real, "/no/such/command").await, 127);
}

pub async fn no_program(real: &Real) {
    assert_eq!(not_started(real, "/etc/passwd").await, 126);
}

pub async fn out_of_memory(real: &Real) {
    let mut spec = spec(real);
    spec.limits.memory = Some(16 << 20);
    spec.limits.memory_and_swap = Some(16 << 20);
    spec.process.command = Some(vec!["eat/64".to_owned()]);
    let ours = real.runtime().create(&spec).await.unwrap();
    let nudges = real.runtime().nudges(&ours);
    real.runtime().start(&ours).await.unwrap();
    // Docker may hear of the reason after the end.
    let is_said = |found: Option<&Container>| {
        found.is_some_and(|found| match &found.state {
            State::Exited(exit) => exit.code == 137 && exit.out_of_memory,
            _ => false,
        })
    };
    seen(real.runtime(), &ours, "the reason", nudges, is_said).await;
    real.runtime().remove(&ours).await.unwrap();
}

pub async fn several_networks(real: &Real) {
    let names = ["front", "back"].map(|name| format!("{name}-{}", std::process::id()));
    for name in &names {
        real.docker.run(&["network", "create", name]).await.unwrap();
    }
    let mut spec = spec(real);
    let known_there = |name: &String| Joined {
        name: name.clone(),
        aliases: vec![format!("web-on-{name}")],
    };
    spec.network.mode = NetworkMode::Named(names.iter().map(known_there).collect());
    let ours = real.runtime().create(&spec).await.unwrap();
    real.runtime().start(&ours).await.unwrap();
    let container = real.runtime().inspect(&ours).await.unwrap().unwrap();
    let mut found: Vec<_> = container.addresses.keys().cloned().collect();
    found.sort_by_key(|name| names.iter().position(|known| known == name));
    assert_eq!(found, names);
    for name in &names {
        let aliases = format!("{{{{(index .NetworkSettings.Networks \"{name}\").Aliases}}}}");
        let aliases = real.format(&ours, &aliases).await;
        assert!(aliases.contains(&format!("web-on-{name}")), "{aliases}");
    }
    real.runtime().remove(&ours).await.unwrap();

    // One that it cannot be on: nothing is left.
    spec.network.mode = NetworkMode::Named(vec![known_there(&names[0]), joined("host")]);
    let error = real.runtime().create(&spec).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Refused { .. }), "{error}");
    assert!(
        real.runtime()
            .list(&spec.identity)
            .await
            .unwrap()
            .is_empty()
    );

    // One that does not exist: Docker says so when it is started.
    spec.network.mode = NetworkMode::Named(vec![known_there(&names[0]), joined("no-such-network")]);
    let ours = real.runtime().create(&spec).await.unwrap();
    let error = real.runtime().start(&ours).await.unwrap_err();
    assert!(
        matches!(error, RuntimeError::NoSuchNetwork { .. }),
        "{error}"
    );
    real.runtime().remove(&ours).await.unwrap();
    for name in &names {
        real.docker.run(&["network", "rm", name]).await.unwrap();
    }
}

pub async fn image_health(real: &Real) {
    let check = r#"HEALTHCHECK --interval=1h CMD ["/usr/bin/contained", "exit/1"]"#;
    let image = real.docker.contained(&[check]).await.unwrap();
    let runtime = real.runtime();
    assert!(
        runtime
            .image(image.tag())
            .await
            .unwrap()
            .unwrap()
            .has_healthcheck
    );
    let mut spec = spec(real);
    spec.image = image.tag().to_owned();
    // In place of the image's: the first comes after an interval.
    spec.health = OwnCheck::Timed(HealthTiming {
        interval: Some(std::time::Duration::from_millis(100)),
        retries: Some(1),
        ..HealthTiming::default()
    });
    let ours = runtime.create(&spec).await.unwrap();
    let nudges = runtime.nudges(&ours);
    runtime.start(&ours).await.unwrap();
    let is_decided = |found: Option<&Container>| {
        let health = found.and_then(|found| found.health.as_ref());
        health.is_some_and(|health| health.healthy.is_some())
    };
    let found = seen(runtime, &ours, "a verdict", nudges, is_decided).await;
    let found = found.unwrap();
    assert_eq!(found.state, State::Running);
    assert_eq!(found.health.unwrap().healthy, Some(false));
    runtime.remove(&ours).await.unwrap();
}
