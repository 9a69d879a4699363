//! What a container writes that is in memory, where a test says when what happens.

use std::fs::File;
use std::io::{BufRead as _, BufReader};

use jiff::{SignedDuration, Timestamp};
use launcher::logs::{Follower, Sink, forget};
use launcher::runtime::fake::FakeRuntime;
use launcher::runtime::{ContainerRuntime as _, Frame, Image, Ours, Stream};
use testbed::wait;

use crate::DEADLINE;
use crate::real::{Files, Real, spawn, spec, to_the_end};

const IMAGE: &str = "contained";

/// A container that runs, and what is handed on of it.
pub struct Rig {
    pub runtime: FakeRuntime,
    pub ours: Ours,
    pub files: Files,
    last: Timestamp,
}

impl Rig {
    pub async fn new() -> Self {
        let runtime = FakeRuntime::new();
        let image = Image {
            id: "sha256:00".to_owned(),
            has_healthcheck: false,
        };
        runtime.add_image(IMAGE, image);
        let ours = runtime.create(&spec(IMAGE, &[])).await.unwrap();
        runtime.start(&ours).await.unwrap();
        Self {
            runtime,
            ours,
            files: Files::new(),
            last: Timestamp::UNIX_EPOCH,
        }
    }

    /// Writes a line, or a part of one, each at a later time.
    pub fn put(&mut self, stream: Stream, bytes: &[u8], ends_line: bool) {
        let next = self.last + SignedDuration::from_nanos(1);
        self.last = Timestamp::now().max(next);
        let frame = Frame {
            stream,
            time: self.last,
            bytes: bytes.to_vec(),
            ends_line,
        };
        self.runtime.write(self.ours.name(), frame);
    }

    pub fn write(&mut self, bytes: &[u8], ends_line: bool) {
        self.put(Stream::Stdout, bytes, ends_line);
    }

    pub fn say(&mut self, line: &str) {
        self.write(line.as_bytes(), true);
    }

    pub fn follower(&self) -> Follower<FakeRuntime> {
        self.follower_to(self.files.sink())
    }

    pub fn follower_to(&self, sink: Sink) -> Follower<FakeRuntime> {
        Follower::new(
            self.runtime.clone(),
            self.ours.clone(),
            self.files.path(),
            sink,
        )
    }

    fn handed_on(&self) -> String {
        String::from_utf8(self.files.read(Stream::Stdout)).unwrap()
    }

    async fn has(&self, text: &str) {
        let is_so = || async {
            let found = self.handed_on();
            if found == text { Ok(()) } else { Err(found) }
        };
        wait::until(text, DEADLINE, is_so).await.unwrap();
    }

    pub fn exit(&self) {
        self.runtime.exit(self.ours.name(), 0);
    }
}

fn long(number: usize) -> String {
    format!("{number} {:0>1000}", "")
}

fn number_of(line: &str) -> usize {
    line.split(' ').next().unwrap().parse().unwrap()
}

/// Nobody reads what it is handed on to: it waits, does not go on reading, and loses nothing.
pub async fn blocked(_: &Real) {
    let mut rig = Rig::new().await;
    let (read, write) = nix::unistd::pipe().unwrap();
    let other = File::from(write.try_clone().unwrap());
    let follower = rig.follower_to(Sink::files(write.into(), other));
    let last = follower.last_lines();
    let lines = 3000;
    for number in 1..=lines {
        rig.say(&long(number));
    }
    let following = tokio::spawn(to_the_end(follower));
    // What the pipe and the queue hold, and no more.
    let number = || last.text().lines().last().map_or(0, number_of);
    wait::until_true("it to read", DEADLINE, || async { number() > 200 })
        .await
        .unwrap();
    let mut reader = BufReader::new(File::from(read)).lines().map(Result::unwrap);
    assert_eq!(reader.next().unwrap(), long(1));
    assert!(number() < 500, "{} lines were read", number());
    rig.exit();
    let rest = tokio::task::spawn_blocking(move || reader.collect::<Vec<_>>());
    following.await.unwrap();
    let rest = rest.await.unwrap();
    let expected: Vec<String> = (2..=lines).map(long).collect();
    assert!(rest == expected);
}

/// What is there is handed on; a line without its end is left to who comes next.
pub async fn told_to_stop(_: &Real) {
    let mut rig = Rig::new().await;
    let (following, trigger) = spawn(rig.follower());
    rig.say("one");
    rig.has("one\n").await;
    rig.say("two");
    rig.write(b"thr", false);
    trigger.trigger();
    following.await.unwrap();
    assert_eq!(rig.handed_on(), "one\ntwo\n");
    rig.write(b"ee", true);
    rig.exit();
    to_the_end(rig.follower()).await;
    assert_eq!(rig.handed_on(), "one\ntwo\nthree\n");
}

