//! What the spectator sees: at most 80 columns, colours on a terminal only.

use std::io::{IsTerminal as _, Stdout, Write as _};

/// Where nothing else is said, text goes up to here.
pub const WIDTH: usize = 78;

/// Standard output.
#[derive(Debug)]
pub struct Screen {
    out: Stdout,
    colours: bool,
}

/// How a piece of text looks.
#[derive(Debug, Clone, Copy)]
pub enum Look {
    Bold,
    Dim,
    Good,
    Bad,
    Command,
}

impl Screen {
    /// <https://no-color.org>
    pub fn new() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_terminal = std::io::stdout().is_terminal();
        Self::with_colours(is_terminal && !refused)
    }

    /// For where somebody else looks whether this is a terminal.
    pub fn with_colours(colours: bool) -> Self {
        Self {
            out: std::io::stdout(),
            colours,
        }
    }

    pub fn has_colours(&self) -> bool {
        self.colours
    }

    pub fn line(&self, text: &str) {
        // Who closed the other end does not want to see it, and the show has to be struck anyway.
        let mut out = self.out.lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    /// Several sentences, broken at words.
    pub fn paragraph(&self, indent: usize, text: &str) {
        for line in wrap(text, WIDTH - indent) {
            self.line(&format!("{:indent$}{line}", ""));
        }
    }

    pub fn failure(&self, text: &str) {
        let mark = self.paint(Look::Bad, "✗");
        self.line(&format!("   {mark} {text}"));
    }

    pub fn paint(&self, look: Look, text: &str) -> String {
        if !self.colours {
            return text.to_owned();
        }
        let code = match look {
            Look::Bold => "1",
            Look::Dim => "2",
            Look::Good => "32",
            Look::Bad => "1;31",
            Look::Command => "36",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last().map_or(0, |line| line.chars().count());
        if last > 0 && last + 1 + word.chars().count() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_at_words() {
        assert_eq!(wrap("one two  three", 8), ["one two", "three"]);
        assert_eq!(wrap("unbreakable", 3), ["unbreakable"]);
        assert_eq!(wrap("", 3), [""]);
    }
}
