//! A command in a container.

use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures::StreamExt as _;
use tokio::time::sleep;

use crate::runtime::{Executed, Ours};

/// As much of the last words as is kept. The rest is read and forgotten.
const KEPT: usize = 1024;
/// Between two looks at a command that goes on without its output.
const PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// What `exec(2)` says in a shell of a program that is none.
const NO_PROGRAM: u8 = 126;

pub(super) async fn run(
    client: &Docker,
    ours: &Ours,
    command: &[String],
) -> Result<Executed, Error> {
    let options = CreateExecOptions {
        cmd: Some(command.to_vec()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..CreateExecOptions::default()
    };
    let made = client.create_exec(ours.id(), options).await?;
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    if let StartExecResults::Attached { mut output, .. } = client.start_exec(&made.id, None).await?
    {
        while let Some(piece) = output.next().await {
            match piece? {
                LogOutput::StdErr { message } => keep(&mut complained, &message),
                other => keep(&mut said, &other.into_bytes()),
            }
        }
    }
    // Docker does not tell which of both came first.
    let kept = if complained.is_empty() {
        said
    } else {
        complained
    };
    Ok(Executed {
        code: end(client, &made.id).await?,
        output: String::from_utf8_lossy(&kept).into_owned(),
    })
}

fn keep(kept: &mut Vec<u8>, piece: &[u8]) {
    kept.extend_from_slice(piece);
    let surplus = kept.len().saturating_sub(KEPT);
    kept.drain(..surplus);
}

/// Most have ended when their output has.
async fn end(client: &Docker, id: &str) -> Result<u8, Error> {
    let mut pause = PAUSE;
    loop {
        let found = client.inspect_exec(id).await?;
        if found.running != Some(true) {
            let code = found.exit_code.and_then(|code| u8::try_from(code).ok());
            return Ok(code.unwrap_or(NO_PROGRAM));
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
