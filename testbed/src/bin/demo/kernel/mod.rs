//! The steps with virtual services: this program runs again in a guest, whose kernel has IPVS.

pub mod inside;
mod stage;
mod steps;
mod table;

use std::path::Path;

use serde_json::{Value, json};
use testbed::guest::Guest;
use testbed::process::installed;
use testbed::{Error, Result};

use crate::scene::Tally;
use crate::screen::Screen;

/// What the guest's part of the tour needs beyond what every guest does.
const NEEDED: [&str; 3] = ["ipvsadm", "curl", "perl"];
const INSTALL: &str = "on Debian and Ubuntu `.ci/tools ipvs` installs it";

/// Plays them. Why they are left out, if this machine lacks what they need.
pub async fn show(screen: &Screen, tally: &mut Tally) -> Option<String> {
    match play(screen, tally).await {
        Ok(()) => {}
        Err(error @ Error::MissingProgram { .. }) => return Some(error.chain()),
        Err(error) => {
            tally.failed += 1;
            screen.failure(&error.chain());
        }
    }
    None
}

async fn play(screen: &Screen, tally: &mut Tally) -> Result<()> {
    for program in NEEDED {
        installed(program, INSTALL)?;
    }
    let folder = tempfile::tempdir().map_err(|source| Error::Io {
        action: "create",
        object: std::env::temp_dir().display().to_string(),
        source,
    })?;
    let program = std::env::current_exe().map_err(|source| Error::Io {
        action: "find",
        object: "this program".to_owned(),
        source,
    })?;
    // It goes on from there.
    tally.write(folder.path())?;
    let arguments = inside::arguments(folder.path(), screen);
    let guest = Guest::new()?.folder(folder.path()).echo();
    guest.run(program, arguments).await?.success()?;
    *tally = Tally::read(folder.path())?;
    Ok(())
}

/// How the guest is told how the checks before ended, and tells how its own did.
const TALLY: &str = "tally.json";

impl Tally {
    fn write(&self, folder: &Path) -> Result<()> {
        let Self {
            passed,
            failed,
            steps,
        } = self;
        let text = json!({"passed": passed, "failed": failed, "steps": steps}).to_string();
        let path = folder.join(TALLY);
        std::fs::write(&path, text).map_err(|source| Error::Io {
            action: "write",
            object: path.display().to_string(),
            source,
        })
    }

    fn read(folder: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(folder.join(TALLY)).unwrap_or_default();
        let tally: Value = serde_json::from_str(&text).unwrap_or_default();
        let count = |name: &str| usize::try_from(tally[name].as_u64()?).ok();
        let read = || {
            Some(Self {
                passed: count("passed")?,
                failed: count("failed")?,
                steps: count("steps")?,
            })
        };
        read().ok_or_else(|| Error::Answer {
            from: "the steps in the guest".to_owned(),
            detail: text,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_gets_out_of_the_guest() {
        let folder = tempfile::tempdir().unwrap();
        let tally = Tally {
            passed: 5,
            failed: 1,
            steps: 2,
        };
        tally.write(folder.path()).unwrap();
        let read = Tally::read(folder.path()).unwrap();
        assert_eq!((read.passed, read.failed, read.steps), (5, 1, 2));
        assert!(Tally::read(Path::new("/nowhere")).is_err());
    }
}
