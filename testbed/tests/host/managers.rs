//! `lbmanager.service` and `lbmanager-ipvs.service`, on one host.

use testbed::aws::Aws;
use testbed::host::{self, Unit, etcd};
use testbed::{lbmanager, wait};

use crate::life::{self, WATCHDOG};
use crate::{DEADLINE, confined};

const ELB: &str = "lbmanager.service";
const IPVS: &str = "lbmanager-ipvs.service";
const MEMBER: &str = "/lbManager/elb/eu-west-1/web/multiple/i-00000001";
const SERVER: &str = "/lbManager/ipvs/guest/10.0.0.1:80/multiple/10.0.1.7:8080";

/// Installs lbmanager and its settings, which lead to this AWS; with more lines of settings.
pub fn install(aws: &Aws, more: &str) {
    host::install_program("lbmanager").unwrap();
    let variables = lbmanager::environment(aws);
    let lines = variables.map(|(name, value)| format!("{name}={value}\n"));
    host::write("/etc/lbmanager/environment", &(lines.concat() + more)).unwrap();
}

/// A unit of this repository that runs the probe when it is started.
pub async fn probed(file: &str) -> Unit {
    let unit = Unit::install(file).await.unwrap();
    let settings = format!("[Service]\n{WATCHDOG}{}", confined::PROBED);
    unit.drop_in(&settings).await.unwrap();
    unit
}

pub async fn both_managers_run_on_one_host() {
    let aws = Aws::start().await.unwrap();
    let balancer = aws.create("eu-west-1", "web").instances(["i-00000001"]);
    life::empty_etcd().await;
    etcd().put(MEMBER, "").await.unwrap();
    etcd().put(SERVER, "").await.unwrap();
    install(&aws, "");
    confined::install_probe().await;
    // The unit loads what its process may not.
    let unload = "modprobe --remove $(awk '/^ip_vs_/ { print $1 }' /proc/modules) ip_vs";
    let unloaded = host::run("sh", ["-euc", unload]).await.unwrap();
    unloaded.success().unwrap();
    let units = [probed(ELB).await, probed(IPVS).await];
    for (unit, file) in units.iter().zip([ELB, IPVS]) {
        unit.start().await.unwrap();
        life::is_active(unit).await;
        confined::is_as_its_file_says(unit, file).await;
    }
    life::are_back_each_time(&units).await;

    // Both claim the host, and both do their work.
    let claims = etcd()
        .get_prefix("/lbManager-status/managers/")
        .await
        .unwrap();
    let claims: Vec<_> = claims.keys().map(String::as_str).collect();
    let expected = ["aws", "ipvs"].map(|role| format!("/lbManager-status/managers/guest/{role}"));
    assert_eq!(claims, expected);
    etcd()
        .put("/lbManager/elb/eu-west-1/web/multiple/i-00000002", "")
        .await
        .unwrap();
    aws.instances().add("i-00000002");
    wait::until("both members to be in service", DEADLINE, || async {
        let found = balancer.in_service();
        if found.len() == 2 { Ok(()) } else { Err(found) }
    })
    .await
    .unwrap();
    in_the_kernel(1).await;
    etcd().etcdctl(&["del", SERVER]).await.unwrap();
    in_the_kernel(0).await;
    for unit in &units {
        let journal = unit.journal().await.unwrap();
        let frozen = journal
            .lines()
            .filter(|line| line.contains("frozen") || line.contains("was replaced"));
        assert_eq!(frozen.collect::<Vec<_>>(), Vec::<&str>::new());
        unit.stop().await.unwrap();
        assert_eq!(unit.property("Result").await.unwrap(), "success");
    }
}

/// Waits until the kernel has so many real servers.
async fn in_the_kernel(count: usize) {
    wait::until("the kernel to be in line", DEADLINE, || async {
        let table = host::run("ipvsadm", ["-Ln"])
            .await
            .unwrap()
            .success()
            .unwrap();
        if table.matches("10.0.1.7:8080").count() == count {
            Ok(())
        } else {
            Err(table)
        }
    })
    .await
    .unwrap();
}
