//! A connection is made, and nothing is said.

use tokio::net::TcpStream;

use super::Outcome;

pub(super) async fn attempt(host: &str, port: u16) -> Outcome {
    match TcpStream::connect((host, port)).await {
        Ok(_) => Outcome::up("connected"),
        Err(error) => Outcome::down(error.to_string()),
    }
}
