//! Definitions in files of the host.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use launcher::definitions::{FindError, Origin, Source};
use launcher::policy::Policy;
use presence::store::memory::MemoryStore;
use tempfile::TempDir;

use crate::host::{Host, definition, version};

fn host(policy: Option<Policy>) -> (TempDir, Host<MemoryStore>) {
    let directory = tempfile::tempdir().unwrap();
    let source = Source::Files(directory.path().to_owned());
    let store = MemoryStore::new();
    // Nobody needs etcd for files.
    store.set_unavailable(true);
    (directory, Host::from(store, source, policy))
}

/// Writes a file as if it were that time, in milliseconds since 1970.
fn write(path: &Path, text: &str, milliseconds: u64) {
    fs::write(path, text).unwrap();
    let time = UNIX_EPOCH + Duration::from_millis(milliseconds);
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

#[tokio::test]
async fn its_revision_is_when_it_was_written_and_what_it_says() {
    for ending in ["yaml", "yml", "json"] {
        let (directory, host) = host(None);
        let path = directory.path().join(format!("web.{ending}"));
        write(&path, "{\"image\": \"web:1\"}", 1_795_000_000_900);
        let found = host.find(None).await;
        let expected =
            definition("image: web:1").revision(presence::model::Revision(1_795_000_000));
        assert_eq!(found.revision, expected);
        assert_eq!(found.place, path.display().to_string());
        assert_eq!(found.origin, Origin::HostFile);
        write(&path, "{\"image\": \"web:2\"}", 1_795_000_000_950);
        let again = host.find(None).await;
        assert!(
            !again.revision.is_same_definition(found.revision),
            "in one second"
        );
    }
}

#[tokio::test]
async fn a_file_of_before_1970_has_a_revision_all_the_same() {
    let (directory, host) = host(None);
    let path = directory.path().join("web.yaml");
    fs::write(&path, version(1)).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(UNIX_EPOCH - Duration::from_mins(1))
        .unwrap();
    assert_eq!(host.find(None).await.revision.mod_revision().0, 1);
}

#[tokio::test]
async fn an_instance_is_the_file_as_long_as_it_means_the_same() {
    let (directory, host) = host(None);
    let path = directory.path().join("web.yaml");
    write(&path, &version(1), 5_000);
    let old = host.find(None).await;
    host.definitions.keep(&old).await.unwrap();
    write(&path, "{image: 'web:1'}", 9_000);
    let same = host.find(Some(old.revision)).await;
    assert_eq!((same.revision, same.from_cache), (old.revision, false));
    write(&path, &version(2), 12_000);
    let (kept, said) = host.try_find(Some(old.revision)).await;
    let kept = kept.unwrap();
    assert_eq!((kept.text, kept.from_cache), (version(1), true));
    assert_eq!(kept.origin, Origin::HostFile);
    let expected = format!(
        "taking web {} as it was kept here: there is no",
        old.revision
    );
    assert!(said[0].starts_with(&expected), "{said:?}");
    fs::write(&path, "imgae: x").unwrap();
    assert!(host.find(Some(old.revision)).await.from_cache);
    assert!(matches!(host.error(None).await, FindError::Wrong { .. }));
    fs::remove_file(&path).unwrap();
    assert!(host.find(Some(old.revision)).await.from_cache);
}

#[tokio::test]
async fn nothing_of_it_goes_into_etcd_s_history() {
    let (directory, host) = host(None);
    write(&directory.path().join("web.yaml"), &version(1), 5_000);
    let found = host.find(None).await;
    host.store.set_unavailable(false);
    host.definitions.record(&found).await.unwrap();
    assert_eq!(host.store.counts().writes, 0);
}

#[tokio::test]
async fn what_is_not_there_is_said_with_what_is() {
    let (directory, host) = host(None);
    let place = directory.path().display();
    for file in [
        "shop.yaml",
        "wbe.yml",
        "web.txt",
        "web.yaml.bak",
        ".web.yaml",
    ] {
        fs::write(directory.path().join(file), "image: x").unwrap();
    }
    assert_eq!(
        host.refused(None).await,
        format!("there is no definition of web in {place}; did you mean wbe?")
    );
    write(&directory.path().join("web.yaml"), &version(1), 5_000);
    let there = host.find(None).await.revision;
    assert_eq!(
        host.refused(Some("7-0a1b2c3d".parse().unwrap())).await,
        format!("there is no revision 7-0a1b2c3d of web; there are: {there}")
    );
    let second = directory.path().join("web.json");
    fs::write(&second, "{}").unwrap();
    assert_eq!(
        host.refused(None).await,
        format!(
            "there are both {} and {place}/web.yaml; remove one",
            second.display()
        )
    );
    directory.close().unwrap();
    let message = host.refused(None).await;
    assert!(message.starts_with("cannot read /"), "{message}");
    assert!(
        message.ends_with("No such file or directory (os error 2)"),
        "{message}"
    );
}

#[tokio::test]
async fn they_are_trusted_unless_a_policy_is_given() {
    let text = "image: x\nprivileged: true\n";
    let (trusting, host_trusting) = host(None);
    fs::write(trusting.path().join("web.yaml"), text).unwrap();
    assert!(host_trusting.find(None).await.definition.privileged);
    let (strict, host_strict) = host(Some(Policy::default()));
    let path = strict.path().join("web.yaml");
    fs::write(&path, text).unwrap();
    let error = host_strict.error(None).await;
    assert!(matches!(error, FindError::Refused { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains(&format!("{}:2:13: ", path.display()))
    );
}
