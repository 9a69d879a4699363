//! Keeps a service's presence true, lists who is there, and starts a cluster
//! one node at a time.

pub mod cli;
