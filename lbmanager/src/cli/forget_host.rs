//! `lbmanager forget-host`.

use std::process::ExitCode;

use clap::Args;
use presence::keys::status::StatusWriter;
use presence::model::HostId;
use presence::process::cli;
use presence::process::exit::Failure;
use presence::store::{Condition, Store, Transaction};

use super::writers::Writers;
use super::{TreeArgs, edit, refused};

pub(super) const EXAMPLE: &str = "Example:
  lbmanager forget-host lb-3

Deletes what the IPVS manager of a retired host left in etcd: the statuses of its virtual
services, its marker, and its freeze. Exits 1 if that manager is alive, or left nothing.";

/// Flags of `forget-host`.
#[derive(Debug, Clone, Args)]
pub struct ForgetHostArgs {
    #[command(flatten)]
    tree: TreeArgs,

    /// The host ID
    #[arg(value_name = "ID")]
    host: HostId,
}

pub(super) async fn run(args: ForgetHostArgs) -> Result<ExitCode, Failure> {
    let store = args.tree.one_shot().await?;
    let keys = args.tree.prefix.status();
    let host = &args.host;
    let writer = StatusWriter::Host(host.clone());
    let writers = Writers::read(&store, &args.tree).await?;
    let claim = keys.manager(host, presence::keys::status::ManagerRole::Ipvs);
    let alive = || {
        refused(format!(
            "cannot forget {host}: its manager is alive (etcd key {claim}); stop it first"
        ))
    };
    if writers.serves_ipvs(host) {
        return Err(alive());
    }
    let statuses = store.list(&keys.host_prefix(host), None).await?;
    let marker = store.get(&keys.written(&writer)).await?.entry.is_some();
    let frozen = writers.frozen.contains_key(&writer);
    if statuses.entries.is_empty() && !marker && !frozen {
        return Err(refused(format!(
            "cannot forget {host}: it left nothing below {keys}"
        )));
    }
    let delete = Transaction::default()
        .when(claim.clone(), Condition::Absent)
        .and_delete_prefix(keys.host_prefix(host))
        .and_delete(keys.written(&writer))
        .and_delete(keys.frozen(&writer));
    if edit::commit(&store, delete).await?.is_none() {
        return Err(alive());
    }
    let count = statuses.entries.len();
    cli::print(
        format!("{host}: deleted {count} statuses, its marker and its freeze\n").as_bytes(),
    )?;
    Ok(ExitCode::SUCCESS)
}
