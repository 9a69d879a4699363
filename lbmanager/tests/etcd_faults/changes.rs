use crate::real::{A, B, C, D, REGION, Rig, key, set, status_key};

#[tokio::test]
async fn a_range_delete_of_one_member_takes_it_out_alone() {
    let rig = Rig::serving("web", &[A, B, C]).await;
    // As a prefix; there is nobody else whose name begins so.
    assert_eq!(rig.etcd.del_prefix(&key("web", B)).await.unwrap(), 1);
    rig.until_registered("web", &[A, C]).await;
    rig.assert_kept("web", &[A, C]);
}

#[tokio::test]
async fn a_range_delete_of_a_load_balancer_leaves_its_members_alone() {
    let rig = Rig::serving("web", &[A, B]).await;
    rig.aws.create(REGION, "api");
    rig.put("api", &[A, C]).await;
    rig.until_serving("api", &[A, C]).await;
    rig.aws.clear_calls();
    let prefix = format!("/lbManager/elb/{REGION}/web/");
    assert_eq!(rig.etcd.del_prefix(&prefix).await.unwrap(), 2);
    rig.until_gone(&status_key("web")).await;
    assert!(rig.aws.calls().writes().is_empty());
    rig.del("api", C).await;
    rig.until_registered("api", &[A]).await;
    assert_eq!(rig.lb("web").registered(), set(&[A, B]));

    // It can be managed again; who is there by now counts as found there.
    rig.put("web", &[A, B, D]).await;
    rig.until_serving("web", &[A, B, D]).await;
    rig.assert_kept("web", &[A, B, D]);
}

#[tokio::test]
async fn deleting_the_last_lone_key_empties_the_load_balancer() {
    let rig = Rig::serving("web", &[A, B]).await;
    rig.del("web", A).await;
    rig.until_registered("web", &[B]).await;
    rig.del("web", B).await;
    rig.until_registered("web", &[]).await;
    rig.until_gone(&status_key("web")).await;
}

#[tokio::test]
async fn a_swap_by_compare_and_swap_leaves_no_gap() {
    let rig = Rig::serving("web", &[A]).await;
    rig.lb("web")
        .health_delay(std::time::Duration::from_secs(2));
    let (a, b) = (key("web", A), key("web", B));
    let begin = tokio::time::Instant::now();
    let swap = format!("create(\"{b}\") = \"0\"\n\nput {b} \"\"\ndel {a}\n\n\n\n");
    let said = rig.etcd.txn(&swap).await.unwrap();
    assert!(said.starts_with("SUCCESS"), "{said}");
    rig.until_registered("web", &[B]).await;
    let timeline = rig.lb("web").timeline();
    let least = timeline.min_in_service_between(begin, tokio::time::Instant::now());
    assert_eq!(least, 1, "{timeline:#?}");
}

#[tokio::test]
async fn a_compare_that_fails_changes_nothing() {
    let rig = Rig::serving("web", &[A, B]).await;
    rig.aws.clear_calls();
    let (a, c) = (key("web", A), key("web", C));
    let swap = format!("create(\"{a}\") = \"0\"\n\ndel {a}\n\nput {c} \"\"\n\n");
    let said = rig.etcd.txn(&swap).await.unwrap();
    assert!(said.starts_with("FAILURE"), "{said}");
    rig.until_registered("web", &[A, B, C]).await;
    assert_eq!(rig.aws.calls().writes().len(), 1);
    rig.assert_kept("web", &[A, B, C]);
}

#[tokio::test]
async fn writing_a_key_again_changes_nothing() {
    let rig = Rig::serving("web", &[A, B]).await;
    rig.aws.clear_calls();
    rig.etcd
        .put(&key("web", A), "{\"weight\": 3}")
        .await
        .unwrap();
    rig.etcd.put(&key("web", A), "10.0.0.1").await.unwrap();
    let revision = rig.mod_revision(&key("web", A)).await;
    // The acknowledgement is the key's revision.
    rig.until_status("web", "the last write is seen", |status| {
        status["members"][A]["mod_revision"] == revision
    })
    .await;
    assert!(rig.aws.calls().writes().is_empty());
}

#[tokio::test]
async fn a_release_of_nothing_changes_nothing() {
    let rig = Rig::serving("web", &[A]).await;
    rig.release("web").await;
    rig.assert_kept("web", &[A]);
}
