//! `launcher@.service` and `examples/web@.service`, with `lbmanager-ipvs.service` for what they
//! publish.

use testbed::docker::{Docker, Image};
use testbed::host::{self, Unit, etcd, run};

use crate::confined;
use crate::life::{self, WATCHDOG};

const NEWEST: &str = "launcher@.service";
const REVISION: &str = "examples/web@.service";
/// Where web@.service publishes what it runs.
const ADDRESS: &str = "172.18.0.1";

pub async fn two_services_run_in_containers() {
    let docker = Docker::start_or_use().await.unwrap();
    let image = docker.contained(&[]).await.unwrap();
    life::empty_etcd().await;
    for program in ["lbmanager", "launcher"] {
        host::install_program(program).unwrap();
    }
    let address = ["address", "replace", ADDRESS, "dev", "lo"];
    run("ip", address).await.unwrap().success().unwrap();
    confined::install_probe().await;
    let manager = Unit::install("lbmanager-ipvs.service").await.unwrap();
    manager.drop_in(&legacy_iptables()).await.unwrap();
    manager.start().await.unwrap();

    put("app", &image, "").await;
    let first = put("web", &image, "").await;
    let app = probed(NEWEST, "launcher@app.service").await;
    let web = probed(REVISION, &format!("web@{first}.service")).await;
    for (unit, file) in [(&app, NEWEST), (&web, REVISION)] {
        unit.start().await.unwrap();
        life::is_active(unit).await;
        confined::is_as_its_file_says(unit, file).await;
    }
    let before = containers().await;
    assert_eq!(before.lines().count(), 2, "{before}");
    web.restart().await.unwrap();
    let restarted = containers().await;
    assert_ne!(restarted, before);
    life::is_back_after_its_end(&[app.clone(), web.clone()]).await;
    assert_eq!(containers().await, restarted, "they were not adopted");
    answers().await;

    // The next revision comes into service before the one before leaves.
    let second = put("web", &image, "environment: {NEXT: x}\n").await;
    let next = probed(REVISION, &format!("web@{second}.service")).await;
    next.start().await.unwrap();
    answers().await;
    web.stop().await.unwrap();
    answers().await;
    for unit in [&next, &app, &manager] {
        unit.stop().await.unwrap();
        assert_eq!(unit.property("Result").await.unwrap(), "success");
    }
    assert_eq!(containers().await, "");
    let journal = manager.journal().await.unwrap();
    assert!(!journal.contains("iptables"), "{journal}");
    let left = etcd().get_prefix("/launcher/instances/").await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

/// An instance of a template of this repository that runs the probe when it is started.
async fn probed(file: &str, instance: &str) -> Unit {
    Unit::install(file).await.unwrap();
    let unit = Unit::new(instance);
    let settings = format!("[Service]\n{WATCHDOG}{}", confined::PROBED);
    unit.drop_in(&settings).await.unwrap();
    unit
}

/// The drop-in for hosts such as this, as docs/ipvs.md has it.
fn legacy_iptables() -> String {
    let page = testbed::documents::one("docs/ipvs.md").unwrap();
    let lines = page.lines().skip_while(|line| *line != "    [Service]");
    let lines = lines.take_while(|line| line.starts_with("    "));
    lines
        .map(|line| line.trim_start().to_owned() + "\n")
        .collect()
}

/// Puts a definition, and gives its revision.
async fn put(name: &str, image: &Image, more: &str) -> String {
    let file = format!("/tmp/{name}.yaml");
    let text = format!(
        "image: {}\nport: 80\nhealth_check: {{http: {{path: /, interval: 1s}}}}\n\
         drain: 1s\nstop_grace_period: 5s\n{more}",
        image.tag()
    );
    host::write(&file, &text).unwrap();
    let told = run("launcher", ["put", &file]).await.unwrap();
    let told = told.success().unwrap();
    told.split_whitespace().last().unwrap().to_owned()
}

/// The containers that run.
async fn containers() -> String {
    let args = ["ps", "--quiet", "--filter", "label=launcher.service"];
    run("docker", args).await.unwrap().success().unwrap()
}

/// Whether what web@.service runs is reached at its address.
async fn answers() {
    let url = format!("http://{ADDRESS}:7001/");
    let args = [
        "--silent",
        "--show-error",
        "--fail",
        "--max-time",
        "20",
        &url,
    ];
    run("curl", args).await.unwrap().success().unwrap();
}
