//! Why the kernel does not let its table be programmed, and what to do.

use std::fs;
use std::path::Path;

/// The number of the user namespace that a kernel begins with.
const INITIAL: u64 = 0xEFFF_FFFD;
/// The bit of `CAP_NET_ADMIN` in a set of capabilities.
const NET_ADMIN: u64 = 1 << 12;

/// What is known of a process; `None` where /proc does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Process {
    /// Whether it is in the user namespace that the kernel began with.
    pub initial: Option<bool>,
    /// Whether it has `CAP_NET_ADMIN` in its own one.
    pub admin: Option<bool>,
}

impl Process {
    /// Looks at the process whose folder in /proc this is: `/proc/self`.
    pub fn look(folder: &Path) -> Self {
        let namespace = fs::read_link(folder.join("ns/user")).ok();
        let namespace = namespace.as_deref().and_then(Path::to_str);
        let status = fs::read_to_string(folder.join("status")).ok();
        Self {
            initial: namespace.and_then(number).map(|number| number == INITIAL),
            admin: status.as_deref().and_then(has_net_admin),
        }
    }

    /// What the operator is told where the table could not be opened.
    pub fn explain(&self, error: &ipvs::Error) -> String {
        match (error, self.initial, self.admin) {
            (ipvs::Error::NotPermitted, Some(false), _) => {
                "the kernel does not permit IPVS to be programmed: lbmanager runs in a user \
                 namespace of its own, and the kernel takes orders from its initial one only, \
                 whatever the capabilities; run it outside (Docker: --userns host --network host \
                 --cap-add NET_ADMIN; Podman: as root, without --userns; systemd: without \
                 PrivateUsers=)"
                    .to_owned()
            }
            (ipvs::Error::NotPermitted, _, Some(false)) => {
                "the kernel does not permit IPVS to be programmed: lbmanager lacks CAP_NET_ADMIN; \
                 give it with AmbientCapabilities=CAP_NET_ADMIN in its unit, or --cap-add \
                 NET_ADMIN for its container"
                    .to_owned()
            }
            (ipvs::Error::NotPermitted, _, Some(true)) => {
                "the kernel does not permit IPVS to be programmed, although lbmanager has \
                 CAP_NET_ADMIN: look for what a security module (SELinux, AppArmor) refused, with \
                 `journalctl -k`"
                    .to_owned()
            }
            _ => super::chain(error),
        }
    }
}

/// The number in `user:[4026531837]`.
fn number(link: &str) -> Option<u64> {
    let number = link.strip_prefix("user:[")?.strip_suffix(']')?;
    number.parse().ok()
}

fn has_net_admin(status: &str) -> Option<bool> {
    let mut lines = status.lines();
    let effective = lines.find_map(|line| line.strip_prefix("CapEff:"))?;
    let set = u64::from_str_radix(effective.trim(), 16).ok()?;
    Some(set & NET_ADMIN != 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn process(namespace: &str, capabilities: &str) -> Process {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("ns")).unwrap();
        symlink(namespace, folder.path().join("ns/user")).unwrap();
        let status = format!("Name:\tlbmanager\nCapEff:\t{capabilities}\n");
        fs::write(folder.path().join("status"), status).unwrap();
        Process::look(folder.path())
    }

    #[test]
    fn each_reason_has_its_way_out() {
        let denied = ipvs::Error::NotPermitted;
        for (process, expected) in [
            (
                process("user:[4026532345]", "000001ffffffffff"),
                "--userns host",
            ),
            (
                process("user:[4026532345]", "0000000000000000"),
                "--userns host",
            ),
            (
                process("user:[4026531837]", "00000000a80425fb"),
                "--cap-add NET_ADMIN",
            ),
            (process("user:[4026531837]", "0000000000001000"), "SELinux"),
            (Process::default(), "initial user namespace"),
        ] {
            let words = process.explain(&denied);
            assert!(words.contains(expected), "{process:?}: {words}");
        }
        let words = process("user:[4026532345]", "0").explain(&ipvs::Error::NoModule);
        assert!(words.contains("modprobe ip_vs"), "{words}");
    }

    #[test]
    fn what_proc_does_not_tell_is_unknown() {
        assert_eq!(Process::look(Path::new("/nowhere")), Process::default());
        assert_eq!(process("odd", "odd"), Process::default());
        assert!(Process::look(Path::new("/proc/self")).admin.is_some());
    }
}
