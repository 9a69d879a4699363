use crate::real::{A, B, C, REGION, Rig, config, in_state, key, problems, status_key, withheld};

#[tokio::test]
async fn options_that_cannot_be_read_keep_the_last_good_ones() {
    let rig = Rig::serving("web", &[A, B]).await;
    let typo = "{\"drain\": \"yes\"}";
    rig.etcd.put(&key("web", A), typo).await.unwrap();
    let status = rig
        .until_status("web", "the typo is told", |status| {
            problems(status).contains("its last good options stay in force")
        })
        .await;
    let said = problems(&status);
    assert!(said.contains(A), "{said}");
    assert!(said.contains("drain is \"yes\""), "{said}");
    assert!(said.contains("true or false"), "{said}");

    // One that never had good ones waits, and nobody waits for it.
    rig.etcd.put(&key("web", C), "{\"weight\":").await.unwrap();
    rig.until_status("web", "C waits", |status| {
        problems(status).contains("it waits until they can be read")
    })
    .await;
    rig.etcd.put(&key("web", C), "").await.unwrap();
    rig.until_registered("web", &[A, B, C]).await;
    rig.assert_kept("web", &[A, B, C]);
}

#[tokio::test]
async fn fields_that_nobody_knows_are_told_by_name() {
    let rig = Rig::serving("web", &[A]).await;
    rig.etcd
        .put(&key("web", A), "{\"wieght\": 3}")
        .await
        .unwrap();
    rig.etcd
        .put(&config("web"), "{\"adpot\": true}")
        .await
        .unwrap();
    rig.until_status("web", "both are told", |status| {
        let said = problems(status);
        said.contains("wieght") && said.contains("adpot")
    })
    .await;
    rig.assert_kept("web", &[A]);
}

/// The limit of etcd for one request is 1.5 MiB: a status that repeated all
/// this could not be written, and nothing is done without it.
#[tokio::test]
async fn values_that_are_huge_leave_room_in_the_status() {
    let rig = Rig::serving("web", &[A]).await;
    let long = format!("{{\"drain\": {:?}}}", "x".repeat(500_000));
    let names = (0..20_000).map(|n| format!("\"field-{n:020}\": 0"));
    let many = format!("{{{}}}", names.collect::<Vec<_>>().join(","));
    let both = [(key("web", A), long), (key("web", B), many)];
    rig.etcd.put_many(both).await.unwrap();
    rig.until_serving("web", &[A, B]).await;
    let status = rig
        .until_status("web", "both are told", |status| {
            let said = problems(status);
            said.contains("drain is") && said.contains("more problems")
        })
        .await;
    let length = status.to_string().len();
    assert!(length < 20_000, "a status of {length} bytes");
    rig.assert_kept("web", &[A, B]);
}

#[tokio::test]
async fn a_config_that_cannot_be_read_changes_nothing() {
    let rig = Rig::start().await;
    rig.aws.create(REGION, "web");
    rig.aws.create(REGION, "api").instances([B]);
    rig.etcd
        .put(&config("api"), "{\"paused\": 1}")
        .await
        .unwrap();
    rig.put("api", &[A]).await;
    rig.put("web", &[A]).await;
    rig.until_serving("web", &[A]).await;
    let status = rig
        .until_status("api", "nothing is changed", |status| {
            problems(status).contains("nothing is changed until it can be read")
        })
        .await;
    assert!(problems(&status).contains("paused is 1"), "{status}");
    assert!(rig.aws.calls().writes().to("api").is_empty());

    // With one that can be read it goes on; from then on that one is kept.
    let good = "{\"ownership\": \"own\"}";
    rig.etcd.put(&config("api"), good).await.unwrap();
    rig.until_registered("api", &[A, B]).await;
    rig.etcd.put(&config("api"), "ownership").await.unwrap();
    rig.etcd.put(&config("api"), "{").await.unwrap();
    rig.put("api", &[C]).await;
    rig.until_registered("api", &[A, B, C]).await;
    rig.until_status("api", "the last good ones stay", |status| {
        problems(status).contains("the last good options stay in force")
    })
    .await;
    rig.assert_kept("api", &[A, B, C]);
}

#[tokio::test]
async fn a_damaged_status_is_told_and_the_load_balancer_is_met_anew() {
    let mut rig = Rig::idle().await;
    rig.aws.create(REGION, "web").instances([A, B]);
    rig.aws.create(REGION, "api");
    rig.etcd
        .put(&status_key("web"), "{\"members\": 7}")
        .await
        .unwrap();
    rig.etcd.put("/lbManager-status/lb/what", "").await.unwrap();
    // Both are strangers then, which are more than half of what serves.
    rig.put("web", &[C]).await;
    rig.put("api", &[A]).await;
    rig.run().await;
    let told = format!("cannot read the status {}", status_key("web"));
    rig.until_log(&told).await;
    rig.until_serving("api", &[A]).await;
    rig.until_status("web", "strangers are held", |status| {
        withheld(status).len() == 2
    })
    .await;
    rig.until_registered("web", &[A, B, C]).await;
    rig.assert_kept("web", &[A, B, C]);
}

#[tokio::test]
async fn a_damaged_memory_of_the_history_is_set_aside_and_told() {
    let mut rig = Rig::serving("web", &[A]).await;
    rig.stop().await;
    let file = rig.state.path().join("history.json");
    std::fs::write(&file, "{\"cluster\": \n \"none\"}").unwrap();
    rig.run().await;
    rig.until_log("what was remembered of etcd's history is damaged")
        .await;
    let log = rig.log();
    assert!(log.contains("is damaged at line 2"), "{log}");
    rig.put("web", &[B]).await;
    rig.until_serving("web", &[A, B]).await;
    assert!(rig.state.path().join("history.json.corrupt").exists());
    rig.assert_kept("web", &[A, B]);
}

#[tokio::test]
async fn members_in_both_classes_are_told_and_the_class_in_force_stays() {
    let rig = Rig::serving("web", &[A, B]).await;
    rig.etcd
        .put(&crate::real::single("web", C), "")
        .await
        .unwrap();
    let status = rig
        .until_status("web", "the other class is told", |status| {
            problems(status).contains("--switch-class")
        })
        .await;
    assert!(problems(&status).contains(C), "{status}");
    assert!(in_state(&status, "registering").is_empty());
    rig.assert_kept("web", &[A, B]);
    assert_eq!(rig.lb("web").registered().len(), 2);
}
