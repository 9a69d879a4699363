//! Fakes for tests of the driver: a load balancer in memory, and a manager
//! over it that can be ended at any point.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

pub mod fake;
#[cfg(feature = "ipvs")]
pub mod host;
#[cfg(feature = "ipvs")]
pub mod kernel;
pub mod world;

/// The status keys of the tree that the tests use.
pub fn status() -> presence::keys::StatusTree {
    presence::keys::Tree::new("/lbManager").unwrap().status()
}
