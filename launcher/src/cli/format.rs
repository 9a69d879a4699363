//! How lists are written.

use clap::{Args, ValueEnum};
use presence::process::words::{columns, text};
use serde::Serialize;

/// Flags of every subcommand that lists something.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct FormatArgs {
    /// How it is written
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// One JSON object a line
    Json,
}

impl FormatArgs {
    /// The list as text: each item a row, or an object.
    pub fn write<T: Serialize, const N: usize>(
        self,
        heading: [&str; N],
        items: &[T],
        row: impl Fn(&T) -> [String; N],
    ) -> String {
        match self.format {
            Format::Table => {
                let mut rows = vec![heading.map(str::to_owned)];
                rows.extend(items.iter().map(row));
                text(&columns("", &rows))
            }
            Format::Json => items
                .iter()
                .map(|item| serde_json::to_string(item).expect("all of it is JSON") + "\n")
                .collect(),
        }
    }
}
