//! What a definition takes from this host's files and variables.

use std::collections::BTreeMap;

use super::AssembleError;
use crate::definition::Definition;

/// What a definition takes from this host: variables of launcher's own environment, and files with
/// further ones. It may hold secrets, so it cannot be printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HostEnvironment {
    /// Launcher's own variables.
    pub variables: BTreeMap<String, String>,
    /// The text of each file, by its path.
    pub files: BTreeMap<String, String>,
}

impl HostEnvironment {
    /// As it is now: this process' variables, and the files in `env_file`.
    pub fn read(definition: &Definition) -> Result<Self, AssembleError> {
        let read = |path: &String| {
            let text = std::fs::read_to_string(path).map_err(|source| AssembleError::EnvFile {
                path: path.clone(),
                source,
            })?;
            Ok((path.clone(), text))
        };
        let files = definition.env_file.0.0.iter().map(read);
        let variables = std::env::vars_os();
        Ok(Self {
            // A name or value that is no text cannot be asked for by a definition.
            variables: variables
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            files: files.collect::<Result<_, _>>()?,
        })
    }

    /// All variables of the container: those of files, the later before the earlier, and before all
    /// those of `environment`. One without a value is this host's, or left out.
    pub(super) fn of(
        &self,
        definition: &Definition,
    ) -> Result<BTreeMap<String, String>, AssembleError> {
        let mut all = BTreeMap::new();
        let mut add = |name: &str, value: Option<&String>| {
            if let Some(value) = value.or_else(|| self.variables.get(name)) {
                all.insert(name.to_owned(), value.clone());
            }
        };
        for path in &definition.env_file.0.0 {
            let text = self.files.get(path).map_or("", String::as_str);
            for (name, value) in lines(path, text)? {
                add(&name, value.as_ref());
            }
        }
        for (name, value) in &definition.environment.0 {
            add(name, value.as_ref());
        }
        Ok(all)
    }
}

type Line = (String, Option<String>);

/// The lines of a file as Docker's own client reads them: a value is all that follows the first
/// `=`, quotes and spaces included.
fn lines(path: &str, text: &str) -> Result<Vec<Line>, AssembleError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().map(str::trim_start).zip(1..);
    lines
        .filter(|(line, _)| !line.is_empty() && !line.starts_with('#'))
        .map(|(line, number)| {
            one(line).map_err(|why| AssembleError::EnvLine {
                path: path.to_owned(),
                line: number,
                why,
            })
        })
        .collect()
}

fn one(line: &str) -> Result<Line, &'static str> {
    let (name, value) = match line.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (line.trim_end(), None),
    };
    if line.contains('\0') {
        return Err("there is a NUL byte");
    }
    if name.is_empty() {
        return Err("it has no name before the =");
    }
    if name.contains(char::is_whitespace) {
        return Err("there is a space in the name");
    }
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::assemble::spec::tests::definition;

    fn of(document: &str, files: &[(&str, &str)]) -> Result<BTreeMap<String, String>, String> {
        let pairs = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            pairs
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let host = HostEnvironment {
            variables: pairs(&[("HERE", "of the host"), ("TOKEN", "hunter2")]),
            files: pairs(files),
        };
        host.of(&definition(document))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn later_files_come_before_earlier_ones_and_environment_before_all() {
        let files = [
            ("/etc/one", "A=1\nB=1\nC=1\n"),
            (
                "/etc/two",
                "\u{feff}# B=3\n\n  B=2 \"x\" \r\nHERE\nNOWHERE\nC=2",
            ),
        ];
        let document = "{image: web, env_file: [/etc/one, /etc/two], \
                        environment: {C: 3, D: , TOKEN: }}";
        let found = of(document, &files).unwrap();
        let expected = [
            ("A", "1"),
            ("B", "2 \"x\" "),
            ("C", "3"),
            ("HERE", "of the host"),
            ("TOKEN", "hunter2"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found, expected.into());
    }

    #[test]
    fn what_is_no_variable_is_refused_without_its_value() {
        let document = "{image: web, env_file: /etc/one}";
        for (line, why) in [
            ("=hunter2", "it has no name before the ="),
            ("export A=hunter2", "there is a space in the name"),
            ("A=hunter2\0", "there is a NUL byte"),
        ] {
            let text = format!("A=1\n{line}\n");
            let error = of(document, &[("/etc/one", &text)]).unwrap_err();
            let start = format!("env_file \"/etc/one\", line 2: {why}; NAME=VALUE is expected");
            assert!(error.starts_with(&start), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_missing_is_named() {
        let definition = definition("{image: web, env_file: /no/such/file}");
        let error = HostEnvironment::read(&definition).err().unwrap();
        let expected = "env_file \"/no/such/file\" cannot be read: make it, or take it out of the \
                        definition";
        assert_eq!(error.to_string(), expected);
    }

    proptest! {
        /// Whatever a line holds behind its first `=` arrives as it is.
        #[test]
        fn values_arrive(values in proptest::collection::vec("[^\r\n\0]{0,12}", 0..6)) {
            let lines = values.iter().enumerate();
            let lines: Vec<String> = lines.map(|(n, value)| format!("N{n}={value}")).collect();
            let text = lines.join("\n");
            let found = of("{image: web, env_file: /etc/one}", &[("/etc/one", &text)]).unwrap();
            let named = values.into_iter().enumerate();
            let expected: BTreeMap<_, _> = named.map(|(n, value)| (format!("N{n}"), value)).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn any_file_is_read_or_refused(text in "\\PC*") {
            let _ = lines("/etc/one", &text);
        }
    }
}
