use std::fmt::{self, Display};

use serde::de::{self, Expected, Unexpected};

use super::{Finding, Node, Path, Position, Problem, Step, nearest};

/// As many names as a person reads in one line.
const LISTED: usize = 12;

/// Why a value cannot be read. The place is added on the way out, by whoever knows it.
#[derive(Debug)]
pub(super) struct Error {
    path: Path,
    at: Option<Position>,
    message: String,
    hint: Option<String>,
    /// The message says what is expected, and not yet what is found.
    lacks_found: bool,
    /// The path leads to a key that nobody knows, which is named in the message.
    is_unknown: bool,
}

impl Error {
    fn new(message: String) -> Self {
        Self {
            path: Path::default(),
            at: None,
            message,
            hint: None,
            lacks_found: false,
            is_unknown: false,
        }
    }

    /// What is found is said when the place is known.
    pub(super) fn expected(what: impl Display) -> Self {
        Self {
            lacks_found: true,
            ..Self::new(format!("{what} is expected"))
        }
    }

    /// A key that is not among those that are known there.
    pub(super) fn unknown(key: &str, known: &[&str]) -> Self {
        Self {
            hint: Some(suggestion(key, known)),
            path: Path::key(key),
            is_unknown: true,
            ..Self::new(format!("unknown key {:?}", presence::model::excerpt(key)))
        }
    }

    /// The error comes from this value, if it does not know better.
    pub(super) fn located(mut self, node: &Node) -> Self {
        if self.at.is_none() {
            self.at = Some(node.at);
            if self.lacks_found {
                self.message = format!("{}, {} is found", self.message, node.words());
            }
        }
        self
    }

    /// The error comes from here, whatever it says itself.
    pub(super) fn moved(mut self, at: Position) -> Self {
        self.at = self.at.map(|_| at);
        self
    }

    /// The error comes from the key here.
    pub(super) fn at_key(mut self, at: Position) -> Self {
        self.at.get_or_insert(at);
        self
    }

    /// The error comes from where this step leads.
    pub(super) fn below(mut self, step: Step) -> Self {
        self.path.enter_from(step);
        self
    }

    /// What has to go for the rest to be read.
    pub(super) fn culprit(&self) -> Path {
        self.path.clone()
    }

    pub(super) fn problem(self) -> Problem {
        let path = if self.is_unknown {
            self.path.parent()
        } else {
            self.path
        };
        let finding = Finding {
            path,
            message: self.message,
            hint: self.hint,
        };
        finding.at(self.at.unwrap_or(Position::START))
    }
}

/// What was probably meant, or else what there is.
fn suggestion(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(nearest) => format!("did you mean {nearest:?}?"),
        None if known.len() <= LISTED => format!("known here: {}", known.join(", ")),
        None => "`launcher schema` lists what is known".to_owned(),
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::expected(expected)
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        // serde's words are for programmers.
        match expected.to_string().as_str() {
            "a nonzero u16" => Self::expected("a whole number from 1 to 65535"),
            other => Self::expected(other),
        }
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        Self {
            hint: nearest(variant, known.iter().copied())
                .map(|nearest| format!("did you mean {nearest:?}?")),
            ..Self::expected(format!("one of {}", known.join(", ")))
        }
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::unknown(field, known)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("{field:?} is missing"))
    }
}
