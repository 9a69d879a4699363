//! What is asked for over HTTP, and what is to come back.

use std::fmt;
use std::str::FromStr;

use presence::probe::{Body, InvalidStatuses, Statuses};

use super::forms::from_text;

/// Status codes of HTTP: `200-299`, `204`, `200-299,401`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Codes(pub Statuses);

from_text!(Codes, "Status codes of HTTP: 204, 200-299, or 200-299,401");

impl fmt::Display for Codes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Codes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|error: InvalidStatuses| error.to_string())
    }
}

/// A regular expression, looked for anywhere in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

from_text!(
    Pattern,
    "A regular expression, looked for anywhere in the body"
);

impl Pattern {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<Body>() {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// A path of a URL, with what follows it: begins with a slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlPath(String);

from_text!(UrlPath, "A path that begins with a slash, such as /healthz");

impl UrlPath {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for UrlPath {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl fmt::Display for UrlPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for UrlPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_path = text.starts_with('/') && !text.bytes().any(|b| b <= b' ' || b == 0x7f);
        is_path.then(|| Self(text.to_owned())).ok_or_else(|| {
            format!("{text:?} is no path of a URL: it begins with a slash and has no spaces")
        })
    }
}
