//! What is asked.

use reqwest::Url;

use super::{Body, HttpTarget, Statuses};

/// What is asked.
#[derive(Debug, Clone)]
pub enum Target {
    /// `http://…`, `https://…`
    Http(HttpTarget),
    /// `tcp://host:port`: whether it takes connections.
    Tcp {
        /// A name or an address; one of IPv6 without its brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// `exec:COMMAND`: whether it exits 0. The program, and its arguments.
    Exec(Vec<String>),
}

/// There is no way to ask this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// It is not of the form.
    #[error(
        "{url:?} cannot be asked: {reason}; http://HOST:PORT/PATH, https://…, tcp://HOST:PORT or \
         exec:COMMAND is expected"
    )]
    Form {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What is expected of it is for HTTP only.
    #[error("{0:?} has no status, no body and no redirects to expect: only http and https have")]
    Expectations(String),
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}

/// What is expected of an answer over HTTP; `None` where nothing was said.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// Which status codes; 2xx by default.
    pub statuses: Option<Statuses>,
    /// What in the body.
    pub body: Option<Body>,
    /// Whether redirects are followed to where the answer is.
    pub follow_redirects: bool,
    /// Whether any certificate will do, for who is asked at an address that is
    /// his for certain.
    pub any_certificate: bool,
}

impl Target {
    /// Reads it as an operator writes it.
    pub fn parse(text: &str, expected: Expected) -> Result<Self, InvalidTarget> {
        let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
        let target = match scheme {
            "http" | "https" => return HttpTarget::parse(text, expected).map(Self::Http),
            "tcp" => tcp(text)?,
            "exec" if !rest.trim().is_empty() => shell(rest),
            "exec" => return Err(form(text, "there is no command")),
            _ => return Err(form(text, "it is of no scheme that is known")),
        };
        if expected.says_nothing() {
            Ok(target)
        } else {
            Err(InvalidTarget::Expectations(text.to_owned()))
        }
    }
}

impl Expected {
    fn says_nothing(&self) -> bool {
        self.statuses.is_none() && self.body.is_none() && !self.follow_redirects
    }
}

impl HttpTarget {
    /// A GET of this URL: `http://…`, `https://…`.
    pub fn parse(text: &str, expected: Expected) -> Result<Self, InvalidTarget> {
        let url = Url::parse(text).map_err(|error| form(text, &error.to_string()))?;
        Self::new(url, expected)
    }
}

fn tcp(text: &str) -> Result<Target, InvalidTarget> {
    let place = text.strip_prefix("tcp://");
    let place = place.ok_or_else(|| form(text, "two slashes are missing"))?;
    let place = place.strip_suffix('/').unwrap_or(place);
    let (host, port) = place
        .rsplit_once(':')
        .ok_or_else(|| form(text, "it has no port"))?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match port.parse() {
        _ if host.is_empty() => Err(form(text, "it has no host")),
        _ if bare.is_none() && host.contains(':') => {
            Err(form(text, "an address of IPv6 goes into brackets"))
        }
        Ok(port @ 1..) => Ok(Target::Tcp {
            host: bare.unwrap_or(host).to_owned(),
            port,
        }),
        _ => Err(form(text, "its port is not from 1 to 65535")),
    }
}

/// As `system(3)` has it.
fn shell(command: &str) -> Target {
    Target::Exec(["/bin/sh", "-c", command].map(str::to_owned).into())
}

/// A password that is in it is not repeated.
fn form(url: &str, reason: &str) -> InvalidTarget {
    let url = match (url.find("://"), url.rfind('@')) {
        (Some(start), Some(end)) if start < end => {
            format!("{}…{}", &url[..start + 3], &url[end..])
        }
        _ => url.to_owned(),
    };
    InvalidTarget::Form {
        url,
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Target, String> {
        Target::parse(text, Expected::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_scheme_is_read() {
        for text in ["http://127.0.0.1:9200", "https://es/_cluster/health?x=1"] {
            assert!(matches!(parsed(text), Ok(Target::Http(_))), "{text}");
        }
        for (text, expected) in [
            ("tcp://es:9300", ("es", 9300)),
            ("tcp://[::1]:9300", ("::1", 9300)),
            ("tcp://10.0.0.1:1/", ("10.0.0.1", 1)),
        ] {
            let Ok(Target::Tcp { host, port }) = parsed(text) else {
                panic!("{text}");
            };
            assert_eq!((host.as_str(), port), expected);
        }
        let Ok(Target::Exec(command)) = parsed("exec:test -e /run/ready") else {
            panic!("exec");
        };
        assert_eq!(command, ["/bin/sh", "-c", "test -e /run/ready"]);
    }

    #[test]
    fn what_cannot_be_asked_is_refused_with_what_can() {
        for (text, reason) in [
            ("", "it is of no scheme that is known"),
            ("127.0.0.1:9200", "it is of no scheme that is known"),
            ("ftp://es", "it is of no scheme that is known"),
            ("http://", "empty host"),
            ("http://es:port/", "invalid port number"),
            ("tcp:es:1", "two slashes are missing"),
            ("tcp://es", "it has no port"),
            ("tcp://es:0", "its port is not from 1 to 65535"),
            ("tcp://es:65536", "its port is not from 1 to 65535"),
            ("tcp://:80", "it has no host"),
            ("tcp://::1:80", "an address of IPv6 goes into brackets"),
            ("exec:", "there is no command"),
            ("exec: ", "there is no command"),
        ] {
            let expected = format!(
                "{text:?} cannot be asked: {reason}; http://HOST:PORT/PATH, https://…, \
                 tcp://HOST:PORT or exec:COMMAND is expected"
            );
            assert_eq!(parsed(text).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_password_is_not_repeated() {
        let error = parsed("http://me:hunter2@es:port/").unwrap_err();
        assert!(error.starts_with("\"http://…@es:port/\" cannot"), "{error}");
    }

    #[test]
    fn expectations_are_for_http() {
        let expected = Expected {
            follow_redirects: true,
            ..Expected::default()
        };
        let error = Target::parse("tcp://es:80", expected.clone()).unwrap_err();
        assert_eq!(error, InvalidTarget::Expectations("tcp://es:80".to_owned()));
        assert!(Target::parse("http://es", expected).is_ok());
    }
}
