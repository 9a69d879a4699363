//! Whatever happens, in whatever order: a life that is ended ends, and leaves nothing.

use std::time::Duration;

use launcher::life::{Health, Life};
use proptest::prelude::*;
use tokio::time::Instant;

use crate::world::World;

#[derive(Debug, Clone)]
enum Event {
    Exits(u8),
    Removed,
    Paused(bool),
    Docker(bool),
    Etcd(bool),
    Health(u8),
    Connections(Option<u64>),
    IgnoresSignals(bool),
    Time(u64),
    Stop,
    /// The process is killed, and started again.
    Killed,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        1 => any::<u8>().prop_map(Event::Exits),
        1 => Just(Event::Removed),
        1 => any::<bool>().prop_map(Event::Paused),
        2 => any::<bool>().prop_map(Event::Docker),
        2 => any::<bool>().prop_map(Event::Etcd),
        3 => (0_u8..4).prop_map(Event::Health),
        1 => proptest::option::of(0_u64..3).prop_map(Event::Connections),
        1 => any::<bool>().prop_map(Event::IgnoresSignals),
        3 => (0_u64..70).prop_map(Event::Time),
        1 => Just(Event::Stop),
        1 => Just(Event::Killed),
    ]
}

async fn happens(world: &mut World, life: &mut Life, event: Event) {
    let name = world.spec.name();
    match event {
        Event::Exits(code) => world.runtime.exit(&name, code),
        Event::Removed => world.runtime.remove_by_hand(&name),
        Event::Paused(paused) => world.runtime.pause(&name, paused),
        Event::Docker(up) => world.runtime.set_up(up),
        Event::Etcd(up) => world.etcd = up,
        Event::Health(0) => world.health = Health::Unknown,
        Event::Health(1) => world.health = Health::Down("503".to_owned()),
        Event::Health(2) => world.health = Health::Dead("503".to_owned()),
        Event::Health(_) => world.health = Health::Up,
        Event::Connections(connections) => world.connections = connections,
        Event::IgnoresSignals(ignores) => world.runtime.ignore_signals(ignores),
        Event::Time(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        Event::Stop => world.stop = true,
        Event::Killed => *life = Life::new(world.terms.clone(), Instant::now()),
    }
}

async fn whole_life(events: Vec<Event>) {
    let mut world = World::new();
    let mut life = Life::new(world.terms.clone(), Instant::now());
    let docker_was_away = events
        .iter()
        .any(|event| matches!(event, Event::Docker(false)));
    for event in events {
        happens(&mut world, &mut life, event).await;
        if world.step(&mut life).await.exit.is_some() {
            break;
        }
        assert!(world.ours().len() <= 1);
    }
    world.runtime.set_up(true);
    world.etcd = true;
    world.end(&mut life).await;
    if docker_was_away && !world.ours().is_empty() {
        // It was not waited for without end. The next one finds what this one left.
        let mut next = Life::new(world.terms.clone(), Instant::now());
        world.end(&mut next).await;
    }
    world.check_left();
}

proptest! {
    #[test]
    fn what_is_ended_ends_and_leaves_nothing(events in proptest::collection::vec(event(), 0..40)) {
        let tasks = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        tasks.block_on(whole_life(events));
    }
}
