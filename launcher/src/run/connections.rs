//! Connections that a container has at the port that it serves.
//!
//! They are counted where they end, in the container's own network, so it does not matter how they
//! come there. <https://docs.kernel.org/networking/proc_net_tcp.html>

use std::path::Path;

/// States in which the last byte of an answer may not have gone yet, by the kernel's
/// `include/net/tcp_states.h`: `ESTABLISHED`, `SYN_RECV`, `FIN_WAIT1`, `CLOSE_WAIT`.
const OPEN: [&str; 4] = ["01", "03", "04", "08"];

/// How many there are at this port of the process's network; `None` where that cannot be seen:
/// the process is another host's, or in a namespace of its own.
pub(super) fn count(proc: &Path, pid: u32, port: u16) -> Option<u64> {
    let net = proc.join(pid.to_string()).join("net");
    let v4 = std::fs::read_to_string(net.join("tcp")).ok()?;
    // A kernel without IPv6 has none.
    let v6 = std::fs::read_to_string(net.join("tcp6")).unwrap_or_default();
    let both = [v4, v6];
    let lines = both.iter().flat_map(|table| table.lines().skip(1));
    let open = lines.filter(|line| is_open(line, port).unwrap_or_default());
    Some(open.count() as u64)
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
    use std::net::{TcpListener, TcpStream};

    use super::*;

    const PROC: &str = "/proc";

    #[test]
    fn it_counts_those_that_are_open_at_the_port() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let count = || count(Path::new(PROC), std::process::id(), address.port());
        assert_eq!(count(), Some(0), "one that listens is none");
        let mut clients: Vec<_> = (0..3)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let mut served: Vec<_> = (0..3).map(|_| listener.accept().unwrap().0).collect();
        assert_eq!(count(), Some(3));
        clients[0].shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(count(), Some(3), "it may still get an answer");
        served[0].write_all(b"answer").unwrap();
        // With what was not read the end is abrupt, and leaves nothing.
        drop((clients.pop(), served.pop()));
        assert_eq!(count(), Some(2));
    }

    #[test]
    fn of_a_process_that_is_not_here_nothing_is_known() {
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(count(empty.path(), 1, 80), None);
    }
}
