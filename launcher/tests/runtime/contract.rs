//! What every runtime promises.

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};
use launcher::definition::{Port, Protocol};
use launcher::runtime::spec::{NetworkMode, PortMapping};
use launcher::runtime::{
    Container, ContainerRuntime, ContainerSpec, Frame, Ours, RuntimeError, State, Stream,
};
use tokio::time::timeout;

use crate::{DEADLINE, Rig, ended, identity, joined, revision, seen, spec, started};

pub async fn a_life<R: Rig>(rig: &R) {
    let (runtime, spec) = (rig.runtime(), spec(rig));
    assert!(runtime.image(&spec.image).await.unwrap().is_some());
    assert!(runtime.list(&spec.identity).await.unwrap().is_empty());
    let ours = runtime.create(&spec).await.unwrap();
    assert_eq!(ours.name(), spec.name());

    let (listed, container) = only(runtime, &spec).await;
    assert_eq!((listed, container.state), (ours.clone(), State::Created));
    assert_eq!(container.started, None);
    runtime.start(&ours).await.unwrap();
    let (_, container) = only(runtime, &spec).await;
    assert_eq!(container.state, State::Running);
    assert!(container.started.is_some() && container.is_up());
    assert_eq!(container.revision(), Some(revision()));
    assert_eq!(container.addresses.len(), 1, "{:?}", container.addresses);

    rig.exit(&ours, 3).await;
    assert_eq!(ended(runtime, &ours).await.code, 3);
    runtime.remove(&ours).await.unwrap();
    assert_eq!(runtime.inspect(&ours).await.unwrap(), None);
    assert!(runtime.list(&spec.identity).await.unwrap().is_empty());
}

async fn only<R: ContainerRuntime>(runtime: &R, spec: &ContainerSpec) -> (Ours, Container) {
    let mut listed = runtime.list(&spec.identity).await.unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    listed.remove(0)
}

pub async fn exit_codes<R: Rig>(rig: &R) {
    for code in [0, 1, 7, 255] {
        let ours = started(rig).await;
        rig.exit(&ours, code).await;
        let exit = ended(rig.runtime(), &ours).await;
        assert_eq!((exit.code, exit.out_of_memory), (code, false));
        rig.runtime().remove(&ours).await.unwrap();
    }
}

pub async fn signals<R: Rig>(rig: &R) {
    for (signal, code) in [("SIGTERM", 0), ("SIGKILL", 137), ("9", 137)] {
        let ours = started(rig).await;
        // The program handles signals once it serves, and not before.
        rig.pause(&ours, true).await;
        rig.pause(&ours, false).await;
        let signalling = async {
            loop {
                rig.runtime().signal(&ours, signal).await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        let exit = tokio::select! {
            exit = ended(rig.runtime(), &ours) => exit,
            () = signalling => unreachable!("it goes on until the program has ended"),
        };
        assert_eq!(exit.code, code, "{signal}");
        rig.runtime().remove(&ours).await.unwrap();
    }
}

pub async fn what_is_done_already<R: Rig>(rig: &R) {
    let runtime = rig.runtime();
    let ours = started(rig).await;
    runtime.start(&ours).await.unwrap();
    runtime.signal(&ours, "SIGKILL").await.unwrap();
    ended(runtime, &ours).await;
    runtime.signal(&ours, "SIGKILL").await.unwrap();
    // One that has ended is started again.
    runtime.start(&ours).await.unwrap();
    let container = runtime.inspect(&ours).await.unwrap().unwrap();
    assert!(container.is_up());
    // Also one that runs.
    runtime.remove(&ours).await.unwrap();
    runtime.remove(&ours).await.unwrap();
    runtime.signal(&ours, "SIGTERM").await.unwrap();
    let error = runtime.start(&ours).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Gone { .. }), "{error}");
    assert!(error.to_string().contains(ours.name()), "{error}");
}

