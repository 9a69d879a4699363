//! The two kernels that a program can be run on.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::Guest;
use crate::error::{Error, Result, find_program};

/// The environment variable that says which kernel to take.
pub const VARIABLE: &str = "TESTBED_KERNEL";

const INSTALL: &str = "apt-get install user-mode-linux, or run `make test-tools`";
/// What the first process of a guest runs, and the packages that have it.
const NEEDED_INSIDE: [(&str, &str); 3] = [
    ("insmod", "apt-get install kmod, or run `make test-tools`"),
    ("ip", "apt-get install iproute2, or run `make test-tools`"),
    ("perl", "apt-get install perl-base"),
];
/// Where user-mode Linux keeps its memory, as a file without a name.
const SHARED_MEMORY: &str = "/dev/shm";

/// What programs run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kernel {
    /// A user-mode Linux, booted for the program.
    #[default]
    Guest,
    /// The machine's own, in namespaces made for the program.
    Own,
}

impl Kernel {
    /// The one that `TESTBED_KERNEL` asks for: `guest`, as without it, or `own`.
    pub fn from_environment() -> Result<Self> {
        let value = std::env::var_os(VARIABLE);
        match value.as_deref().and_then(OsStr::to_str) {
            None if value.is_none() => Ok(Self::Guest),
            Some("" | "guest") => Ok(Self::Guest),
            Some("own") => Ok(Self::Own),
            _ => Err(Error::Misuse(format!(
                "{VARIABLE} is {}: guest or own is expected",
                value.unwrap_or_default().display()
            ))),
        }
    }

    /// What to call it in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Guest => "the guest (linux.uml)",
            Self::Own => "a namespace of this machine's kernel",
        }
    }

    /// The command that boots it with the files of `directory`; a whole host has a root file system.
    pub(super) fn command(
        self,
        guest: &Guest,
        directory: &Path,
        root: Option<&Path>,
    ) -> Result<Vec<OsString>> {
        let command = match self {
            Self::Guest => user_mode_linux(guest, directory, root),
            Self::Own => namespace(directory),
        }?;
        for (program, install) in NEEDED_INSIDE {
            needed(program, install)?;
        }
        Ok(command)
    }
}

/// Looks where the first process looks, too: sbin is not in everybody's `PATH`.
fn needed(program: &str, install: &str) -> Result<()> {
    let in_sbin = || {
        let path = Path::new("/usr/sbin").join(program);
        path.is_file().then_some(path)
    };
    let found = find_program(program, install);
    found.or_else(|error| in_sbin().ok_or(error)).map(drop)
}

fn user_mode_linux(guest: &Guest, directory: &Path, root: Option<&Path>) -> Result<Vec<OsString>> {
    let program = find_program("linux.uml", INSTALL)?;
    let mut init = OsString::from("init=");
    let script = if root.is_some() { "boot.sh" } else { "init.sh" };
    init.push(directory.join(script));
    // It has one for its sockets, and it wants the slash.
    let mut sockets = OsString::from("uml_dir=");
    sockets.push(directory.join("uml/"));
    let memory = format!("mem={}M", guest.memory_mib);
    let mut command = vec![program.into(), memory.into(), sockets, init];
    if let Some(root) = root {
        // What is written goes to a file of this guest's own.
        let mut disk = OsString::from("ubd0=");
        disk.push(directory.join("disk"));
        disk.push(",");
        disk.push(root);
        command.extend([disk, "systemd.unified_cgroup_hierarchy=1".into()]);
    }
    command.extend(
        ["rootfstype=hostfs", "rootflags=/", "ro", "quiet"]
            .into_iter()
            .chain(["con=null", "ssl=null"])
            // Descriptors that host.sh opens: the console, the program's streams, the status.
            .chain([
                "con0=null,fd:1",
                "ssl0=null,fd:3",
                "ssl1=null,fd:4",
                "ssl2=null,fd:5",
            ])
            .map(OsString::from),
    );
    Ok(command)
}

fn namespace(directory: &Path) -> Result<Vec<OsString>> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::Misuse(format!(
            "only root may use the machine's own kernel: be root, or take {VARIABLE}=own out of \
             the environment"
        )));
    }
    let unshare = find_program("unshare", "apt-get install util-linux")?;
    let options = ["--net", "--mount", "--pid", "--fork", "--kill-child"];
    let mut command = vec![unshare.into_os_string()];
    command.extend(options.map(OsString::from));
    command.extend(["--mount-proc", "/bin/sh"].map(OsString::from));
    command.push(directory.join("own.sh").into());
    command.push(directory.into());
    Ok(command)
}

/// The folder for the guest's memory: shared memory where there is enough of it, since a guest that
/// finds it full dies of SIGBUS. Containers often have little.
pub(super) fn folder_for_memory(mib: u32) -> &'static Path {
    let free =
        statvfs(SHARED_MEMORY).map_or(0, |stat| stat.blocks_available() * stat.fragment_size());
    let enough = free / (1024 * 1024) >= u64::from(mib);
    Path::new(if enough { SHARED_MEMORY } else { "/tmp" })
}
