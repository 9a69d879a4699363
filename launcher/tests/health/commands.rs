//! Commands in the container.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use launcher::life::Health;
use launcher::runtime::Executed;
use tokio::time::{Instant, sleep};

use super::Rig;

const EXEC: &str = "health_check: {exec: {command: [check, it], interval: 10s, timeout: 2s, \
                    fall: 2, liveness_fall: 4}}";

/// What commands do: how long each takes, and its exit code; the last one again and again.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    next: Vec<(Duration, u8)>,
    /// When each began and, if it has, ended.
    runs: Vec<(Instant, Option<Instant>)>,
}

impl Script {
    fn play(rig: &Rig, next: &[(u64, u8)]) -> Self {
        let script = Self::default();
        script.then(next);
        let played = script.clone();
        rig.runtime.set_program(move |command| {
            assert_eq!(command, ["check", "it"]);
            let played = played.clone();
            async move { Ok(played.run().await) }
        });
        script
    }

    /// From now on. Times are in seconds.
    fn then(&self, next: &[(u64, u8)]) {
        let next = next.iter().rev();
        let next = next.map(|(seconds, code)| (Duration::from_secs(*seconds), *code));
        self.0.lock().unwrap().next = next.collect();
    }

    async fn run(&self) -> Executed {
        let (index, (time, code)) = {
            let mut state = self.0.lock().unwrap();
            state.runs.push((Instant::now(), None));
            let next = state.next.pop().unwrap();
            if state.next.is_empty() {
                state.next.push(next);
            }
            (state.runs.len() - 1, next)
        };
        sleep(time).await;
        self.0.lock().unwrap().runs[index].1 = Some(Instant::now());
        Executed {
            code,
            output: "some\nlast words\n".to_owned(),
        }
    }

    fn runs(&self) -> Vec<(Instant, Option<Instant>)> {
        self.0.lock().unwrap().runs.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_as_often_as_said_and_judged_by_the_thresholds() {
    let rig = Rig::start(false).await;
    let begin = Instant::now();
    let script = Script::play(&rig, &[(0, 1), (0, 1), (0, 0), (0, 0), (0, 3)]);
    let mut checked = rig.check(EXEC).await;
    assert_eq!(checked.down().await, "exit code 1: last words");
    checked.up().await;
    assert_eq!(checked.down().await, "exit code 3: last words");
    let dead = checked.until(|health| matches!(health, Health::Dead(_)));
    assert_eq!(
        dead.await,
        Health::Dead("exit code 3: last words".to_owned())
    );
    let at: Vec<_> = script
        .runs()
        .iter()
        .map(|run| (run.0 - begin).as_millis())
        .collect();
    // Soon while it starts, then as it is said; down with the second bad one, dead with the fourth.
    assert_eq!(at, [0, 10, 20, 10_020, 20_020, 30_020, 40_020, 50_020]);
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_end_is_not_joined_by_another() {
    let rig = Rig::start(false).await;
    let script = Script::play(&rig, &[(0, 0), (25, 0), (0, 0)]);
    let mut checked = rig.check(EXEC).await;
    checked.up().await;
    let words = checked.down().await;
    assert!(
        words.starts_with("the command of an earlier attempt still runs, for "),
        "{words}"
    );
    checked.up().await;
    let runs = script.runs();
    assert_eq!(runs.len(), 3);
    for pair in runs.windows(2) {
        assert!(pair[0].1.unwrap() <= pair[1].0, "two at once");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_never_ends_is_left_to_itself_after_a_minute() {
    let rig = Rig::start(false).await;
    let script = Script::play(&rig, &[(0, 0), (1_000_000, 0), (0, 0)]);
    let mut checked = rig.check(EXEC).await;
    checked.up().await;
    checked.down().await;
    checked.up().await;
    let runs = script.runs();
    let waited = runs[2].0 - runs[1].0;
    assert!(
        waited > Duration::from_mins(1) && waited < Duration::from_secs(90),
        "{waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn docker_that_does_not_answer_says_nothing_of_the_container() {
    let rig = Rig::start(false).await;
    let script = Script::play(&rig, &[(0, 0)]);
    let mut checked = rig.check(EXEC).await;
    checked.up().await;
    rig.runtime.set_up(false);
    sleep(Duration::from_mins(10)).await;
    assert_eq!(checked.now(), Health::Up);
    script.then(&[(0, 1)]);
    rig.runtime.set_up(true);
    checked.down().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_is_paused_or_gone_does_not_answer() {
    let rig = Rig::start(false).await;
    let mut checked = rig.check(EXEC).await;
    checked.up().await;
    rig.runtime.pause(rig.ours.name(), true);
    assert!(checked.down().await.contains("Paused"));
    rig.runtime.pause(rig.ours.name(), false);
    checked.up().await;
    rig.runtime.remove_by_hand(rig.ours.name());
    assert!(checked.down().await.contains("is gone"));
}
