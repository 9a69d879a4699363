//! Paths of the host by what they lead to.

/// Docker's socket, by both of its names.
const SOCKETS: [&str; 2] = ["/run/docker.sock", "/var/run/docker.sock"];

/// Who may write here is as good as root.
const SYSTEM: [&str; 19] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib",
    "/var/log",
    "/var/run",
    "/var/spool",
    "/home",
];

/// Whether `path` is `above`, or below it.
pub(super) fn is_within(path: &str, above: &str) -> bool {
    let above = above.trim_end_matches('/');
    path.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether Docker's socket is reached by this path: it is it, or a directory above it.
pub(super) fn reaches_socket(path: &str) -> bool {
    SOCKETS.iter().any(|socket| is_within(socket, path))
}

/// Whether something of the system is there: the path is of the system, or above it.
pub(super) fn is_system(path: &str) -> bool {
    SYSTEM
        .iter()
        .any(|system| is_within(path, system) || is_within(system, path))
}

/// Whether the text is what the pattern says, in which `*` is for any characters.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(place) => rest = &rest[place + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn within_is_by_segments() {
        for (path, above, expected) in [
            ("/etc", "/etc", true),
            ("/etc/x", "/etc", true),
            ("/etc/x", "/etc/", true),
            ("/etcetera", "/etc", false),
            ("/etc", "/etc/x", false),
            ("/anything", "/", true),
        ] {
            assert_eq!(is_within(path, above), expected, "{path} {above}");
        }
    }

    #[test]
    fn the_socket_is_reached_by_what_is_above_it() {
        for path in [
            "/run/docker.sock",
            "/var/run/docker.sock",
            "/run",
            "/var",
            "/var/run",
            "/",
        ] {
            assert!(reaches_socket(path), "{path}");
        }
        for path in ["/run/docker.sock.d", "/srv", "/var/lib"] {
            assert!(!reaches_socket(path), "{path}");
        }
    }

    #[test]
    fn the_system_is_what_root_lives_in() {
        for path in ["/", "/etc", "/etc/passwd", "/usr/bin", "/var", "/proc/sys"] {
            assert!(is_system(path), "{path}");
        }
        for path in ["/srv", "/mnt/data", "/opt/web", "/var/www", "/etcetera"] {
            assert!(!is_system(path), "{path}");
        }
    }

    #[test]
    fn a_star_is_for_any_characters() {
        for (pattern, text, expected) in [
            ("nginx", "nginx", true),
            ("nginx", "nginx:1", false),
            ("nginx:*", "nginx:1", true),
            ("registry.example/*", "registry.example/a/b:1", true),
            ("registry.example/*", "registry.example.evil/a", false),
            ("*/web:*", "r/web:1", true),
            ("a*b*c", "abc", true),
            ("a*a", "a", false),
            ("*", "", true),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn a_star_is_for_what_was_there(text in "[a-c]{0,8}", cut in 0..9_usize, end in 0..9_usize) {
            let (from, to) = (cut.min(text.len()), end.min(text.len()));
            let (from, to) = (from.min(to), from.max(to));
            let pattern = format!("{}*{}", &text[..from], &text[to..]);
            prop_assert!(matches(&pattern, &text));
        }
    }
}
