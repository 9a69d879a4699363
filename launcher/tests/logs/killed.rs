//! Who follows a container is killed, again and again.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use launcher::instance::InstanceName;
use launcher::logs::Follower;
use launcher::runtime::docker::DockerRuntime;
use launcher::runtime::{ContainerRuntime as _, Identity, Ours, Stream};
use testbed::process::{Program, Running};

use crate::DEADLINE;
use crate::real::{Files, Real, sink, to_the_end};

const WORD: &str = "follow-a-container";
/// To each stream at a time.
const LINES: usize = 400;

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
            instance: InstanceName::Newest,
            host_id: "host-a".parse().unwrap(),
        };
        let (ours, _) = runtime.list(&identity).await.unwrap().remove(0);
        let sink = sink(&self.directory);
        to_the_end(Follower::new(runtime, ours, &self.directory, sink)).await;
        ExitCode::SUCCESS
    }
}

async fn follow(real: &Real, ours: &Ours, files: &Files) -> Running {
    let service = ours.name().split('.').next().unwrap();
    let program = Program::new(std::env::current_exe().unwrap());
    let program = program.args([WORD, &real.host, service]).arg(files.path());
    program.start().await.unwrap()
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
    let texts: Vec<String> = (0..times).map(|batch| format!("batch-{batch}")).collect();
    let expected: String = texts.iter().flat_map(|text| lines(text)).collect();
    let writing = async {
        for text in &texts {
            real.steer(&ours, &format!("chat/{LINES}/{text}")).await;
        }
    };
    let killing = kill(real, &ours, &files, times, 2 * expected.len());
    tokio::join!(writing, killing);
    let mut last = follow(real, &ours, &files).await;
    real.steer(&ours, "exit/0").await;
    assert!(last.wait(DEADLINE).await.unwrap().success());
    for (stream, judged) in [Stream::Stdout, Stream::Stderr]
        .into_iter()
        .zip(real.logs(&ours))
    {
        let judged = String::from_utf8(judged).unwrap();
        assert!(judged == expected);
        let handed_on = String::from_utf8(files.read(stream)).unwrap();
        let again = repeated(&handed_on, &judged);
        // Only where it is hit between two system calls in a row.
        assert!(
            again <= times,
            "{again} lines of {stream} came again in {times} times"
        );
        println!(
            "{stream}: {} lines, killed {times} times, {again} came again",
            judged.lines().count()
        );
    }
    real.runtime.remove(&ours).await.unwrap();
}

/// What the container writes to each stream when it is told this.
fn lines(text: &str) -> impl Iterator<Item = String> {
    (1..=LINES).map(move |number| format!("{text} {number}\n"))
}

/// Each time once it has handed on some more, if there is more.
async fn kill(real: &Real, ours: &Ours, files: &Files, times: usize, all: usize) {
    for time in 0..times {
        let more = 1 + (time * 7919) % (2 * all / times);
        let enough = all.min(length(files) + more);
        let mut follower = follow(real, ours, files).await;
        let deadline = Instant::now() + DEADLINE;
        // Without a pause, for it is to be hit where it is.
        while length(files) < enough {
            assert!(Instant::now() < deadline, "{}", follower.last_words());
            tokio::task::yield_now().await;
        }
        follower.kill().await.unwrap();
    }
}

fn length(files: &Files) -> usize {
    let length = |name| std::fs::metadata(files.path().join(name)).map_or(0, |file| file.len());
    usize::try_from(length("stdout") + length("stderr")).unwrap()
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
