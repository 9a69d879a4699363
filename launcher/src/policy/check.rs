//! Which parts of a definition a policy refuses.

use std::fmt;

use super::paths::{is_system, is_within, matches, reaches_socket};
use super::{Namespace, Policy};
use crate::definition::{Definition, Source, absolute};
use crate::document::{Finding, Path};

/// Something that a definition asks for and the policy does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which part of the definition.
    pub path: Path,
    /// What is not allowed, and which key of the policy would.
    pub message: String,
}

/// `volumes[0]: …`.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl From<Refusal> for Finding {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.path, refusal.message)
    }
}

impl Policy {
    /// What of the definition is refused; all is allowed where nothing is.
    ///
    /// Paths are compared as they are written. That the host itself has no links that lead
    /// elsewhere is for whoever wrote the policy to see to.
    pub fn refusals(&self, definition: &Definition) -> Vec<Refusal> {
        let mut refusals = Refusals(Vec::new());
        self.image(definition, &mut refusals);
        self.mounts(definition, &mut refusals);
        self.files(definition, &mut refusals);
        self.privileges(definition, &mut refusals);
        self.namespaces(definition, &mut refusals);
        self.environment(definition, &mut refusals);
        refusals.0
    }

    fn image(&self, definition: &Definition, refusals: &mut Refusals) {
        let image = definition.image.as_str();
        let Some(allowed) = &self.images else { return };
        if !allowed.iter().any(|pattern| matches(pattern, image)) {
            let allowed = allowed.join(", ");
            refusals.add(
                Path::key("image"),
                format!("{image:?} is none of images: {allowed}"),
            );
        }
    }

    fn mounts(&self, definition: &Definition, refusals: &mut Refusals) {
        for (index, volume) in definition.volumes.iter().enumerate() {
            let path = Path::key("volumes").then_index(index);
            match &volume.source {
                Source::Path(source) => {
                    self.bind(source, volume.read_only, &path, refusals);
                    self.listed(source, &path, refusals);
                }
                Source::Volume(name) => self.listed(name, &path, refusals),
                Source::Anonymous => {}
            }
        }
    }

    fn bind(&self, source: &str, read_only: bool, path: &Path, refusals: &mut Refusals) {
        let is_allowed = |above: &String| is_within(source, above);
        if reaches_socket(source) && !self.docker_socket {
            let message =
                format!("Docker's socket is reached by {source:?}; docker_socket: true allows it");
            refusals.add(path.clone(), message);
        }
        if is_system(source) && !read_only && !self.system_paths.iter().any(is_allowed) {
            let message = format!(
                "{source:?} is of the system, and mounted for writing; mount it with :ro, or add it \
                 to system_paths"
            );
            refusals.add(path.clone(), message);
        }
    }

    /// Whether the list of what may be mounted has it.
    fn listed(&self, source: &str, path: &Path, refusals: &mut Refusals) {
        let Some(allowed) = &self.volumes else { return };
        let is_it = |pattern: &String| {
            if pattern.starts_with('/') && !pattern.contains('*') {
                is_within(source, pattern)
            } else {
                matches(pattern, source)
            }
        };
        if !allowed.iter().any(is_it) {
            let allowed = allowed.join(", ");
            refusals.add(
                path.clone(),
                format!("{source:?} is none of volumes: {allowed}"),
            );
        }
    }

    /// What launcher, who may read everything, would read on somebody's behalf.
    fn files(&self, definition: &Definition, refusals: &mut Refusals) {
        let mut read = Vec::new();
        for (index, file) in definition.env_file.0.0.iter().enumerate() {
            read.push((file, Path::key("env_file").then_index(index)));
        }
        if let Some(build) = &definition.build {
            read.push((&build.context, Path::key("build").then_key("context")));
        }
        for (index, page) in definition.monitor.check_http.iter().enumerate() {
            let path = Path::key("monitor")
                .then_key("check_http")
                .then_index(index);
            if let Some(file) = &page.expected.body_file {
                read.push((file, path.then_key("expected").then_key("body_file")));
            }
        }
        for (file, path) in read {
            // In the spelling that the lists are compared with.
            let file = &absolute("path", file).unwrap_or_else(|_| file.clone());
            if self.volumes.is_some() {
                self.listed(file, &path, refusals);
            } else if is_system(file) {
                let message = format!("{file:?} is of the system; add it to volumes");
                refusals.add(path, message);
            }
        }
    }

