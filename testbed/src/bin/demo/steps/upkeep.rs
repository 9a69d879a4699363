//! What somebody did by hand, and how to stop.

use std::collections::BTreeSet;

use testbed::Result;

use super::{FOUR, THREE};
use crate::balancers::Scene;
use crate::scene::Words;

pub const DRIFT: Words = (
    "What is changed by hand is put right",
    "Every --resync (5 min by default, 2 s here) the load balancers are compared with the tree.",
);

pub async fn drift(scene: &mut Scene<'_>) -> Result<()> {
    let web = &scene.stage.web;
    scene.remark(&format!("somebody takes {FOUR} out in the AWS console"));
    scene.by_hand(FOUR);
    web.handle.tamper_deregister(FOUR);
    scene.wait_for(web, &[THREE, FOUR]).await?;
    scene.stage.at_rest().await?;
    scene.show(web).await?;
    scene.check("it was put in again", true);
    Ok(())
}

pub const PURGE: Words = (
    "Deleting everything stops managing",
    "A delete of all keys of a load balancer at once is a purge: its members are left alone.",
);

pub async fn purge(scene: &mut Scene<'_>) -> Result<()> {
    let web = &scene.stage.web;
    scene.delete_all(web).await?;
    let gone = "the status of the load balancer to be gone";
    scene
        .wait_for_status(gone, web, |status| status.is_none())
        .await?;
    scene.show(web).await?;
    let members = [THREE, FOUR].map(str::to_owned);
    let stay = web.handle.in_service() == BTreeSet::from(members);
    scene.check("it is no longer managed, and its members serve on", stay);
    let untouched = scene.writes() == 0;
    scene.check("the load balancer was not touched", untouched);
    Ok(())
}
