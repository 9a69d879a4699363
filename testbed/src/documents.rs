//! What the documents of this workspace say: commands, code, names, and whole sessions on a
//! terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};

/// The root of this workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The documents with their paths.
pub fn all() -> Result<Vec<(PathBuf, String)>> {
    let mut paths = Vec::new();
    for directory in [root(), root().join("docs")] {
        let files = fs::read_dir(&directory).map_err(Error::io("read", &directory))?;
        let files = files.filter_map(|file| file.ok().map(|file| file.path()));
        paths.extend(files.filter(|path| path.extension().is_some_and(|end| end == "md")));
    }
    paths
        .into_iter()
        .map(|path| Ok((path.clone(), read(&path)?)))
        .collect()
}

/// One of them, by its path below the root.
pub fn one(path: &str) -> Result<String> {
    read(&root().join(path))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Error::io("read", path))
}

/// Everything that is set as code, a line or a span each. A span that goes over the end of a line
/// is one.
pub fn code(text: &str) -> Vec<String> {
    let is_block = |line: &str| line.starts_with("    ");
    let blocks = text.lines().filter(|line| is_block(line));
    let blocks = blocks.map(|line| line.trim_start_matches([' ', '$']).to_owned());
    let prose: Vec<&str> = text.lines().filter(|line| !is_block(line)).collect();
    let prose = prose.join(" ");
    let spans = prose.split('`').skip(1).step_by(2).map(str::to_owned);
    blocks.chain(spans).collect()
}

/// Checks that every subcommand and flag of a program that the documents name exists by its own
/// help, and gives how many commands were found.
pub fn check_commands(program: &str, binary: &Path) -> Result<usize> {
    let mut pages = BTreeMap::new();
    let mut seen = 0;
    for (path, text) in all()? {
        for command in code(&text) {
            let mut words = command
                .split_whitespace()
                .skip_while(|word| word.contains('='));
            let is_ours = words.next() == Some(program);
            let Some(subcommand) = words
                .next()
                .filter(|word| is_ours && !word.starts_with('-'))
            else {
                continue;
            };
            seen += 1;
            let page = pages
                .entry(subcommand.to_owned())
                .or_insert_with(|| help(binary, subcommand));
            let place = format!("{}: `{command}`", path.display());
            let Some(page) = page else {
                return Err(Error::Misuse(format!(
                    "{place}: there is no such subcommand"
                )));
            };
            let flags = words.take_while(|word| *word != "--" && *word != "|");
            for flag in flags.filter(|word| word.starts_with("--")) {
                let flag = flag.split('=').next().unwrap_or(flag);
                if !page.contains(flag) {
                    return Err(Error::Misuse(format!("{place}: there is no flag {flag}")));
                }
            }
        }
    }
    Ok(seen)
}

/// What a program says of a subcommand, if it has it.
fn help(binary: &Path, subcommand: &str) -> Option<String> {
    let output = Command::new(binary)
        .args([subcommand, "--help"])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(text)
}

/// Names of metrics of a program, without what the kinds of them add.
pub fn metrics(prefix: &str, text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_name(c));
    let names = words.filter(|word| word.starts_with(prefix)).map(|word| {
        let ends = ["_total", "_bucket", "_sum", "_count", "_info"];
        let end = ends.iter().find_map(|end| word.strip_suffix(end));
        end.unwrap_or(word).to_owned()
    });
    names.collect()
}

/// A command of a session, and what it is shown to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// What was entered, without the prompt. One that goes over several lines is one.
    pub command: String,
    /// What came out.
    pub output: String,
}

/// The commands of a document's blocks whose lines begin with `$ `, in order.
pub fn session(text: &str) -> Vec<Entered> {
    let mut entered: Vec<Entered> = Vec::new();
    let mut goes_on = false;
    let mut in_session = false;
    for line in text.lines() {
        let Some(line) = line.strip_prefix("    ") else {
            in_session = false;
            continue;
        };
        if let Some(command) = line.strip_prefix("$ ") {
            in_session = true;
            entered.push(Entered {
                command: command.trim_end_matches('\\').to_owned(),
                output: String::new(),
            });
        } else if let Some(last) = entered.last_mut().filter(|_| in_session) {
            if goes_on {
                last.command += line.trim_start().trim_end_matches('\\');
            } else {
                last.output += &format!("{line}\n");
            }
        }
        goes_on = line.ends_with('\\');
    }
    entered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_read_as_it_was_entered() {
        let text = "Text:\n\n    $ first \\\n        --flag\n    output\n    more\n    $ second\n\n    \
                    no session\n";
        let entered = |command: &str, output: &str| Entered {
            command: command.to_owned(),
            output: output.to_owned(),
        };
        let expected = [
            entered("first --flag", "output\nmore\n"),
            entered("second", ""),
        ];
        assert_eq!(session(text), expected);
    }

    #[test]
    fn code_is_lines_and_spans() {
        assert_eq!(
            code("say `make\ntest`:\n\n    $ make demo\n"),
            ["make demo", "make test"]
        );
    }
}
