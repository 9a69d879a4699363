//! How an instance ends, and what is said then.

use crate::instance::name;
use crate::{DEADLINE, Rig};

pub async fn by_itself(rig: &Rig) {
    for code in [0, 1, 7, 137] {
        let mut web = rig.ready("command: [say/out/1/goodbye]").await;
        web.steer(&format!("exit/{code}")).await;
        web.ends_with(code).await;
        let is_said = web.log().contains(&format!("ended with {code}"));
        assert_eq!(is_said, code != 0, "{}", web.log());
    }
}

pub async fn out_of_memory(rig: &Rig) {
    let mut web = rig.ready("mem_limit: 16m\nmemswap_limit: 16m").await;
    web.steer("eat/64").await;
    web.ends_with(137).await;
    assert!(web.log().contains("memory was short"), "{}", web.log());
}

pub async fn never_healthy(rig: &Rig) {
    let health = "health_check: {http: {path: /, interval: 50ms, start_timeout: 1s}}";
    let more = "command: [answer/503, say/out/1/working]";
    let mut web = rig.start(&format!("{health}\n{more}")).await;
    web.ends_with(125).await;
    let log = web.log();
    for words in ["not healthy in 1s", "503", "working"] {
        assert!(log.contains(words), "{words:?} is not in:\n{log}");
    }
    let received = web.notify().received();
    assert!(received.iter().all(|told| told.state != "READY=1"));
}

pub async fn while_it_starts(rig: &Rig) {
    let mut web = rig.start("command: [say/err/1/reason, exit/3]").await;
    web.ends_with(3).await;
    let log = web.log();
    for words in ["ended with 3", "reason"] {
        assert!(log.contains(words), "{words:?} is not in:\n{log}");
    }
}

pub async fn removed_by_somebody(rig: &Rig) {
    let mut web = rig.ready("").await;
    let container = web.container().await;
    rig.docker
        .run(&["rm", "--force", &container])
        .await
        .unwrap();
    let status = web.wait(DEADLINE).await.unwrap();
    // Who removes by force kills first, and which of both is seen is open.
    assert!([Some(125), Some(137)].contains(&status.code()), "{status}");
    web.check_left().await;
}

pub async fn two_of_one_instance(rig: &Rig) {
    let web = rig.started(rig.launch(&name(), "")).await;
    web.wait_ready(DEADLINE).await.unwrap();
    let mut second = web.launch().start().await.unwrap();
    let status = second.wait(DEADLINE).await.unwrap();
    assert_eq!(status.code(), Some(125));
    assert!(
        second.log().contains("another launcher runs"),
        "{}",
        second.log()
    );
    assert_eq!(web.status().await, 200);
    web.end().await;
}
