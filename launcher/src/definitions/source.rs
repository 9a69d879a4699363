//! Where definitions are looked for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::Origin;

/// Where definitions are looked for: `etcd:` or `file:///DIRECTORY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `/launcher/services/NAME` in etcd.
    Etcd,
    /// `NAME.yaml`, `NAME.yml` or `NAME.json` in this directory.
    Files(PathBuf),
}

impl Source {
    /// Who writes what is found there.
    pub fn origin(&self) -> Origin {
        match self {
            Self::Etcd => Origin::Network,
            Self::Files(_) => Origin::HostFile,
        }
    }

    /// What tells its revisions from those of other sources: their numbers do not compare.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Files(_) => "files",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Etcd => f.write_str("etcd:"),
            Self::Files(directory) => write!(f, "file://{}", directory.display()),
        }
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("file://").map(Path::new) {
            Some(directory) if directory.is_absolute() => Ok(Self::Files(directory.to_owned())),
            Some(directory) => Err(format!(
                "the directory has to be a whole path: did you mean file:///{}?",
                directory.display()
            )),
            None if text == "etcd:" => Ok(Self::Etcd),
            None => Err("etcd: or file:///DIRECTORY is expected".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_written_as_they_are_read() {
        let files = Source::Files("/etc/launcher/services".into());
        for (text, source) in [
            ("etcd:", Source::Etcd),
            ("file:///etc/launcher/services", files),
        ] {
            assert_eq!(text.parse(), Ok(source.clone()));
            assert_eq!(source.to_string(), text);
        }
    }

    #[test]
    fn what_is_none_is_refused_with_what_is_expected() {
        let expected = "etcd: or file:///DIRECTORY is expected";
        for (text, message) in [
            ("", expected),
            ("etcd", expected),
            ("couchdb:", expected),
            ("/etc/launcher", expected),
            (
                "file://etc/launcher",
                "the directory has to be a whole path: did you mean file:///etc/launcher?",
            ),
        ] {
            assert_eq!(text.parse::<Source>(), Err(message.to_owned()), "{text}");
        }
    }
}
