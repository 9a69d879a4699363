//! All that a container writes is handed on as it was written.

use launcher::logs::Follower;
use launcher::runtime::{ContainerRuntime as _, Stream};
use presence::process::shutdown::Shutdown;

use crate::real::{Files, Real, to_the_end};

const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

pub async fn many_lines(real: &Real) {
    let ours = real
        .started(&["chat/100000/a line of some words", "exit/0"])
        .await;
    let (files, last) = real.followed(&ours).await;
    for (stream, expected) in STREAMS.into_iter().zip(real.logs(&ours)) {
        let handed_on = files.read(stream);
        assert_eq!(String::from_utf8_lossy(&handed_on).lines().count(), 100_000);
        assert!(handed_on == expected, "{stream} differs");
    }
    assert_eq!(last.text().lines().count(), 20);
    assert!(last.text().ends_with("a line of some words 100000"));
    real.runtime.remove(&ours).await.unwrap();
}

/// Docker 20.10 swallows the newlines of lines that it takes in parts, also in `docker logs`.
fn without_newlines(mut text: Vec<u8>) -> Vec<u8> {
    text.retain(|byte| *byte != b'\n');
    text
}

pub async fn long_lines(real: &Real) {
    // Around the size of a part, a whole number of parts, 1 MB; and 3 MiB, which is too long.
    let lengths = [16_383, 16_384, 16_385, 32_768, 1_000_000, 1 << 20, 3 << 20];
    let mut command = Vec::new();
    for length in lengths {
        for stream in STREAMS {
            let stream = &stream.to_string()[3..];
            command.push(format!("bytes/{stream}/{length}/120"));
            command.push(format!("bytes/{stream}/1/10"));
        }
    }
    command.push("exit/0".to_owned());
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let ours = real.started(&command).await;
    let (files, last) = real.followed(&ours).await;
    let (parts, rest) = ((1 << 20) + 16_384, (3 << 20) - 2 * ((1 << 20) + 16_384));
    let expected: Vec<usize> = lengths[..6]
        .iter()
        .copied()
        .chain([parts, parts, rest])
        .collect();
    for (stream, judged) in STREAMS.into_iter().zip(real.logs(&ours)) {
        let handed_on = files.read(stream);
        let lines = handed_on
            .strip_suffix(b"\n")
            .unwrap()
            .split(|byte| *byte == b'\n');
        assert_eq!(lines.map(<[u8]>::len).collect::<Vec<_>>(), expected);
        assert!(
            without_newlines(handed_on) == without_newlines(judged),
            "{stream} differs"
        );
    }
    assert!(last.text().len() < 20 << 10);
    real.runtime.remove(&ours).await.unwrap();
}

pub async fn bytes(real: &Real) {
    let binary: Vec<String> = (0..=255)
        .map(|byte| format!("bytes/out/3/{byte}"))
        .collect();
    let mut command: Vec<&str> = binary.iter().map(String::as_str).collect();
    command.extend(["say/err/1/words", "bytes/err/4/0", "exit/3"]);
    let ours = real.started(&command).await;
    let (files, last) = real.followed(&ours).await;
    let all: Vec<u8> = (0..=255).flat_map(|byte| [byte; 3]).collect();
    assert_eq!(files.read(Stream::Stdout), [&all[..], b"\n"].concat());
    assert_eq!(files.read(Stream::Stderr), b"words 1\n\0\0\0\0\n");
    assert_eq!(real.logs(&ours), [all, b"words 1\n\0\0\0\0".to_vec()]);
    // The streams are independent of each other.
    assert!(last.text().lines().any(|line| line == "words 1"));
    assert!(last.text().lines().any(|line| line == "\\u{0}".repeat(4)));
    real.runtime.remove(&ours).await.unwrap();
}

/// Who follows it before it runs waits, and has all of it.
pub async fn before_its_start(real: &Real) {
    let ours = real.made(&["chat/3/early", "exit/0"]).await;
    let (followed, ()) = tokio::join!(real.followed(&ours), async {
        tokio::task::yield_now().await;
        real.runtime.start(&ours).await.unwrap();
    });
    let files: Files = followed.0;
    for stream in STREAMS {
        assert_eq!(files.read(stream), b"early 1\nearly 2\nearly 3\n");
    }
    real.runtime.remove(&ours).await.unwrap();
}

/// The numbers at the ends of lines.
fn numbers(files: &Files, stream: Stream) -> Vec<u32> {
    let handed_on = String::from_utf8(files.read(stream)).unwrap();
    let number = |line: &str| line.rsplit(' ').next().unwrap().parse().unwrap();
    handed_on.lines().map(number).collect()
}

/// Docker begins a new file every 50 MB, also while it is read, and may be faster than who reads.
pub async fn rotated(real: &Real) {
    for _ in 0..testbed::soak::rounds().unwrap() {
        let lines = 70_000;
        let command = format!("chat/{lines}/{:0>1000}", "");
        let ours = real.started(&[&command, "exit/0"]).await;
        let (files, _) = real.followed(&ours).await;
        for stream in STREAMS {
            assert!(numbers(&files, stream).into_iter().eq(1..=lines));
        }
        real.runtime.remove(&ours).await.unwrap();
    }
}

/// More than Docker keeps is written while nobody reads: what is left is handed on.
pub async fn too_late(real: &Real) {
    for _ in 0..testbed::soak::rounds().unwrap() {
        let ours = real.started(&["chat/10/early"]).await;
        let files = Files::new();
        let follower = |files: &Files| {
            Follower::new(
                real.runtime.clone(),
                ours.clone(),
                files.path(),
                files.sink(),
            )
        };
        let (trigger, stop) = Shutdown::manual();
        trigger.trigger();
        follower(&files).run(stop).await;
        let lines = 120_000;
        real.steer(&ours, &format!("chat/{lines}/{:0>1000}", ""))
            .await;
        real.steer(&ours, "exit/0").await;
        to_the_end(follower(&files)).await;
        for stream in STREAMS {
            let numbers = numbers(&files, stream);
            let (early, late) = numbers.split_at(10);
            assert!(early.iter().copied().eq(1..=10));
            assert!(late[0] > 1, "Docker dropped nothing");
            assert!(late.iter().copied().eq(late[0]..=lines));
        }
        real.runtime.remove(&ours).await.unwrap();
    }
}
