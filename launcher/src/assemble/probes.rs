//! What is asked of a container, where, and when.

use std::net::IpAddr;
use std::time::Duration;

use presence::probe::Statuses;

use super::Location;
use crate::definition::{
    Definition, HealthCheck, ImageCheck, NetworkMode, PageCheck, Port, Scheme, TcpCheck, Timing,
    UrlPath,
};
use crate::runtime::Container;

/// What is asked of a container. As long as it stays the same, so does who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probes {
    /// What its health is found out by.
    pub health: Ask,
    /// When is asked for that, and how many like answers count. Not of what Docker carries out.
    pub timing: Timing,
    /// What is asked for beside that.
    pub pages: Vec<Page>,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// A page.
    Http(Request),
    /// Whether it takes connections.
    Tcp {
        /// A name or an address; one of IPv6 without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// Whether a command in the container exits 0.
    Exec(Vec<String>),
    /// What the image's own check says.
    Image,
    /// Nothing: it runs, and that is enough.
    Running,
    /// Nothing, for it cannot be asked, and why not.
    Nowhere(String),
}

/// A page that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Where.
    pub url: String,
    /// Which status codes are good.
    pub statuses: Statuses,
    /// What the body is to be.
    pub body: Wanted,
    /// Whether redirects are followed to where the answer is.
    pub follow_redirects: bool,
}

/// What a body is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Anything.
    Anything,
    /// A text in which this regular expression is found.
    Pattern(String),
    /// A JSON object whose `status` is `up`.
    Up,
    /// This, byte for byte.
    Text(String),
    /// What is in this file of the host, byte for byte.
    File(String),
}

/// A page of `monitor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its path, by which it is called.
    pub path: String,
    /// What is asked for, or why it cannot be.
    pub request: Result<Request, String>,
    /// From one time to the next.
    pub frequency: Duration,
}

impl Probes {
    /// What this definition says is asked of this container, which is there.
    pub fn new(definition: &Definition, container: &Container, location: &Location) -> Self {
        let check = in_force(definition, container);
        let ask = Asking {
            definition,
            location,
        };
        let pages = definition.monitor.check_http.iter();
        Self {
            health: ask.health(&check),
            timing: timing(&check),
            pages: pages.map(|page| ask.page(page)).collect(),
        }
    }
}

/// The check that is asked for; else the image's own; else whether the service takes connections;
/// else whether it runs.
fn in_force(definition: &Definition, container: &Container) -> HealthCheck {
    if let Some(check) = &definition.health_check {
        return check.clone();
    }
    let has_network = definition.network_mode != Some(NetworkMode::None);
    if container.has_healthcheck {
        HealthCheck::Image(ImageCheck::default())
    } else if definition.service_port().is_some() && has_network {
        HealthCheck::Tcp(TcpCheck::default())
    } else {
        HealthCheck::None
    }
}

fn timing(check: &HealthCheck) -> Timing {
    match check {
        HealthCheck::Http(check) => check.timing(),
        HealthCheck::Tcp(check) => check.timing(),
        HealthCheck::Up(check) => check.timing(),
        HealthCheck::Exec(check) => check.0.timing(),
        HealthCheck::Image(_) | HealthCheck::None => Timing::default(),
    }
}

struct Asking<'a> {
    definition: &'a Definition,
    location: &'a Location,
}

impl Asking<'_> {
    fn health(&self, check: &HealthCheck) -> Ask {
        match check {
            HealthCheck::Http(check) => {
                let place = self.place(check.address.as_deref(), check.port);
                let pattern = check.body.as_ref();
                or_nowhere(place.map(|(host, port)| {
                    Ask::Http(Request {
                        url: url(check.scheme, &host, port, &check.path),
                        statuses: check.status.0.clone(),
                        body: pattern.map_or(Wanted::Anything, |pattern| {
                            Wanted::Pattern(pattern.as_str().to_owned())
                        }),
                        follow_redirects: check.follow_redirects,
                    })
                }))
            }
            HealthCheck::Up(check) => {
                let place = self.place(check.address.as_deref(), check.port);
                or_nowhere(place.map(|(host, port)| {
                    Ask::Http(Request {
                        url: url(check.scheme, &host, port, &check.path),
                        statuses: Statuses::default(),
                        body: Wanted::Up,
                        follow_redirects: false,
                    })
                }))
            }
            HealthCheck::Tcp(check) => {
                let place = self.place(check.address.as_deref(), check.port);
                or_nowhere(place.map(|(host, port)| Ask::Tcp { host, port }))
            }
            HealthCheck::Exec(check) => Ask::Exec(check.0.command.0.clone()),
            HealthCheck::Image(_) => Ask::Image,
            HealthCheck::None => Ask::Running,
        }
    }

    fn page(&self, page: &PageCheck) -> Page {
        let expected = &page.expected;
        let place = self.place(None, Some(self.definition.monitor_port()));
        let request = place.map(|(host, port)| Request {
            url: url(Scheme::Http, &host, port, &page.path),
            statuses: expected.status.0.clone(),
            body: match (&expected.body, &expected.body_file) {
                (Some(body), _) => Wanted::Text(body.clone()),
                (None, Some(file)) => Wanted::File(file.clone()),
                (None, None) => Wanted::Anything,
            },
            follow_redirects: false,
        });
        Page {
            path: page.path.to_string(),
            request,
            frequency: page.frequency.0,
        }
    }

    /// Host and port: what is said, or else where the container is.
    fn place(&self, address: Option<&str>, port: Option<Port>) -> Result<(String, u16), String> {
        let port = port.or(self.definition.service_port());
        let port = port.ok_or("there is no port to ask: write port")?;
        match (address, self.location) {
            (Some(host), _) => Ok((bare(host).to_owned(), port.0)),
            (None, Location::Address(address)) => Ok((address.to_string(), port.0)),
            (None, Location::Nowhere(words)) => Err(words.clone()),
        }
    }
}

