//! The steps of the tour. Each goes on from where the one before left off.

mod leases;
mod members;
mod rolling;
mod single;
mod upkeep;

use testbed::Result;

use crate::scene::{Scene, Tally};
use crate::screen::Screen;
use crate::stage::Stage;

const ONE: &str = "i-00000001";
const TWO: &str = "i-00000002";
const THREE: &str = "i-00000003";
const FOUR: &str = "i-00000004";
const OLD: &str = "i-0000000a";
const NEW: &str = "i-0000000b";
const BROKEN: &str = "i-0000000c";

/// What a step is called, and what it shows.
type Words = (&'static str, &'static str);

/// Plays them all.
pub async fn all(stage: &Stage, screen: &Screen) -> Tally {
    let mut tally = Tally::default();
    let mut tour = Tour {
        stage,
        screen,
        tally: &mut tally,
    };
    tour.play(members::PUT, members::put).await;
    tour.play(members::DELETE, members::delete).await;
    tour.play(leases::ONE_ENDS, leases::one_ends).await;
    tour.play(leases::ALL_END, leases::all_end).await;
    tour.play(rolling::REPLACE, rolling::replace).await;
    tour.play(single::SWITCH, single::switch).await;
    tour.play(single::ROLL_BACK, single::roll_back).await;
    tour.play(single::FAIL, single::fail).await;
    tour.play(upkeep::DRIFT, upkeep::drift).await;
    tour.play(upkeep::PURGE, upkeep::purge).await;
    tally
}

struct Tour<'a> {
    stage: &'a Stage,
    screen: &'a Screen,
    tally: &'a mut Tally,
}

impl Tour<'_> {
    /// A step that cannot go on has failed; the others are played all the same.
    async fn play(
        &mut self,
        (title, shows): Words,
        step: impl AsyncFnOnce(&mut Scene<'_>) -> Result<()>,
    ) {
        let mut scene = Scene::open(self.stage, self.screen, self.tally, title, shows);
        if let Err(error) = step(&mut scene).await {
            scene.check(&error.chain(), false);
        }
    }
}
