//! Keys that go with the lease of whoever wrote them.

use testbed::Result;

use super::{ONE, THREE, TWO};
use crate::balancers::Scene;
use crate::scene::Words;

/// The shortest that etcd grants.
const TTL: u64 = 2;

pub const ONE_ENDS: Words = (
    "A lease that ends takes its member out",
    "A host writes its key on a lease and keeps that alive. Here nobody does, as if the host had \
     died: one of three members leaves.",
);

pub async fn one_ends(scene: &mut Scene<'_>) -> Result<()> {
    let web = &scene.stage.web;
    let lease = scene.grant(TTL).await?;
    scene.put_with_lease(web, THREE, lease).await?;
    scene.wait_for(web, &[ONE, TWO, THREE]).await?;
    scene.remark("now the lease runs out");
    scene.wait_for(web, &[ONE, TWO]).await?;
    scene.stage.at_rest().await?;
    scene.show(web).await?;
    let recorded = scene
        .wait_for_status("the status to say why it left", web, |status| {
            let changes = status.and_then(|status| status["changes"].as_array());
            let last = changes.and_then(|changes| changes.last());
            last.is_some_and(|last| last["reason"] == "lease-ended")
        })
        .await?
        .is_some();
    scene.check(
        "it was put in, and taken out when its lease had ended",
        true,
    );
    scene.check("the status in etcd says why: lease-ended", recorded);
    Ok(())
}

pub const ALL_END: Words = (
    "When all leases end at once, the members stay",
    "That is rather etcd's trouble or the network's than the death of every host. At most half \
     may leave within a minute, and never the last one; the others are held.",
);

pub async fn all_end(scene: &mut Scene<'_>) -> Result<()> {
    let web = &scene.stage.web;
    let lease = scene.grant(TTL).await?;
    scene.put_with_lease(web, ONE, lease).await?;
    scene.put_with_lease(web, TWO, lease).await?;
    scene.remark("now the lease runs out, and the tree is empty");
    let what = "the status to say that both are held";
    let status = scene
        .wait_for_status(what, web, |status| {
            let held = status.and_then(|status| status["withheld"].as_object());
            held.is_some_and(|held| held.len() == 2)
        })
        .await?;
    scene.show(web).await?;
    let why = status
        .as_ref()
        .and_then(|status| status["withheld"][ONE]["why"].as_str());
    if let Some(why) = why {
        scene
            .screen
            .paragraph(3, &format!("The status says: {why}."));
        scene.screen.line("");
    }
    let all_serve = scene.least(web) == 2;
    scene.check("both went on serving", all_serve);
    scene.remark("the hosts are back and write their keys");
    scene.put(web, ONE).await?;
    scene.put(web, TWO).await?;
    let what = "the status to say that nobody is held";
    scene
        .wait_for_status(what, web, |status| {
            status.is_some_and(|status| status.get("withheld").is_none())
        })
        .await?;
    let untouched = scene.writes() == 0;
    scene.check("the load balancer was not touched", untouched);
    scene.stage.at_rest().await
}
