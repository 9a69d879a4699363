//! Runs one health-checked container per unit, published to its load balancers.
//!
//! | module | kind | |
//! | --- | --- | --- |
//! | [`document`] | pure | YAML and JSON as values that know their place, and everything that is wrong with one |
//! | [`definition`] | pure | what a service is: types, defaults, checks, canonical form, JSON Schema |
//! | [`policy`] | pure | what a definition from the network may ask of this host |
//! | [`runtime`] | trait and drivers | what is needed of Docker, in our own types; `docker` and `fake` pass one contract (`tests/runtime`) |
//! | [`life`] | pure, and a driver | what is to be done next in the life of one instance |
//! | [`publish`] | pure, and a task | what an instance publishes, and what the managers say of it |
//! | [`cli`] | | one file for each subcommand |

pub mod cli;
pub mod definition;
pub mod document;
pub mod life;
pub mod policy;
pub mod publish;
pub mod runtime;
