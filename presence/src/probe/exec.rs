//! A command that exits 0.

use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::Outcome;
use crate::model::excerpt;
use crate::process::systemd;

/// As much of the last words as is kept. The rest is read and forgotten, so
/// that no command waits for its reader.
const KEPT: usize = 1024;

/// How long the last words are waited for when the command has ended. What it
/// left behind in the background may hold its output open.
const LAST_WORDS: Duration = Duration::from_millis(100);

pub(super) async fn attempt(command: &[String]) -> Outcome {
    let Some((program, arguments)) = command.split_first() else {
        return Outcome::down("there is no command");
    };
    match Group::start(program, arguments) {
        Ok(mut group) => group.finish().await,
        Err(error) => Outcome::down(format!("cannot run {program}: {error}")),
    }
}

/// A process and those that it started, killed when dropped before its end.
struct Group(Child);

impl Group {
    fn start(program: &str, arguments: &[String]) -> std::io::Result<Self> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        systemd::scrub(command.as_std_mut());
        command.spawn().map(Self)
    }

    async fn finish(&mut self) -> Outcome {
        let (stdout, stderr) = (self.0.stdout.take(), self.0.stderr.take());
        let (mut said, mut complained) = (Tail::default(), Tail::default());
        let status = {
            let reading = async { tokio::join!(said.read(stdout), complained.read(stderr)) };
            let mut reading = pin!(reading);
            let mut is_read = false;
            let status = loop {
                // Both arms are cancel-safe: what was read is kept outside.
                tokio::select! {
                    status = self.0.wait() => break status,
                    _ = &mut reading, if !is_read => is_read = true,
                }
            };
            if !is_read {
                let _ = timeout(LAST_WORDS, reading).await;
            }
            status
        };
        match status {
            Ok(status) => judge(status, complained.last_line().or(said.last_line())),
            Err(error) => Outcome::down(error.to_string()),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // There is no ID any more once its end was seen: it may be another's.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id {
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

fn judge(status: ExitStatus, last_line: Option<String>) -> Outcome {
    let end = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => status.to_string(),
    };
    let words = match last_line {
        Some(line) => format!("{end}: {line}"),
        None => end,
    };
    if status.success() {
        Outcome::up(words)
    } else {
        Outcome::down(words)
    }
}

/// The end of what a stream held.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    async fn read(&mut self, stream: Option<impl AsyncRead + Unpin>) {
        let Some(mut stream) = stream else { return };
        let mut buffer = [0; KEPT];
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            self.0.extend_from_slice(&buffer[..length]);
            let surplus = self.0.len().saturating_sub(KEPT);
            self.0.drain(..surplus);
        }
    }

    fn last_line(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.0);
        let line = text.trim_end().lines().next_back()?.trim();
        (!line.is_empty()).then(|| excerpt(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sh(script: &str) -> (bool, String) {
        let outcome = attempt(&["/bin/sh", "-c", script].map(str::to_owned)).await;
        (outcome.is_up, outcome.words)
    }

    #[tokio::test]
    async fn the_exit_code_decides_and_the_last_line_explains() {
        for (script, is_up, words) in [
            ("true", true, "exit code 0"),
            ("echo fine", true, "exit code 0: fine"),
            ("echo a; echo b; exit 3", false, "exit code 3: b"),
            ("echo said; echo why >&2; exit 1", false, "exit code 1: why"),
            ("kill -9 $$", false, "ended by signal 9"),
        ] {
            assert_eq!(sh(script).await, (is_up, words.to_owned()), "{script}");
        }
        let outcome = attempt(&["/nonexistent".to_owned()]).await;
        assert!(!outcome.is_up);
        assert!(
            outcome
                .words
                .starts_with("cannot run /nonexistent: No such file")
        );
    }

    #[tokio::test]
    async fn much_output_holds_nobody_up() {
        let (is_up, words) = sh("head -c 1000000 /dev/zero | tr '\\0' x; echo; echo end").await;
        assert_eq!((is_up, words.as_str()), (true, "exit code 0: end"));
    }

    #[tokio::test]
    async fn who_stays_in_the_background_is_not_waited_for() {
        let begin = std::time::Instant::now();
        let (is_up, words) = sh("sleep 30 & echo $!").await;
        assert!(
            is_up && begin.elapsed() < Duration::from_secs(10),
            "{words}"
        );
        let pid = words.trim_start_matches("exit code 0: ").parse().unwrap();
        nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
}
