//! What is set on this host's own network around the kernel's table of
//! virtual services: the table itself is somebody else's.
//!
//! | module | kind | what it is |
//! | --- | --- | --- |
//! | [`service`] | pure | what of a virtual service matters here |
//! | [`subnet`] | pure | networks |
//! | [`links`] | pure, and a driver | the host's interfaces and addresses, read and changed |
//! | [`vips`] | pure, and thin | `--bind-vips`: virtual addresses on an interface |
//! | [`masquerade`] | pure, and a driver | `--masquerade`: rules for clients next to the real server |
//! | [`sysctl`] | pure, and thin | `--sysctl`: settings of the kernel |
//! | [`kernel_lock`] | thin | one manager for the virtual services of a kernel |
//! | [`preconditions`] | pure, and thin | why the kernel does not let its table be programmed |
//! | [`pass`] | thin | [`Host`]: all of it, in the order that a pass of the table needs |
//!
//! No tasks and no channels. Whoever programs the table calls these on each
//! pass; a pass that has nothing to change reads the interfaces (two messages
//! to the kernel) and a handful of small files, and starts no program. None of
//! what fails here stands in the table's way: it is reported.
//!
//! The order in a pass: settings and rules come before the table is changed, so
//! that the first connection finds them; addresses after it, so that nobody is
//! refused who calls one that has no service yet.

pub mod kernel_lock;
pub mod links;
pub mod masquerade;
pub mod pass;
pub mod preconditions;
pub mod service;
pub mod subnet;
pub mod sysctl;
pub mod vips;

use presence::process::words::chain;

pub use self::pass::{Host, HostPlan, HostSettings, Report};
