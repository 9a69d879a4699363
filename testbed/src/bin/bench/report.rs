//! The table: on the terminal, as Markdown and as JSON.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use testbed::{Error, Result};

use crate::machine::Machine;

/// A figure with its unit.
#[derive(Debug, Clone, Copy)]
pub enum Figure {
    Seconds(f64),
    Bytes(f64),
    Calls(f64),
    Writes(f64),
}

impl Figure {
    pub fn time(time: std::time::Duration) -> Self {
        Self::Seconds(time.as_secs_f64())
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn bytes(bytes: u64) -> Self {
        Self::Bytes(bytes as f64)
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn calls(calls: usize) -> Self {
        Self::Calls(calls as f64)
    }

    fn value(self) -> f64 {
        match self {
            Self::Seconds(value)
            | Self::Bytes(value)
            | Self::Calls(value)
            | Self::Writes(value) => value,
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Seconds(_) => "seconds",
            Self::Bytes(_) => "bytes",
            Self::Calls(_) => "calls",
            Self::Writes(_) => "writes",
        }
    }

    fn words(self) -> String {
        match self {
            Self::Seconds(value) if value < 1.0 => format!("{:.1} ms", value * 1e3),
            Self::Seconds(value) => format!("{value:.2} s"),
            Self::Bytes(value) => format!("{:.1} MB", value / 1e6),
            Self::Calls(value) => format!("{value:.0} calls"),
            Self::Writes(value) => format!("{value:.0} writes"),
        }
    }
}

/// What is to be reached.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// So many times the peer's at most.
    Ratio(f64),
    /// This much at most.
    AtMost(Figure),
    /// Below this.
    Below(Figure),
    /// Nothing is set; it is only told.
    None,
}

impl Target {
    fn words(self) -> String {
        match self {
            Self::Ratio(ratio) => times(ratio),
            Self::AtMost(figure) => figure.words(),
            Self::Below(figure) => format!("< {}", figure.words()),
            Self::None => "-".to_owned(),
        }
    }
}

/// A ratio, in digits enough to compare it with another.
fn times(ratio: f64) -> String {
    if ratio < 0.1 {
        format!("{ratio:.3} x")
    } else {
        format!("{ratio:.2} x")
    }
}

/// A line of the table.
#[derive(Debug)]
pub struct Row {
    pub id: &'static str,
    pub what: String,
    pub ours: Figure,
    pub peer: Option<(Figure, &'static str)>,
    pub target: Target,
    pub runs: usize,
    /// What precisely was measured, in a sentence.
    pub how: String,
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        let (peer, _) = self.peer?;
        (peer.value() > 0.0).then(|| self.ours.value() / peer.value())
    }

    fn holds(&self) -> Option<bool> {
        let ours = self.ours.value();
        match self.target {
            Target::Ratio(most) => self.ratio().map(|ratio| ratio <= most),
            Target::AtMost(most) => Some(ours <= most.value()),
            Target::Below(bound) => Some(ours < bound.value()),
            Target::None => None,
        }
    }

    fn cells(&self) -> [String; 7] {
        let peer = self
            .peer
            .map(|(figure, name)| format!("{} {name}", figure.words()));
        let holds = match self.holds() {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "-",
        };
        [
            self.id.to_owned(),
            self.what.clone(),
            self.ours.words(),
            peer.unwrap_or_else(|| "-".to_owned()),
            self.ratio().map_or_else(|| "-".to_owned(), times),
            self.target.words(),
            holds.to_owned(),
        ]
    }

    fn to_json(&self) -> Value {
        let figure = |figure: Figure| json!({"value": figure.value(), "unit": figure.unit()});
        json!({
            "id": self.id,
            "what": self.what,
            "ours": figure(self.ours),
            "peer": self.peer.map(|(peer, name)| json!({"name": name, "figure": figure(peer)})),
            "ratio": self.ratio(),
            "target": self.target.words(),
            "holds": self.holds(),
            "runs": self.runs,
            "how": self.how,
        })
    }
}

const HEAD: [&str; 7] = ["#", "what", "ours", "peer", "ratio", "target", "holds"];

/// All that was measured.
#[derive(Debug)]
pub struct Report {
    machine: Machine,
    rows: Vec<Row>,
}

impl Report {
    pub fn new(machine: Machine) -> Self {
        Self {
            machine,
            rows: Vec::new(),
        }
    }

    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Says what is going on, beside the results.
    #[expect(clippy::unused_self, reason = "so that it is said through one thing")]
    pub fn progress(&self, what: &str) {
        eprintln!("… {what}");
    }

