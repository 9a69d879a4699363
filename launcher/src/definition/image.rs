use std::fmt;
use std::str::FromStr;

use super::forms::from_text;

/// The name of an image as Docker has it: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Image(String);

from_text!(
    Image,
    "[HOST[:PORT]/]PATH[:TAG][@DIGEST], such as registry.example/web:1.4"
);

impl Image {
    /// What an unfinished definition has.
    pub(super) const NONE: Self = Self(String::new());

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Image {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_image(text) {
            return Ok(Self(text.to_owned()));
        }
        let path = text.rsplit('/').next().unwrap_or(text);
        let name = path.split([':', '@']).next().unwrap_or(path);
        let because = if name.bytes().any(|b| b.is_ascii_uppercase()) {
            "its name is in lower case"
        } else {
            "[HOST[:PORT]/]PATH[:TAG][@DIGEST] is expected, such as registry.example/web:1.4"
        };
        Err(format!(
            "{:?} is no name of an image: {because}",
            presence::model::excerpt(text)
        ))
    }
}

/// The grammar of the distribution project's `reference` package, but for its rarer digests.
fn is_image(text: &str) -> bool {
    let (text, digest) = match text.split_once('@') {
        Some((text, digest)) => (text, Some(digest)),
        None => (text, None),
    };
    let start = text.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match text[start..].split_once(':') {
        Some((last, tag)) => (&text[..start + last.len()], Some(tag)),
        None => (text, None),
    };
    name.len() <= 255 && is_name(name) && tag.is_none_or(is_tag) && digest.is_none_or(is_digest)
}

fn is_name(name: &str) -> bool {
    match name.split_once('/') {
        // A first part with a dot or a port, or localhost, is where the registry is.
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => {
            is_host(host) && path.split('/').all(is_component)
        }
        _ => name.split('/').all(is_component),
    }
}

fn is_host(host: &str) -> bool {
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) => (host, port),
        None => (host, "1"),
    };
    !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-.[]:".contains(&b))
        && port.parse::<u16>().is_ok_and(|port| port != 0)
}

fn is_component(part: &str) -> bool {
    let is_edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
    let bytes = part.as_bytes();
    is_edge(bytes.first())
        && is_edge(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_digit() || b.is_ascii_lowercase() || b"._-".contains(b))
}

fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn is_digest(digest: &str) -> bool {
    digest.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_named_as_docker_names_them() {
        let digest = format!("web@sha256:{}", "0a".repeat(32));
        for text in [
            "nginx",
            "nginx:latest",
            "library/nginx:1.27-alpine",
            "registry.example/team/web:1.4",
            "localhost:5000/web",
            "[::1]:5000/web",
            "a__b/c-d",
            &digest,
        ] {
            assert!(text.parse::<Image>().is_ok(), "{text}");
        }
        for text in [
            "",
            ":",
            "nginx:",
            "nginx:a b",
            "-web",
            "web/",
            "web//x",
            "web@sha256:0a",
            "web:.x",
            "a.b:0/web",
            "web\n",
        ] {
            let error = text.parse::<Image>().unwrap_err();
            assert!(error.contains("[HOST[:PORT]/]PATH"), "{error}");
        }
        let error = "Nginx:latest".parse::<Image>().unwrap_err();
        assert_eq!(
            error,
            "\"Nginx:latest\" is no name of an image: its name is in lower case"
        );
    }
}
