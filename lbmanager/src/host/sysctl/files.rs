//! The settings as files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::routes::learnt_defaults;
use super::wanted::KernelVersion;

/// The folder with what the kernel tells: /proc.
#[derive(Debug, Clone)]
pub struct Proc(PathBuf);

impl Default for Proc {
    fn default() -> Self {
        Self::at("/proc")
    }
}

impl Proc {
    /// Mounted there.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The version of the kernel, where it is one.
    pub fn kernel(&self) -> Option<KernelVersion> {
        let text = fs::read_to_string(self.0.join("sys/kernel/osrelease")).ok()?;
        text.trim().parse().ok()
    }

    /// The value of a setting, or what to do about that it has none.
    pub(super) fn read(&self, name: &str) -> Result<u32, String> {
        let file = self.file(name);
        let text = fs::read_to_string(&file).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if name.contains(".vs.") => format!(
                "there is no {}: the module ip_vs is not loaded, or is not in this network \
                 namespace; load it with `modprobe ip_vs`",
                file.display()
            ),
            _ => format!("{}: {error}", file.display()),
        })?;
        let text = text.trim();
        text.parse()
            .map_err(|_| format!("{} has {text:?}, a number is expected", file.display()))
    }

    pub(super) fn write(&self, name: &str, value: u32) -> Result<(), String> {
        let file = self.file(name);
        fs::write(&file, format!("{value}\n")).map_err(|error| {
            let advice = match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    "; CAP_NET_ADMIN is needed, in the host's network"
                }
                io::ErrorKind::ReadOnlyFilesystem => {
                    "; it is read-only for containers without --privileged and for units with \
                     ProtectKernelTunables=yes"
                }
                _ => "",
            };
            let set = format!("set it on the host with `sysctl -w {name}={value}`");
            format!("cannot write {}: {error}{advice}; {set}", file.display())
        })
    }

    /// Why IPv6 forwarding must not be switched on as things are.
    pub(super) fn routes_at_stake(&self) -> Option<String> {
        let routes = fs::read_to_string(self.0.join("net/ipv6_route")).ok()?;
        let at_stake = learnt_defaults(&routes).into_iter().find(|interface| {
            // 2 says that they are kept.
            let conf = Path::new("sys/net/ipv6/conf").join(interface);
            let accepts = fs::read_to_string(self.0.join(conf).join("accept_ra"));
            accepts.is_ok_and(|accepts| accepts.trim() != "2")
        })?;
        Some(format!(
            "this host would lose the default route that it learnt on {at_stake} from a router's \
             advertisement; first keep it with `sysctl -w net.ipv6.conf.{at_stake}.accept_ra=2`, \
             or give it a fixed one"
        ))
    }

    /// `net.ipv4.ip_forward` is `sys/net/ipv4/ip_forward`.
    fn file(&self, name: &str) -> PathBuf {
        self.0.join("sys").join(name.replace('.', "/"))
    }
}
