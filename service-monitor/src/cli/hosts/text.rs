//! Instances as other programs want to read them.

use clap::ValueEnum;
use presence::model::{Label, ServiceHost};
use presence::process::exit::Failure;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::template::Compiled;

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Addresses with commas between them, in one line
    Csv,
    /// An array of objects, in one line
    Json,
    /// Addresses, a line each
    Lines,
    /// What Prometheus reads by file_sd_configs
    Prometheus,
    /// As --template says
    Template,
}

/// How they are written.
#[derive(Debug)]
pub(super) enum Form {
    Csv { states: bool },
    Json,
    Lines { states: bool },
    Prometheus,
    Template(Box<Compiled>),
}

impl Form {
    /// The text, with a newline at its end. Nothing where there is nobody,
    /// except where the form itself says so.
    pub(super) fn write(&self, label: &Label, hosts: &[ServiceHost]) -> Result<String, Failure> {
        match self {
            Self::Csv { states } => Ok(joined(&addresses(hosts, states.then_some("=")), ",")),
            Self::Lines { states } => Ok(joined(&addresses(hosts, states.then_some(" ")), "\n")),
            Self::Json => line(&hosts),
            Self::Prometheus => line(&prometheus(label, hosts)),
            Self::Template(template) => template.write(label, hosts),
        }
    }
}

fn joined(texts: &[String], between: &str) -> String {
    match texts {
        [] => String::new(),
        texts => texts.join(between) + "\n",
    }
}

/// Each once, with its state behind it where that is wanted. Several instances
/// at one address are one to whoever connects there.
fn addresses(hosts: &[ServiceHost], before_state: Option<&str>) -> Vec<String> {
    let text = |host: &ServiceHost| match before_state {
        Some(before) => format!("{}{before}{}", host.address(), host.state.as_str()),
        None => host.address(),
    };
    let mut texts: Vec<String> = hosts.iter().map(text).collect();
    texts.dedup();
    texts
}

fn line(of: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string(of).map_err(Failure::unexpected)?;
    Ok(text + "\n")
}

/// A group for each instance; labels that begin so are seen by
/// `relabel_configs` only.
fn prometheus(label: &Label, hosts: &[ServiceHost]) -> Value {
    let groups = hosts.iter().map(|host| {
        let mut labels = Map::new();
        let mut add = |name: &str, value: &str| {
            labels.insert(format!("__meta_service_monitor_{name}"), value.into());
        };
        add("label", label.as_str());
        add("service_id", host.service_id.as_str());
        add("state", host.state.as_str());
        for (name, value) in &host.info {
            add(&format!("info_{}", label_name(name)), value);
        }
        json!({ "targets": [host.address()], "labels": labels })
    });
    groups.collect()
}

/// What Prometheus allows in the name of a label.
fn label_name(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    name.chars().map(allowed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Vec<ServiceHost> {
        let host = |id: &str, address: &str, port, state| {
            let value = json!({
                "host": address, "port": port, "service_id": id, "state": state,
                "info": {"zone.id": "a"}, "since": "2026-11-20T12:00:00Z"
            });
            serde_json::from_value(value).unwrap()
        };
        vec![
            host("es-1", "10.0.0.1", Some(9200), "up"),
            host("es-2", "10.0.0.2", None, "up"),
            host("es-3", "10.0.0.2", None, "up"),
            host("es-4", "10.0.0.2", None, "down"),
        ]
    }

    fn text(form: &Form, hosts: &[ServiceHost]) -> String {
        form.write(&"es".parse().unwrap(), hosts).unwrap()
    }

    #[test]
    fn addresses_are_listed_once_with_their_state_if_wanted() {
        let hosts = hosts();
        for (form, expected) in [
            (Form::Csv { states: false }, "10.0.0.1:9200,10.0.0.2\n"),
            (Form::Lines { states: false }, "10.0.0.1:9200\n10.0.0.2\n"),
            (
                Form::Csv { states: true },
                "10.0.0.1:9200=up,10.0.0.2=up,10.0.0.2=down\n",
            ),
            (
                Form::Lines { states: true },
                "10.0.0.1:9200 up\n10.0.0.2 up\n10.0.0.2 down\n",
            ),
        ] {
            assert_eq!(text(&form, &hosts), expected);
            assert_eq!(text(&form, &[]), "", "nothing of nobody");
        }
    }

    #[test]
    fn json_is_what_the_keys_hold() {
        let line = text(&Form::Json, &hosts()[..1]);
        let expected = r#"[{"host":"10.0.0.1","port":9200,"service_id":"es-1","state":"up","info":{"zone.id":"a"},"since":"2026-11-20T12:00:00Z"}]"#;
        assert_eq!(line, format!("{expected}\n"));
        assert_eq!(text(&Form::Json, &[]), "[]\n");
    }

    #[test]
    fn prometheus_has_a_group_for_each() {
        let line = text(&Form::Prometheus, &hosts()[..1]);
        let groups: Value = serde_json::from_str(&line).unwrap();
        let expected = json!([{"targets": ["10.0.0.1:9200"], "labels": {
            "__meta_service_monitor_label": "es",
            "__meta_service_monitor_service_id": "es-1",
            "__meta_service_monitor_state": "up",
            "__meta_service_monitor_info_zone_id": "a",
        }}]);
        assert_eq!(groups, expected);
    }
}
