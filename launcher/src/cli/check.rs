//! `launcher check`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use presence::process::cli;
use presence::process::exit::{CONFIGURATION, Failure};

use crate::definition::{Definition, Document, Parsed};
use crate::document::Problem;
use crate::policy::Policy;

pub(super) const EXAMPLE: &str = "Examples:
  launcher check web.yaml
  etcdctl get --print-value-only /launcher/services/web | launcher check -

Exits 78 where something is wrong with the definition, and says what on stderr, as
FILE:LINE:COLUMN: MESSAGE.";

/// Flags of `check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// The definition, in YAML or JSON; - is stdin
    file: PathBuf,

    /// Say as well what of it this policy refuses
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

pub(super) fn run(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let policy = args.policy.as_deref().map(policy).transpose()?;
    let (name, text) = read(&args.file)?;
    let document = Document::parse(&text).map_err(|problems| wrong(&name, &problems))?;
    let refused = policy.map(|policy| document.refused_by(&policy));
    match refused.unwrap_or_default().as_slice() {
        [] => cli::print(summary(&name, &document.parsed).as_bytes())?,
        problems => return Err(wrong(&name, problems)),
    }
    Ok(ExitCode::SUCCESS)
}

fn policy(file: &Path) -> Result<Policy, Failure> {
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

fn summary(name: &str, parsed: &Parsed) -> String {
    let Definition { image, publish, .. } = &parsed.definition;
    let health = match &parsed.definition.health_check {
        Some(check) => format!("health by {}", check.name()),
        None if parsed.definition.service_port().is_some() => "health by image or tcp".to_owned(),
        None => "health by image or none".to_owned(),
    };
    let targets = match publish.len() {
        0 => "published nowhere".to_owned(),
        1 => "published in one place".to_owned(),
        many => format!("published in {many} places"),
    };
    format!("{name}: fine: {image}, {health}, {targets}\n")
}
