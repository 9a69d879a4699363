//! Ended, and killed, after each step of a whole life.

use std::time::Duration;

use launcher::life::Life;
use launcher::runtime::Container;
use tokio::time::{Instant, timeout};

use crate::world::{World, spec};

#[tokio::test(start_paused = true)]
async fn a_whole_life_leaves_nothing() {
    let mut world = World::new();
    let (mut life, step) = world.live().await;
    assert!(step.ready, "{step:?}");
    assert_eq!(step.status, "running");
    assert_eq!((world.ours().len(), world.keys.present), (1, 1));
    let exit = world.end(&mut life).await;
    assert_eq!((exit.code, exit.message), (0, None));
    world.check_left();
}

#[tokio::test(start_paused = true)]
async fn ended_by_a_signal_after_each_step() {
    let mut steps = 0;
    loop {
        let mut world = World::new();
        let mut life = Life::new(world.terms.clone(), Instant::now());
        let mut ready = false;
        for _ in 0..steps {
            ready = world.step(&mut life).await.ready;
        }
        let exit = world.end(&mut life).await;
        assert_eq!((exit.code, exit.message), (0, None), "after {steps} steps");
        world.check_left();
        if ready {
            break;
        }
        steps += 1;
    }
    assert!(steps >= 4, "only {steps} steps");
}

/// Lives, and ends, as far as the call with this number lets it. Whether it came so far.
async fn killed_at(world: &mut World, call: usize) -> bool {
    world.runtime.crash_at(Some(call));
    world.stop = false;
    let whole = async {
        let (mut life, _) = world.live().await;
        world.end(&mut life).await;
    };
    let was_killed = timeout(Duration::from_secs(7), whole).await.is_err();
    world.runtime.crash_at(None);
    world.stop = false;
    was_killed
}

#[tokio::test(start_paused = true)]
async fn killed_after_each_call_and_started_again() {
    let mut call = 1;
    loop {
        let mut world = World::new();
        if !killed_at(&mut world, call).await {
            break;
        }
        let left: Vec<Container> = world.ours();
        let (mut life, step) = world.live().await;
        assert!(step.ready, "after call {call}: {step:?}");
        let now = world.ours();
        assert_eq!(now.len(), 1, "after call {call}");
        let running = left.iter().find(|container| container.is_up());
        if let Some(running) = running {
            assert_eq!(
                running.id, now[0].id,
                "after call {call} it was not adopted"
            );
        }
        world.end(&mut life).await;
        world.check_left();
        call += 1;
    }
    // Pull, create, start, terminate, remove.
    assert_eq!(call, 6);
}

#[tokio::test(start_paused = true)]
async fn killed_after_each_call_and_started_as_another_revision() {
    for call in 1..=5 {
        let mut world = World::new();
        assert!(killed_at(&mut world, call).await);
        world.spec = spec("43-00000000");
        world.terms.revision = world.spec.revision;
        let (mut life, step) = world.live().await;
        assert!(step.ready, "after call {call}: {step:?}");
        let [now] = &world.ours()[..] else {
            panic!("after call {call}: {:?}", world.ours());
        };
        assert_eq!(now.name, "web.43-00000000");
        world.end(&mut life).await;
        world.check_left();
    }
}

/// Writing the same definition again is no rollout.
#[tokio::test(start_paused = true)]
async fn the_same_definition_written_again_is_adopted() {
    let mut world = World::new();
    world.live().await;
    let before = world.ours();
    world.spec = spec("99-0a1b2c3d");
    world.terms.revision = world.spec.revision;
    let (mut life, step) = world.live().await;
    assert!(step.ready);
    assert_eq!(world.ours(), before);
    world.end(&mut life).await;
    world.check_left();
}

/// Its keys stay while nobody knows yet whether it is healthy.
#[tokio::test(start_paused = true)]
async fn what_is_adopted_stays_published() {
    let mut world = World::new();
    world.live().await;
    assert_eq!(world.keys.present, 1);
    world.health = launcher::life::Health::Unknown;
    let mut life = Life::new(world.terms.clone(), Instant::now());
    for _ in 0..5 {
        world.step(&mut life).await;
        assert_eq!(world.keys.present, 1);
    }
    world.end(&mut life).await;
    world.check_left();
}
