//! What Docker's errors mean: its status codes say little, so its words are read.

use bollard::errors::Error;

use crate::runtime::{Ours, RuntimeError, pull};

/// What Docker was asked to do.
#[derive(Debug, Clone, Copy)]
pub(super) enum Doing<'a> {
    Pull(&'a str),
    Create {
        name: &'a str,
        image: &'a str,
    },
    Start(&'a Ours),
    Exec(&'a Ours),
    /// A verb, and on what.
    Other(&'a str, &'a str),
}

/// Whether the thing that was named does not exist.
pub(super) fn is_missing(error: &Error) -> bool {
    server_error(error, 404).is_some()
}

/// Docker's words, if it answered with this status.
pub(super) fn server_error(error: &Error, status: u16) -> Option<&str> {
    match error {
        Error::DockerResponseServerError {
            status_code,
            message,
        } if *status_code == status => Some(message),
        _ => None,
    }
}

/// The error in our words.
pub(super) fn failure(host: &str, doing: Doing<'_>, error: Error) -> RuntimeError {
    match error {
        Error::DockerResponseServerError { message, .. } => refusal(doing, &message),
        Error::DockerStreamError { error } => refusal(doing, &error),
        other => RuntimeError::unreachable(host, other),
    }
}

fn refusal(doing: Doing<'_>, answer: &str) -> RuntimeError {
    let answer = answer.trim().to_owned();
    match doing {
        Doing::Pull(image) => not_pulled(image, answer),
        Doing::Create { name, image } => not_created(name, image, answer),
        Doing::Start(ours) => not_started(ours, answer),
        Doing::Exec(ours) => not_executed(ours, answer),
        Doing::Other(verb, object) => RuntimeError::Refused {
            doing: format!("{verb} {object}"),
            answer,
        },
    }
}

fn has(words: &str, any: &[&str]) -> bool {
    any.iter().any(|part| words.contains(part))
}

fn not_pulled(image: &str, answer: String) -> RuntimeError {
    let (image, registry) = (image.to_owned(), pull::registry(image).to_owned());
    let words = answer.to_ascii_lowercase();
    // A registry that knows nobody does not say whether the image exists.
    if has(
        &words,
        &[
            "unauthorized",
            "denied",
            "no basic auth",
            "authentication required",
        ],
    ) {
        RuntimeError::Unauthorized {
            image,
            registry,
            answer,
        }
    } else if has(
        &words,
        &[
            "manifest unknown",
            "name unknown",
            "not found",
            "no matching manifest",
        ],
    ) {
        RuntimeError::NoSuchImage { image, answer }
    } else if has(&words, &["invalid reference", "invalid tag"]) {
        RuntimeError::Refused {
            doing: format!("pull {image}"),
            answer,
        }
    } else {
        RuntimeError::RegistryDown {
            image,
            registry,
            answer,
        }
    }
}

fn not_created(name: &str, image: &str, answer: String) -> RuntimeError {
    let name = name.to_owned();
    if answer.contains("No such image") {
        let image = image.to_owned();
        RuntimeError::NoSuchImage { image, answer }
    } else if answer.contains("is already in use by container") {
        RuntimeError::NameTaken { name, answer }
    } else if is_network(&answer) {
        let container = name;
        RuntimeError::NoSuchNetwork { container, answer }
    } else {
        RuntimeError::Refused {
            doing: format!("make {name}"),
            answer,
        }
    }
}

fn not_started(ours: &Ours, answer: String) -> RuntimeError {
    let container = ours.name().to_owned();
    if answer.starts_with("No such container") {
        let container = ours.to_string();
        RuntimeError::Gone { container }
    } else if has(
        &answer,
        &["port is already allocated", "address already in use"],
    ) {
        RuntimeError::PortTaken { container, answer }
    } else if is_network(&answer) {
        RuntimeError::NoSuchNetwork { container, answer }
    } else if answer.contains("exec: ") || answer.contains("no such file or directory: unknown") {
        let not_found = ["executable file not found", "no such file or directory"];
        let code = if has(&answer, &not_found) { 127 } else { 126 };
        RuntimeError::Command {
            container,
            answer,
            code,
        }
    } else {
        RuntimeError::Refused {
            doing: format!("start {container}"),
            answer,
        }
    }
}

fn not_executed(ours: &Ours, answer: String) -> RuntimeError {
    if answer.starts_with("No such container") {
        let container = ours.to_string();
        return RuntimeError::Gone { container };
    }
    RuntimeError::Refused {
        doing: format!("run a command in {}", ours.name()),
        answer,
    }
}

fn is_network(answer: &str) -> bool {
    answer.contains("network ") && answer.contains("not found")
        || answer.contains("could not find network")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulled(answer: &str) -> RuntimeError {
        refusal(Doing::Pull("r.example/web:1"), answer)
    }

    /// As Docker 20.10 and 28 say it.
    #[test]
    fn an_image_that_is_missing_is_told_from_a_registry_that_is_down() {
        for answer in [
            "manifest for r.example/web:1 not found: manifest unknown: manifest unknown",
            "manifest unknown",
            "repository r.example/web not found: name unknown: repository name not known",
            "failed to resolve reference \"r.example/web:1\": r.example/web:1: not found",
            "no matching manifest for linux/arm64/v8 in the manifest list entries",
        ] {
            let error = pulled(answer);
            assert!(matches!(error, RuntimeError::NoSuchImage { .. }), "{error}");
            assert!(!error.may_pass());
        }
        for answer in [
            "Get \"https://r.example/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
            "Get \"https://r.example/v2/\": dial tcp: lookup r.example: no such host",
            "Get \"https://r.example/v2/\": net/http: TLS handshake timeout",
            "received unexpected HTTP status: 503 Service Unavailable",
            "toomanyrequests: You have reached your pull rate limit",
        ] {
            let error = pulled(answer);
            assert!(
                matches!(error, RuntimeError::RegistryDown { .. }),
                "{error}"
            );
            assert!(error.may_pass());
        }
        for answer in [
            "Get \"https://r.example/v2/web/manifests/1\": no basic auth credentials",
            "unauthorized: authentication required",
            "pull access denied for web, repository does not exist or may require 'docker login': \
             denied: requested access to the resource is denied",
        ] {
            let error = pulled(answer);
            assert!(
                matches!(error, RuntimeError::Unauthorized { .. }),
                "{error}"
            );
            assert!(!error.may_pass());
        }
    }

    #[test]
    fn a_command_that_is_missing_is_told_from_one_that_is_no_program() {
        let ours = Ours::new("0123456789abcdef", "web.1-00000000");
        let code = |answer: &str| match refusal(Doing::Start(&ours), answer) {
            RuntimeError::Command { code, .. } => code,
            other => panic!("{other}"),
        };
        let runc = "failed to create shim task: OCI runtime create failed: runc create failed: \
                    unable to start container process: exec: ";
        assert_eq!(
            code(&format!(
                "{runc}\"x\": executable file not found in $PATH: unknown"
            )),
            127
        );
        assert_eq!(
            code(&format!(
                "{runc}\"/x\": stat /x: no such file or directory: unknown"
            )),
            127
        );
        assert_eq!(
            code(&format!("{runc}\"/etc\": permission denied: unknown")),
            126
        );
    }
}
