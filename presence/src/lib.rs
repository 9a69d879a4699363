//! What lbmanager, launcher and service-monitor share: the vocabulary, the
//! key scheme, etcd as a narrow store, and the plumbing of a well-behaved
//! daemon.
//!
//! Data first, then pure functions, then thin drivers:
//!
//! | module | kind | what it is |
//! | --- | --- | --- |
//! | [`model`] | pure | load balancers, members, options: the vocabulary |
//! | [`keys`] | pure | every key of the scheme, parsed and encoded |
//! | [`store`] | driver | what is needed of etcd, over the real one and in memory |
//! | [`watch_state`] | pure | when to list, when to resume, when history was replaced |
//! | [`departure`] | pure | why a key vanished |
//! | [`mirror`] | task | the store below a prefix as one consistent snapshot |
//! | [`publisher`] | task | the keys this process wants, kept in the store on one lease |
//! | [`semaphore`] | driver | who may, and who waits: startup leases, rollout budgets, elections |
//! | [`probe`] | driver and pure | whether a service answers: one attempt, and what many of them say |
//! | [`status`] | pure | what the managers report: claims of host IDs, records of load balancers |
//! | [`process`] | plumbing | clock, shutdown, back-off, logging, systemd, exit codes |
//!
//! Tasks and channels: [`mirror::run`] owns the sending half of a `watch`
//! channel of snapshots; [`publisher::Publisher`] takes the wanted keys from one
//! `watch` channel and reports on another. Both end when the shutdown handed
//! to them says so, and neither detaches anything. [`semaphore`] has no task of
//! its own: its futures run in those of its users, and tell on `watch` channels
//! how the wait goes and until when something is held.

pub mod departure;
pub mod keys;
pub mod mirror;
pub mod model;
pub mod probe;
pub mod process;
pub mod publisher;
pub mod semaphore;
pub mod status;
pub mod store;
pub mod watch_state;
