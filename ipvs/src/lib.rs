//! The kernel's IP Virtual Server over generic netlink: typed services and
//! destinations, read with their statistics, and changed in batches with an
//! outcome for each command.
//!
//! Data first, then pure functions, then a thin driver:
//!
//! | module | kind | what it is |
//! | --- | --- | --- |
//! | `model` | pure | services, destinations, their configuration and statistics |
//! | `command` | pure | changes, and what of them the kernel would wrongly accept |
//! | [`wire`] | pure | messages as bytes, both ways |
//! | [`proc`] | pure, and a file | the table as text: a cheap fingerprint |
//! | `client` | driver | [`Ipvs`]: a blocking socket |
//!
//! No tasks, no channels, no threads: [`Ipvs`] blocks its caller, and wants a
//! thread of its own in a program that has something else to do. It never
//! flushes: what is removed goes to a list that the kernel searches whenever a
//! destination is added, and connections are lost with it.
//!
//! ```no_run
//! use ipvs::{Command, CommandError, DestinationConfig, Forward, Ipvs, Refusal, ServiceKey};
//!
//! let mut ipvs = Ipvs::open()?;
//! let quiesce = Command::EditDestination {
//!     service: ServiceKey::tcp("10.0.0.1:80".parse()?),
//!     destination: "10.0.1.7:8080".parse::<std::net::SocketAddr>()?.into(),
//!     config: DestinationConfig::new(Forward::Masq, 0),
//! };
//! match &ipvs.execute(&[quiesce])[0] {
//!     Ok(()) => println!("no new connections"),
//!     Err(CommandError::Refused(Refusal::NoSuchDestination)) => println!("already gone"),
//!     Err(error) => eprintln!("cannot {quiesce}: {error}"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(test)]
mod arbitrary;
mod client;
mod command;
mod info;
mod model;
pub mod proc;
mod timeouts;
pub mod wire;

pub use client::{CommandError, Error, Ipvs, Lost, Outcome, Refusal, Settings};
pub use command::{Command, Invalid, Reason};
pub use info::{Info, Version};
pub use model::*;
pub use timeouts::Timeouts;

/// An error number of the kernel.
pub use nix::errno::Errno;