fn or_nowhere(ask: Result<Ask, String>) -> Ask {
    ask.unwrap_or_else(Ask::Nowhere)
}

fn url(scheme: Scheme, host: &str, port: u16, path: &UrlPath) -> String {
    let scheme = match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let host = match host.parse() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => host.to_owned(),
    };
    format!("{scheme}://{host}:{port}{path}")
}

/// An address of IPv6 may be written in brackets.
fn bare(host: &str) -> &str {
    let inside = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inside.unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::spec::tests::definition;
    use crate::runtime::State;

    fn probes(document: &str, has_healthcheck: bool, address: Option<&str>) -> Probes {
        let container = Container {
            has_healthcheck,
            ..Container::new(State::Running)
        };
        let location = match address {
            Some(address) => Location::Address(address.parse().unwrap()),
            None => Location::Nowhere("it has no network".to_owned()),
        };
        Probes::new(&definition(document), &container, &location)
    }

    /// In few words.
    fn said(ask: &Ask) -> String {
        match ask {
            Ask::Http(request) => format!("{} {}", request.statuses, request.url),
            Ask::Tcp { host, port } => format!("{host} {port}"),
            Ask::Exec(words) => words.join(" "),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn which_check_is_in_force_and_where_it_goes() {
        let v4 = Some("10.1.0.2");
        let nowhere = "Nowhere(\"it has no network\")";
        for (keys, has_healthcheck, address, expected) in [
            // What is asked for comes first, then the image's own, then the port.
            (
                "port: 80, health_check: http",
                true,
                v4,
                "200-299 http://10.1.0.2:80/",
            ),
            ("port: 80", true, v4, "Image"),
            ("port: 80", false, v4, "10.1.0.2 80"),
            ("ports: ['8080:81']", false, v4, "10.1.0.2 81"),
            ("ports: [81, 82]", false, v4, "Running"),
            ("health_check: none", true, v4, "Running"),
            ("health_check: image", false, v4, "Image"),
            (
                "health_check: {exec: [test, -e, /x]}",
                true,
                None,
                "test -e /x",
            ),
            // Where.
            (
                "port: 80, health_check: {tcp: {port: 81}}",
                false,
                v4,
                "10.1.0.2 81",
            ),
            (
                "port: 80, health_check: {tcp: {address: db}}",
                false,
                None,
                "db 80",
            ),
            (
                "port: 80, health_check: {tcp: {address: '[::1]'}}",
                false,
                None,
                "::1 80",
            ),
            ("port: 80", false, Some("fd00::2"), "fd00::2 80"),
            (
                "port: 80, health_check: {http: {scheme: https, path: '/h?x=1', status: 204}}",
                false,
                Some("fd00::2"),
                "204 https://[fd00::2]:80/h?x=1",
            ),
            (
                "port: 80, health_check: up",
                false,
                v4,
                "200-299 http://10.1.0.2:80/",
            ),
            // Nowhere.
            (
                "port: 80, network_mode: 'container:x', health_check: up",
                false,
                None,
                nowhere,
            ),
            ("port: 80, network_mode: none", false, None, "Running"),
        ] {
            let found = probes(&format!("{{image: web, {keys}}}"), has_healthcheck, address);
            assert_eq!(said(&found.health), expected, "{keys}");
        }
    }

    #[test]
    fn what_a_page_is_to_hold() {
        let document = "{image: web, port: 80, health_check: {http: {body: '^ok', rise: 4}}, \
                        monitor: {check_http: [{path: /a}, \
                        {path: /b, frequency: 5s, expected: {status: 404, body: x}}, \
                        {path: /c, expected: {body_file: /etc/c}}]}}";
        let found = probes(document, false, Some("10.1.0.2"));
        let Ask::Http(request) = &found.health else {
            panic!("{found:?}");
        };
        assert_eq!(request.body, Wanted::Pattern("^ok".to_owned()));
        assert_eq!(found.timing.rise.get(), 4);
        let bodies = [
            Wanted::Anything,
            Wanted::Text("x".to_owned()),
            Wanted::File("/etc/c".to_owned()),
        ];
        let seconds = [60, 5, 60];
        assert_eq!(found.pages.len(), 3);
        for ((page, body), seconds) in found.pages.iter().zip(bodies).zip(seconds) {
            let request = page.request.as_ref().unwrap();
            assert_eq!(request.url, format!("http://10.1.0.2:80{}", page.path));
            assert_eq!(request.body, body);
            assert_eq!(page.frequency, Duration::from_secs(seconds));
        }
        let found = probes(
            "{image: web, monitor: {check_http: [{path: /}]}}",
            false,
            None,
        );
        assert_eq!(found.pages[0].request, Err("it has no network".to_owned()));
    }
}
