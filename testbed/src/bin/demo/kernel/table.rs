//! What `ipvsadm` shows.

/// As it was written.
#[derive(Debug, Clone)]
pub struct Table(pub String);

/// The numbers of a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weighed {
    pub weight: u64,
    /// How many connections are established.
    pub active: u64,
}

impl Table {
    /// Of one real server; nothing if it is not there.
    pub fn weighed(&self, server: &str) -> Option<Weighed> {
        let lines = self.0.lines();
        let servers = lines.filter_map(|line| line.trim_start().strip_prefix("-> "));
        let mut servers = servers.map(str::split_ascii_whitespace);
        let numbers = servers.find_map(|mut words| (words.next() == Some(server)).then_some(words));
        // The method comes first.
        let mut numbers = numbers?.skip(1);
        Some(Weighed {
            weight: numbers.next()?.parse().ok()?,
            active: numbers.next()?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found() {
        let table = Table(
            "IP Virtual Server version 1.2.1 (size=4096)\n\
             Prot LocalAddress:Port Scheduler Flags\n  \
             -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n\
             TCP  10.8.0.1:80 wlc\n  \
             -> 10.9.0.11:8080               Masq    0      2          31        \n"
                .to_owned(),
        );
        let expected = Weighed {
            weight: 0,
            active: 2,
        };
        assert_eq!(table.weighed("10.9.0.11:8080"), Some(expected));
        assert_eq!(table.weighed("10.9.0.1:8080"), None);
    }
}
