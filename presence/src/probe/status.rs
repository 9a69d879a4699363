//! Which status codes of HTTP are expected.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Status codes as people write them: `200-299`, `204`, `200-299,401`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

/// It is not of that form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no status codes: codes from 100 to 599 are expected, such as 200-299 or 200,204"
)]
pub struct InvalidStatuses(String);

impl Default for Statuses {
    /// 2xx.
    fn default() -> Self {
        Self(vec![200..=299])
    }
}

impl Statuses {
    /// Whether this one is among them.
    pub fn contain(&self, code: u16) -> bool {
        self.0.iter().any(|range| range.contains(&code))
    }
}

impl FromStr for Statuses {
    type Err = InvalidStatuses;

    fn from_str(text: &str) -> Result<Self, InvalidStatuses> {
        let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
        ranges
            .map(Self)
            .ok_or_else(|| InvalidStatuses(text.to_owned()))
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (100 <= first && first <= last && last <= 599).then_some(first..=last)
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(f, "{comma}{first}")?,
                (first, last) => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_single_codes_go_together() {
        let statuses: Statuses = "200-299,401".parse().unwrap();
        assert_eq!(statuses.to_string(), "200-299,401");
        for (code, expected) in [
            (199, false),
            (200, true),
            (299, true),
            (300, false),
            (401, true),
        ] {
            assert_eq!(statuses.contain(code), expected, "{code}");
        }
        assert_eq!(Statuses::default(), "200-299".parse().unwrap());
    }

    #[test]
    fn what_names_no_code_is_refused() {
        for text in ["", "2xx", "99", "600", "299-200", "200-", "200,,204", "-1"] {
            let error = text.parse::<Statuses>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{text:?} names no status codes")),
                "{error}"
            );
        }
    }
}
