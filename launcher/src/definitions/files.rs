//! Definitions in files of the host.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use presence::model::{Revision, ServiceName};

use super::{FindError, Written};
use crate::instance::InstanceName;

const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// The definition of a service, if it is of that revision.
pub(super) fn find(
    directory: &Path,
    name: &ServiceName,
    instance: InstanceName,
) -> Result<Written, FindError> {
    let path = path(directory, name)?;
    let (bytes, number) = read(&path).map_err(|source| unreadable(&path, source))?;
    let written = Written::read(name, path.display().to_string(), &bytes, number)?;
    let known = written.revision;
    written.as_instance(instance).ok_or(FindError::NoRevision {
        name: name.clone(),
        instance,
        known: vec![known],
    })
}

/// The one file of the service.
fn path(directory: &Path, name: &ServiceName) -> Result<PathBuf, FindError> {
    let files = files(directory).map_err(|source| unreadable(directory, source))?;
    let mut ours = files.iter().filter(|(other, _)| other == name);
    match (ours.next(), ours.next()) {
        (Some((_, one)), None) => Ok(one.clone()),
        (Some((_, one)), Some((_, other))) => Err(FindError::Two {
            one: one.clone(),
            other: other.clone(),
        }),
        (None, _) => Err(FindError::Missing {
            name: name.clone(),
            place: directory.display().to_string(),
            known: files.into_iter().map(|(name, _)| name).collect(),
        }),
    }
}

/// The files that hold definitions, by their names.
fn files(directory: &Path) -> io::Result<Vec<(ServiceName, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        let name = path
            .file_stem()
            .and_then(|name| name.to_str()?.parse().ok());
        if let Some(name) = name
            && ending.is_some_and(|ending| ENDINGS.contains(&ending))
        {
            files.push((name, path));
        }
    }
    files.sort();
    Ok(files)
}

/// What it holds, and when it was written: in whole seconds, as the number of its revision.
fn read(path: &Path) -> io::Result<(Vec<u8>, Revision)> {
    let modified = fs::metadata(path)?.modified()?;
    Ok((fs::read(path)?, number(modified)))
}

/// Revisions are above 0, and so is every time that somebody wrote a definition at.
fn number(modified: SystemTime) -> Revision {
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    Revision(i64::try_from(since.as_secs()).unwrap_or(i64::MAX).max(1))
}

fn unreadable(path: &Path, source: io::Error) -> FindError {
    FindError::File {
        path: path.to_owned(),
        source,
    }
}
