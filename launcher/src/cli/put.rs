//! `launcher put`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use presence::model::{DefinitionRevision, ServiceName};
use presence::process::args::PrefixArgs;
use presence::process::cli;
use presence::process::exit::Failure;

use super::REFUSED;
use super::document::{self, Checked};
use super::etcd_command::EtcdCommand;
use crate::definitions::{self, Put, PutError};

pub(super) const EXAMPLE: &str = "Examples:
  launcher put web.yaml
  launcher put web.yaml --name shop --policy policy.yaml
  launcher put web.yaml --if-revision 42-0a1b2c3d

Writes the revision to stdout. A definition that means the same as the one in force is not written:
that would be no rollout. Exits 78 where something is wrong with it, and says what as
`launcher check` does; 1 where another revision is in force than --if-revision says.";

/// Flags of `put`.
#[derive(Debug, Clone, Args)]
pub struct PutArgs {
    #[command(flatten)]
    etcd: EtcdCommand,

    #[command(flatten)]
    prefix: PrefixArgs,

    /// The definition, in YAML or JSON; - is stdin
    file: PathBuf,

    /// The service [default: what the document says, or else the name of the file]
    #[arg(long, value_name = "NAME")]
    name: Option<ServiceName>,

    /// Refuse what this policy does not allow
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Write it only if this revision is in force
    #[arg(long, value_name = "REVISION")]
    if_revision: Option<DefinitionRevision>,
}

pub(super) async fn run(args: PutArgs) -> Result<ExitCode, Failure> {
    let checked = document::check(&args.file, &args.prefix.tree, args.policy.as_deref())?;
    let name = args.service(&checked)?;
    let store = args.etcd.start().await?;
    let (definition, text) = (&checked.parsed.definition, &checked.text);
    let put = definitions::put(&store, &name, definition, text, args.if_revision).await;
    let revision = match put.map_err(failure)? {
        Put::Written(revision) => revision,
        Put::Same(revision) => {
            eprintln!("launcher: {name} is defined so already; nothing was written");
            revision
        }
    };
    cli::print(format!("{revision}\n").as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn failure(error: PutError) -> Failure {
    match error {
        PutError::Other { .. } | PutError::Disturbed(_) => Failure::new(REFUSED, error),
        PutError::Unknown(_) => Failure::unexpected(error),
        PutError::Store(error) => error.into(),
    }
}

impl PutArgs {
    fn service(&self, checked: &Checked) -> Result<ServiceName, Failure> {
        match (&self.name, &checked.parsed.name) {
            (Some(given), Some(said)) if given != said => Err(Failure::usage(format!(
                "{} says that its name is {said}, --name says {given}",
                checked.place
            ))),
            (Some(name), _) | (None, Some(name)) => Ok(name.clone()),
            (None, None) => name_of(&self.file),
        }
    }
}

fn name_of(file: &Path) -> Result<ServiceName, Failure> {
    let doing = "the name of the service is not known; give --name";
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let name = name.parse().map_err(Failure::usage);
    name.map_err(|failure| failure.context(doing))
}
