//! What a plain scalar is, by the core schema of YAML 1.2, which JSON agrees with.

/// A scalar without quotes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Plain<'t> {
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'t str),
}

pub(super) fn plain(text: &str) -> Plain<'_> {
    if let Some(value) = boolean(text) {
        return Plain::Bool(value);
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        return Plain::Text(text);
    }
    if let Ok(value) = text.parse() {
        return Plain::Unsigned(value);
    }
    if let Ok(value) = text.parse() {
        return Plain::Signed(value);
    }
    number(text).map_or(Plain::Text(text), Plain::Float)
}

pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// Rust reads `inf`, `nan` and the like as well; nothing here is infinite.
pub(super) fn number(text: &str) -> Option<f64> {
    let is_digits = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E'));
    text.parse().ok().filter(|_| is_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_a_text() {
        for (text, expected) in [
            ("0", Plain::Unsigned(0)),
            ("+1", Plain::Unsigned(1)),
            ("-1", Plain::Signed(-1)),
            ("1.5", Plain::Float(1.5)),
            ("1e3", Plain::Float(1000.0)),
            ("true", Plain::Bool(true)),
            ("yes", Plain::Text("yes")),
            ("1m30s", Plain::Text("1m30s")),
            ("-inf", Plain::Text("-inf")),
            ("10.0.0.1", Plain::Text("10.0.0.1")),
            ("nan", Plain::Text("nan")),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
    }
}
