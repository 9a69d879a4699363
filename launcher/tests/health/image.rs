//! The image's own check, which Docker carries out.

use std::time::Duration;

use launcher::life::Health;
use launcher::runtime::ImageHealth;
use tokio::time::sleep;

use super::Rig;

fn says(rig: &Rig, healthy: Option<bool>, output: &str) {
    let output = output.to_owned();
    let health = ImageHealth { healthy, output };
    rig.runtime.set_image_health(rig.ours.name(), health);
}

#[tokio::test(start_paused = true)]
async fn what_docker_says_counts() {
    let rig = Rig::start(true).await;
    let mut checked = rig.check("port: 80").await;
    says(&rig, None, "not yet");
    sleep(Duration::from_mins(1)).await;
    assert_eq!(checked.now(), Health::Unknown);
    says(&rig, Some(true), "");
    checked.up().await;
    says(&rig, Some(false), "it is broken");
    assert_eq!(checked.down().await, "it is broken");
}

/// A Docker that was restarted begins anew with what it knows of a container that went on.
#[tokio::test(start_paused = true)]
async fn docker_that_was_away_says_nothing_until_it_knows() {
    let rig = Rig::start(true).await;
    let mut checked = rig.check("port: 80").await;
    says(&rig, Some(true), "");
    checked.up().await;
    rig.runtime.set_up(false);
    sleep(Duration::from_mins(1)).await;
    says(&rig, None, "");
    rig.runtime.set_up(true);
    sleep(Duration::from_mins(1)).await;
    assert_eq!(checked.now(), Health::Up);
    says(&rig, Some(false), "it is broken");
    assert_eq!(checked.down().await, "it is broken");
}
