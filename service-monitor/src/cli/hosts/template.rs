//! `--template`: Jinja's language, by minijinja.

use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, UndefinedBehavior, Value, context};
use presence::model::{Label, ServiceHost};
use presence::process::exit::Failure;

const NAME: &str = "template";

/// A template that has been read.
pub(super) struct Compiled {
    environment: Environment<'static>,
    place: String,
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Compiled").field(&self.place).finish()
    }
}

impl Compiled {
    /// Reads a template: the text itself, or `@FILE`.
    pub(super) fn read(text: &str) -> Result<Box<Self>, Failure> {
        let Some(file) = text.strip_prefix('@') else {
            return Self::compile(text.to_owned(), "--template".to_owned()).map_err(Failure::usage);
        };
        let content = std::fs::read_to_string(file).map_err(|error| {
            Failure::configuration(error).context(format!("cannot read the template {file}"))
        })?;
        Self::compile(content, file.to_owned()).map_err(Failure::configuration)
    }

    fn compile(text: String, place: String) -> Result<Box<Self>, String> {
        let mut environment = Environment::new();
        // A name that is mistyped is no empty value.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let mut syntax = SyntaxConfig::builder();
        // A line that holds nothing but `{% … %}` leaves none behind.
        syntax
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true);
        environment.set_syntax(syntax.build().map_err(|error| words(&place, &error))?);
        environment
            .add_template_owned(NAME, text)
            .map_err(|error| words(&place, &error))?;
        Ok(Box::new(Self { environment, place }))
    }

    pub(super) fn write(&self, label: &Label, hosts: &[ServiceHost]) -> Result<String, Failure> {
        let hosts: Vec<Value> = hosts.iter().map(value).collect();
        let template = self.environment.get_template(NAME);
        let text = template.and_then(|template| {
            template.render(context! { label => label.as_str(), hosts => hosts })
        });
        text.map_err(|error| Failure::configuration(words(&self.place, &error)))
    }
}

/// What the key holds, and where it is reached as one text. Also an instance
/// without a port has one, which is none.
fn value(host: &ServiceHost) -> Value {
    context! {
        address => host.address(),
        host => host.host.to_string(),
        port => host.port,
        service_id => host.service_id.as_str(),
        state => host.state.as_str(),
        info => Value::from_pairs(host.info.clone()),
        since => host.since.to_string(),
    }
}

/// What is wrong, and in which line.
fn words(place: &str, error: &Error) -> String {
    let line = error
        .line()
        .map_or(String::new(), |line| format!(" line {line}"));
    match error.detail() {
        Some(detail) => format!("{place}{line}: {}: {detail}", error.kind()),
        None => format!("{place}{line}: {}", error.kind()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn es() -> ServiceHost {
        let value = r#"{"host":"10.0.0.1","service_id":"es-1","state":"up","info":{"zone":"a"},"since":"2026-11-20T12:00:00Z"}"#;
        ServiceHost::parse(&"es-1".parse().unwrap(), value.as_bytes()).unwrap()
    }

    fn write(template: &str) -> Result<String, Failure> {
        Compiled::read(template)?.write(&"es".parse().unwrap(), &[es()])
    }

    #[test]
    fn a_configuration_is_written_line_by_line() {
        let template = "backend {{ label }}\n{% for h in hosts %}\n  server {{ h.service_id }} \
                        {{ h.address }}:{{ h.port or 9200 }} # {{ h.info.zone }}\n{% endfor %}\n";
        let text = write(template).unwrap();
        assert_eq!(text, "backend es\n  server es-1 10.0.0.1:9200 # a\n");
    }

    #[test]
    fn it_may_be_in_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{{ hosts|length }}\n").unwrap();
        let named = format!("@{}", file.path().display());
        assert_eq!(write(&named).unwrap(), "1\n");
        let error = write("@/nonexistent").unwrap_err();
        assert_eq!(error.code(), 78);
        assert!(
            error
                .to_string()
                .starts_with("cannot read the template /nonexistent: ")
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let error = write("a\n{% for h in hosts %}").unwrap_err();
        assert_eq!(error.code(), 64);
        assert!(
            error
                .to_string()
                .starts_with("--template line 2: syntax error: "),
            "{error}"
        );
        let error = write("{{ hosts[0].zone }}").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("--template line 1: undefined value"),
            "{error}"
        );
    }
}
