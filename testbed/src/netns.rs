//! A small network of one's own: hosts as network namespaces, joined by bridges.
//!
//! ```no_run
//! # async fn f() -> testbed::Result<()> {
//! use testbed::netns::{Bridge, Namespace};
//!
//! let lan = Bridge::create("lan", ["10.9.0.1/24", "fd09::1/64"]).await?;
//! let client = Namespace::builder("client").address("10.9.0.2/24").gateway("10.9.0.1");
//! let client = client.join(&lan).await?;
//! let page = client.run("curl", ["--silent", "http://10.9.0.1"]).await?;
//! let server = client.program("/usr/sbin/nginx")?.start().await?;
//! # Ok(()) }
//! ```
//!
//! Root is needed, on whatever kernel. Inside a [guest](crate::guest), and best in a
//! [suite](crate::guest::suite) where each test has namespaces of its own, names are nobody
//! else's.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::error::{Error, Result, find_program};
use crate::process::Program;

const INSTALL: &str = "apt-get install iproute2";
/// The names of interfaces are no longer than 15, and a host's has a prefix.
const LONGEST_NAME: usize = 13;
/// What a host calls its only interface.
const INTERFACE: &str = "eth0";

/// A bridge in the namespace of this process, which is a host on it itself. Removed when dropped.
#[derive(Debug)]
pub struct Bridge {
    name: String,
}

/// A host on a bridge. Removed when dropped; what runs in it has to be ended before.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

/// Says what a host is to have.
#[derive(Debug, Clone)]
pub struct NamespaceBuilder {
    name: String,
    addresses: Vec<String>,
    gateways: Vec<String>,
}

impl Bridge {
    /// Makes one, with addresses (`10.9.0.1/24`) of this process' host.
    pub async fn create(
        name: &str,
        addresses: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self> {
        let mut script = format!("link add {name} type bridge mcast_snooping 0\n");
        for address in addresses {
            script += &with_address(name, &address.into());
        }
        script += &format!("link set {name} up\n");
        check(name)?;
        let bridge = Self {
            name: name.to_owned(),
        };
        ip(&["-batch", "-"], &script).await?;
        Ok(bridge)
    }

    /// Its name, which is that of an interface.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Namespace {
    /// A host with no more than a name.
    pub fn builder(name: &str) -> NamespaceBuilder {
        NamespaceBuilder {
            name: name.to_owned(),
            addresses: Vec::new(),
            gateways: Vec::new(),
        }
    }

    /// Its name, as `ip netns` lists it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A program that is to run on it.
    pub fn program(&self, program: impl Into<PathBuf>) -> Result<Program> {
        let ip = Program::new(find_program("ip", INSTALL)?);
        let ip = ip.args(["netns", "exec", &self.name]);
        Ok(ip.arg(program.into()))
    }

    /// Runs a program on it to its end, and gives what it wrote; to fail is an error.
    pub async fn run(
        &self,
        program: &str,
        args: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<String> {
        let mut words = ["netns", "exec", &self.name, program]
            .map(String::from)
            .to_vec();
        words.extend(args.into_iter().map(Into::into));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        ip(&words, "").await
    }

    /// Sets a parameter of its kernel: `sysctl("net.ipv4.ip_forward", "1")`.
    pub async fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        let file = format!("/proc/sys/{}", name.replace('.', "/"));
        let write = r#"echo "$1" > "$2""#;
        let written = self.run("sh", ["-c", write, "sh", value, &file]).await;
        written.map(drop)
    }
}

impl NamespaceBuilder {
    /// A further address, as `10.9.0.2/24` or `fd09::2/64`.
    #[must_use]
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// Where it sends what is for other networks; one for each family of addresses.
    #[must_use]
    pub fn gateway(mut self, address: impl Into<String>) -> Self {
        self.gateways.push(address.into());
        self
    }

    /// Makes the host and joins it to a bridge.
    pub async fn join(self, bridge: &Bridge) -> Result<Namespace> {
        check(&self.name)?;
        let name = self.name;
        let outside = format!(
            "netns add {name}\n\
             link add v-{name} type veth peer name {INTERFACE} netns {name}\n\
             link set v-{name} master {} up\n",
            bridge.name
        );
        let mut inside = format!("link set lo up\nlink set {INTERFACE} up\n");
        for address in &self.addresses {
            inside += &with_address(INTERFACE, address);
        }
        for gateway in &self.gateways {
            inside += &format!("route add default via {gateway}\n");
        }
        let namespace = Namespace { name };
        ip(&["-batch", "-"], &outside).await?;
        ip(&["-n", &namespace.name, "-batch", "-"], &inside).await?;
        Ok(namespace)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        ip_now(&format!("link delete {}\n", self.name));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The interface too: what still runs would keep it.
        ip_now(&format!("link delete v-{0}\nnetns delete {0}\n", self.name));
    }
}

/// The command that gives an interface an address that can be used at once.
fn with_address(interface: &str, address: &str) -> String {
    let at_once = if address.contains(':') { " nodad" } else { "" };
    format!("address add {address} dev {interface}{at_once}\n")
}

fn check(name: &str) -> Result<()> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(is_plain) {
        return Err(Error::Misuse(format!(
            "{name:?} is no name of a host or bridge: up to {LONGEST_NAME} of a-z, 0-9 and -"
        )));
    }
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::Misuse(format!(
            "only root can make {name}: everybody is root in a guest (testbed::guest)"
        )));
    }
    Ok(())
}

/// Runs `ip` with a script as its input, and gives what it wrote.
async fn ip(args: &[&str], script: &str) -> Result<String> {
    let failed = |source| Error::Spawn {
        program: "ip".to_owned(),
        source,
    };
    let mut command = Command::new(find_program("ip", INSTALL)?);
    command.args(args).kill_on_drop(true).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // If it ended before it read everything, its status says why.
        let _ = stdin.write_all(script.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(failed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let lines = script.trim().replace('\n', "; ");
    Err(Error::Command {
        command: format!("ip {} {lines}", args.join(" ")).trim().to_owned(),
        status: output.status,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// For drops, which cannot wait for tasks.
fn ip_now(script: &str) {
    let mut command = std::process::Command::new("ip");
    command
        .args(["-force", "-batch", "-"])
        .stdin(Stdio::piped());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    if let Ok(mut child) = command.spawn() {
        if let Some(mut stdin) = child.stdin.take() {
            let _ = stdin.write_all(script.as_bytes());
        }
        let _ = child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for name in ["", "fourteen-chars", "Upper", "a b", "a\nlink delete eth0"] {
            let error = check(name).unwrap_err().to_string();
            assert!(error.contains("is no name of a host"), "{error}");
        }
    }

    #[test]
    fn an_address_of_ipv6_need_not_wait() {
        let line = with_address("lan", "10.9.0.1/24");
        assert_eq!(line, "address add 10.9.0.1/24 dev lan\n");
        let line = with_address("lan", "fd09::1/64");
        assert_eq!(line, "address add fd09::1/64 dev lan nodad\n");
    }
}
