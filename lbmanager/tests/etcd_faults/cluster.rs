use testbed::etcd::EtcdCluster;

use crate::real::{A, B, C, D, E, REGION, Rig};

async fn cluster() -> Rig<EtcdCluster> {
    let cluster = EtcdCluster::start(3).await.unwrap();
    let endpoints = cluster.endpoints().join(",");
    let mut rig = Rig::on(cluster, &endpoints).await;
    rig.run().await;
    rig.aws.create(REGION, "web");
    rig.put("web", &[A]).await;
    rig.until_serving("web", &[A]).await;
    rig
}

#[tokio::test]
async fn the_leader_may_be_killed_and_the_lead_may_move() {
    let mut rig = cluster().await;
    let leader = rig.etcd.leader().await.unwrap();
    rig.etcd.kill(leader).await.unwrap();
    rig.etcd.leader().await.unwrap();
    rig.put("web", &[B]).await;
    rig.until_registered("web", &[A, B]).await;

    rig.etcd.restart(leader).await.unwrap();
    rig.etcd.move_leader(leader).await.unwrap();
    rig.put("web", &[C]).await;
    rig.del("web", B).await;
    rig.until_registered("web", &[A, C]).await;
    rig.assert_kept("web", &[A, C]);
}

#[tokio::test]
async fn any_one_member_may_be_stopped() {
    let mut rig = cluster().await;
    for (member, instance) in [(0, B), (1, C), (2, D)] {
        rig.etcd.pause(member).unwrap();
        rig.etcd.leader().await.unwrap();
        let next = (member + 1) % 3;
        let key = crate::real::key("web", instance);
        rig.etcd.client_of(next).put(&key, "").await.unwrap();
        rig.aws
            .wait_until(
                instance,
                |aws| aws.registered(REGION, "web").contains(instance),
                crate::real::SOON,
            )
            .await
            .unwrap();
        rig.etcd.resume(member).unwrap();
        rig.etcd.leader().await.unwrap();
    }
    rig.put("web", &[E]).await;
    rig.until_serving("web", &[A, B, C, D, E]).await;
    rig.assert_kept("web", &[A, B, C, D, E]);
}
