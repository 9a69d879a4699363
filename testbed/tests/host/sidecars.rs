//! The examples that stand beside another program: `elasticsearch@.service` with its watch, and
//! `nginx-member.service`.

use testbed::aws::Imds;
use testbed::host::{self, ADDRESS, Unit, etcd, run};
use testbed::wait;

use crate::life::{self, WATCHDOG};
use crate::{DEADLINE, confined};

const WATCH: &str = "examples/elasticsearch-watch@.service";
const MEMBER: &str = "/lbManager/elb/us-east-1/web/multiple/i-00000000000000001";
/// Makes an image that answers at the port of a node, whatever its arguments say.
const IMAGE: &str = "\
mkdir -p /tmp/node/bin && cd /tmp/node && cp /bin/busybox bin && ln -sf busybox bin/sh
printf '#!/bin/sh\\ntrap \"exit 0\" TERM\\nbusybox httpd -f -p 9200 -h / & wait\\n' >bin/node
chmod +x bin/node && echo node >index.html
tar -c . | docker import --change 'ENTRYPOINT [\"/bin/node\"]' - elasticsearch";

pub async fn a_node_waits_for_its_turn_and_is_watched() {
    life::empty_etcd().await;
    host::install_program("service-monitor").unwrap();
    sh(IMAGE).await;
    confined::install_probe().await;
    Unit::install("examples/elasticsearch@.service")
        .await
        .unwrap();
    Unit::install(WATCH).await.unwrap();
    let node = Unit::new("elasticsearch@1.service");
    let watch = Unit::new("elasticsearch-watch@1.service");
    let settings = format!("[Service]\n{WATCHDOG}{}", confined::PROBED);
    watch.drop_in(&settings).await.unwrap();

    sh("service-monitor acquire-lease --label es --service-id es-9").await;
    sh("systemctl start --no-block elasticsearch@1").await;
    let waits = |shown: &str| shown.contains("SubState=start-pre\n");
    node.wait_for(&["SubState"], DEADLINE, waits).await.unwrap();
    assert_eq!(hosts().await, "");
    sh("service-monitor release-lease --label es --service-id es-9").await;
    life::is_active(&node).await;
    life::is_active(&watch).await;
    is_listed().await;
    // It gave the turn to the next.
    sh("service-monitor acquire-lease --label es --service-id es-9 --acquire-timeout 1m").await;
    sh("service-monitor release-lease --label es --service-id es-9").await;
    confined::is_as_its_file_says(&watch, WATCH).await;

    life::are_back_each_time(std::slice::from_ref(&watch)).await;
    node.restart().await.unwrap();
    life::is_active(&watch).await;
    is_listed().await;
    life::is_back_after_being_killed(&node).await;
    life::is_active(&watch).await;
    is_listed().await;
    node.stop().await.unwrap();
    assert_eq!(watch.property("ActiveState").await.unwrap(), "inactive");
    assert_eq!(hosts().await, "");
    let queue = etcd()
        .get_prefix("/service-monitor/es/lease/")
        .await
        .unwrap();
    assert!(queue.is_empty(), "{queue:?}");
}

pub async fn a_program_is_a_member_while_it_runs() {
    life::empty_etcd().await;
    let imds = Imds::start().await.unwrap();
    let port = imds.url().rsplit(':').next().unwrap().to_owned();
    let redirect = format!(
        "iptables -t nat -A OUTPUT -d 169.254.169.254 -p tcp --dport 80 \
         -j REDIRECT --to-ports {port}"
    );
    sh(&redirect).await;
    let nginx = "[Service]\nExecStart=/bin/busybox httpd -f -p 127.0.0.1:8080 -h /usr\n";
    let nginx = Unit::install_as("nginx.service", nginx).await.unwrap();
    // The time for connections to be finished is shorter here.
    let text = testbed::units::read("examples/nginx-member.service").unwrap();
    assert!(text.contains("sleep 30"));
    let member = Unit::install_as("nginx-member.service", &text.replace("sleep 30", "sleep 3"))
        .await
        .unwrap();
    sh("systemctl enable nginx-member.service").await;
    nginx.start().await.unwrap();
    life::is_started(&member).await;
    assert_eq!(etcd().get(MEMBER).await.unwrap().as_deref(), Some(""));

    // The program goes on until its connections are finished.
    sh("systemctl stop --no-block nginx").await;
    wait::until("the member to leave", DEADLINE, || async {
        match etcd().get(MEMBER).await.unwrap() {
            None => Ok(()),
            Some(value) => Err(value),
        }
    })
    .await
    .unwrap();
    assert_eq!(nginx.property("ActiveState").await.unwrap(), "active");
    let ended = |shown: &str| shown.contains("ActiveState=inactive\n");
    nginx
        .wait_for(&["ActiveState"], DEADLINE, ended)
        .await
        .unwrap();

    // What ended by itself is out at once, and back with the program.
    nginx.start().await.unwrap();
    life::is_started(&member).await;
    nginx.kill("SIGKILL").await.unwrap();
    member
        .wait_for(&["ActiveState"], DEADLINE, ended)
        .await
        .unwrap();
    assert_eq!(etcd().get(MEMBER).await.unwrap(), None);
    nginx.restart().await.unwrap();
    life::is_started(&member).await;
    assert_eq!(etcd().get(MEMBER).await.unwrap().as_deref(), Some(""));
    nginx.kill("SIGKILL").await.unwrap();
    member
        .wait_for(&["ActiveState"], DEADLINE, ended)
        .await
        .unwrap();
}

async fn sh(script: &str) -> String {
    let done = run("sh", ["-euc", script]).await.unwrap();
    done.success().unwrap()
}

/// Those that are up.
async fn hosts() -> String {
    sh("service-monitor hosts --label es")
        .await
        .trim()
        .to_owned()
}

async fn is_listed() {
    let node = format!("{ADDRESS}:9200");
    wait::until("the node to be listed", DEADLINE, || async {
        let found = hosts().await;
        if found == node { Ok(()) } else { Err(found) }
    })
    .await
    .unwrap();
}
