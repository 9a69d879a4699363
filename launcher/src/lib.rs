//! Runs one health-checked container per unit, published to its load balancers.
//!
//! | module | kind | |
//! | --- | --- | --- |
//! | [`document`] | pure | YAML and JSON as values that know their place, and everything that is wrong with one |
//! | [`definition`] | pure | what a service is: types, defaults, checks, canonical form, JSON Schema |
//! | [`definitions`] | drivers, and pure | where definitions come from, and what is kept of them |
//! | [`instance`] | types | what an instance says of itself in etcd |
//! | [`policy`] | pure | what a definition from the network may ask of this host |
//! | [`runtime`] | trait and drivers | what is needed of Docker, in our own types; `docker` and `fake` pass one contract (`tests/runtime`) |
//! | [`assemble`] | pure, and drivers | from a definition to a container, to what is asked of it, and to what its variables stand for |
//! | [`health`] | pure, and a driver | whether a container is healthy, by asking it again and again |
//! | [`life`] | pure, and a driver | what is to be done next in the life of one instance |
//! | [`logs`] | task and thread | the container's output, handed on line by line |
//! | [`publish`] | pure, and a task | what an instance publishes, and what the managers say of it |
//! | [`run`] | driver | runs one instance: joins all of these with systemd |
//! | [`cli`] | | one file for each subcommand |

pub mod assemble;
pub mod cli;
pub mod definition;
pub mod definitions;
pub mod document;
pub mod health;
pub mod instance;
pub mod life;
pub mod logs;
pub mod policy;
pub mod publish;
pub mod run;
pub mod runtime;
