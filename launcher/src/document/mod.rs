//! Documents that people write, in YAML or JSON: read as values that know their place, so that
//! everything that is wrong with one can be shown at once, and where.
//!
//! JSON is read by the same parser: it is YAML. So a document has one set of messages, whichever
//! it is written in.
//!
//! | module | kind | what it is |
//! | --- | --- | --- |
//! | [`Node`] | types | a value, its position, its spelling |
//! | `load` | pure | text to nodes: anchors, merge keys, limits |
//! | `read` | pure | nodes to types that implement serde's `Deserialize` |
//! | [`Problem`] | types | what is wrong, where, and what to do |

mod error;
mod load;
mod node;
mod path;
mod problem;
mod read;
mod scalar;

pub use load::load;
pub use node::{Content, Entry, Node, Position};
pub use path::{Path, Step};
pub use problem::{Finding, Problem, nearest};
pub use read::read;