    fn privileges(&self, definition: &Definition, refusals: &mut Refusals) {
        if definition.privileged && !self.privileged {
            let message = "it may do all that the host may; privileged: true allows it";
            refusals.add(Path::key("privileged"), message.to_owned());
        }
        let is_capability = |allowed: &str, asked: &str| {
            let bare = |name: &str| {
                let upper = name.to_ascii_uppercase();
                upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned()
            };
            bare(allowed) == bare(asked)
        };
        let is_device = |allowed: &str, asked: &str| {
            is_within(asked.split(':').next().unwrap_or_default(), allowed)
        };
        let is_same = |allowed: &str, asked: &str| allowed == asked;
        // Not gaining privileges is nothing to be allowed.
        let options: Vec<String> = definition
            .security_opt
            .iter()
            .map(|option| match option.as_str() {
                "no-new-privileges" | "no-new-privileges:true" => String::new(),
                other => other.to_owned(),
            })
            .collect();
        let runtimes: Vec<String> = definition.runtime.iter().cloned().collect();
        refusals.each(
            "cap_add",
            &definition.cap_add,
            "capabilities",
            &self.capabilities,
            is_capability,
        );
        refusals.each(
            "devices",
            &definition.devices,
            "devices",
            &self.devices,
            is_device,
        );
        refusals.each(
            "security_opt",
            &options,
            "security_options",
            &self.security_options,
            is_same,
        );
        refusals.each("runtime", &runtimes, "runtimes", &self.runtimes, is_same);
    }

    fn namespaces(&self, definition: &Definition, refusals: &mut Refusals) {
        let network = definition.network_mode.as_ref().map(ToString::to_string);
        for (key, namespace, value) in [
            ("network_mode", Namespace::Network, network),
            ("pid", Namespace::Pid, definition.pid.clone()),
            ("ipc", Namespace::Ipc, definition.ipc.clone()),
            ("uts", Namespace::Uts, definition.uts.clone()),
            (
                "userns_mode",
                Namespace::User,
                definition.userns_mode.clone(),
            ),
        ] {
            let Some(value) = value else { continue };
            let is_shared = value == "host" || value.starts_with("container:");
            if is_shared && !self.namespaces.contains(&namespace) {
                let name = format!("{namespace:?}").to_lowercase();
                let message = format!("{value:?} is not its own; namespaces: [{name}] allows it");
                refusals.add(Path::key(key), message);
            }
        }
    }

    /// launcher's environment may hold passwords.
    fn environment(&self, definition: &Definition, refusals: &mut Refusals) {
        for (name, value) in &definition.environment.0 {
            if value.is_none() && !self.environment.contains(name) {
                let path = Path::key("environment").then_key(name);
                let message =
                    "without a value it is launcher's own; environment allows it by its name";
                refusals.add(path, message.to_owned());
            }
        }
    }
}

struct Refusals(Vec<Refusal>);

impl Refusals {
    fn add(&mut self, path: Path, message: String) {
        self.0.push(Refusal { path, message });
    }

    /// Those of `asked` that none of `allowed` covers. An empty text asks for nothing.
    fn each(
        &mut self,
        key: &str,
        asked: &[String],
        allows: &str,
        allowed: &[String],
        is_covered: impl Fn(&str, &str) -> bool,
    ) {
        for (index, asked) in asked
            .iter()
            .enumerate()
            .filter(|(_, asked)| !asked.is_empty())
        {
            if !allowed.iter().any(|allowed| is_covered(allowed, asked)) {
                let path = Path::key(key).then_index(index);
                self.add(
                    path,
                    format!("{asked:?} is not allowed; {allows} allows it by its name"),
                );
            }
        }
    }
}
