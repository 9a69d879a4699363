//! `hosts`, once.

use serde_json::{Value, json};

use crate::rig::{Rig, key};

#[tokio::test]
async fn of_nobody_nothing_is_written() {
    let rig = Rig::start().await;
    rig.put("a", "10.0.0.1", "down").await;
    assert_eq!(rig.ok(&["hosts", "--label=web"]).await, "");
    assert_eq!(
        rig.ok(&["hosts", "--label=web", "--format=lines"]).await,
        ""
    );
    assert_eq!(rig.ok(&["hosts", "--label=other"]).await, "");
    assert_eq!(
        rig.ok(&["hosts", "--label=web", "--format=json"]).await,
        "[]\n"
    );
}

#[tokio::test]
async fn those_that_are_up_are_listed_by_address() {
    let rig = Rig::start().await;
    rig.put("a", "10.0.0.10", "up").await;
    rig.put("b", "10.0.0.9", "up").await;
    rig.put("c", "9.0.0.1", "down").await;
    rig.put("d", "fd00::1", "up").await;
    // Neither a label that begins alike, nor a key that means nothing, counts.
    let other = "/service-monitor/web2/hosts/e";
    let value = rig.etcd.get(&key("a")).await.unwrap().unwrap();
    rig.etcd.put(other, &value).await.unwrap();
    rig.etcd.put(&key("f"), "yes").await.unwrap();
    for (args, expected) in [
        (&["--label=WEB"][..], "10.0.0.9,10.0.0.10,fd00::1\n"),
        (
            &["--label=web", "--port=80"],
            "10.0.0.9:80,10.0.0.10:80,[fd00::1]:80\n",
        ),
        (
            &["--label=web", "--format=lines"],
            "10.0.0.9\n10.0.0.10\nfd00::1\n",
        ),
        (
            &["--label=web", "--all"],
            "9.0.0.1=down,10.0.0.9=up,10.0.0.10=up,fd00::1=up\n",
        ),
        (
            &["--label=web", "--except-self", "--host-ip=10.0.0.10"],
            "10.0.0.9,fd00::1\n",
        ),
        (
            &[
                "--label=web",
                "--template={% for h in hosts %}{{ h.service_id }} {% endfor %}",
            ],
            // The last line ends here, whatever it is.
            "b a d \n",
        ),
    ] {
        let answer = rig.run(&[&["hosts"][..], args].concat()).await;
        assert_eq!(
            (answer.code, answer.stdout.as_str()),
            (Some(0), expected),
            "{args:?}"
        );
        let warning = "/service-monitor/web/hosts/f is ignored: \"yes\" is no instance";
        assert!(answer.stderr.contains(warning), "{}", answer.stderr);
    }
}

#[tokio::test]
async fn programs_read_json() {
    let rig = Rig::start().await;
    rig.put("a", "10.0.0.1", "up").await;
    let json = rig.ok(&["hosts", "--label=web", "--format=json"]).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json, json!([rig.value("a").await.unwrap()]));
    let targets = rig
        .ok(&["hosts", "--label=web", "--format=prometheus", "--port=9100"])
        .await;
    let targets: Value = serde_json::from_str(&targets).unwrap();
    assert_eq!(targets[0]["targets"], json!(["10.0.0.1:9100"]));
    assert_eq!(targets[0]["labels"]["__meta_service_monitor_label"], "web");
}

#[tokio::test]
async fn a_file_is_rewritten_and_told_of_only_if_it_changed() {
    let rig = Rig::start().await;
    let root = tempfile::tempdir().unwrap();
    let (list, told) = (root.path().join("list"), root.path().join("told"));
    let output = format!("--output={}", list.display());
    let exec = format!("--exec=cat {} >>{}", list.display(), told.display());
    let args = ["hosts", "--label=web", &output, &exec];
    rig.put("a", "10.0.0.1", "up").await;
    for _ in 0..2 {
        assert_eq!(rig.ok(&args).await, "");
    }
    rig.put("b", "10.0.0.2", "up").await;
    assert_eq!(rig.ok(&args).await, "");
    let told = std::fs::read_to_string(told).unwrap();
    assert_eq!(told, "10.0.0.1\n10.0.0.1,10.0.0.2\n");
    let args = ["hosts", "--label=web", "--all", &output, "--exec=exit 3"];
    let stderr = rig.fails(1, &args).await;
    assert!(
        stderr.contains("\"exit 3\" (--exec) failed: exit status: 3"),
        "{stderr}"
    );
}
