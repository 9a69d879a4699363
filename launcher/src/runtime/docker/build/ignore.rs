//! What a `.dockerignore` keeps out of a build's context.

use regex_lite::Regex;

/// The patterns of a `.dockerignore`: the last that a path, or a directory above it, matches
/// decides.
#[derive(Debug, Clone, Default)]
pub struct Ignore(Vec<Pattern>);

#[derive(Debug, Clone)]
struct Pattern {
    regex: Regex,
    /// It begins with `!`: what it matches is taken in again.
    is_exception: bool,
}

impl Ignore {
    /// Reads it: a pattern a line, `#` begins a comment. A line that is no pattern is told.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines();
        let lines = lines
            .filter(|line| !line.starts_with('#'))
            .map(str::trim)
            .filter(|line| !line.is_empty());
        lines
            .map(Pattern::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether this path, relative to the context, stays out.
    pub fn keeps_out(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(end, _)| end);
        let mut above: Vec<&str> = ends.map(|end| &path[..end]).collect();
        above.push(path);
        let matching = |pattern: &&Pattern| above.iter().any(|path| pattern.regex.is_match(path));
        let last = self.0.iter().rev().find(matching);
        last.is_some_and(|pattern| !pattern.is_exception)
    }

    /// Whether something below a directory that stays out may be taken in again.
    pub fn has_exceptions(&self) -> bool {
        self.0.iter().any(|pattern| pattern.is_exception)
    }
}

impl Pattern {
    fn parse(line: &str) -> Result<Self, String> {
        let (is_exception, pattern) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim_start()),
            None => (false, line),
        };
        let parts = pattern.split('/').filter(|part| !matches!(*part, "" | "."));
        let parts: Vec<&str> = parts.collect();
        let regex = Regex::new(&regex(&parts.join("/")));
        Ok(Self {
            regex: regex.map_err(|_| format!("{line:?} is no pattern"))?,
            is_exception,
        })
    }
}

/// As Go's `filepath.Match` has it, and `**` for any number of directories.
fn regex(pattern: &str) -> String {
    let mut regex = "^".to_owned();
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '*' if letters.next_if_eq(&'*').is_some() => {
                // One or more directories, or none.
                regex += if letters.next_if_eq(&'/').is_some() {
                    "(.*/)?"
                } else {
                    ".*"
                };
            }
            '*' => regex += "[^/]*",
            '?' => regex += "[^/]",
            '[' | ']' | '^' | '-' => regex.push(letter),
            '\\' => regex += &escaped(letters.next().unwrap_or('\\')),
            other => regex += &escaped(other),
        }
    }
    regex + "$"
}

fn escaped(letter: char) -> String {
    regex_lite::escape(letter.encode_utf8(&mut [0; 4]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_pattern_that_matches_decides() {
        for (text, out, within) in [
            ("", &[][..], &["a", "b/c"][..]),
            ("# a\n\n a \n", &["a", "a/b/c"], &["ab", "b/a", "# a"]),
            ("/a/\n./b", &["a", "a/x", "b"], &["c/a"]),
            ("*.md", &["x.md"], &["x.mdx", "d/x.md"]),
            (
                "**/*.md\n!**/README.md",
                &["x.md", "d/e/x.md"],
                &["README.md", "d/README.md"],
            ),
            ("*\n!src", &["a", "target/x"], &["src", "src/main.rs"]),
            ("*\n!src/a\n", &["src/b"], &["src/a", "src/a/b"]),
            ("t?mp[0-9]", &["tamp1"], &["tmp1", "t/mp1", "tampx"]),
            ("**", &["a", "a/b"], &[]),
            ("a/**", &["a/b", "a/b/c"], &["a", "ab"]),
            ("a+b(c)", &["a+b(c)"], &["aab(c)"]),
            ("\\*", &["*"], &["x"]),
        ] {
            let ignore = Ignore::parse(text).unwrap();
            for path in out {
                assert!(ignore.keeps_out(path), "{text:?} {path}");
            }
            for path in within {
                assert!(!ignore.keeps_out(path), "{text:?} {path}");
            }
        }
        assert!(Ignore::parse("[").unwrap_err().contains("\"[\""));
    }

    proptest! {
        #[test]
        fn a_plain_name_matches_itself_and_what_is_below(
            name in "[a-z+.()$]{1,8}",
            below in "[a-z]{1,8}",
        ) {
            prop_assume!(name != "." && !name.starts_with('#'));
            let ignore = Ignore::parse(&name).unwrap();
            prop_assert!(ignore.keeps_out(&name));
            let below = format!("{name}/{below}");
            prop_assert!(ignore.keeps_out(&below));
            let above = format!("-/{name}");
            prop_assert!(!ignore.keeps_out(&above));
        }

        #[test]
        fn any_file_is_read_or_refused(text in "\\PC*", path in "[a-z/.]*") {
            if let Ok(ignore) = Ignore::parse(&text) {
                ignore.keeps_out(&path);
            }
        }
    }
}