/// It may be told to stop because the container has ended: then it has all of it.
pub async fn stopped_at_the_end(_: &Real) {
    let mut rig = Rig::new().await;
    let (following, trigger) = spawn(rig.follower());
    rig.say("one");
    rig.has("one\n").await;
    rig.say("two");
    rig.write(b"three", false);
    rig.exit();
    trigger.trigger();
    following.await.unwrap();
    assert_eq!(rig.handed_on(), "one\ntwo\nthree\n");
}

/// Each line is old when it comes, so it is read as one that has fallen behind.
pub async fn late(_: &Real) {
    let mut rig = Rig::new().await;
    let (following, _trigger) = spawn(rig.follower());
    let mut expected = String::new();
    for line in ["one", "two", "three"] {
        let frame = Frame {
            stream: Stream::Stdout,
            time: rig.last + SignedDuration::from_secs(1),
            bytes: line.as_bytes().to_vec(),
            ends_line: true,
        };
        rig.last = frame.time;
        rig.runtime.write(rig.ours.name(), frame);
        expected += &format!("{line}\n");
        rig.has(&expected).await;
    }
    rig.exit();
    following.await.unwrap();
    assert_eq!(rig.handed_on(), expected);
}

/// What was read of a line whose end nobody will see.
pub async fn removed(_: &Real) {
    let mut rig = Rig::new().await;
    rig.write(b"tw", false);
    rig.put(Stream::Stderr, b"other", true);
    let (following, _trigger) = spawn(rig.follower());
    // What comes later on the other stream: so the part was read.
    let is_read = || async { !rig.files.read(Stream::Stderr).is_empty() };
    wait::until_true("it to read", DEADLINE, is_read)
        .await
        .unwrap();
    rig.runtime.remove_by_hand(rig.ours.name());
    following.await.unwrap();
    assert_eq!(rig.handed_on(), "tw\n");
}

/// Also in the middle of a line, and while it ends.
pub async fn docker_away(_: &Real) {
    let mut rig = Rig::new().await;
    let (following, _trigger) = spawn(rig.follower());
    rig.say("one");
    rig.write(b"tw", false);
    rig.has("one\n").await;
    rig.runtime.set_up(false);
    rig.write(b"o", true);
    rig.runtime.set_up(true);
    rig.has("one\ntwo\n").await;
    rig.runtime.set_up(false);
    rig.say("three");
    rig.exit();
    rig.runtime.set_up(true);
    following.await.unwrap();
    assert_eq!(rig.handed_on(), "one\ntwo\nthree\n");
}

/// Who comes next waits until what was read by the one before is out.
pub async fn dropped(_: &Real) {
    let mut rig = Rig::new().await;
    let mut expected = String::new();
    for round in 0..50 {
        let follower = rig.follower();
        let (following, _trigger) = spawn(follower);
        for number in 0..round {
            let line = format!("{round} {number}");
            rig.say(&line);
            expected += &(line + "\n");
            tokio::task::yield_now().await;
        }
        following.abort();
    }
    rig.exit();
    to_the_end(rig.follower()).await;
    assert_eq!(rig.handed_on(), expected);
}

/// A line without its end comes once, also for who asks again; and what comes after a new start.
pub async fn end_of_output(_: &Real) {
    let mut rig = Rig::new().await;
    rig.say("one");
    rig.write(b"two", false);
    rig.exit();
    for _ in 0..2 {
        let follower = rig.follower();
        to_the_end(follower).await;
        assert_eq!(rig.handed_on(), "one\ntwo\n");
    }
    rig.runtime.start(&rig.ours).await.unwrap();
    rig.say("three");
    rig.exit();
    to_the_end(rig.follower()).await;
    assert_eq!(rig.handed_on(), "one\ntwo\nthree\n");
    rig.runtime.remove(&rig.ours).await.unwrap();
    to_the_end(rig.follower()).await;
}

/// Without its state directory it still hands on all of it.
pub async fn unreadable(_: &Real) {
    let mut rig = Rig::new().await;
    rig.say("one");
    rig.exit();
    let nowhere = rig.files.path().join("no/such");
    let follower = Follower::new(
        rig.runtime.clone(),
        rig.ours.clone(),
        &nowhere,
        rig.files.sink(),
    );
    to_the_end(follower).await;
    assert_eq!(rig.handed_on(), "one\n");
}

pub async fn forgotten(_: &Real) {
    let mut rig = Rig::new().await;
    rig.say("one");
    rig.exit();
    to_the_end(rig.follower()).await;
    let files = || std::fs::read_dir(rig.files.path()).unwrap().count();
    assert_eq!(files(), 3);
    forget(rig.files.path(), rig.ours.name()).unwrap();
    assert_eq!(files(), 2);
}
