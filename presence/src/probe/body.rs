//! What an answer is expected to hold.

use std::str::FromStr;

use regex_lite::Regex;
use serde_json::Value;

use super::Outcome;
use crate::model::excerpt;

/// What an answer over HTTP is expected to hold.
#[derive(Debug, Clone, Default)]
pub enum Body {
    /// Anything; it is not even read.
    #[default]
    Any,
    /// A text that matches.
    Matches(Regex),
    /// A JSON object whose `status` is `up`, in letters of either case.
    Up,
    /// This, byte for byte.
    Is(Vec<u8>),
}

/// As much of a body as is read where it may be anything. Nobody's health is a
/// longer story.
const LONGEST: usize = 64 << 10;

/// It is no regular expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pattern:?} is no regular expression: {reason}")]
pub struct BadPattern {
    pattern: String,
    reason: String,
}

/// A pattern to match.
impl FromStr for Body {
    type Err = BadPattern;

    fn from_str(pattern: &str) -> Result<Self, BadPattern> {
        Regex::new(pattern)
            .map(Self::Matches)
            .map_err(|error| BadPattern {
                pattern: pattern.to_owned(),
                reason: error.to_string(),
            })
    }
}

impl Body {
    /// As many bytes as have to be read.
    pub(super) fn longest(&self) -> usize {
        match self {
            Self::Any => 0,
            Self::Matches(_) | Self::Up => LONGEST,
            // One more tells that it goes on.
            Self::Is(expected) => expected.len() + 1,
        }
    }

    /// Whether the beginning of an answer has it. `seen` is what is known of
    /// the answer so far.
    pub(super) fn judge(&self, seen: &str, body: &[u8]) -> Outcome {
        let text = String::from_utf8_lossy(body);
        match self {
            Self::Any => Outcome::up(seen),
            Self::Matches(pattern) if pattern.is_match(&text) => {
                Outcome::up(format!("{seen}, and the body matches"))
            }
            Self::Matches(pattern) => Outcome::down(format!(
                "{seen}, but the body does not match {:?}: {:?}",
                pattern.as_str(),
                excerpt(&text)
            )),
            Self::Up => up(seen, body),
            Self::Is(expected) if body == expected => {
                Outcome::up(format!("{seen}, and the body is as expected"))
            }
            Self::Is(expected) => Outcome::down(format!(
                "{seen}, but the body is not the {} bytes that are expected: {:?}",
                expected.len(),
                excerpt(&text)
            )),
        }
    }
}

fn up(seen: &str, body: &[u8]) -> Outcome {
    let value: Option<Value> = serde_json::from_slice(body).ok();
    let status = value.as_ref().and_then(|value| value.get("status"));
    match status.and_then(Value::as_str) {
        Some(status) if status.eq_ignore_ascii_case("up") => {
            Outcome::up(format!("{seen}, status is {status:?}"))
        }
        Some(status) => Outcome::down(format!(
            "{seen}, but status is {:?}, \"up\" is expected",
            excerpt(status)
        )),
        None => Outcome::down(format!(
            "{seen}, but the body is no JSON object with a status: {:?}",
            excerpt(&String::from_utf8_lossy(body))
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(body: &Body, text: &str) -> (bool, String) {
        let outcome = body.judge("200 OK", text.as_bytes());
        (outcome.is_up, outcome.words)
    }

    #[test]
    fn a_pattern_is_looked_for_anywhere() {
        let body: Body = "\"status\" *: *\"(green|yellow)\"".parse().unwrap();
        assert!(judged(&body, "{\"status\": \"green\"}").0);
        let (is_up, words) = judged(&body, "{\"status\": \"red\"}");
        assert!(!is_up);
        assert!(
            words.starts_with("200 OK, but the body does not match"),
            "{words}"
        );
        assert!(words.ends_with(r#": "{\"status\": \"red\"}""#), "{words}");
        let error = "(".parse::<Body>().unwrap_err().to_string();
        assert!(
            error.starts_with("\"(\" is no regular expression: "),
            "{error}"
        );
    }

    #[test]
    fn each_byte_counts() {
        let body = Body::Is(b"up\n".to_vec());
        for (text, expected) in [("up\n", true), ("up", false), ("up\nx", false), ("", false)] {
            assert_eq!(judged(&body, text).0, expected, "{text:?}");
        }
        let (_, words) = judged(&body, "up");
        let expected = "200 OK, but the body is not the 3 bytes that are expected: \"up\"";
        assert_eq!(words, expected);
    }

    #[test]
    fn up_is_what_status_says() {
        for (text, expected) in [
            ("{\"status\":\"up\"}", true),
            ("{\"status\":\"UP\",\"more\":1}", true),
            ("{\"status\":\"down\"}", false),
            ("{\"status\":1}", false),
            ("{}", false),
            ("up", false),
            ("", false),
        ] {
            let (is_up, words) = judged(&Body::Up, text);
            assert_eq!(is_up, expected, "{text}: {words}");
        }
        let (_, words) = judged(&Body::Up, "{\"status\":\"down\"}");
        assert_eq!(words, "200 OK, but status is \"down\", \"up\" is expected");
    }
}
