//! What etcd may do to a manager: be away in every way, lose its history, end
//! leases, delete much at once. The load balancers end as the tree says, and
//! nobody who stayed in the tree is ever taken out.
#![allow(clippy::unwrap_used)]

#[path = "../support/real.rs"]
mod real;

mod changes;
mod cluster;
mod history;
mod leases;
mod outage;
