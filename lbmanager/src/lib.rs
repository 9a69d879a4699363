//! Keeps load balancers as a tree of keys in etcd says.
// What serves every kind of AWS is idle where none is built in.
#![cfg_attr(not(feature = "aws"), allow(dead_code, unused_variables))]

pub mod absorb;
pub mod backend;
pub mod cli;
pub mod desired;
pub mod history;
#[cfg(feature = "ipvs")]
pub mod host;
pub mod identity;
pub mod manager;
pub mod metrics;
pub mod observed;
pub mod peers;
pub mod plan;
pub mod reconcile;
#[cfg(feature = "ipvs")]
pub mod table;
pub mod tree;

pub use presence::status::record;
