//! Whether a unit is as confined as its file says: a probe runs beside its main process, as the unit
//! would have it, and tries what should not work.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;

use testbed::host::{self, Unit, write};

const PROBE: &str = "/usr/lib/testbed/probe.pl";

/// The settings by which the probe runs when a unit is started.
pub const PROBED: &str = "ExecStartPost=/usr/bin/perl /usr/lib/testbed/probe.pl\n";

/// A line of a unit's file, and what the probe must then say of what.
const SETTINGS: [(&str, &str, &str); 14] = [
    ("NoNewPrivileges=yes", "NoNewPrivs", "1"),
    ("SystemCallFilter=@system-service", "Seccomp", "2"),
    ("SystemCallFilter=~@privileged @resources", "chown", "EPERM"),
    (
        "SystemCallFilter=~@privileged @resources",
        "sched_setaffinity",
        "EPERM",
    ),
    ("RestrictSUIDSGID=yes", "setuid bit", "EPERM"),
    ("LockPersonality=yes", "personality", "EPERM"),
    ("MemoryDenyWriteExecute=yes", "mmap writable code", "EPERM"),
    ("RestrictNamespaces=yes", "unshare", "EPERM"),
    ("ProtectHostname=yes", "sethostname", "EPERM"),
    ("PrivateDevices=yes", "see disks", "ENOENT"),
    ("PrivateDevices=yes", "see the log of the kernel", "ENOENT"),
    ("ProtectProc=invisible", "see /proc/1", "ENOENT"),
    ("ProcSubset=pid", "see /proc/sys", "ENOENT"),
    ("StateDirectory=", "write the state directory", "ok"),
];
/// What must be read-only to root itself where the unit is, by a line of its file.
const READ_ONLY: [(&str, &[&str]); 4] = [
    (
        "ProtectSystem=strict",
        &[
            "/", "/boot", "/etc", "/opt", "/run", "/srv", "/usr", "/var", "/var/lib", "/var/log",
        ],
    ),
    ("ProtectHome=", &["/home", "/root", "/run/user"]),
    ("ProtectControlGroups=yes", &["/sys/fs/cgroup"]),
    (
        "ProtectKernelTunables=yes",
        &["/proc/sys/kernel/domainname", "/sys/kernel"],
    ),
];
const FAMILIES: [&str; 6] = ["inet", "inet6", "unix", "netlink", "packet", "vsock"];
const CAPABILITIES: [(&str, u64); 2] =
    [("CAP_NET_ADMIN", 1 << 12), ("CAP_DAC_READ_SEARCH", 1 << 2)];

/// Puts the probe where units find it, and sees that it finds all of this allowed to root.
pub async fn install_probe() {
    write(PROBE, include_str!("probe.pl")).unwrap();
    let told = host::run("perl", [PROBE]).await.unwrap().success().unwrap();
    let free = results(&told);
    for (_, what, confined) in SETTINGS {
        let same = free.get(what).map(String::as_str) == Some(confined);
        assert!(!same || confined == "ok", "{what} is never allowed: {told}");
    }
    for family in FAMILIES {
        let socket = free.get(&format!("socket {family}"));
        assert_ne!(socket.map(String::as_str), Some("EAFNOSUPPORT"), "{told}");
    }
}

/// Compares what the probe wrote at the unit's last start with the text of the unit's file.
pub async fn is_as_its_file_says(unit: &Unit, file: &str) {
    let text = testbed::units::read(file).unwrap();
    let journal = unit.journal().await.unwrap();
    let probed = results(&journal);
    let is = |what: &str, expected: &str| {
        let found = probed.get(what).map(String::as_str);
        assert_eq!(found, Some(expected), "{}: {what}\n{journal}", unit.name());
    };
    let has = |line: &str| {
        let wanted = |set: &str| set == line || (line.ends_with('=') && set.starts_with(line));
        text.lines().any(wanted)
    };
    for (line, what, expected) in SETTINGS {
        if has(line) {
            is(what, expected);
        }
    }
    let families = value(&text, "RestrictAddressFamilies=").to_lowercase();
    for family in FAMILIES {
        let listed = families.split(' ').any(|one| one == format!("af_{family}"));
        let socket = format!("socket {family}");
        is(&socket, if listed { "ok" } else { "EAFNOSUPPORT" });
    }
    let dynamic = has("DynamicUser=yes");
    let bounding = capabilities(value(&text, "CapabilityBoundingSet="));
    let ambient = capabilities(value(&text, "AmbientCapabilities="));
    is("CapBnd", &bounding);
    is("CapAmb", &ambient);
    is("CapEff", if dynamic { &ambient } else { &bounding });
    assert_eq!(probed["Uid"] != "0", dynamic, "{}: user", unit.name());
    let pid = unit.main_pid().await.unwrap().unwrap();
    for (line, paths) in READ_ONLY {
        if !has(line) {
            continue;
        }
        for path in paths {
            if path.starts_with("/proc") && has("ProcSubset=pid") {
                continue;
            }
            let failed = write_to(format!("/proc/{pid}/root{path}").as_ref());
            let failed = failed.map_err(|error| error.kind());
            let read_only = Err(ErrorKind::ReadOnlyFilesystem);
            assert_eq!(failed, read_only, "{}: {path}", unit.name());
        }
    }
    // The probe is confined as the main process is.
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    for line in status.lines() {
        let Some((name, rest)) = line.split_once(':') else {
            continue;
        };
        if let Some(of_probe) = probed.get(name) {
            let own = rest.split_whitespace().next();
            assert_eq!(own, Some(&**of_probe), "{}: {name}", unit.name());
        }
    }
}

/// Makes a directory in a directory, or opens a file.
fn write_to(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        std::fs::create_dir(path.join("probe"))
    } else {
        OpenOptions::new().write(true).open(path).map(drop)
    }
}

/// What the probe said last of each thing.
fn results(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("probe "));
    let results = lines.filter_map(|line| line.split_once(": "));
    results
        .map(|(what, result)| (what.to_owned(), result.to_owned()))
        .collect()
}

fn value<'a>(text: &'a str, setting: &str) -> &'a str {
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix(setting)).unwrap()
}

/// As the kernel writes a set of capabilities.
fn capabilities(names: &str) -> String {
    let bit = |name: &str| {
        let known = CAPABILITIES.iter().find(|(known, _)| *known == name);
        known
            .unwrap_or_else(|| panic!("{name} is not in the table"))
            .1
    };
    let set: u64 = names.split_whitespace().map(bit).sum();
    format!("{set:016x}")
}
