//! Flags of every subcommand that speaks with etcd.

use clap::Args;
use presence::process::args::CommonArgs;
use presence::process::etcd_args::EtcdArgs;
use presence::process::exit::Failure;
use presence::process::logging;
use presence::store::etcd::EtcdStore;

#[derive(Debug, Clone, Args)]
pub(super) struct EtcdCommand {
    #[command(flatten)]
    etcd: EtcdArgs,

    #[command(flatten)]
    pub common: CommonArgs,
}

impl EtcdCommand {
    /// Sets logging up and gives etcd; nothing is sent yet.
    pub async fn start(&self) -> Result<EtcdStore, Failure> {
        logging::init(self.common.log_format)?;
        Ok(EtcdStore::connect(self.etcd.config()?).await?)
    }
}
