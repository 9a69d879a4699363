//! A load balancer of which one member serves at a time.

use testbed::Result;
use testbed::aws::Health;

use super::{BROKEN, NEW, OLD};
use crate::balancers::Scene;
use crate::scene::Words;

pub const SWITCH: Words = (
    "single: the key written last serves",
    "In the class `single` one member serves. A new one is put in beside the old one, which \
     leaves when the new one is in service.",
);

pub async fn switch(scene: &mut Scene<'_>) -> Result<()> {
    let edge = &scene.stage.edge;
    scene.put(edge, OLD).await?;
    scene.wait_for(edge, &[OLD]).await?;
    scene.stage.at_rest().await?;
    scene.remark("the new version");
    scene.begin_here();
    scene.put(edge, NEW).await?;
    scene.wait_for(edge, &[NEW]).await?;
    scene.stage.at_rest().await?;
    scene.show(edge).await?;
    scene.chart(edge);
    scene.check("the new one serves alone; the old one's key stays", true);
    let served = scene.least(edge) > 0;
    scene.check("at no moment was nobody in service", served);
    Ok(())
}

pub const ROLL_BACK: Words = (
    "single: rollback",
    "Writing the older one's key again makes it the newest, and so it serves again.",
);

pub async fn roll_back(scene: &mut Scene<'_>) -> Result<()> {
    let edge = &scene.stage.edge;
    scene.put(edge, OLD).await?;
    scene.wait_for(edge, &[OLD]).await?;
    scene.stage.at_rest().await?;
    scene.show(edge).await?;
    scene.chart(edge);
    scene.check("the old one serves again", true);
    let served = scene.least(edge) > 0;
    scene.check("at no moment was nobody in service", served);
    Ok(())
}

pub const FAIL: Words = (
    "single: a new version that does not come up",
    "It gets the time that the load balancer's health check takes, and half of that; then it \
     is taken out again.",
);

pub async fn fail(scene: &mut Scene<'_>) -> Result<()> {
    let edge = &scene.stage.edge;
    edge.handle.set_health(BROKEN, Health::Never);
    scene.put(edge, BROKEN).await?;
    let came = |_: &_| edge.handle.registered().contains(BROKEN);
    let deadline = crate::stage::DEADLINE;
    scene
        .stage
        .aws
        .wait_until("it to be put in", came, deadline)
        .await?;
    scene.wait_for(edge, &[OLD]).await?;
    let what = "the status to name who failed";
    scene
        .wait_for_status(what, edge, |status| {
            status.is_some_and(|status| status["failed"]["member"] == BROKEN)
        })
        .await?;
    scene.show(edge).await?;
    scene.chart(edge);
    scene.check("it was tried and taken out; the status names it", true);
    let served = scene.least(edge) > 0;
    scene.check("the old one served all the time", served);
    scene.remark("clean up");
    scene.delete(edge, BROKEN).await?;
    scene.stage.at_rest().await
}
