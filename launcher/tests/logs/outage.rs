//! Docker goes, and comes back.

use launcher::logs::Follower;
use launcher::runtime::{ContainerRuntime as _, Stream};
use testbed::docker::Signal;
use testbed::wait;

use crate::DEADLINE;
use crate::real::{Files, Real, spawn};

pub async fn docker_restarted(_: &Real) {
    restarted(&[Signal::SIGTERM, Signal::SIGKILL]).await;
}

pub async fn docker_restarted_often(_: &Real) {
    for _ in 0..testbed::soak::rounds().unwrap() {
        restarted(&[[Signal::SIGTERM, Signal::SIGKILL]; 5].concat()).await;
    }
}

/// With a daemon of its own: others need theirs.
async fn restarted(signals: &[Signal]) {
    let own = Real::start().await;
    let ours = own.started(&[]).await;
    let files = Files::new();
    let follower = Follower::new(
        own.runtime.clone(),
        ours.clone(),
        files.path(),
        files.sink(),
    );
    let (following, _trigger) = spawn(follower);
    for (number, signal) in signals.iter().enumerate() {
        own.steer(&ours, &format!("chat/2000/before-{number}"))
            .await;
        // While it is being read, or was.
        handed_on(&files, &format!("before-{number} 1\n")).await;
        own.docker.end(*signal).await.unwrap();
        own.docker.resume().await.unwrap();
        own.steer(&ours, &format!("chat/2000/after-{number}")).await;
        handed_on(&files, &format!("after-{number} 2000\n")).await;
    }
    own.steer(&ours, "exit/0").await;
    tokio::time::timeout(DEADLINE, following)
        .await
        .unwrap()
        .unwrap();
    for (stream, judged) in [Stream::Stdout, Stream::Stderr]
        .into_iter()
        .zip(own.logs(&ours))
    {
        let (judged, handed_on) = (String::from_utf8(judged).unwrap(), files.read(stream));
        let handed_on = String::from_utf8(handed_on).unwrap();
        let mut rest = handed_on.lines();
        for line in judged.lines() {
            assert!(
                rest.any(|other| other == line),
                "{stream}: {line:?} is not there"
            );
        }
        let again = handed_on.lines().count() - judged.lines().count();
        println!(
            "{stream}: {} lines, {again} came again",
            judged.lines().count()
        );
    }
    own.runtime.remove(&ours).await.unwrap();
}

async fn handed_on(files: &Files, text: &str) {
    let is_there = || async {
        let has = |stream| String::from_utf8_lossy(&files.read(stream)).contains(text);
        has(Stream::Stdout) && has(Stream::Stderr)
    };
    wait::until_true(text, DEADLINE, is_there).await.unwrap();
}
