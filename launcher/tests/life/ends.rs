//! How a life may end, and what is said then.

use std::sync::Arc;
use std::time::Duration;

use launcher::life::{Action, Exit, Health, Keys, Life, OWN_FAILURE, Phase};
use launcher::runtime::RuntimeError;
use launcher::runtime::fake::Registry;
use tokio::time::Instant;

use crate::world::{IMAGE, World};

const NAME: &str = "web.42-0a1b2c3d";

fn failed(exit: &Exit, code: u8, words: &[&str]) {
    assert_eq!(exit.code, code, "{exit:?}");
    let message = exit.message.as_deref().unwrap();
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
}

async fn until_exit(world: &mut World, life: &mut Life) -> Exit {
    let step = world.go_on(life, |step| step.exit.is_some()).await;
    world.check_left();
    step.exit.unwrap()
}

#[tokio::test(start_paused = true)]
async fn it_ends_by_itself() {
    for (code, words) in [
        (0, None),
        (7, Some("ended with 7")),
        (137, Some("last words")),
    ] {
        let mut world = World::new();
        let (mut life, _) = world.live().await;
        world.runtime.exit(NAME, code);
        let began = Instant::now();
        let exit = until_exit(&mut world, &mut life).await;
        assert_eq!(began.elapsed().as_secs(), 0, "nobody is waited for");
        assert_eq!(exit.code, code);
        assert_eq!(exit.message.is_some(), words.is_some(), "{exit:?}");
        assert!(
            exit.message
                .unwrap_or_default()
                .contains(words.unwrap_or_default())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn it_dies_while_it_starts() {
    let mut world = World::new();
    world.health = Health::Unknown;
    let mut life = Life::new(world.terms.clone(), Instant::now());
    while life.phase() != Phase::Healthy {
        world.step(&mut life).await;
    }
    world.runtime.exit(NAME, 3);
    let exit = until_exit(&mut world, &mut life).await;
    failed(&exit, 3, &["ended with 3", "last words"]);
}

#[tokio::test(start_paused = true)]
async fn it_never_becomes_healthy() {
    let mut world = World::new();
    world.health = Health::Down("503 Service Unavailable".to_owned());
    let began = Instant::now();
    let (_, step) = world.live().await;
    assert_eq!(began.elapsed(), world.terms.start_timeout);
    let words = [
        "not healthy in 60s",
        "503 Service Unavailable",
        "last words",
    ];
    failed(&step.exit.unwrap(), OWN_FAILURE, &words);
    world.check_left();
}

#[tokio::test(start_paused = true)]
async fn it_is_never_served() {
    let mut world = World::new();
    world.etcd = false;
    let (_, step) = world.live().await;
    failed(&step.exit.unwrap(), OWN_FAILURE, &["not served in 50s"]);
    world.check_left();
}

#[tokio::test(start_paused = true)]
async fn it_is_not_ended_because_etcd_is_away() {
    let mut world = World::new();
    world.etcd = false;
    world.keys.away = true;
    let mut life = Life::new(world.terms.clone(), Instant::now());
    let began = Instant::now();
    let late = world.terms.publish_timeout * 3;
    let step = world.go_on(&mut life, |_| began.elapsed() > late).await;
    assert_eq!((step.ready, step.exit), (false, None));
    assert_eq!(step.status, "waiting until etcd answers, to be published");
    world.etcd = true;
    let step = world.go_on(&mut life, |step| step.ready).await;
    assert_eq!(step.exit, None);
    world.end(&mut life).await;
    world.check_left();
}

#[tokio::test(start_paused = true)]
async fn what_is_served_and_not_healthy_is_not_ready() {
    let mut world = World::new();
    let mut life = Life::new(world.terms.clone(), Instant::now());
    while life.phase() != Phase::Publish {
        world.step(&mut life).await;
    }
    world.health = Health::Down("503".to_owned());
    world.step(&mut life).await;
    let step = world.step(&mut life).await;
    assert!(world.keys.served && !step.ready, "{step:?}");
    world.health = Health::Up;
    assert!(world.step(&mut life).await.ready);
    world.end(&mut life).await;
    world.check_left();
}

/// Not by force, as soon as Docker tells what runs.
#[tokio::test(start_paused = true)]
async fn it_is_told_to_end_before_docker_answers() {
    let mut world = World::new();
    world.live().await;
    world.runtime.set_up(false);
    world.stop = true;
    let mut life = Life::new(world.terms.clone(), Instant::now());
    for _ in 0..3 {
        world.step(&mut life).await;
    }
    world.runtime.set_up(true);
    let told = |step: &launcher::life::Step| matches!(step.action, Some(Action::Terminate(_)));
    world.go_on(&mut life, told).await;
    assert_eq!(world.end(&mut life).await.code, 0);
    world.check_left();
}

/// Keys of an earlier life are withdrawn, though nothing of it runs.
#[tokio::test(start_paused = true)]
async fn it_is_told_to_end_when_only_keys_are_left() {
    let mut world = World::new();
    world.keys.present = 1;
    let mut life = Life::new(world.terms.clone(), Instant::now());
    assert_eq!(
        world.end(&mut life).await,
        Exit {
            code: 0,
            message: None
        }
    );
    world.check_left();
}

#[tokio::test(start_paused = true)]
async fn it_is_dead_by_its_probes() {
    let mut world = World::new();
    let (mut life, _) = world.live().await;
    world.health = Health::Down("timed out".to_owned());
    let step = world.step(&mut life).await;
    assert_eq!(step.publish, launcher::life::Publish::NotReady);
    assert_eq!(step.status, "unhealthy: timed out");
    world.health = Health::Dead("timed out".to_owned());
    let exit = until_exit(&mut world, &mut life).await;
    failed(&exit, OWN_FAILURE, &["dead: timed out"]);
}

#[tokio::test(start_paused = true)]
async fn somebody_removes_it() {
    let mut world = World::new();
    let (mut life, _) = world.live().await;
    world.runtime.remove_by_hand(NAME);
    let exit = until_exit(&mut world, &mut life).await;
    failed(&exit, OWN_FAILURE, &["somebody removed it"]);
}

#[tokio::test(start_paused = true)]
async fn the_registry_has_it_not() {
    let mut world = World::new();
    let fault = |image: &str| RuntimeError::RegistryDown {
        image: image.to_owned(),
        registry: "r.example".to_owned(),
        answer: "503".to_owned(),
    };
    world
        .runtime
        .set_registry(IMAGE, Registry::Fails(Arc::new(fault)));
    let (_, step) = world.live().await;
    let words = ["registry r.example cannot be had", "503"];
    failed(&step.exit.unwrap(), OWN_FAILURE, &words);
    world.check_left();
}

#[tokio::test(start_paused = true)]
async fn connections_are_drained_and_deaf_programs_killed() {
    let mut world = World::new();
    let (mut life, _) = world.live().await;
    world.connections = Some(12);
    world.runtime.ignore_signals(true);
    let began = Instant::now();
    world.stop = true;
    let step = world
        .go_on(&mut life, |step| step.status.starts_with("draining"))
        .await;
    assert_eq!(step.status, "draining: 12 connections, 30 s left");
    let exit = world.end(&mut life).await;
    assert_eq!(exit.code, 0);
    assert_eq!(began.elapsed(), world.terms.drain + world.terms.grace);
    world.check_left();
}

#[tokio::test(start_paused = true)]
async fn it_stops_without_etcd() {
    let mut world = World::new();
    let (mut life, _) = world.live().await;
    world.etcd = false;
    let began = Instant::now();
    assert_eq!(world.end(&mut life).await.code, 0);
    // Clients may still be sent to it: until the keys expire the managers keep it.
    let limit = world.terms.withdraw_timeout * 2 + world.terms.drain;
    assert_eq!(began.elapsed(), limit);
    assert!(world.ours().is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_confirmation_the_whole_drain_is_waited_for() {
    let why = "elb us-east-1/web: it is held".to_owned();
    let kept = Keys {
        withdrawn: true,
        kept: Some(why.clone()),
        ..Keys::default()
    };
    let held = Keys {
        words: why.clone(),
        ..Keys::default()
    };
    let terms = World::new().terms;
    for (keys, confirm) in [(kept, Duration::ZERO), (held, terms.withdraw_timeout)] {
        let mut world = World::new();
        let (mut life, _) = world.live().await;
        world.connections = Some(0);
        world.withdrawn = keys;
        world.stop = true;
        let began = Instant::now();
        let step = world
            .go_on(&mut life, |step| step.status.starts_with("draining"))
            .await;
        let status = format!("draining: 0 connections, 30 s left; not confirmed: {why}");
        assert_eq!(step.status, status);
        assert_eq!(began.elapsed(), confirm);
        assert_eq!(life.unconfirmed(), Some(why.as_str()));
        assert_eq!(world.end(&mut life).await.code, 0);
        assert_eq!(began.elapsed(), confirm + terms.drain);
        world.check_left();
    }
    let mut world = World::new();
    let (mut life, _) = world.live().await;
    let began = Instant::now();
    world.end(&mut life).await;
    assert_eq!(life.unconfirmed(), None);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn docker_is_waited_for() {
    let mut world = World::new();
    let (mut life, _) = world.live().await;
    world.runtime.set_up(false);
    for stop in [false, true] {
        world.stop = stop;
        for _ in 0..5 {
            let step = world.step(&mut life).await;
            assert!(step.exit.is_none() && step.action.is_none(), "{step:?}");
            assert_eq!(step.status, "Docker does not answer: waiting for it");
        }
    }
    world.runtime.set_up(true);
    assert_eq!(world.end(&mut life).await.code, 0);
    world.check_left();
}

/// Not for ever: a host that goes down does not get up again for it.
#[tokio::test(start_paused = true)]
async fn docker_is_not_waited_for_without_end_when_it_is_to_end() {
    let mut world = World::new();
    let (mut life, _) = world.live().await;
    world.runtime.set_up(false);
    let began = Instant::now();
    let exit = world.end(&mut life).await;
    failed(&exit, OWN_FAILURE, &["Docker has not answered for 30s"]);
    assert!(began.elapsed() < std::time::Duration::from_mins(2));
    // The next one finds what this one left.
    world.runtime.set_up(true);
    let mut next = Life::new(world.terms.clone(), Instant::now());
    assert_eq!(world.end(&mut next).await.code, 0);
    world.check_left();
}