    fn ordered(&self) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        let number = |row: &&Row| row.id.trim_start_matches('P').parse().unwrap_or(u32::MAX);
        rows.sort_by_key(number);
        rows
    }

    pub fn print(&self) {
        let mut lines = vec![HEAD.map(str::to_owned)];
        lines.extend(self.ordered().iter().map(|row| row.cells()));
        let widths: [usize; 7] = std::array::from_fn(|column| {
            let cells = lines.iter().map(|cells| cells[column].chars().count());
            cells.max().unwrap_or(0)
        });
        println!("{}\n", self.machine.words());
        for cells in lines {
            let padded = cells
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("{cell:width$}"));
            println!("{}", padded.collect::<Vec<_>>().join("  ").trim_end());
        }
    }

    /// Writes `bench.md` and `bench.json`.
    pub fn save(&self, directory: &Path) -> Result<()> {
        let json = json!({
            "machine": self.machine.to_json(),
            "rows": self.ordered().iter().map(|row| row.to_json()).collect::<Vec<_>>(),
        });
        let write = |name: &str, text: String| {
            let path = directory.join(name);
            std::fs::create_dir_all(directory)
                .and_then(|()| std::fs::write(&path, text))
                .map_err(|source| Error::Io {
                    action: "write",
                    object: path.display().to_string(),
                    source,
                })
        };
        write("bench.md", self.markdown())?;
        write("bench.json", format!("{json:#}\n"))?;
        println!(
            "\nWritten to {}/bench.md and bench.json",
            directory.display()
        );
        Ok(())
    }

    fn markdown(&self) -> String {
        let mut text = format!(
            "# Measured beside its peers\n\n{}\n\n",
            self.machine.words()
        );
        let line = |cells: [String; 7]| format!("| {} |\n", cells.join(" | "));
        text += &line(HEAD.map(str::to_owned));
        text += &line(HEAD.map(|_| "---".to_owned()));
        for row in self.ordered() {
            text += &line(row.cells());
        }
        text += "\n## What precisely was measured\n\n";
        for row in self.ordered() {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "- {} {} ({} runs): {}",
                row.id, row.what, row.runs, row.how
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(target: Target) -> Row {
        Row {
            id: "P4",
            what: "start".to_owned(),
            ours: Figure::Seconds(0.3),
            peer: Some((Figure::Seconds(0.2), "etcdctl")),
            target,
            runs: 5,
            how: "somehow".to_owned(),
        }
    }

    #[test]
    fn targets_hold_or_not() {
        assert_eq!(row(Target::Ratio(1.6)).holds(), Some(true));
        assert_eq!(row(Target::Ratio(1.0)).holds(), Some(false));
        assert_eq!(
            row(Target::Below(Figure::Seconds(0.3))).holds(),
            Some(false)
        );
        assert_eq!(
            row(Target::AtMost(Figure::Seconds(0.3))).holds(),
            Some(true)
        );
        assert_eq!(row(Target::None).holds(), None);
    }

    #[test]
    fn small_ratios_have_more_digits() {
        let ratios = [0.0126, 0.02, 0.1, 1.5].map(times);
        assert_eq!(ratios, ["0.013 x", "0.020 x", "0.10 x", "1.50 x"]);
    }

    #[test]
    fn cells_have_units() {
        let cells = row(Target::Ratio(1.6)).cells();
        assert_eq!(
            cells[2..],
            ["300.0 ms", "200.0 ms etcdctl", "1.50 x", "1.60 x", "yes"]
        );
    }
}
