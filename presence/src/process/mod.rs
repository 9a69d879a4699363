//! Plumbing of a well-behaved daemon, shared by the three binaries.

pub mod backoff;
pub mod clock;
pub mod duration;
