//! Runs what a document shows, and compares.

use std::path::PathBuf;
use std::time::Duration;

use crate::documents::Entered;
use crate::error::{Error, Result};
use crate::process::{Program, Running, Signal, Stream};
use crate::wait;

/// How long something may take to be as it is shown.
const DEADLINE: Duration = Duration::from_mins(1);

/// A terminal with an environment of its own.
#[derive(Debug)]
pub struct Terminal {
    directory: PathBuf,
    env: Vec<(String, String)>,
    replaced: Vec<(String, String)>,
    masked: Vec<(String, String)>,
    jobs: Vec<Running>,
}

impl Terminal {
    /// In this directory.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            env: Vec::new(),
            replaced: Vec::new(),
            masked: Vec::new(),
            jobs: Vec::new(),
        }
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Where the document has the one the other is taken: ports, say.
    #[must_use]
    pub fn replace(mut self, shown: &str, real: &str) -> Self {
        self.replaced.push((shown.to_owned(), real.to_owned()));
        self
    }

    /// What stands between these two changes from one time to the next, and is not compared.
    #[must_use]
    pub fn mask(mut self, begin: &str, end: &str) -> Self {
        self.masked.push((begin.to_owned(), end.to_owned()));
        self
    }

    /// Enters the commands one after the other, each until it writes what is shown: some need a
    /// moment until what went before has its effect. `… &` goes on until the terminal is dropped or
    /// `kill %N` ends it.
    pub async fn enter(&mut self, session: &[Entered]) -> Result<()> {
        for entered in session {
            let command = self.real(&entered.command);
            if let Some(command) = command.strip_suffix('&') {
                let running = self.start(&format!("exec {command}")).await?;
                self.jobs.push(running);
            } else if let Some(job) = command.strip_prefix("kill %") {
                self.end(job).await?;
            } else {
                self.compare(&command, &self.real(&entered.output)).await?;
            }
        }
        Ok(())
    }

    async fn start(&self, script: &str) -> Result<Running> {
        let program = Program::new("/bin/sh").args(["-c", script]);
        let program = program.current_dir(&self.directory);
        program.envs(self.env.clone()).start().await
    }

    async fn end(&mut self, job: &str) -> Result<()> {
        let number: Option<usize> = job.trim().parse().ok();
        let job = number.and_then(|number| self.jobs.get_mut(number - 1));
        let job = job.ok_or_else(|| Error::Misuse("kill names no job".to_owned()))?;
        job.signal(Signal::SIGTERM)?;
        job.wait(DEADLINE).await?;
        Ok(())
    }

    async fn compare(&self, command: &str, expected: &str) -> Result<()> {
        let expected = self.comparable(expected);
        let what = format!("`{command}` to write {expected:?}");
        let compared = wait::until(&what, DEADLINE, || async {
            let mut running = self.start(command).await.map_err(|error| error.chain())?;
            let status = running
                .wait(DEADLINE)
                .await
                .map_err(|error| error.chain())?;
            let written = self.comparable(&running.text(Stream::Stdout));
            if status.success() && written == expected {
                return Ok(());
            }
            Err(format!(
                "{status}: {written}{}",
                running.text(Stream::Stderr)
            ))
        });
        compared.await.map_err(Error::from)
    }

    fn real(&self, text: &str) -> String {
        let pairs = self.replaced.iter();
        pairs.fold(text.to_owned(), |text, (shown, real)| {
            text.replace(shown, real)
        })
    }

    fn comparable(&self, text: &str) -> String {
        let pairs = self.masked.iter();
        pairs.fold(text.to_owned(), |text, (begin, end)| {
            masked(&text, begin, end)
        })
    }
}

fn masked(text: &str, begin: &str, end: &str) -> String {
    let mut parts = text.split(begin);
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.split_once(end).map_or("", |(_, rest)| rest);
        masked += &format!("{begin}…{end}{rest}");
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entered(command: &str, output: &str) -> Entered {
        Entered {
            command: command.to_owned(),
            output: output.to_owned(),
        }
    }

    #[tokio::test]
    async fn what_is_shown_is_what_comes_out() {
        let mut terminal = Terminal::at("/")
            .env("NAME", "world")
            .replace("8000", "8123")
            .mask("<", ">");
        let session = [
            entered("sleep 1000 &", ""),
            entered("echo hello $NAME 8000 '<7>'", "hello world 8000 <now>\n"),
            entered("kill %1", ""),
        ];
        terminal.enter(&session).await.unwrap();
        assert!(terminal.jobs[0].has_ended());
    }
}
