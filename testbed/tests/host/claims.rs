//! What units do when their process says that it cannot run as it is.

use testbed::aws::Aws;
use testbed::host::{self, Unit, run};

use crate::{DEADLINE, life, managers};

const UNITS: [&str; 2] = ["lbmanager.service", "lbmanager-ipvs.service"];
const PROPERTIES: [&str; 4] = ["ActiveState", "SubState", "ExecMainStatus", "NRestarts"];

pub async fn a_wrong_configuration_is_tried_again_slowly() {
    let aws = Aws::start().await.unwrap();
    life::empty_etcd().await;
    managers::install(&aws, "ETCDCTL_CACERT=/etc/lbmanager/none\n");
    let mut units = Vec::new();
    for unit in UNITS {
        units.push(Unit::install(unit).await.unwrap());
        let start = ["start", "--no-block", unit];
        run("systemctl", start).await.unwrap().success().unwrap();
    }
    for unit in &units {
        let waits = |shown: &str| {
            shown.contains("SubState=stop-post\n") && shown.contains("ExecMainStatus=78\n")
        };
        unit.wait_for(&PROPERTIES, DEADLINE, waits).await.unwrap();
    }
    managers::install(&aws, "");
    for unit in &units {
        life::is_active(unit).await;
        assert_eq!(unit.property("NRestarts").await.unwrap(), "1");
        unit.stop().await.unwrap();
    }
}

pub async fn a_wrong_command_line_is_not_tried_again() {
    host::install_program("lbmanager").unwrap();
    for name in UNITS {
        let unit = Unit::install(name).await.unwrap();
        let wrong = "[Service]\nExecStart=\nExecStart=/usr/bin/lbmanager run --lissten\n";
        unit.drop_in(wrong).await.unwrap();
        unit.start().await.unwrap_err();
        let failed = |shown: &str| {
            shown.contains("ActiveState=failed\n")
                && shown.contains("ExecMainStatus=64\n")
                && shown.contains("NRestarts=0\n")
        };
        unit.wait_for(&PROPERTIES, DEADLINE, failed).await.unwrap();
    }
}
