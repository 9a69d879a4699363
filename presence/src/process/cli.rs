//! What a command line can tell of itself: completions and manual pages.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

use super::exit::{Failure, OWN_FAULT, OrExit};

/// Flags of `completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// For which shell
    shell: Shell,
}

/// Flags of `man`.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// Where to; created where it is missing
    directory: PathBuf,
}

impl CompletionsArgs {
    /// Writes the script for the command to stdout.
    pub fn write(&self, command: &mut Command) -> Result<ExitCode, Failure> {
        let name = command.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, command, name, &mut script);
        print(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl ManArgs {
    /// Writes a manual page for the command and one for each of its
    /// subcommands.
    pub fn write(&self, command: Command) -> Result<ExitCode, Failure> {
        manual_pages(command, &self.directory)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn manual_pages(command: Command, directory: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(command, directory))
        .or_exit(OWN_FAULT)
        .map_err(|failure| {
            failure.context(format!(
                "cannot write the manual pages to {}",
                directory.display()
            ))
        })
}

/// Writes data to stdout. A reader that has seen enough (`| head`) is no
/// error.
pub fn print(data: &[u8]) -> Result<(), Failure> {
    print_on(data).map(|_| ())
}

/// The same for whoever has more to write. Break: the reader has seen enough.
pub fn print_on(data: &[u8]) -> Result<ControlFlow<()>, Failure> {
    use io::Write;
    let mut stdout = io::stdout().lock();
    match stdout.write_all(data).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(Failure::new(OWN_FAULT, error).context("cannot write to stdout")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subcommand_has_a_page_and_hidden_ones_have_none() {
        let command = Command::new("tool")
            .subcommand(Command::new("plan").about("Says what would change"))
            .subcommand(Command::new("man").hide(true));
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("man1");
        manual_pages(command, &directory).unwrap();
        let mut pages: Vec<_> = std::fs::read_dir(&directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        pages.sort();
        assert_eq!(pages, ["tool-plan.1", "tool.1"]);
    }
}
