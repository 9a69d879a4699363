//! How long those tests go on that are too long for every day.

use std::ffi::OsStr;

use crate::error::{Error, Result};

const VARIABLE: &str = "SOAK_ROUNDS";

/// How many rounds: what the environment says in `SOAK_ROUNDS`, 1 without it.
pub fn rounds() -> Result<u32> {
    parse(std::env::var_os(VARIABLE).as_deref())
}

fn parse(value: Option<&OsStr>) -> Result<u32> {
    let Some(value) = value else {
        return Ok(1);
    };
    let rounds = value.to_str().and_then(|text| text.parse().ok());
    rounds.filter(|rounds| *rounds > 0).ok_or_else(|| {
        Error::Misuse(format!(
            "{VARIABLE} is {}: a number from 1 is expected",
            value.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_at_least_one() {
        assert_eq!(parse(None).unwrap(), 1);
        assert_eq!(parse(Some(OsStr::new("50"))).unwrap(), 50);
        for bad in ["", "0", "-1", "ten"] {
            let error = parse(Some(OsStr::new(bad))).unwrap_err().to_string();
            assert!(error.contains("a number from 1"), "{error}");
        }
    }
}
