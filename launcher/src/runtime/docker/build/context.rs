//! The context of a build as an archive.

use std::fs;
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};

use super::ignore::Ignore;

const DOCKERFILE: &str = "Dockerfile";
const IGNORE: &str = ".dockerignore";

/// What is in the directory, but for what its `.dockerignore` keeps out, in a file that is gone
/// when it is closed. The Dockerfile is always in it.
pub fn pack(context: &Path, dockerfile: Option<&str>) -> Result<fs::File, String> {
    let ignore = read_ignore(context)?;
    let failed = |path: &Path, error: &io::Error| format!("{}: {error}", path.display());
    let file = tempfile::tempfile().map_err(|error| failed(&std::env::temp_dir(), &error))?;
    let mut archive = tar::Builder::new(file);
    archive.follow_symlinks(false);
    let always = [dockerfile.unwrap_or(DOCKERFILE), IGNORE];
    let mut left = vec![PathBuf::new()];
    while let Some(directory) = left.pop() {
        let path = context.join(&directory);
        let mut names = names(&path).map_err(|error| failed(&path, &error))?;
        // The same content is the same archive, which Docker has built before.
        names.sort();
        for name in names {
            let inside = directory.join(name);
            let path = context.join(&inside);
            let text = inside.to_string_lossy();
            let stays_out = ignore.keeps_out(&text) && !always.contains(&&*text);
            let kind = fs::symlink_metadata(&path).map_err(|error| failed(&path, &error))?;
            if kind.is_dir() && (!stays_out || ignore.has_exceptions() || holds(&inside, always)) {
                left.push(inside.clone());
            }
            if !stays_out {
                let added = archive.append_path_with_name(&path, &inside);
                added.map_err(|error| failed(&path, &error))?;
            }
        }
    }
    let packed = archive.into_inner().and_then(|mut file| {
        file.rewind()?;
        Ok(file)
    });
    packed.map_err(|error| failed(context, &error))
}

fn holds(directory: &Path, always: [&str; 2]) -> bool {
    always
        .iter()
        .any(|path| Path::new(path).starts_with(directory))
}

fn names(directory: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    fs::read_dir(directory)?
        .map(|entry| Ok(entry?.file_name()))
        .collect()
}

fn read_ignore(context: &Path) -> Result<Ignore, String> {
    let path = context.join(IGNORE);
    match fs::read_to_string(&path) {
        Ok(text) => Ignore::parse(&text).map_err(|why| format!("{}: {why}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Ignore::default()),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_out_is_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        for path in ["src/deep", "target", "docker"] {
            fs::create_dir_all(at(path)).unwrap();
        }
        for path in [
            "docker/web",
            "docker/x",
            "src/a",
            "src/deep/b",
            "target/t",
            "target/keep",
        ] {
            fs::write(at(path), path).unwrap();
        }
        fs::write(at(IGNORE), "docker\n.dockerignore\ntarget\n!target/keep").unwrap();
        std::os::unix::fs::symlink("/etc/shadow", at("link")).unwrap();
        let packed = pack(directory.path(), Some("docker/web")).unwrap();
        let mut archive = tar::Archive::new(packed);
        let entries = archive.entries().unwrap();
        let mut found: Vec<String> = entries
            .map(|entry| {
                entry
                    .unwrap()
                    .path()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        found.sort();
        let expected = [
            ".dockerignore",
            "docker/web",
            "link",
            "src/",
            "src/a",
            "src/deep/",
            "src/deep/b",
            "target/keep",
        ];
        let trimmed = |names: &[&str]| -> Vec<String> {
            names
                .iter()
                .map(|name| name.trim_end_matches('/').to_owned())
                .collect()
        };
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(trimmed(&found), trimmed(&expected));
    }

    #[test]
    fn a_directory_that_is_missing_is_named() {
        let error = pack(Path::new("/no/such/place"), None).unwrap_err();
        assert!(
            error.starts_with("/no/such/place/: No such file"),
            "{error}"
        );
    }
}
