//! Docker goes away.

use futures::StreamExt as _;
use launcher::runtime::docker::DockerRuntime;
use launcher::runtime::{ContainerRuntime as _, RuntimeError};
use testbed::docker::Signal;

use crate::real::Real;
use crate::{DEADLINE, Rig as _, ended, started};

/// With a daemon of its own: others need theirs.
pub async fn docker_goes_and_comes_back(_: &Real) {
    let own = Real::start().await;
    let (runtime, ours) = (own.runtime(), started(&own).await);
    own.steer(&ours, "answer/200".parse().unwrap()).await;
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let mut nudges = runtime.nudges(&ours);
        // They are watched once the first has come.
        own.pause(&ours, true).await;
        own.pause(&ours, false).await;
        nudges.next().await.unwrap().unwrap();
        own.docker.end(signal).await.unwrap();
        let error = runtime.inspect(&ours).await.unwrap_err();
        assert!(matches!(error, RuntimeError::Unreachable { .. }), "{error}");
        assert!(error.may_pass());
        let words = tokio::time::timeout(DEADLINE, nudges.map(|nudge| nudge.is_err()).collect());
        let words: Vec<bool> = words.await.unwrap();
        assert!(!words[..words.len().saturating_sub(1)].contains(&true));
        own.docker.resume().await.unwrap();
        let container = runtime.inspect(&ours).await.unwrap().unwrap();
        assert!(container.is_up(), "{container:?}");
    }
    runtime.signal(&ours, "SIGTERM").await.unwrap();
    assert_eq!(ended(runtime, &ours).await.code, 0);
}

pub async fn nobody_there(real: &Real) {
    for host in [
        "unix:///no/such/socket",
        "tcp://127.0.0.1:1",
        "ssh://nowhere",
    ] {
        let error = DockerRuntime::at(host)
            .image(&real.image())
            .await
            .unwrap_err();
        assert!(matches!(error, RuntimeError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains(host), "{error}");
    }
}
