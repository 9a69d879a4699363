//! Documents that a command line names.

use std::io::Read;
use std::path::Path;

use presence::keys::Tree;
use presence::process::exit::{CONFIGURATION, Failure};

use crate::definition::{Document, Parsed};
use crate::document::Problem;
use crate::policy::Policy;

/// A definition that has nothing wrong with it.
pub(super) struct Checked {
    /// Its file, for messages.
    pub place: String,
    /// The document as it is.
    pub text: String,
    /// What it says.
    pub parsed: Parsed,
}

/// Reads a definition and checks it for this tree, and against a policy if one is named.
pub(super) fn check(
    file: &Path,
    tree: &Tree,
    policy_file: Option<&Path>,
) -> Result<Checked, Failure> {
    let policy = policy_file.map(policy).transpose()?;
    let (place, text) = read(file)?;
    let document = Document::parse(&text).map_err(|problems| wrong(&place, &problems))?;
    let mut problems = document.outside(tree);
    problems.extend(policy.iter().flat_map(|policy| document.refused_by(policy)));
    match problems.as_slice() {
        [] => Ok(Checked {
            place,
            text,
            parsed: document.parsed,
        }),
        problems => Err(wrong(&place, problems)),
    }
}

/// Reads a policy.
pub(super) fn policy(file: &Path) -> Result<Policy, Failure> {
    let (name, text) = read(file)?;
    Policy::parse(&text).map_err(|problems| wrong(&name, &problems))
}

/// Says each on a line of its own, as compilers do, so that editors lead there.
fn wrong(name: &str, problems: &[Problem]) -> Failure {
    for problem in problems {
        eprintln!("{name}:{problem}");
    }
    Failure::silent(CONFIGURATION)
}

/// The name of the file for messages, and what is in it.
fn read(file: &Path) -> Result<(String, String), Failure> {
    let mut bytes = Vec::new();
    let (name, read) = if file == Path::new("-") {
        (
            "<stdin>".to_owned(),
            std::io::stdin().read_to_end(&mut bytes),
        )
    } else {
        let opened = std::fs::File::open(file);
        let read = opened.and_then(|mut opened| opened.read_to_end(&mut bytes));
        (file.display().to_string(), read)
    };
    let doing = format!("cannot read {name}");
    read.map_err(|error| Failure::usage(error).context(&doing))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::configuration(format!("it is no UTF-8 text from byte {at} on")).context(&doing)
    })?;
    Ok((name, text))
}
