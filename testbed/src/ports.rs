//! Ports of 127.0.0.1 that stay free between two starts of the same server.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::error::{Error, Result};

/// Below the kernel's ephemeral range: no outgoing connection takes the port while its server is
/// down, so a server can be started again where it was.
const RANGE: std::ops::Range<u16> = 11_000..32_000;

static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// A port that nobody listens on and that this process has not been given before.
///
/// Another process may still take it first: whoever binds it tries again with another on failure.
pub fn free() -> Result<u16> {
    for _ in 0..1000 {
        let port = fastrand::u16(RANGE);
        if is_free(port)
            && GIVEN
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(port)
        {
            return Ok(port);
        }
    }
    Err(Error::Misuse(
        "no free port of 127.0.0.1 between 11000 and 32000 was found".to_owned(),
    ))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let ports: HashSet<u16> = (0..50).map(|_| free().unwrap()).collect();
        assert_eq!(ports.len(), 50);
    }
}
