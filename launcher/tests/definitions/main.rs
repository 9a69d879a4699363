//! Where definitions come from, and the subcommands about them.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod away;
mod commands;
mod files;
mod history;
mod host;
mod kept;
mod network;
mod put;
