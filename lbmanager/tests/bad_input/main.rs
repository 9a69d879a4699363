//! What people get wrong: each is told in words that say what, where, which
//! value, and what to do; and everything else goes on.
#![allow(clippy::unwrap_used)]

#[path = "../support/real.rs"]
mod real;

mod aws;
mod etcd;
mod keys;
mod process;
mod values;
