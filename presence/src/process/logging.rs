//! Logs: one event a line, on stderr or to the journal. Data goes to stdout.
//!
//! `journalctl` shows an event's message and not its fields, which it only
//! searches (`journalctl BALANCER=…`). So a message has to be understood
//! without its fields: what, where, which value.

use std::io::{self, IsTerminal, Write};
use std::os::linux::fs::MetadataExt;

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::exit::Failure;

/// What is logged where `RUST_LOG` says nothing: libraries only where
/// something is wrong.
const DEFAULT_FILTER: &str = "info,aws=warn,aws_config::imds=error,h2=warn,hyper=warn,tower=warn";

/// `--log-format`: how events are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// To the journal where stderr is connected to it, else text
    #[default]
    Auto,
    /// Lines for people on stderr, coloured on a terminal
    Text,
    /// One JSON object a line on stderr
    Json,
    /// The journal's own protocol, with fields
    Journald,
}

/// Logging cannot be set up as asked.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// `RUST_LOG` cannot be read.
    #[error(
        "RUST_LOG is {value:?}, which is no filter; \
         a level (error, warn, info, debug, trace) or TARGET=LEVEL,… is expected"
    )]
    Filter {
        /// What it is.
        value: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The journal cannot be reached.
    #[error("cannot log to the journal (--log-format journald)")]
    Journal(#[source] io::Error),
    /// It was set up before.
    #[error("logging is set up already")]
    Twice,
}

impl From<LoggingError> for Failure {
    fn from(error: LoggingError) -> Self {
        match error {
            LoggingError::Twice => Self::unexpected(error),
            LoggingError::Filter { .. } | LoggingError::Journal(_) => Self::configuration(error),
        }
    }
}

/// Sets logging up for the process: once, before the first event.
pub fn init(format: LogFormat) -> Result<(), LoggingError> {
    let filter = filter(&std::env::var("RUST_LOG").unwrap_or_default())?;
    let output = output(format)?;
    tracing_subscriber::registry()
        .with(output.with_filter(filter))
        .try_init()
        .map_err(|_| LoggingError::Twice)
}

/// Where a program writes to, besides files of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descriptor {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// Whether this is connected to the journal, as systemd tells its services by
/// `JOURNAL_STREAM`: `systemd.exec(5)`.
pub fn is_journal(descriptor: Descriptor) -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    // The file behind the descriptor, without taking the descriptor.
    let file = match descriptor {
        Descriptor::Stdout => "/proc/self/fd/1",
        Descriptor::Stderr => "/proc/self/fd/2",
    };
    let Ok(file) = std::fs::metadata(file) else {
        return false;
    };
    stream == format!("{}:{}", file.st_dev(), file.st_ino())
}

fn filter(text: &str) -> Result<EnvFilter, LoggingError> {
    let text = if text.is_empty() {
        DEFAULT_FILTER
    } else {
        text
    };
    EnvFilter::builder()
        .with_default_directive(LevelFilter::ERROR.into())
        .parse(text)
        .map_err(|source| LoggingError::Filter {
            value: text.to_owned(),
            source,
        })
}

type Output = Box<dyn Layer<Registry> + Send + Sync>;

fn output(format: LogFormat) -> Result<Output, LoggingError> {
    match format {
        LogFormat::Json => Ok(json(io::stderr)),
        LogFormat::Journald => journal().map_err(LoggingError::Journal),
        // A service whose journal cannot be reached still has its stderr.
        LogFormat::Auto if is_journal(Descriptor::Stderr) => {
            Ok(journal().unwrap_or_else(|_| text(io::stderr, false)))
        }
        LogFormat::Text | LogFormat::Auto => Ok(text(io::stderr, colours())),
    }
}

/// <https://no-color.org>
fn colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !refused
}

fn journal() -> io::Result<Output> {
    let priorities = PriorityMappings {
        // The journal's words for what is no more than information.
        info: Priority::Informational,
        debug: Priority::Debug,
        ..PriorityMappings::new()
    };
    let layer = tracing_journald::layer()?
        .with_field_prefix(None)
        .with_priority_mappings(priorities);
    Ok(Box::new(layer))
}

fn text<W>(writer: W, colours: bool) -> Output
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(colours)
        .with_writer(OneLine(writer));
    Box::new(layer)
}

fn json<W>(writer: W) -> Output
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_writer(OneLine(writer));
    Box::new(layer)
}

/// Keeps each event on one line: the formatter hands over one event at a
/// time, with a newline at its end, and those inside are escaped.
struct OneLine<W>(W);

struct OneLineWriter<W>(W);

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for OneLine<W> {
    type Writer = OneLineWriter<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        OneLineWriter(self.0.make_writer())
    }
}

impl<W: Write> Write for OneLineWriter<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let inner = event.strip_suffix(b"\n").unwrap_or(event);
        if inner.contains(&b'\n') || inner.contains(&b'\r') {
            self.0.write_all(&escape(inner))?;
            self.0.write_all(b"\n")?;
        } else {
            self.0.write_all(event)?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn escape(line: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(line.len() + 8);
    for byte in line {
        match byte {
            b'\n' => escaped.extend_from_slice(b"\\n"),
            b'\r' => escaped.extend_from_slice(b"\\r"),
            byte => escaped.push(*byte),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{debug, error, info, warn};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that were logged.
    fn logged(
        output: impl FnOnce(Sink) -> Output,
        filter: EnvFilter,
        run: impl FnOnce(),
    ) -> String {
        let sink = Sink::default();
        let output = output(sink.clone());
        let subscriber = tracing_subscriber::registry().with(output.with_filter(filter));
        tracing::subscriber::with_default(subscriber, run);
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    fn text_to(sink: Sink) -> Output {
        text(move || sink.clone(), false)
    }

    fn json_to(sink: Sink) -> Output {
        json(move || sink.clone())
    }

    #[test]
    fn every_event_is_one_line() {
        let run = || {
            error!("first\r\nsecond");
            warn!(value = "a\nb", "third");
        };
        let lines = logged(text_to, filter("").unwrap(), run);
        assert_eq!(lines.lines().count(), 2, "{lines}");
        assert!(lines.contains("first\\r\\nsecond"), "{lines}");
        let lines = logged(json_to, filter("").unwrap(), run);
        for line in lines.lines() {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(
                event["level"].is_string() && event["message"].is_string(),
                "{line}"
            );
        }
        assert_eq!(lines.lines().count(), 2, "{lines}");
    }

    #[test]
    fn libraries_are_quiet_unless_asked_for() {
        let run = || {
            debug!("of ours");
            info!("information");
            info!(target: "hyper_util::client", "chatter");
            info!(target: "aws_config::profile", "chatter");
            warn!(target: "h2::codec", "trouble");
        };
        let lines = logged(text_to, filter("").unwrap(), run);
        assert!(
            lines.contains("information") && lines.contains("trouble"),
            "{lines}"
        );
        assert!(
            !lines.contains("chatter") && !lines.contains("of ours"),
            "{lines}"
        );
        let lines = logged(text_to, filter("debug").unwrap(), run);
        assert_eq!(lines.lines().count(), 5, "{lines}");
    }

    #[test]
    fn a_filter_that_is_none_is_a_matter_of_configuration() {
        let failure = Failure::from(filter("presence=loud").unwrap_err());
        assert_eq!(failure.code(), crate::process::exit::CONFIGURATION);
        let message = failure.to_string();
        assert!(
            message.starts_with("RUST_LOG is \"presence=loud\", which is no filter; "),
            "{message}"
        );
    }
}
