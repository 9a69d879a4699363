//! The crate against the kernel, with ipvsadm as the independent witness.
//!
//! What is needed: root, and a kernel with IPVS; `ipvsadm`, `ip` and `unshare`
//! (Debian: ipvsadm, iproute2, util-linux). Where one is missing every test
//! fails and says so. Build machines rarely have them, so `cargo test` leaves
//! this program out; it is built with
//!
//!     cargo test -p ipvs --test kernel --no-run
//!
//! and run by itself, where there is such a kernel: a guest of user-mode Linux,
//! for one. `--include-ignored` adds the comparison with `ipvsadm -R`, of half
//! a minute; `--nocapture` shows its figures.
//!
//! Each test has a network namespace of its own, and so a table of its own:
//! they do not touch the machine's. They run one after another.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod edits;
mod errors;
mod figures;
mod lost;
mod packets;
mod read;
mod world;
mod written;
