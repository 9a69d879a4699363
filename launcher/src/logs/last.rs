//! The last lines, for error reports.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// How many are kept.
const LINES: usize = 20;
/// How many bytes of each.
const BYTES: usize = 512;

/// The last lines that a container has written, on both streams. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct LastLines(Arc<Mutex<VecDeque<Box<[u8]>>>>);

impl LastLines {
    pub(super) fn push(&self, line: &[u8]) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES {
            lines.pop_front();
        }
        // More than is shown, so that it is known to go on.
        lines.push_back(line.get(..=BYTES).unwrap_or(line).into());
    }

    /// The lines as text for a person, with newlines between them; at most 20, and of each at most
    /// 512 bytes. What is no text, or moves the cursor of a terminal, is escaped.
    pub fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shown: Vec<String> = lines.iter().map(|line| shown(line)).collect();
        shown.join("\n")
    }
}

fn shown(line: &[u8]) -> String {
    let (line, more) = match line.get(..BYTES) {
        Some(cut) if line.len() > BYTES => (cut, "…"),
        _ => (line.strip_suffix(b"\r").unwrap_or(line), ""),
    };
    let mut text = String::with_capacity(line.len());
    for chunk in line.utf8_chunks() {
        for char in chunk.valid().chars() {
            if char.is_control() && char != '\t' {
                text.extend(char.escape_default());
            } else {
                text.push(char);
            }
        }
        text.push_str(&chunk.invalid().escape_ascii().to_string());
    }
    text + more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_kept_in_their_order() {
        let last = LastLines::default();
        assert_eq!(last.text(), "");
        for number in 0..25 {
            last.clone().push(format!("line {number}").as_bytes());
        }
        let expected: Vec<String> = (5..25).map(|number| format!("line {number}")).collect();
        assert_eq!(last.text(), expected.join("\n"));
    }

    #[test]
    fn whatever_is_in_them_they_are_text_of_bounded_length() {
        let last = LastLines::default();
        last.push("grün\t\u{1b}[2J\r".as_bytes());
        last.push(b"a\xff\0b");
        last.push(&vec![b'x'; 1 << 20]);
        last.push(&[b'y'; BYTES]);
        let text = last.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["grün\t\\u{1b}[2J", "a\\xff\\u{0}b"]);
        assert_eq!(lines[2], "x".repeat(BYTES) + "…");
        assert_eq!(lines[3], "y".repeat(BYTES));
    }
}
