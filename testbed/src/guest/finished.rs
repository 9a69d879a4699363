//! How a program in a guest ended.

use std::process::ExitStatus;

use crate::error::{Error, Result};

/// A program that ran to its end in a guest.
#[derive(Debug, Clone)]
pub struct Finished {
    /// What was run.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output; of very much, the end.
    pub stdout: String,
    /// What it wrote to standard error; of very much, the end.
    pub stderr: String,
}

impl Finished {
    /// What it wrote to standard output, if it ended well.
    pub fn success(self) -> Result<String> {
        if self.status.success() {
            return Ok(self.stdout);
        }
        Err(Error::Command {
            command: self.command,
            status: self.status,
            // Test programs say what failed on standard output.
            stderr: self.stderr + &self.stdout,
        })
    }
}
