//! The root file system of a whole host: made once, and kept below `target`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result, find_program};

const SCRIPT: &str = include_str!("root.sh");
/// What the script runs, and is not on every machine.
const NEEDED: [&str; 2] = ["mmdebstrap", "genext2fs"];
const INSTALL: &str = "apt-get install mmdebstrap genext2fs, or run `make test-tools`";
/// What says which packages there are.
const SOURCES: [&str; 3] = [
    "/etc/os-release",
    "/etc/apt/sources.list",
    "/etc/apt/sources.list.d",
];

/// The directory of this workspace.
pub(crate) fn workspace() -> Result<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    path.canonicalize().map_err(Error::io("find", path))
}

/// The image, which nobody may write to; made if there is none yet.
pub(crate) async fn image() -> Result<PathBuf> {
    let folder = workspace()?.join("target/host");
    let made = tokio::task::spawn_blocking(move || kept(&folder, &recipe()?, make));
    made.await
        .map_err(|error| Error::Misuse(format!("the image was not made: {error}")))?
}

/// The image that was made by this recipe. Whoever comes first makes it, the others wait.
fn kept(folder: &Path, recipe: &[u8], make: fn(&Path) -> Result<()>) -> Result<PathBuf> {
    let image = folder.join(format!("{:016x}.ext2", digest(recipe)));
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let lock = folder.join("lock");
    let file = File::create(&lock).map_err(Error::io("open", &lock))?;
    let _lock = Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, errno)| Error::io("lock", &lock)(errno.into()))?;
    if image.exists() {
        return Ok(image);
    }
    // Those of earlier recipes; a guest that has one open keeps it.
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let path = entry.map_err(Error::io("list", folder))?.path();
        if path != lock {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    let unfinished = folder.join("unfinished");
    make(&unfinished)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o444);
    fs::set_permissions(&unfinished, mode).map_err(Error::io("protect", &unfinished))?;
    fs::rename(&unfinished, &image).map_err(Error::io("create", &image))?;
    Ok(image)
}

/// All that the image depends on.
fn recipe() -> Result<Vec<u8>> {
    let mut recipe = SCRIPT.as_bytes().to_vec();
    for source in SOURCES.map(Path::new) {
        let mut files = match fs::read_dir(source) {
            Ok(entries) => entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<std::io::Result<Vec<_>>>()
                .map_err(Error::io("list", source))?,
            Err(_) if source.exists() => vec![source.to_owned()],
            Err(_) => continue,
        };
        files.sort();
        for file in files {
            recipe.extend(fs::read(&file).map_err(Error::io("read", &file))?);
        }
    }
    Ok(recipe)
}

fn make(image: &Path) -> Result<()> {
    for program in NEEDED {
        find_program(program, INSTALL)?;
    }
    let mut command = Command::new("/bin/sh");
    command.args(["-c", SCRIPT, "root.sh"]).arg(image);
    command.stdin(Stdio::null());
    let output = command.output().map_err(|source| Error::Spawn {
        program: "/bin/sh".to_owned(),
        source,
    })?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::Command {
        command: "mmdebstrap".to_owned(),
        status: output.status,
        stderr: text,
    })
}

fn digest(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    digest
        .iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    static MADE: AtomicUsize = AtomicUsize::new(0);

    fn counted(image: &Path) -> Result<()> {
        MADE.fetch_add(1, Ordering::Relaxed);
        fs::write(image, "a disk").map_err(Error::io("write", image))
    }

    fn fails(image: &Path) -> Result<()> {
        fs::write(image, "half").map_err(Error::io("write", image))?;
        Err(Error::Misuse("no network".to_owned()))
    }

    #[test]
    fn an_image_is_made_once_and_replaces_the_one_of_another_recipe() {
        let folder = tempfile::tempdir().unwrap();
        assert!(kept(folder.path(), b"1", fails).is_err());
        let images: Vec<PathBuf> = std::thread::scope(|scope| {
            let start = |_| scope.spawn(|| kept(folder.path(), b"1", counted).unwrap());
            let threads: Vec<_> = (0..4).map(start).collect();
            threads.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(MADE.load(Ordering::Relaxed), 1);
        assert!(images.iter().all(|image| *image == images[0]));
        assert_eq!(fs::read(&images[0]).unwrap(), b"a disk");
        let other = kept(folder.path(), b"2", counted).unwrap();
        assert!(other.is_file() && !images[0].exists());
    }
}
