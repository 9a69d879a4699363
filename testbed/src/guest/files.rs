//! The directory that says what a guest is and what it runs.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Guest;
use crate::error::{Error, Result};
use crate::host::root;

/// The programs of a guest, in the order in which they run.
const SCRIPTS: [(&str, &str); 8] = [
    ("host.sh", include_str!("host.sh")),
    ("init.sh", include_str!("init.sh")),
    ("boot.sh", include_str!("../host/boot.sh")),
    ("own.sh", include_str!("own.sh")),
    ("run.sh", include_str!("run.sh")),
    ("run.pl", include_str!("run.pl")),
    ("off.pl", include_str!("off.pl")),
    ("shellrc.sh", include_str!("shellrc.sh")),
];

/// What every guest mounts over the host's files.
const MOUNTS: &str = "\
sysfs /sys sysfs defaults
cgroup2 /sys/fs/cgroup cgroup2 defaults
devtmpfs /dev devtmpfs defaults
tmpfs /dev/shm tmpfs X-mount.mkdir
devpts /dev/pts devpts X-mount.mkdir
tmpfs /run tmpfs defaults
/usr/lib/uml/modules /lib/modules none bind
";

/// What a whole host mounts over its disk, before systemd mounts what it needs itself.
const MOUNTS_OF_HOST: &str = "\
hostfs /usr/lib/modules hostfs ro,/usr/lib/uml/modules
tmpfs /var/lib/etcd tmpfs X-mount.mkdir
tmpfs /var/lib/docker tmpfs X-mount.mkdir
";

/// What Docker and the network of a whole host need; nothing is loaded there by itself early enough.
const MODULES_OF_HOST: &str = "dummy veth bridge br_netfilter overlay iptable_nat iptable_filter \
                               xt_addrtype xt_MASQUERADE xt_conntrack";

/// `twos` is not in Debian's; another kernel may lack more, and loads what it has by itself.
const MODULES: &str = "ip_vs ip_vs_rr ip_vs_wrr ip_vs_lc ip_vs_wlc ip_vs_fo ip_vs_ovf ip_vs_lblc \
                       ip_vs_lblcr ip_vs_dh ip_vs_sh ip_vs_mh ip_vs_sed ip_vs_nq";

/// Makes the directory for one run.
pub(super) fn prepare(guest: &Guest, command: &[OsString]) -> Result<TempDir> {
    let directory = tempfile::Builder::new()
        .prefix("guest-")
        .tempdir()
        .map_err(Error::io("create", std::env::temp_dir()))?;
    let write = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).map_err(Error::io("write", &path))
    };
    for (name, script) in SCRIPTS {
        write(name, script.as_bytes())?;
    }
    // The kernel runs them by their paths.
    for init in ["init.sh", "boot.sh"] {
        let init = directory.path().join(init);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&init, mode).map_err(Error::io("make a program of", &init))?;
    }
    write("status", b"")?;
    write("console", b"")?;
    write("fstab", fstab(guest)?.as_bytes())?;
    let more = if guest.host { MODULES_OF_HOST } else { "" };
    let modules = format!("{MODULES} {more} {}\n", guest.modules.join(" "));
    write("modules", modules.as_bytes())?;
    write("arguments", &strings("argument", command)?)?;
    write("environment", &strings("variable", &environment(guest))?)?;
    let folder = guest.folder_of_program()?;
    write("folder", &strings("path", &[folder.into_os_string()])?)?;
    Ok(directory)
}

/// Each with a NUL behind it.
fn strings(what: &str, strings: &[OsString]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for string in strings {
        if string.as_bytes().contains(&0) {
            return Err(Error::Misuse(format!(
                "no {what} has NUL in it: {}",
                string.display()
            )));
        }
        bytes.extend_from_slice(string.as_bytes());
        bytes.push(0);
    }
    Ok(bytes)
}

/// This process' environment and what was added to it, as `NAME=value`; of a name the last counts.
fn environment(guest: &Guest) -> Vec<OsString> {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    // Not everybody has these, and everybody is root in a guest.
    path.push(":/usr/sbin:/sbin");
    let variables = std::env::vars_os()
        .chain([("PATH".into(), path)])
        .chain(guest.environment.iter().cloned());
    variables
        .map(|(name, value)| {
            let parts = [name.as_bytes(), b"=", value.as_bytes()];
            OsString::from_vec(parts.concat())
        })
        .collect()
}

fn fstab(guest: &Guest) -> Result<String> {
    let mut table = String::new();
    if guest.host {
        table.push_str(MOUNTS_OF_HOST);
        for folder in folders_of_cargo()? {
            let path = mountable(&folder)?;
            let _ = writeln!(table, "hostfs {path} hostfs X-mount.mkdir,ro,{path}");
        }
    } else {
        table.push_str(MOUNTS);
    }
    for folder in &guest.folders {
        let path = mountable(folder)?;
        let _ = writeln!(table, "hostfs {path} hostfs X-mount.mkdir,{path}");
    }
    Ok(table)
}

/// Where the sources of this workspace are, and the programs that were built from them.
fn folders_of_cargo() -> Result<Vec<PathBuf>> {
    let sources = root::workspace()?;
    let program = std::env::current_exe().map_err(Error::io("find", "this program"))?;
    // target/debug/deps/suite-0123
    let built = program.ancestors().nth(2).unwrap_or(&program).to_owned();
    let elsewhere = (!built.starts_with(&sources)).then_some(built);
    Ok(std::iter::once(sources).chain(elsewhere).collect())
}

/// A path as it is written in fstab.
fn mountable(folder: &Path) -> Result<String> {
    let refuse = |why: &str| {
        let folder = folder.display();
        Error::Misuse(format!("{folder} cannot be a folder of a guest: {why}"))
    };
    let path = folder.to_str().ok_or_else(|| refuse("it is not UTF-8"))?;
    if !folder.is_absolute() || !folder.is_dir() {
        return Err(refuse("the absolute path of a directory is expected"));
    }
    // It is also an option of mount, and those have no way to say it.
    if path.contains([',', '"', '#']) {
        return Err(refuse("its path has a comma, a quote or a hash in it"));
    }
    Ok(path
        .replace('\\', "\\134")
        .replace(' ', "\\040")
        .replace('\t', "\\011")
        .replace('\n', "\\012"))
}

/// A command line for a person to read.
pub(super) fn display(command: &[OsString]) -> String {
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

/// Where a program is to be found when its path is relative.
pub(super) fn is_missing(guest: &Guest, program: &OsStr) -> Result<bool> {
    let path = Path::new(program);
    let is_path = program.as_bytes().contains(&b'/');
    Ok(is_path && !guest.folder_of_program()?.join(path).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_written_as_mount_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a b");
        std::fs::create_dir(&path).unwrap();
        let table = fstab(&Guest::new().unwrap().folder(&path)).unwrap();
        let told = path.to_str().unwrap().replace(' ', "\\040");
        let line = format!("hostfs {told} hostfs X-mount.mkdir,{told}");
        assert_eq!(table.lines().last(), Some(line.as_str()));
    }

    #[test]
    fn what_cannot_be_a_folder_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let comma = directory.path().join("a,b");
        std::fs::create_dir(&comma).unwrap();
        for folder in ["relative".into(), "/no/such".into(), comma] {
            let guest = Guest::new().unwrap().folder(folder);
            let error = fstab(&guest).unwrap_err().to_string();
            assert!(error.contains("cannot be a folder of a guest"), "{error}");
        }
    }
}
