//! Keeps a service's presence true, lists who is there, and starts a cluster
//! one node at a time.
//!
//! | module | kind | |
//! | --- | --- | --- |
//! | [`catalogue`] | pure | who is there, and which of them are wanted |
//! | [`prober`] | task | asks the service, and judges by the answers |
//! | [`watcher`] | task | publishes what the prober finds, and tells of it |
//! | [`metrics`] | | what `/metrics` says of a watch |
//! | [`releaser`] | task | gives the startup lease back once a probe succeeds |
//! | [`turn`] | | waits for a turn at a lease, and says how that goes |
//! | [`cli`] | | one file for each subcommand |
//!
//! Tasks and channels of `watch`: the prober owns the sending half of a
//! `watch` channel of what it saw last, whoever wants to know of it has a
//! receiver. The watcher makes of it what the publisher is to write, on a
//! second one, and hears on a third how that stands.

pub mod catalogue;
pub mod cli;
pub mod metrics;
pub mod prober;
pub mod releaser;
pub mod turn;
pub mod watcher;
mod words;
