use std::fmt;

use super::{Node, Path, Position};

/// Something that is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where to look.
    pub at: Position,
    /// What is wrong, with the value and what is allowed.
    pub message: String,
    /// What to write instead, where that can be guessed.
    pub hint: Option<String>,
}

/// `line:column: message; hint`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// Something that is wrong with values that were read, by the path to the one to blame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// To which value.
    pub path: Path,
    /// What is wrong, with the value and what is allowed.
    pub message: String,
    /// What to write instead, where that can be guessed.
    pub hint: Option<String>,
}

impl Finding {
    /// Without a hint.
    pub fn new(path: Path, message: impl Into<String>) -> Self {
        Self {
            path,
            message: message.into(),
            hint: None,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// In the document that the values were read from.
    pub fn located(self, document: &Node) -> Problem {
        let at = document.position(&self.path);
        self.at(at)
    }

    pub(super) fn at(self, at: Position) -> Problem {
        let place = self.path.to_string();
        let message = if place.is_empty() {
            self.message
        } else {
            format!("{place}: {}", self.message)
        };
        Problem {
            at,
            message,
            hint: self.hint,
        }
    }
}

/// The known name that was most likely meant: a slip or two of the hand away, or else one that
/// begins so.
pub fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let known: Vec<&str> = known.into_iter().collect();
    let slips = |candidate: &&str| strsim::damerau_levenshtein(&name, candidate);
    let near = known.iter().copied().min_by_key(slips);
    let near = near.filter(|near| slips(near) <= name.len().max(3) / 3);
    near.or_else(|| {
        let longer = known
            .iter()
            .copied()
            .filter(|known| known.starts_with(&name));
        longer
            .min_by_key(|known| known.len())
            .filter(|_| name.len() >= 3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_a_slip_away_or_none() {
        let known = [
            "image",
            "environment",
            "env_file",
            "volumes",
            "health_check",
        ];
        for (name, expected) in [
            ("imgae", Some("image")),
            ("enviroment", Some("environment")),
            ("volume", Some("volumes")),
            ("health-check", Some("health_check")),
            ("Image", Some("image")),
            ("mgaei", None),
            ("env", Some("env_file")),
            ("x", None),
            ("zebra", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }
}
