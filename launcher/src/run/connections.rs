//! Connections that a container has at the port that it serves.
//!
//! They are counted where they end, in the container's own network, so it does not matter how they
//! come there. <https://docs.kernel.org/networking/proc_net_tcp.html>

use std::path::{Path, PathBuf};

/// States in which the last byte of an answer may not have gone yet, by the kernel's
/// `include/net/tcp_states.h`: `ESTABLISHED`, `SYN_RECV`, `FIN_WAIT1`, `CLOSE_WAIT`.
const OPEN: [&str; 4] = ["01", "03", "04", "08"];

/// How many the container of this ID has at this port; `None` where that cannot be seen: it is on
/// another host, or we are in a container that does not see its processes.
pub(super) fn count(proc: &Path, container: &str, port: u16) -> Option<u64> {
    let net = process_of(proc, container)?.join("net");
    let v4 = std::fs::read_to_string(net.join("tcp")).ok()?;
    // A kernel without IPv6 has none.
    let v6 = std::fs::read_to_string(net.join("tcp6")).unwrap_or_default();
    let tables = [v4, v6];
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    let open = lines.filter(|line| is_open(line, port).unwrap_or_default());
    Some(open.count() as u64)
}

/// A process of the container, by its control group. The number that Docker gives may be another
/// process here: Docker may see other numbers than we do.
fn process_of(proc: &Path, container: &str) -> Option<PathBuf> {
    let processes = std::fs::read_dir(proc).ok()?.flatten();
    let mut processes = processes.map(|process| process.path());
    processes.find(|process| {
        let groups = std::fs::read_to_string(process.join("cgroup"));
        groups.is_ok_and(|groups| groups.contains(container))
    })
}

/// `sl local_address rem_address st …`, addresses as `0100007F:1F90`.
fn is_open(line: &str, port: u16) -> Option<bool> {
    let mut columns = line.split_ascii_whitespace().skip(1);
    let (_, local) = columns.next()?.rsplit_once(':')?;
    let state = columns.nth(1)?;
    let is_here = u16::from_str_radix(local, 16) == Ok(port);
    Some(is_here && OPEN.contains(&state))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::os::unix::fs::symlink;

    use super::*;

    const CONTAINER: &str = "3f2a91c04d1e";

    /// A /proc in which this process is a container's.
    fn proc(group: &str) -> tempfile::TempDir {
        let proc = tempfile::tempdir().unwrap();
        for (process, group) in [("1", "0::/init.scope\n"), ("7", group)] {
            let directory = proc.path().join(process);
            std::fs::create_dir(&directory).unwrap();
            std::fs::write(directory.join("cgroup"), group).unwrap();
            symlink("/proc/self/net", directory.join("net")).unwrap();
        }
        std::fs::write(proc.path().join("uptime"), "1").unwrap();
        proc
    }

    #[test]
    fn it_counts_those_that_are_open_at_the_port() {
        let proc = proc("0::/system.slice/docker-3f2a91c04d1e.scope\n");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let count = || count(proc.path(), CONTAINER, address.port());
        assert_eq!(count(), Some(0), "one that listens is none");
        let connect = |_| TcpStream::connect(address).unwrap();
        let mut clients: Vec<_> = (0..3).map(connect).collect();
        let mut served: Vec<_> = (0..3).map(|_| listener.accept().unwrap().0).collect();
        assert_eq!(count(), Some(3));
        clients[0].shutdown(Shutdown::Write).unwrap();
        assert_eq!(count(), Some(3), "it may still get an answer");
        served[0].write_all(b"answer").unwrap();
        drop((clients.pop(), served.pop()));
        assert_eq!(count(), Some(2));
    }

    #[test]
    fn of_a_container_that_is_not_here_nothing_is_known() {
        let proc = proc("0::/system.slice/docker-000000000000.scope\n");
        assert_eq!(count(proc.path(), CONTAINER, 80), None);
        assert_eq!(count(&proc.path().join("nowhere"), CONTAINER, 80), None);
    }
}
