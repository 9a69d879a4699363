//! All members are replaced without a gap.

use testbed::Result;

use super::{FOUR, ONE, THREE, TWO};
use crate::balancers::Scene;
use crate::scene::Words;

pub const REPLACE: Words = (
    "All members replaced in one go, without a gap",
    "The new ones are not in service yet when the old ones are deleted. The last one that \
     serves waits for one of the new ones.",
);

pub async fn replace(scene: &mut Scene<'_>) -> Result<()> {
    let web = &scene.stage.web;
    scene.put(web, THREE).await?;
    scene.put(web, FOUR).await?;
    scene.delete(web, ONE).await?;
    scene.delete(web, TWO).await?;
    scene.wait_for(web, &[THREE, FOUR]).await?;
    scene.stage.at_rest().await?;
    scene.show(web).await?;
    scene.chart(web);
    scene.check("the new ones serve, the old ones are out", true);
    let least = scene.least(web);
    scene.check(
        &format!("at every moment somebody was in service (at least {least})"),
        least > 0,
    );
    Ok(())
}
