//! What went wrong, in the words of who has to mend it.

use std::io;

/// Why Docker did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// Nobody answers there, or whoever does is no Docker.
    #[error(
        "Docker does not answer at {host}: see that it runs, that this user may open it, and that \
         DOCKER_HOST names it"
    )]
    Unreachable {
        /// Where it was looked for.
        host: String,
        /// What happened.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// Neither the host nor the registry has it.
    #[error("there is no image {image}: correct its name or tag, or push it ({answer})")]
    NoSuchImage {
        /// As it was asked for.
        image: String,
        /// Who said so, in his words.
        answer: String,
    },

    /// The registry wants to know who asks, or does not give it to who asked.
    #[error(
        "registry {registry} does not give out {image} ({answer}): check its name, and log in with \
         `docker login {registry}` as the user that this runs as"
    )]
    Unauthorized {
        /// As it was asked for.
        image: String,
        /// Who was asked.
        registry: String,
        /// His words.
        answer: String,
    },

    /// Credentials are configured, but not to be had.
    #[error("the credentials for registry {registry} in Docker's config.json cannot be had: {why}")]
    Credentials {
        /// Whose.
        registry: String,
        /// What was wrong.
        why: String,
    },

    /// The registry does not answer, or not in a way that says anything about the image.
    #[error("registry {registry} cannot be had, so {image} was not pulled: {answer}")]
    RegistryDown {
        /// As it was asked for.
        image: String,
        /// Who was asked.
        registry: String,
        /// What Docker says of it.
        answer: String,
    },

    /// Its context cannot be read, or a step of it failed.
    #[error("{image} was not built from {context}: {answer}")]
    Build {
        /// As it was to be called.
        image: String,
        /// The directory.
        context: String,
        /// What went wrong, with the last lines of output.
        answer: String,
    },

    /// Somebody else listens there.
    #[error(
        "a port of the host is taken, so {container} was not started: see who listens there with \
         `ss -ltnp`, or map another port ({answer})"
    )]
    PortTaken {
        /// What was to be started.
        container: String,
        /// Docker's words, which name the port.
        answer: String,
    },

    /// A network that it is to be on does not exist.
    #[error("a network of {container} is missing: make it with `docker network create` ({answer})")]
    NoSuchNetwork {
        /// What was to be on it.
        container: String,
        /// Docker's words, which name the network.
        answer: String,
    },

    /// Somebody else's container has the name.
    #[error(
        "a container that is not this instance's has the name {name}: it is not touched; remove or \
         rename it ({answer})"
    )]
    NameTaken {
        /// The name.
        name: String,
        /// Docker's words, which name the container.
        answer: String,
    },

    /// The command cannot be carried out: not found, or no program.
    #[error("the command of {container} cannot be started: {answer}")]
    Command {
        /// Of which container.
        container: String,
        /// Docker's words, which name the command.
        answer: String,
        /// 127 where it was not found, else 126.
        code: u8,
    },

    /// The container does not exist any more.
    #[error("{container} is gone: somebody removed it")]
    Gone {
        /// Which.
        container: String,
    },

    /// Docker does not want to, for a reason of its own.
    #[error("Docker did not {doing}: {answer}")]
    Refused {
        /// What it was asked to do: `start web.42-0a1b2c3d`.
        doing: String,
        /// Its words.
        answer: String,
    },
}

impl RuntimeError {
    /// Whether the same may work later without anybody changing the definition or this host.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::RegistryDown { .. })
    }

    pub(super) fn unreachable(
        host: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Unreachable {
            host: host.to_owned(),
            source: source.into(),
        }
    }

    /// For a host where nobody listens.
    pub(super) fn down(host: &str) -> Self {
        Self::unreachable(host, io::Error::from(io::ErrorKind::ConnectionRefused))
    }
}