pub async fn held_by_somebody<R: Rig>(rig: &R) {
    let (runtime, ours) = (rig.runtime(), started(rig).await);
    for (paused, state) in [(true, State::Paused), (false, State::Running)] {
        let nudges = runtime.nudges(&ours);
        rig.pause(&ours, paused).await;
        let is_so = |found: Option<&Container>| found.is_some_and(|found| found.state == state);
        seen(runtime, &ours, "the new state", nudges, is_so).await;
    }
    rig.pause(&ours, true).await;
    runtime.signal(&ours, "SIGKILL").await.unwrap();
    assert_eq!(ended(runtime, &ours).await.code, 137);
    runtime.remove(&ours).await.unwrap();
}

pub async fn removed_by_somebody<R: Rig>(rig: &R) {
    let (runtime, ours) = (rig.runtime(), started(rig).await);
    let nudges = runtime.nudges(&ours);
    rig.remove_by_hand(&ours).await;
    let gone = seen(runtime, &ours, "it to be gone", nudges, |found| {
        found.is_none()
    });
    gone.await;
}

pub async fn no_image<R: Rig>(rig: &R) {
    let mut spec = spec(rig);
    "no-such-image:1".clone_into(&mut spec.image);
    let runtime = rig.runtime();
    assert_eq!(runtime.image(&spec.image).await.unwrap(), None);
    let error = runtime.create(&spec).await.unwrap_err();
    assert!(matches!(error, RuntimeError::NoSuchImage { .. }), "{error}");
    assert!(error.to_string().contains("no-such-image:1"), "{error}");
}

pub async fn a_taken_name<R: Rig>(rig: &R) {
    let spec = spec(rig);
    rig.neighbour(&spec.name(), &[]).await;
    let runtime = rig.runtime();
    assert!(runtime.list(&spec.identity).await.unwrap().is_empty());
    let error = runtime.create(&spec).await.unwrap_err();
    assert!(matches!(error, RuntimeError::NameTaken { .. }), "{error}");
    assert!(rig.running().await.contains(&spec.name()));
}

pub async fn a_taken_port<R: Rig>(rig: &R) {
    let mut spec = spec(rig);
    let port = rig.taken_port().await;
    spec.network.ports.push(PortMapping {
        target: Port(80),
        published: Some(Port(port)),
        host_ip: None,
        protocol: Protocol::Tcp,
    });
    let ours = rig.runtime().create(&spec).await.unwrap();
    let error = rig.runtime().start(&ours).await.unwrap_err();
    assert!(matches!(error, RuntimeError::PortTaken { .. }), "{error}");
    assert!(error.to_string().contains(&port.to_string()), "{error}");
    rig.runtime().remove(&ours).await.unwrap();
}

