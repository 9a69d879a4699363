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
//! | [`pass`] | thin | [`Host`]: what the table needs, compared with the host and applied |
//!
//! No tasks and no channels. `table::host_network` calls these in a future
//! beside the table's passes, so that nothing here delays the table. Without
//! changes it reads the interfaces (two messages to the kernel) and starts no
//! program.
//!
//! All of it follows the table: settings first, then addresses, so that no
//! client is refused who calls an address that has no service yet. Rules may
//! take seconds (another program may hold their lock), so nothing waits for
//! them.

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
