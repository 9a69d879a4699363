//! Devices of the host as Docker's own client writes them.

use super::AssembleError;

/// On the host, inside, and what may be done with it: `PATH[:PATH_INSIDE][:rwm]`.
pub(super) type Device = (String, String, String);

const ALL: &str = "rwm";

pub(super) fn parse(index: usize, text: &str) -> Result<Device, AssembleError> {
    let parts: Vec<&str> = text.split(':').collect();
    let device = match parts[..] {
        [host] => Some((host, host, ALL)),
        [host, permissions] if is_permissions(permissions) => Some((host, host, permissions)),
        [host, inside] => Some((host, inside, ALL)),
        [host, inside, permissions] if is_permissions(permissions) => {
            Some((host, inside, permissions))
        }
        _ => None,
    };
    match device.filter(|(host, inside, _)| host.starts_with('/') && inside.starts_with('/')) {
        Some((host, inside, permissions)) => {
            Ok((host.to_owned(), inside.to_owned(), permissions.to_owned()))
        }
        None => Err(AssembleError::Value {
            key: format!("devices[{index}]"),
            value: text.to_owned(),
            expected: "PATH[:PATH_INSIDE[:rwm]]",
        }),
    }
}

/// Each of the three letters at most once.
fn is_permissions(text: &str) -> bool {
    let letters = text.char_indices();
    !text.is_empty()
        && letters
            .clone()
            .all(|(at, letter)| ALL.contains(letter) && !text[..at].contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_the_same_or_all() {
        for (text, expected) in [
            ("/dev/a", ("/dev/a", "/dev/a", "rwm")),
            ("/dev/a:r", ("/dev/a", "/dev/a", "r")),
            ("/dev/a:/b", ("/dev/a", "/b", "rwm")),
            ("/dev/a:/b:mw", ("/dev/a", "/b", "mw")),
        ] {
            let (host, inside, permissions) = parse(0, text).unwrap();
            assert_eq!((&*host, &*inside, &*permissions), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_device_is_refused_by_its_place() {
        for text in [
            "a",
            "/a:b",
            "/a:/b:",
            "/a:/b:rr",
            "/a:/b:x",
            "/a:/b:r:w",
            "",
        ] {
            let error = parse(3, text).unwrap_err().to_string();
            let expected =
                format!("devices[3]: {text:?} is not of the form PATH[:PATH_INSIDE[:rwm]]");
            assert_eq!(error, expected);
        }
    }
}
