//! Who we are to a registry: what `docker login` left behind.

use bollard::auth::DockerCredentials;
use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential};

use crate::runtime::RuntimeError;

/// What Docker Hub is called where credentials are kept.
const HUB: &str = "https://index.docker.io/v1/";
/// The name that a helper gives a token by which further ones are had.
const TOKEN: &str = "<token>";

/// The credentials for a registry; `None` where none are configured. A helper is a program that may
/// take its time, so it is run beside.
pub(super) async fn of(registry: &str) -> Result<Option<DockerCredentials>, RuntimeError> {
    let key = if registry == "docker.io" {
        HUB
    } else {
        registry
    };
    let asked = key.to_owned();
    let found = tokio::task::spawn_blocking(move || get_credential(&asked)).await;
    let failed = |why: String| RuntimeError::Credentials {
        registry: registry.to_owned(),
        why,
    };
    match found.map_err(|error| failed(error.to_string()))? {
        Ok(credential) => Ok(Some(in_docker_words(credential, key))),
        Err(error) if is_none(&error) => Ok(None),
        Err(error) => Err(failed(error.to_string())),
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
        CredentialRetrievalError::ConfigNotFound
        | CredentialRetrievalError::ConfigReadError
        | CredentialRetrievalError::NoCredentialConfigured => true,
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
