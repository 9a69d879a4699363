//! Who follows a container is killed, again and again.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};

use launcher::logs::Follower;
use launcher::runtime::docker::DockerRuntime;
use launcher::runtime::{ContainerRuntime as _, Identity, Ours, Stream};

use crate::DEADLINE;
use crate::real::{Files, Real, sink, to_the_end};

const WORD: &str = "follow-a-container";

/// What the program is told that follows a container.
pub struct Following {
    host: String,
    service: String,
    directory: PathBuf,
}

impl Following {
    pub fn from_args() -> Option<Self> {
        let mut args = std::env::args().skip(1);
        (args.next()? == WORD).then_some(())?;
        Some(Self {
            host: args.next()?,
            service: args.next()?,
            directory: args.next()?.into(),
        })
    }

    #[tokio::main(flavor = "current_thread")]
    pub async fn run(self) -> ExitCode {
        let runtime = DockerRuntime::at(&self.host);
        let identity = Identity {
            service: self.service.parse().unwrap(),
            instance: None,
            host_id: "host-a".parse().unwrap(),
        };
        let (ours, _) = runtime.list(&identity).await.unwrap().remove(0);
        let sink = sink(&self.directory);
        to_the_end(Follower::new(runtime, ours, &self.directory, sink)).await;
        println!("done");
        ExitCode::SUCCESS
    }
}

fn follow(real: &Real, ours: &Ours, files: &Files) -> Child {
    let service = ours.name().split('.').next().unwrap();
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args([WORD, &real.host, service]).arg(files.path());
    program.stdout(Stdio::piped()).spawn().unwrap()
}

pub async fn a_few_times(real: &Real) {
    killed(real, 5).await;
}

pub async fn many_times(real: &Real) {
    for _ in 0..testbed::soak::rounds().unwrap() {
        killed(real, 60).await;
    }
}

async fn killed(real: &Real, times: usize) {
    let ours = real.started(&[]).await;
    let files = Files::new();
    let (writing, killing) = (write(real, &ours, times), kill(real, &ours, &files, times));
    let (written, ()) = tokio::join!(writing, killing);
    let mut last = follow(real, &ours, &files);
    real.steer(&ours, "exit/0").await;
    let mut said = String::new();
    BufReader::new(last.stdout.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    assert_eq!(
        (said.as_str(), last.wait().unwrap().success()),
        ("done\n", true)
    );
    for (stream, judged) in [Stream::Stdout, Stream::Stderr]
        .into_iter()
        .zip(real.logs(&ours))
    {
        let judged = String::from_utf8(judged).unwrap();
        assert_eq!(judged.lines().count(), written);
        let handed_on = String::from_utf8(files.read(stream)).unwrap();
        let again = repeated(&handed_on, &judged);
        // Only where it is hit between two system calls in a row.
        assert!(
            again <= times,
            "{again} lines of {stream} came again in {times} times"
        );
        println!("{stream}: {written} lines, killed {times} times, {again} came again");
    }
    real.runtime.remove(&ours).await.unwrap();
}

/// Lines to both streams, each batch of its own words; gives how many to each.
async fn write(real: &Real, ours: &Ours, times: usize) -> usize {
    let lines = 400;
    for batch in 0..times {
        real.steer(ours, &format!("chat/{lines}/batch-{batch}"))
            .await;
    }
    times * lines
}

async fn kill(real: &Real, ours: &Ours, files: &Files, times: usize) {
    for time in 0..times {
        let mut child = follow(real, ours, files);
        // It is killed once it has handed on something, or has nothing left to.
        let before = length(files);
        let more = 1 + (time * 7919) % 20_000;
        let deadline = tokio::time::Instant::now() + DEADLINE;
        let is_enough = || length(files) >= before + more as u64;
        while !is_enough() && length_of(&real.logs(ours)) > length(files) {
            assert!(
                tokio::time::Instant::now() < deadline,
                "nothing is handed on"
            );
            tokio::task::yield_now().await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

fn length(files: &Files) -> u64 {
    let length = |name| std::fs::metadata(files.path().join(name)).map_or(0, |file| file.len());
    length("stdout") + length("stderr")
}

fn length_of(texts: &[Vec<u8>; 2]) -> u64 {
    texts.iter().map(|text| text.len() as u64).sum()
}

/// How many lines came again, each right behind itself; anything else would be wrong.
fn repeated(handed_on: &str, judged: &str) -> usize {
    let (mut expected, mut last, mut again) = (judged.lines(), None, 0);
    for line in handed_on.lines() {
        if Some(line) == last {
            again += 1;
        } else {
            last = expected.next();
            assert_eq!(Some(line), last);
        }
    }
    assert_eq!(expected.next(), None);
    again
}
