//! What a command line can tell of itself: completions and manual pages.

use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;

use super::exit::{Failure, OWN_FAULT, OrExit};

/// `completions SHELL`: writes the script to stdout.
pub fn completions(shell: Shell, command: &mut Command) -> Result<(), Failure> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, command, name, &mut script);
    print(&script)
}

/// Writes a manual page for the command and one for each of its subcommands
/// into the directory, which is created where it is missing.
pub fn manual_pages(command: Command, directory: &Path) -> Result<(), Failure> {
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
    use io::Write;
    let mut stdout = io::stdout().lock();
    match stdout.write_all(data).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(OWN_FAULT, error).context("cannot write to stdout"))
        }
        _ => Ok(()),
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
