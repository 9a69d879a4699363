//! Times, columns and lists as people read them.

use std::error::Error;
use std::fmt::Display;

use jiff::Timestamp;

/// How many names of a list are shown.
const SHOWN: usize = 10;

/// A time and how far it is from now: `2026-11-20T12:00:00Z (3m 5s ago)`.
pub fn time(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.duration_since(now).as_secs();
    let distance = distance(seconds.unsigned_abs());
    if seconds > 0 {
        format!("{at:.0} (in {distance})")
    } else {
        format!("{at:.0} ({distance} ago)")
    }
}

/// The two largest units: nobody needs the seconds of last week.
fn distance(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// An error and what it is due to, on one line. What a cause repeats is said once.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        cause = error.source();
    }
    words
}

/// The first few, and how many more.
pub fn list<T: Display>(names: impl IntoIterator<Item = T>) -> String {
    let mut names = names.into_iter();
    let shown: Vec<String> = names.by_ref().take(SHOWN).map(|n| n.to_string()).collect();
    match names.count() {
        0 => shown.join(" "),
        more => format!("{} and {more} more", shown.join(" ")),
    }
}

/// Rows as lines with their columns below each other, behind `indent`. What is
/// in the last column may be of any length.
pub fn columns<const N: usize>(indent: &str, rows: &[[String; N]]) -> Vec<String> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(column, cell)| format!("{cell:width$}", width = width(column)))
            .collect();
        format!("{indent}{}", cells.join("  "))
            .trim_end()
            .to_owned()
    };
    rows.iter().map(line).collect()
}

/// Lines as a text.
pub fn text(lines: &[String]) -> String {
    lines.join("\n") + "\n"
}

/// What serde calls it, which is what the status says in JSON.
pub fn name(of: impl serde::Serialize) -> String {
    match serde_json::to_value(of) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_tells_how_far_it_is_from_now() {
        let now: Timestamp = "2026-11-20T12:00:00.7Z".parse().unwrap();
        for (at, words) in [
            ("2026-11-20T12:00:00.7Z", "2026-11-20T12:00:00Z (0s ago)"),
            ("2026-11-20T11:59:18.5Z", "2026-11-20T11:59:18Z (42s ago)"),
            ("2026-11-20T12:03:05.7Z", "2026-11-20T12:03:05Z (in 3m 5s)"),
            ("2026-11-20T08:57:00Z", "2026-11-20T08:57:00Z (3h 3m ago)"),
            ("2026-11-18T10:00:00Z", "2026-11-18T10:00:00Z (2d 2h ago)"),
        ] {
            assert_eq!(time(at.parse().unwrap(), now), words);
        }
    }

    #[test]
    fn of_a_long_list_the_first_few_are_told() {
        assert_eq!(list(1..=3), "1 2 3");
        assert_eq!(list(1..=12), "1 2 3 4 5 6 7 8 9 10 and 2 more");
    }

    #[test]
    fn columns_are_below_each_other() {
        let rows = [["a", "b", "long words"], ["ääää", "", "c"]].map(|row| row.map(str::to_owned));
        assert_eq!(
            columns("  ", &rows),
            ["  a     b  long words", "  ääää     c"]
        );
    }
}
