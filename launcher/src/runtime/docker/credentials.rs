//! Who we are to a registry: what `docker login` left behind.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use bollard::auth::DockerCredentials;
use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};

use crate::runtime::RuntimeError;

/// What Docker Hub is called where credentials are kept.
const HUB: &str = "https://index.docker.io/v1/";
/// The name that a helper gives a token by which further ones are had.
const TOKEN: &str = "<token>";

/// Where Docker's client keeps them: `DOCKER_CONFIG`, or `.docker` in the home directory.
pub(super) fn directory() -> PathBuf {
    let set = std::env::var_os("DOCKER_CONFIG").filter(|directory| !directory.is_empty());
    let at_home = || Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".docker");
    set.map_or_else(at_home, PathBuf::from)
}

/// The credentials for a registry; `None` where none are configured. A helper is a program that may
/// take its time, so it is run beside.
pub(super) async fn of(
    directory: &Path,
    registry: &str,
) -> Result<Option<DockerCredentials>, RuntimeError> {
    let key = if registry == "docker.io" {
        HUB
    } else {
        registry
    };
    let (asked, file) = (key.to_owned(), directory.join("config.json"));
    let failed = |why: String| RuntimeError::Credentials {
        registry: registry.to_owned(),
        why,
    };
    let found = tokio::task::spawn_blocking(move || read(&file, &asked)).await;
    let found = found.unwrap_or_else(|error| Err(error.to_string()));
    let found = found.map_err(failed)?;
    Ok(found.map(|credential| in_docker_words(credential, key)))
}

fn read(file: &Path, registry: &str) -> Result<Option<DockerCredential>, String> {
    let opened = match File::open(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| format!("{}: {error}", file.display()))?,
    };
    match get_credential_from_reader(BufReader::new(opened), registry) {
        Ok(credential) => Ok(Some(credential)),
        Err(error) if is_none(&error) => Ok(None),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

fn in_docker_words(credential: DockerCredential, registry: &str) -> DockerCredentials {
    let mut credentials = DockerCredentials {
        serveraddress: Some(registry.to_owned()),
        ..DockerCredentials::default()
    };
    match credential {
        DockerCredential::IdentityToken(token) => credentials.identitytoken = Some(token),
        DockerCredential::UsernamePassword(name, token) if name == TOKEN => {
            credentials.identitytoken = Some(token);
        }
        DockerCredential::UsernamePassword(name, password) => {
            credentials.username = Some(name);
            credentials.password = Some(password);
        }
    }
    credentials
}

/// Whether nobody is meant to be known there. A helper says so in these words.
fn is_none(error: &CredentialRetrievalError) -> bool {
    match error {
        CredentialRetrievalError::NoCredentialConfigured => true,
        CredentialRetrievalError::HelperFailure { stdout, stderr, .. } => [stdout, stderr]
            .iter()
            .any(|words| words.contains("credentials not found")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_may_give_a_token() {
        let given = DockerCredential::UsernamePassword(TOKEN.to_owned(), "t".to_owned());
        let credentials = in_docker_words(given, "r.example");
        assert_eq!(credentials.identitytoken.as_deref(), Some("t"));
        assert_eq!((credentials.username, credentials.password), (None, None));
    }

    #[test]
    fn a_helper_that_knows_nobody_is_no_failure() {
        let failure = |words: &str| CredentialRetrievalError::HelperFailure {
            helper: "pass".to_owned(),
            stdout: words.to_owned(),
            stderr: String::new(),
        };
        assert!(is_none(&failure(
            "credentials not found in native keychain\n"
        )));
        assert!(!is_none(&failure("the store is locked")));
    }
}
