//! How far an image has come.

use std::collections::BTreeMap;
use std::fmt;

/// How far an image has come: what Docker said of its layers so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullProgress {
    layers: BTreeMap<String, Layer>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Layer {
    bytes: u64,
    of: u64,
    complete: bool,
}

impl PullProgress {
    /// Takes in one report: of which layer, what is done with it, and how many bytes of how many.
    pub fn report(&mut self, layer: &str, status: &str, bytes: Option<(u64, u64)>) {
        // A report on the whole comes under the name of the tag.
        if status.starts_with("Pulling from") {
            return;
        }
        let layer = self.layers.entry(layer.to_owned()).or_default();
        match (status, bytes) {
            ("Downloading", Some((bytes, of))) => (layer.bytes, layer.of) = (bytes, of),
            ("Pull complete" | "Already exists", _) => {
                layer.bytes = layer.of;
                layer.complete = true;
            }
            ("Download complete" | "Verifying Checksum" | "Extracting", _) => {
                layer.bytes = layer.of;
            }
            _ => {}
        }
    }
}

/// `3 of 5 layers, 12.3 of 40.1 MB`.
impl fmt::Display for PullProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let complete = self.layers.values().filter(|layer| layer.complete).count();
        let sum = |part: fn(&Layer) -> u64| {
            let bytes: u64 = self.layers.values().map(part).sum();
            // A figure with one digit behind the point.
            format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10)
        };
        let (bytes, of) = (sum(|layer| layer.bytes), sum(|layer| layer.of));
        let layers = self.layers.len();
        write!(f, "{complete} of {layers} layers, {bytes} of {of} MB")
    }
}

/// The registry that an image comes from: what stands before the first slash, if that is a host.
pub(super) fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

/// The image with the tag that is meant where there is none: Docker would pull all.
pub(super) fn with_tag(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    if name.contains([':', '@']) {
        image.to_owned()
    } else {
        format!("{image}:latest")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_a_host() {
        for (image, expected, tagged) in [
            ("nginx", "docker.io", "nginx:latest"),
            ("team/web:1", "docker.io", "team/web:1"),
            ("localhost/web", "localhost", "localhost/web:latest"),
            (
                "127.0.0.1:5000/web",
                "127.0.0.1:5000",
                "127.0.0.1:5000/web:latest",
            ),
            (
                "r.example/a/web@sha256:00",
                "r.example",
                "r.example/a/web@sha256:00",
            ),
        ] {
            assert_eq!(registry(image), expected, "{image}");
            assert_eq!(with_tag(image), tagged);
        }
    }

    #[test]
    fn it_says_how_much_is_there() {
        let mut progress = PullProgress::default();
        progress.report("1.4", "Pulling from library/web", None);
        progress.report("a", "Pulling fs layer", None);
        progress.report("b", "Already exists", None);
        progress.report("a", "Downloading", Some((1_250_000, 4_000_000)));
        assert_eq!(progress.to_string(), "1 of 2 layers, 1.2 of 4.0 MB");
        progress.report("a", "Download complete", None);
        assert_eq!(progress.to_string(), "1 of 2 layers, 4.0 of 4.0 MB");
        progress.report("a", "Pull complete", None);
        assert_eq!(progress.to_string(), "2 of 2 layers, 4.0 of 4.0 MB");
    }
}
