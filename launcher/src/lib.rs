//! Runs one health-checked container per unit, published to its load balancers.
//!
//! | module | kind | |
//! | --- | --- | --- |
//! | [`runtime`] | trait and drivers | what is needed of Docker, in our own types; `docker` and `fake` pass one contract (`tests/runtime`) |

pub mod runtime;