pub async fn a_missing_network<R: Rig>(rig: &R) {
    let mut spec = spec(rig);
    spec.network.mode = NetworkMode::Named(vec![joined("no-such-network")]);
    let runtime = rig.runtime();
    // Docker may say so when it is made or when it is started.
    let error = match runtime.create(&spec).await {
        Ok(ours) => runtime.start(&ours).await.unwrap_err(),
        Err(error) => error,
    };
    assert!(
        matches!(error, RuntimeError::NoSuchNetwork { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("no-such-network"), "{error}");
    for (ours, _) in runtime.list(&spec.identity).await.unwrap() {
        runtime.remove(&ours).await.unwrap();
    }
}

/// Names that are prefixes, suffixes and parts of ours, labels of other hosts, services and
/// instances, and our labels under another name.
pub async fn neighbours<R: Rig>(rig: &R) {
    let (runtime, spec) = (rig.runtime(), spec(rig));
    let ours = runtime.create(&spec).await.unwrap();
    let name = spec.name();
    let labels: Vec<(String, String)> = spec.all_labels().into_iter().collect();
    let without = |missing: usize| {
        let mut labels = labels.clone();
        labels.remove(missing);
        labels
    };
    let others = [
        (format!("{name}0"), labels.clone()),
        (format!("x{name}"), labels.clone()),
        (name[..name.len() - 1].to_owned(), labels.clone()),
        (name[1..].to_owned(), Vec::new()),
        (format!("{name}.a"), without(0)),
        (format!("{name}.b"), without(1)),
        (format!("{name}.c"), without(2)),
    ];
    for (name, labels) in &others {
        rig.neighbour(name, labels).await;
    }
    let mut other_host = identity();
    other_host.host_id = "host-b".parse().unwrap();
    let other = ContainerSpec::new(other_host, revision(), rig.image());
    let other = runtime.create(&other).await.unwrap();

    let listed = runtime.list(&spec.identity).await.unwrap();
    let listed: Vec<_> = listed.into_iter().map(|(ours, _)| ours).collect();
    assert_eq!(listed, std::slice::from_ref(&ours));
    runtime.remove(&ours).await.unwrap();
    let running = rig.running().await;
    for (name, _) in &others {
        assert!(running.contains(name), "{name} is not in {running:?}");
    }
    assert!(runtime.inspect(&other).await.unwrap().is_some());
    runtime.remove(&other).await.unwrap();
}

pub async fn output<R: Rig>(rig: &R) {
    let (runtime, ours) = (rig.runtime(), started(rig).await);
    let mut live = runtime.logs(&ours, None, true);
    let mut seen = Vec::new();
    for (stream, text) in [(Stream::Stdout, "one"), (Stream::Stderr, "two")] {
        rig.write(&ours, stream, text).await;
        let frame = timeout(DEADLINE, live.next()).await.unwrap();
        let frame = frame.unwrap().unwrap();
        assert_eq!(frame.bytes, format!("{text} 1").into_bytes());
        assert_eq!((frame.stream, frame.ends_line), (stream, true));
        seen.push(frame);
    }
    assert_eq!(rest(runtime.logs(&ours, None, false)).await, seen);
    rig.exit(&ours, 0).await;
    ended(runtime, &ours).await;
    // It ends with the container; and says the same again, and no more.
    assert_eq!(rest(live).await, []);
    assert_eq!(rest(runtime.logs(&ours, None, true)).await, seen);
    assert_eq!(
        rest(runtime.logs(&ours, Some(seen[0].time), true)).await,
        seen
    );
    let later = seen[1].time + SignedDuration::from_secs(1);
    assert_eq!(rest(runtime.logs(&ours, Some(later), true)).await, []);
    runtime.remove(&ours).await.unwrap();
}

async fn rest(
    frames: futures::stream::BoxStream<'static, Result<Frame, RuntimeError>>,
) -> Vec<Frame> {
    let rest = timeout(DEADLINE, frames.try_collect());
    rest.await.unwrap().unwrap()
}

/// Of one that was never started there is none, and of one that is gone there is none to be had.
pub async fn no_output<R: Rig>(rig: &R) {
    let runtime = rig.runtime();
    let ours = runtime.create(&spec(rig)).await.unwrap();
    assert_eq!(rest(runtime.logs(&ours, None, true)).await, []);
    runtime.remove(&ours).await.unwrap();
    let since = Some(Timestamp::now());
    let words: Vec<_> = timeout(DEADLINE, runtime.logs(&ours, since, true).collect())
        .await
        .unwrap();
    assert!(
        matches!(words[..], [Err(RuntimeError::Gone { .. })]),
        "{words:?}"
    );
}

pub async fn commands<R: Rig>(rig: &R) {
    let (runtime, ours) = (rig.runtime(), started(rig).await);
    let executed = runtime.exec(&ours, &rig.command()).await.unwrap();
    assert_eq!((executed.code, executed.output.as_str()), (0, ""));
    rig.pause(&ours, true).await;
    let error = runtime.exec(&ours, &rig.command()).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Refused { .. }), "{error}");
    assert!(error.to_string().contains(ours.name()), "{error}");
    runtime.remove(&ours).await.unwrap();
    let error = runtime.exec(&ours, &rig.command()).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Gone { .. }), "{error}");
}

pub async fn anybody_s<R: Rig>(rig: &R) {
    let runtime = rig.runtime();
    let name = format!("any-{}", identity().service);
    assert_eq!(runtime.inspect_any(&name).await.unwrap(), None);
    rig.neighbour(&name, &[]).await;
    let found = runtime.inspect_any(&name).await.unwrap().unwrap();
    assert_eq!(
        (found.name.as_str(), &found.state),
        (name.as_str(), &State::Running)
    );
    assert_eq!(runtime.inspect_any(&found.id).await.unwrap(), Some(found));
}
