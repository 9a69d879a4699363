//! x
pub mod certs;
mod child;
pub mod error;
pub mod etcd;
pub mod http;
pub mod ports;
pub mod wait;
pub use error::{Error, Result};
