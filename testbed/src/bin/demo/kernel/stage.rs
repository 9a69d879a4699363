//! What is in the guest: etcd, lbmanager, three web servers and a client.

use testbed::etcd::Etcd;
use testbed::lbmanager::{Launch, LbManager};
use testbed::process::{Stream, installed};
use testbed::site::{CLIENT, Site};
use testbed::{Error, Result};

use super::table::Table;
use crate::screen::{Look, Screen};
use crate::stage::DEADLINE;

/// The region that this host serves beside its own.
pub const REGION: &str = "edge";
const SERVERS: u8 = 3;

/// Everything, up and running; gone when dropped.
#[derive(Debug)]
pub struct Stage {
    manager: LbManager,
    pub etcd: Etcd,
    pub site: Site,
}

impl Stage {
    pub async fn set_up() -> Result<Self> {
        let site = Site::set_up(SERVERS).await?;
        let etcd = Etcd::start().await?;
        let launch = Launch::of_kernel(&etcd)?.args(["--ipvs-region", REGION]);
        // No client is next to a server.
        let manager = launch.args(["--masquerade", "off"]).start().await?;
        manager.wait_ready(DEADLINE).await?;
        Ok(Self {
            manager,
            etcd,
            site,
        })
    }

    pub fn introduce(screen: &Screen) {
        screen.line("");
        screen.line(&screen.paint(
            Look::Bold,
            "Virtual services: the kernel of every host as the same tree says",
        ));
        screen.line("");
        screen.paragraph(
            0,
            "Linux itself can balance load: IPVS. This goes on in a kernel of its own, booted as \
             a process, so nothing of it is on this machine when it is over. It is the gateway \
             between a client and three web servers, each on a network of its own.",
        );
        screen.line("");
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let servers = (1..=SERVERS).map(Site::server).collect::<Vec<_>>();
        let rows = [
            ("kernel", format!("Linux {}", release.trim())),
            (
                "lbmanager",
                format!("run --backends ipvs --ipvs-region {REGION} --masquerade off"),
            ),
            ("client", CLIENT.to_owned()),
            ("servers", servers.join(", ")),
        ];
        for (name, what) in rows {
            screen.line(&format!("   {name:<10} {what}"));
        }
    }

    /// What `ipvsadm` shows of the kernel with these arguments.
    pub async fn table(&self, arguments: &[&str]) -> Result<Table> {
        let program = installed("ipvsadm", super::INSTALL)?;
        let mut ipvsadm = program.args(arguments).start().await?;
        let status = ipvsadm.wait(DEADLINE).await?;
        if status.success() {
            return Ok(Table(ipvsadm.text(Stream::Stdout)));
        }
        Err(Error::Command {
            command: format!("ipvsadm {}", arguments.join(" ")),
            status,
            stderr: ipvsadm.text(Stream::Stderr),
        })
    }

    /// The end of lbmanager's log: where one should look first.
    pub fn show_log(&self, screen: &Screen) {
        screen.line("");
        screen.line("   The end of lbmanager's log:");
        for line in self.manager.last_words().lines() {
            screen.line(&format!("   | {line}"));
        }
    }

    /// Ends lbmanager as systemd would. Whether it ended well.
    pub async fn strike(&mut self) -> Result<bool> {
        self.manager.stop().await
    }
}
