//! Every subcommand as a process of its own, on a real etcd.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod acquire;
mod address;
mod answers;
mod follow;
mod hosts;
mod leases;
mod locked;
mod notify;
mod outage;
mod rig;
mod watch;
