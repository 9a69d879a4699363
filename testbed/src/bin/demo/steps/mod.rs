//! The steps of the tour. Each goes on from where the one before left off.

mod leases;
mod members;
mod rolling;
mod single;
mod upkeep;

use crate::scene::{Tally, Tour};
use crate::screen::Screen;
use crate::stage::Stage;

const ONE: &str = "i-00000001";
const TWO: &str = "i-00000002";
const THREE: &str = "i-00000003";
const FOUR: &str = "i-00000004";
const OLD: &str = "i-0000000a";
const NEW: &str = "i-0000000b";
const BROKEN: &str = "i-0000000c";

/// Plays them all.
pub async fn all(stage: &Stage, screen: &Screen, tally: &mut Tally) {
    let mut tour = Tour {
        stage,
        screen,
        tally,
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
}
