//! What lbmanager promises about removals, tested against the programs as they
//! are shipped: command lines, etcd keys, the simulator's state, exit codes,
//! metrics and STATUS=. No test here depends on how a manager works inside.
#![allow(clippy::unwrap_used)]

#[path = "../support/real.rs"]
mod real;

mod acknowledgement;
mod clock;
mod deletes;
mod failover;
mod incidents;
mod operators;
mod resets;
mod roles;
mod scale;
mod single;
mod space;
mod state_directory;
mod trees;
mod visible;
mod world;
