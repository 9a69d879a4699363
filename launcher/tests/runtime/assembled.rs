//! From a definition to a container: what Docker's own client says that it is.

use std::collections::BTreeMap;

use launcher::assemble::{HostEnvironment, HostFacts, locate, spec, values};
use launcher::definition::parse;
use launcher::runtime::{ContainerRuntime as _, ContainerSpec, Ours};

use crate::real::Real;
use crate::{Rig as _, identity, revision};

/// The container of this definition, which has the image of the tests.
pub fn assembled(real: &Real, keys: &str) -> ContainerSpec {
    let document = format!("image: {}\n{keys}", real.image());
    let definition = parse(&document).unwrap().definition;
    let files = BTreeMap::from([(
        "/etc/web.env".to_owned(),
        "FROM_FILE=a \"b\"\nBOTH=file\n".to_owned(),
    )]);
    let host = HostEnvironment {
        variables: BTreeMap::from([("HERE".to_owned(), "of the host".to_owned())]),
        files,
    };
    spec(&definition, identity(), revision(), &host).unwrap()
}

/// The same, and it runs.
pub async fn running(real: &Real, keys: &str) -> Ours {
    let ours = real.runtime().create(&assembled(real, keys)).await.unwrap();
    real.runtime().start(&ours).await.unwrap();
    ours
}

const RICH: &str = r#"
platform: linux/amd64
command: [say/out/1/a b]
environment: {BOTH: own, QUOTED: "a \"b\"\n$c=\\d", VERSION: 1.10, HERE: , NOWHERE: }
env_file: /etc/web.env
working_dir: /tmp
user: "0:0"
group_add: ["7"]
labels: {team: a=b, empty: }
init: false
stop_signal: SIGINT
port: 80
ports: ["127.0.0.1::80", "81/udp"]
hostname: inside
dns: 10.0.0.53
dns_opt: ["ndots:2"]
dns_search: [example.com]
extra_hosts: {db: 10.0.0.9}
volumes: ["/usr/share:/shared:ro", "data-of-web:/data", "/scratch"]
tmpfs: ["/run:size=1m", "/tmp"]
read_only: true
devices: ["/dev/null:/dev/nothing:r"]
mem_limit: 64m
mem_reservation: 32m
memswap_limit: 128m
shm_size: 1m
cpus: 0.5
cpu_shares: 512
cpuset: "0"
pids_limit: 100
ulimits: {nofile: {soft: 100, hard: 200}, core: 0}
oom_score_adj: 500
sysctls: {net.ipv4.ip_unprivileged_port_start: 0}
cap_add: [SYS_TIME]
cap_drop: [NET_RAW]
security_opt: [no-new-privileges]
ipc: private
uts: host
health_check: http
"#;

