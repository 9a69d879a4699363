use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{InvalidName, Revision};

/// A revision of a service definition: `<mod_revision>-<first 8 hexadecimal
/// digits of the SHA-256 of the canonical definition>`. Later ones are
/// greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DefinitionRevision {
    mod_revision: Revision,
    digest: u32,
}

impl DefinitionRevision {
    /// The definition with this SHA-256, as it was written at this revision.
    pub fn new(mod_revision: Revision, sha256: &[u8; 32]) -> Self {
        let [a, b, c, d, ..] = *sha256;
        Self {
            mod_revision,
            digest: u32::from_be_bytes([a, b, c, d]),
        }
    }

    /// When the definition was written.
    pub fn mod_revision(self) -> Revision {
        self.mod_revision
    }

    /// Whether both are of the same definition: then going from one to the
    /// other is no rollout.
    pub fn is_same_definition(self, other: Self) -> bool {
        self.digest == other.digest
    }
}

impl fmt::Display for DefinitionRevision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}", self.mod_revision, self.digest)
    }
}

impl FromStr for DefinitionRevision {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let revision = parse(text).ok_or_else(|| {
            let allowed = "a number above 0, a hyphen and 8 hexadecimal digits are expected, \
                           such as 42-0a1b2c3d";
            InvalidName::new("revision", text, allowed)
        })?;
        let canonical = revision.to_string();
        if canonical == text {
            Ok(revision)
        } else {
            Err(InvalidName::spelling("revision", text, &canonical))
        }
    }
}

fn parse(text: &str) -> Option<DefinitionRevision> {
    let (number, digest) = text.split_once('-')?;
    let number = number.parse().ok().filter(|number| *number > 0)?;
    // A number may have a sign, eight digits have none.
    let is_digest = digest.len() == 8 && digest.bytes().all(|b| b.is_ascii_hexdigit());
    let digest = u32::from_str_radix(digest, 16).ok().filter(|_| is_digest)?;
    Some(DefinitionRevision {
        mod_revision: Revision(number),
        digest,
    })
}

impl TryFrom<String> for DefinitionRevision {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<DefinitionRevision> for String {
    fn from(revision: DefinitionRevision) -> Self {
        revision.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(text: &str) -> Result<DefinitionRevision, String> {
        text.parse().map_err(|error: InvalidName| error.to_string())
    }

    #[test]
    fn it_is_the_revision_and_the_head_of_the_digest() {
        let mut sha256 = [0xff; 32];
        sha256[..4].copy_from_slice(&[0x0a, 0x1b, 0x2c, 0x3d]);
        let built = DefinitionRevision::new(Revision(42), &sha256);
        assert_eq!(built.to_string(), "42-0a1b2c3d");
        assert_eq!(revision("42-0a1b2c3d"), Ok(built));
        assert_eq!(built.mod_revision(), Revision(42));
    }

    #[test]
    fn later_is_greater_and_the_definition_may_be_the_same() {
        let [older, newer, other] =
            ["9-0a1b2c3d", "10-0a1b2c3d", "10-ffffffff"].map(|text| revision(text).unwrap());
        assert!(older < newer && newer < other);
        assert!(older.is_same_definition(newer) && !newer.is_same_definition(other));
    }

    #[test]
    fn other_spellings_are_refused_with_the_canonical_one() {
        for text in ["042-0a1b2c3d", "+42-0a1b2c3d", "42-0A1B2C3D"] {
            assert_eq!(
                revision(text),
                Err(format!(
                    "revision {text:?} is not valid: \
                     only the canonical spelling names it: write \"42-0a1b2c3d\""
                ))
            );
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "42",
            "-",
            "42-",
            "0-0a1b2c3d",
            "-1-0a1b2c3d",
            "42-0a1b2c3",
            "42-0a1b2c3d0",
            "42-+a1b2c3d",
            "42-0a1b2c3g",
            "9223372036854775808-0a1b2c3d",
        ] {
            assert_eq!(
                revision(text),
                Err(format!(
                    "revision {text:?} is not valid: a number above 0, a hyphen and \
                     8 hexadecimal digits are expected, such as 42-0a1b2c3d"
                ))
            );
        }
    }
}
