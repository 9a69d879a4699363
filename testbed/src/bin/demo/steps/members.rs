//! Members come and go, one by one.

use testbed::Result;
use testbed::aws::Timeline;

use super::{ONE, TWO};
use crate::balancers::Scene;
use crate::scene::Words;

pub const PUT: Words = (
    "A key is a member",
    "Writing a key puts the instance into the load balancer.",
);

pub async fn put(scene: &mut Scene<'_>) -> Result<()> {
    let web = &scene.stage.web;
    scene.put(web, ONE).await?;
    scene.put(web, TWO).await?;
    scene.wait_for(web, &[ONE, TWO]).await?;
    scene.stage.at_rest().await?;
    scene.show(web).await?;
    let timeline = web.handle.timeline();
    let stayed = |member| Timeline::never_deregistered(&timeline, member);
    scene.check("both were put in and are in service", true);
    scene.check(
        "nobody was taken out in between, though they came one by one",
        stayed(ONE) && stayed(TWO),
    );
    let most = scene.writes() <= 2;
    scene.check("no more than one write to AWS for each", most);
    Ok(())
}

pub const DELETE: Words = (
    "Deleting the key takes it out",
    "A delete is somebody's decision, so it is carried out at once. The second member is put \
     back for the next step.",
);

pub async fn delete(scene: &mut Scene<'_>) -> Result<()> {
    let web = &scene.stage.web;
    scene.delete(web, TWO).await?;
    scene.wait_for(web, &[ONE]).await?;
    scene.show(web).await?;
    let one_call = scene.writes() == 1;
    scene.check("it is out, by one call to AWS", one_call);
    let served = scene.least(web) > 0;
    scene.check("the other one served all the time", served);
    scene.remark("and back again");
    scene.put(web, TWO).await?;
    scene.wait_for(web, &[ONE, TWO]).await?;
    scene.stage.at_rest().await
}