pub async fn from_a_rich_definition(real: &Real) {
    // The host names itself, so the container cannot.
    let keys = RICH.replace("uts: host\n", "");
    let ours = running(real, &keys).await;
    for (format, expected) in [
        ("{{json .Config.Cmd}}", r#"["say/out/1/a b"]"#),
        (
            "{{json .Config.Env}}",
            r#"["BOTH=own","FROM_FILE=a \"b\"","HERE=of the host","QUOTED=a \"b\"\n$c=\\d","VERSION=1.10"]"#,
        ),
        (
            "{{.Config.WorkingDir}} {{.Config.User}} {{.HostConfig.GroupAdd}}",
            "/tmp 0:0 [7]",
        ),
        (
            "{{.Config.Labels.team}} {{json .Config.Labels.empty}} {{.HostConfig.Init}}",
            r#"a=b "" false"#,
        ),
        (
            "{{.Config.StopSignal}} {{.Config.Hostname}}",
            "SIGINT inside",
        ),
        (
            "{{json .HostConfig.PortBindings}}",
            r#"{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":""}],"81/udp":[{"HostIp":"","HostPort":""}]}"#,
        ),
        (
            "{{.HostConfig.Dns}} {{.HostConfig.DnsOptions}} {{.HostConfig.DnsSearch}} {{.HostConfig.ExtraHosts}}",
            "[10.0.0.53] [ndots:2] [example.com] [db:10.0.0.9]",
        ),
        (
            "{{range .HostConfig.Mounts}}{{.Type}} {{.Source}} {{.Target}} {{.ReadOnly}};{{end}}",
            "bind /usr/share /shared true;volume data-of-web /data false;volume  /scratch false;",
        ),
        (
            "{{.HostConfig.Tmpfs}} {{.HostConfig.ReadonlyRootfs}}",
            "map[/run:size=1m /tmp:] true",
        ),
        (
            "{{range .HostConfig.Devices}}{{.PathOnHost}} {{.PathInContainer}} {{.CgroupPermissions}}{{end}}",
            "/dev/null /dev/nothing r",
        ),
        (
            "{{.HostConfig.Memory}} {{.HostConfig.MemoryReservation}} {{.HostConfig.MemorySwap}} {{.HostConfig.ShmSize}}",
            "67108864 33554432 134217728 1048576",
        ),
        (
            "{{.HostConfig.NanoCpus}} {{.HostConfig.CpuShares}} {{.HostConfig.CpusetCpus}} {{.HostConfig.PidsLimit}}",
            "500000000 512 0 100",
        ),
        (
            "{{json .HostConfig.Ulimits}} {{.HostConfig.OomScoreAdj}}",
            r#"[{"Name":"core","Hard":0,"Soft":0},{"Name":"nofile","Hard":200,"Soft":100}] 500"#,
        ),
        (
            "{{.HostConfig.Sysctls}}",
            "map[net.ipv4.ip_unprivileged_port_start:0]",
        ),
        (
            "{{.HostConfig.CapAdd}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} {{.HostConfig.Privileged}}",
            "[SYS_TIME] [NET_RAW] [no-new-privileges] false",
        ),
        (
            "{{.HostConfig.IpcMode}} {{.HostConfig.NetworkMode}} {{.HostConfig.LogConfig.Type}}",
            "private bridge local",
        ),
        ("{{json .Config.Healthcheck}}", r#"{"Test":["NONE"]}"#),
    ] {
        assert_eq!(real.format(&ours, format).await, expected, "{format}");
    }
    let container = real.runtime().inspect(&ours).await.unwrap().unwrap();
    assert!(!container.has_healthcheck);
    published(real, &ours, &keys).await;
    real.runtime().remove(&ours).await.unwrap();
    let args = ["volume", "rm", "data-of-web"];
    real.docker.run(&args).await.unwrap();
}

/// What variables stand for, as Docker's own client says it.
async fn published(real: &Real, ours: &Ours, keys: &str) {
    let container = real.runtime().inspect(ours).await.unwrap().unwrap();
    let definition = parse(&format!("image: web\n{keys}")).unwrap().definition;
    let host = HostFacts {
        host_id: "host-a".parse().unwrap(),
        host_ip: None,
        instance_id: None,
    };
    let values = values(&definition, &container, &host);
    let format = r#"{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}"#;
    let port = values.host_port.unwrap().to_string();
    assert_eq!(real.format(ours, format).await, port);
    let format = "{{.NetworkSettings.Networks.bridge.IPAddress}}";
    let address = values.container_ip.unwrap().to_string();
    assert_eq!(real.format(ours, format).await, address);
    assert_eq!(values.port, Some(80));
    let location = locate(real.runtime(), &container).await.unwrap();
    let expected = launcher::assemble::Location::Address(values.container_ip.unwrap());
    assert_eq!(location, expected);
}

/// Docker takes them in another form, in which a missing path of the host is made.
pub async fn options_of_volumes(real: &Real) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display();
    let keys = format!("volumes: ['{path}:/a:ro,Z', '{path}/new:/b:z']");
    let ours = running(real, &keys).await;
    let format = "{{range .Mounts}}{{.Destination}} {{.Mode}} {{.RW}} {{.Propagation}};{{end}}";
    let mounts = real.format(&ours, format).await;
    assert!(mounts.contains("/a ro,Z false rprivate;"), "{mounts}");
    assert!(mounts.contains("/b z true rprivate;"), "{mounts}");
    assert!(directory.path().join("new").is_dir());
    real.runtime().remove(&ours).await.unwrap();
}
