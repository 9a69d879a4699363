//! Definitions as people write them: what they mean, what is wrong with them, and that the JSON
//! Schema agrees.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod canonical;
mod fixtures;
mod meaning;
mod messages;
mod schema;
