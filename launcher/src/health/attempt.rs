//! One attempt.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use presence::model::excerpt;
use presence::probe::{Body, Expected, HttpTarget, InvalidTarget, Outcome, Probe, Target};
use tokio::time::{Instant, timeout};

use crate::assemble::{Request, Wanted};
use crate::definition::Time;
use crate::runtime::{ContainerRuntime, Executed, Ours, RuntimeError};

/// A command that goes on for so long after its attempt is left to itself.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is done at each attempt.
pub(super) enum Attempt<R> {
    Page(Getting),
    Tcp(Probe),
    Exec(Command<R>),
}

impl<R: ContainerRuntime> Attempt<R> {
    /// `None` where the container cannot be asked, which says nothing of it.
    pub async fn once(&mut self) -> Option<Outcome> {
        match self {
            Self::Page(page) => Some(page.attempt().await),
            Self::Tcp(probe) => Some(probe.attempt().await),
            Self::Exec(command) => command.attempt().await,
        }
    }
}

/// A page that can be asked for.
pub(super) struct Getting {
    target: HttpTarget,
    /// What its body is compared with, as it is at the time.
    file: Option<String>,
    limit: Duration,
}

impl Getting {
    pub fn new(request: &Request, limit: Duration) -> Result<Self, InvalidTarget> {
        let (body, file) = match &request.body {
            Wanted::Anything => (Body::Any, None),
            Wanted::Pattern(pattern) => {
                let body = pattern.parse();
                (
                    body.expect("a definition has only patterns that are some"),
                    None,
                )
            }
            Wanted::Up => (Body::Up, None),
            Wanted::Text(text) => (Body::Is(text.clone().into_bytes()), None),
            Wanted::File(path) => (Body::Any, Some(path.clone())),
        };
        let expected = Expected {
            statuses: Some(request.statuses.clone()),
            body: Some(body),
            follow_redirects: request.follow_redirects,
            // Nobody certifies the address of a container, and nobody else has it.
            any_certificate: true,
        };
        let target = HttpTarget::parse(&request.url, expected)?;
        Ok(Self {
            target,
            file,
            limit,
        })
    }

    pub async fn attempt(&self) -> Outcome {
        let target = match &self.file {
            None => self.target.clone(),
            Some(path) => match tokio::fs::read(path).await {
                Ok(body) => self.target.expecting(Body::Is(body)),
                Err(error) => {
                    let words = format!("body_file {path} cannot be read on this host: {error}");
                    return Outcome::down(words);
                }
            },
        };
        Probe::new(Target::Http(target), self.limit).attempt().await
    }
}

/// A command in the container, of which one at a time is run.
pub(super) struct Command<R> {
    runtime: R,
    ours: Ours,
    words: Vec<String>,
    limit: Duration,
    /// One that did not end in time: nobody can end it.
    straggler: Option<Run>,
}

struct Run {
    since: Instant,
    end: BoxFuture<'static, Result<Executed, RuntimeError>>,
}

impl<R: ContainerRuntime> Command<R> {
    pub fn new(runtime: R, ours: Ours, words: Vec<String>, limit: Duration) -> Self {
        Self {
            runtime,
            ours,
            words,
            limit,
            straggler: None,
        }
    }

    async fn attempt(&mut self) -> Option<Outcome> {
        if let Some(words) = self.wait_for_straggler().await {
            return Some(Outcome::down(words));
        }
        let mut run = self.start();
        match timeout(self.limit, &mut run.end).await {
            Ok(Ok(executed)) => Some(judge(&executed)),
            Ok(Err(RuntimeError::Unreachable { .. })) => None,
            Ok(Err(error)) => Some(Outcome::down(error.to_string())),
            Err(_) => {
                self.straggler = Some(run);
                let limit = Time(self.limit);
                Some(Outcome::down(format!("no answer within {limit}")))
            }
        }
    }

    fn start(&self) -> Run {
        let (runtime, ours, words) = (self.runtime.clone(), self.ours.clone(), self.words.clone());
        Run {
            since: Instant::now(),
            end: async move { runtime.exec(&ours, &words).await }.boxed(),
        }
    }

    /// Why no other can be run yet.
    async fn wait_for_straggler(&mut self) -> Option<String> {
        let straggler = self.straggler.as_mut()?;
        let ended = timeout(self.limit, &mut straggler.end).await.is_ok();
        let age = straggler.since.elapsed();
        if ended || age > PATIENCE {
            self.straggler = None;
            return None;
        }
        let age = Time(Duration::from_secs(age.as_secs()));
        Some(format!(
            "the command of an earlier attempt still runs, for {age} now"
        ))
    }
}

fn judge(executed: &Executed) -> Outcome {
    let end = format!("exit code {}", executed.code);
    let last_line = executed.output.trim_end().lines().next_back();
    let words = match last_line.map(str::trim).filter(|line| !line.is_empty()) {
        Some(line) => format!("{end}: {}", excerpt(line)),
        None => end,
    };
    if executed.code == 0 {
        Outcome::up(words)
    } else {
        Outcome::down(words)
    }
}
