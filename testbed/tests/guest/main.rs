//! The kernel guest.

mod ends;
mod runs;
