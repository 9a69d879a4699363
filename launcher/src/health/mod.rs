//! Whether a container is healthy, by asking it again and again.
//!
//! | module | kind | |
//! | --- | --- | --- |
//! | [`Pulse`] | pure | what many answers say, and when to ask next |
//! | [`Board`] | pure | what all checks together say |
//! | [`Checker`] | driver | asks |
//!
//! A container is asked from launcher itself, at the address where it is; a command in it costs a
//! process each time, and is run only where the definition says so. One check never has two attempts
//! under way, and checks never wait for each other.

mod attempt;
mod board;
mod checker;
mod pulse;

pub use self::board::Board;
pub use self::checker::Checker;
pub use self::pulse::Pulse;
