//! `lbmanager run` as a service: what systemd, an operator and a monitoring
//! system see of it, and how it ends.
#![allow(clippy::unwrap_used)]

#[path = "../support/real.rs"]
mod real;

mod ends;
mod http;
mod notify;
mod once;
mod output;
