//! The way between this machine and the network of a private daemon: a pair of interfaces that goes
//! when the daemon's namespace does, with all routes over it.

use std::net::Ipv4Addr;
use std::process::Stdio;

use tokio::process::Command;

use super::finish;
use crate::error::{Error, Result, find_program};

/// Where the daemon's first block of addresses may be: in what is set aside for carriers
/// (100.64.0.0/10), which no other rig and hardly any machine uses.
const BLOCKS: u32 = 1 << 10;
const BLOCK: u32 = 1 << 12;
const FIRST: u32 = 0x6440_0000;

/// A block of 4,096 addresses: 256 for the link, 256 for the bridge that containers are on by
/// default, the upper half for further networks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    base: u32,
}

impl Link {
    /// A block by chance: two daemons hardly ever have the same, and if so joining says it.
    pub(super) fn choose() -> Self {
        Self {
            base: FIRST + fastrand::u32(..BLOCKS) * BLOCK,
        }
    }

    fn at(self, offset: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base + offset)
    }

    /// The end on this side.
    pub(super) fn outside(self) -> Ipv4Addr {
        self.at(1)
    }

    fn inside(self) -> Ipv4Addr {
        self.at(2)
    }

    fn name(self) -> String {
        format!("docker-{:03x}", (self.base - FIRST) / BLOCK)
    }

    /// What the daemon has to be told. Registries on this machine have no certificates.
    pub(super) fn options(self) -> Vec<String> {
        vec![
            format!("--bip={}/24", self.at(0x101)),
            format!("--default-address-pool=base={}/21,size=24", self.at(0x800)),
            format!("--insecure-registry={}/32", self.outside()),
        ]
    }

    /// Makes the pair of interfaces; `pid` is in the daemon's network.
    pub(super) async fn join(self, pid: u32) -> Result<()> {
        let (name, pid) = (self.name(), pid.to_string());
        let (outside, inside) = (self.outside(), self.inside());
        let script = format!(
            "set -e
             ip link add {name} type veth peer name eth0 netns {pid}
             ip address add {outside}/24 dev {name}
             ip link set {name} up
             nsenter --target {pid} --net sh -euc '
                 ip link set lo up
                 ip address add {inside}/24 dev eth0
                 ip link set eth0 up
                 ip route add default via {outside}'
             ip route add {}/20 via {inside}",
            self.at(0)
        );
        run(&script).await
    }

    /// Lets what comes from this side to the containers: Docker lets through only published ports.
    /// What else Docker has set up goes before that and after.
    pub(super) async fn admit(self, pid: u32) -> Result<()> {
        let script = format!(
            "nsenter --target {pid} --net iptables --insert DOCKER-USER \
             --in-interface eth0 --jump ACCEPT"
        );
        run(&script).await
    }
}

async fn run(script: &str) -> Result<()> {
    for program in ["ip", "nsenter", "iptables"] {
        find_program(program, "apt-get install iproute2 util-linux iptables")?;
    }
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let done = finish(command, "the network of a private dockerd").await;
    done.map(drop).map_err(|error| match error {
        Error::Command { stderr, .. } if stderr.contains("File exists") => Error::Misuse(
            "the addresses that were chosen for a private dockerd are in use: try again".to_owned(),
        ),
        other => other,
    })
}
