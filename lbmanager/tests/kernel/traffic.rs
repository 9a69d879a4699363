//! Connections through virtual services while their real servers change.

use std::time::Duration;

use testbed::site::{Load, Site, Told};

use crate::world::{VIP, World, until_servers};

/// For how many requests a connection is kept at most: it ends by its own will,
/// well before a drain does.
const KEPT: u32 = 60;

struct Net {
    world: World,
    site: Site,
}

async fn net() -> Net {
    Net {
        site: Site::set_up(4).await.unwrap(),
        world: World::start().await,
    }
}

impl Net {
    async fn load(&self) -> Load {
        self.site.load(KEPT).await.unwrap()
    }

    /// Ends the load, of which nothing failed; who was asked.
    async fn judge(&self, load: Load) -> Told {
        let told = load.end().await.unwrap();
        assert_eq!(told.failed, 0, "{told:?}\n{}", self.world.log());
        told
    }

    async fn until(&self, servers: &[u8]) {
        let weighed = |number: &u8| format!("{} 1", Site::server(*number));
        let servers: Vec<String> = servers.iter().map(weighed).collect();
        let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
        until_servers(VIP, &servers).await;
    }
}

pub async fn is_served_while_real_servers_are_replaced() {
    let net = net().await;
    for number in [1, 2] {
        net.world.put(&Site::server(number), "").await;
    }
    net.until(&[1, 2]).await;
    let load = net.load().await;
    net.world.put(&Site::server(3), "").await;
    net.until(&[1, 2, 3]).await;
    for (comes, goes) in [(4, 1), (1, 2), (2, 3)] {
        net.world.put(&Site::server(comes), "").await;
        net.world.del(&Site::server(goes)).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    net.until(&[1, 2, 4]).await;
    // One that returns before its drain is over.
    net.world.del(&Site::server(4)).await;
    net.world.put(&Site::server(4), "").await;
    net.until(&[1, 2, 4]).await;
    let told = net.judge(load).await;
    for number in 1..=4 {
        assert!(told.by.contains_key(&Site::name(number)), "{told:?}");
    }
}

pub async fn of_a_single_service_follows_each_switch() {
    let net = net().await;
    let put = async |number: u8| {
        let key = crate::world::key(VIP, "single", &Site::server(number));
        net.world.etcd.put(&key, "").await.unwrap();
        net.until(&[number]).await;
    };
    put(1).await;
    let load = net.load().await;
    for number in [2, 3, 1, 4] {
        put(number).await;
    }
    let told = net.judge(load).await;
    assert!(told.by.contains_key(&Site::name(4)), "{told:?}");
}
