//! What AWS may do to a manager, and how little the manager asks of AWS.
#![allow(clippy::unwrap_used)]

#[path = "../support/real.rs"]
mod real;

mod contact;
mod counts;
mod errors;
mod health;
mod observation;
mod single;
mod slow;
