//! x
pub mod aws;
pub mod certs;
mod child;
pub mod error;
pub mod etcd;
pub mod http;
pub mod moto;
pub mod notify;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod wait;
pub use error::{Error, Result};
