//! Signals by name or number, as Docker takes them.

use std::str::FromStr;

use nix::sys::signal::Signal;

/// The last of them on Linux.
const LAST: u8 = 64;

/// Whether this is a signal: `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`.
pub(super) fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<u8>() {
        return (1..=LAST).contains(&number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    Signal::from_str(&format!("SIG{name}")).is_ok() || is_realtime(name)
}

fn is_realtime(name: &str) -> bool {
    let offset = |rest: &str, sign: char| {
        let number = rest
            .strip_prefix(sign)
            .and_then(|number| number.parse::<u8>().ok());
        rest.is_empty() || number.is_some_and(|number| number <= 15)
    };
    name.strip_prefix("RTMIN")
        .is_some_and(|rest| offset(rest, '+'))
        || name
            .strip_prefix("RTMAX")
            .is_some_and(|rest| offset(rest, '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_named_as_docker_names_them() {
        for text in [
            "SIGTERM",
            "TERM",
            "term",
            "15",
            "SIGRTMIN+3",
            "RTMAX-1",
            "64",
            "SIGRTMIN",
        ] {
            assert!(is_signal(text), "{text}");
        }
        for text in [
            "",
            "0",
            "65",
            "SIGNONE",
            "SIG",
            "RTMIN+x",
            "-9",
            "SIGRTMIN+99",
        ] {
            assert!(!is_signal(text), "{text}");
        }
    }
}
