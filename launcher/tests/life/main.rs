//! Lives in a world in memory, ended and killed at each step.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod any;
mod each_step;
mod ends;
mod world;
