//! The AWS simulator over the wire.

mod caller;
mod faults;
mod instances;
mod log;
mod wire;
