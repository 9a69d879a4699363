//! A container's output, handed on line by line.
//!
//! | module | kind | |
//! | --- | --- | --- |
//! | [`lines`] | pure | frames as lines, and where to go on after an interruption |
//! | [`position`] | file | where that is, in the state directory |
//! | [`sink`] | driver | the journal, or our own stdout and stderr |
//! | [`journal`] | driver | the journal's own protocol |
//! | [`last`] | shared | the last lines, for error reports |
//! | [`follower`] | task | reads frames, and hands lines to the writer |
//! | `writer` | thread | gives lines to the sink, and notes how far it is |
//!
//! One queue, between the task and the thread: 256 KiB of lines. While it is full nothing is read,
//! and Docker keeps what is written (at least the last 100 MB). The thread is one because a sink may
//! block for as long as it likes.
//!
//! # What holds
//!
//! - Lines of one stream come in their order. A line of more than 1 MiB comes in parts.
//! - Each line comes once, also when launcher is restarted. A SIGKILL that hits between the line's
//!   being taken and its being noted, which are two system calls in a row, has it come again; one
//!   that hits while a pipe or a file takes a long line leaves a part of it there, before the whole.
//! - What Docker has dropped before it could be handed on, more than 100 MB later, is missed.
//! - When Docker crashes or is restarted, each line that it has kept comes at least once.
//! - After a crash of the machine the position may be an older one: lines come again.
//! - When the clock is set back lines may come again. Those that were written while launcher was
//!   away, and by their time more than 10 s before the last one that it took, are missed.

pub mod follower;
pub mod journal;
pub mod last;
pub mod lines;
pub mod position;
pub mod sink;
mod writer;

pub use self::follower::Follower;
pub use self::last::LastLines;
pub use self::position::forget;
pub use self::sink::{Origin, Sink};
