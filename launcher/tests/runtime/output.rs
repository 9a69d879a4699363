//! What a container writes, as Docker gives it.

use futures::TryStreamExt as _;
use launcher::runtime::{ContainerRuntime as _, Frame, Stream};
use tokio::time::timeout;

use crate::real::Real;
use crate::{DEADLINE, Rig as _, ended, spec};

/// What Docker takes of a line at once.
const PART: usize = 16 << 10;

/// What a container with this command writes to its end: where to, so many bytes, and whether that
/// ends the line.
async fn written(real: &Real, tty: bool, command: &[&str]) -> Vec<Frame> {
    let mut spec = spec(real);
    spec.process.tty = tty;
    let words = command.iter().copied().chain(["exit/0"]);
    spec.process.command = Some(words.map(str::to_owned).collect());
    let ours = real.runtime().create(&spec).await.unwrap();
    real.runtime().start(&ours).await.unwrap();
    assert_eq!(ended(real.runtime(), &ours).await.code, 0);
    let frames = timeout(
        DEADLINE,
        real.runtime().logs(&ours, None, false).try_collect(),
    );
    let frames = frames.await.unwrap().unwrap();
    real.runtime().remove(&ours).await.unwrap();
    frames
}

const LONG: [&str; 6] = [
    "say/out/1/one",
    "bytes/out/40000/120",
    "bytes/out/1/10",
    "say/out/1/two",
    "bytes/out/5/0",
    "bytes/out/3/255",
];

pub async fn parts(real: &Real) {
    let frames = written(real, false, &LONG).await;
    let rest = 40_000 - 2 * PART;
    let expected = [
        (5, true),
        (PART, false),
        (PART, false),
        (rest, true),
        (5, true),
        (8, true),
    ];
    assert_eq!(shape(&frames), expected);
    assert_eq!(frames[5].bytes, b"\0\0\0\0\0\xff\xff\xff");
    assert_eq!(frames[1].time, frames[3].time);
}

fn shape(frames: &[Frame]) -> Vec<(usize, bool)> {
    let shape = |frame: &Frame| {
        assert_eq!(frame.stream, Stream::Stdout);
        (frame.bytes.len(), frame.ends_line)
    };
    frames.iter().map(shape).collect()
}

/// It has one stream, and a carriage return at the end of each line.
pub async fn a_terminal(real: &Real) {
    let frames = written(real, true, &LONG).await;
    let rest = 40_001 - 2 * PART;
    let expected = [
        (6, true),
        (PART, false),
        (PART, false),
        (rest, true),
        (6, true),
        (8, true),
    ];
    assert_eq!(shape(&frames), expected);
    assert_eq!(frames[4].bytes, b"two 1\r");
}

pub async fn bounded_on_the_disk(real: &Real) {
    let ours = real.runtime().create(&spec(real)).await.unwrap();
    let found = real.format(&ours, "{{json .HostConfig.LogConfig}}").await;
    let expected = r#"{"Type":"local","Config":{"max-file":"3","max-size":"50m"}}"#;
    assert_eq!(found, expected);
    real.runtime().remove(&ours).await.unwrap();
}
