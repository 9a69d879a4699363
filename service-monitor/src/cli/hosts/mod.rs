//! `service-monitor hosts`.

mod follow;
mod output;
mod template;
mod text;

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use presence::keys::service_monitor::hosts_prefix;
use presence::mirror::View;
use presence::model::{Label, ServiceHost};
use presence::process::duration;
use presence::process::exit::Failure;
use presence::process::host_address::AddressArgs;
use presence::store::Store;

use self::output::Output;
use self::template::Compiled;
use self::text::{Form, Format};
use super::EtcdCommand;
use crate::catalogue::{Catalogue, Selection};

pub(super) const EXAMPLE: &str = "Examples:
  service-monitor hosts --label es
  service-monitor hosts --label es --port 9300 --except-self
  service-monitor hosts --label es --wait=3 --timeout 5m
  service-monitor hosts --label es --watch --format json
  service-monitor hosts --label es --watch --template @/etc/haproxy/haproxy.cfg.j2 \\
      --output /etc/haproxy/haproxy.cfg --exec 'systemctl reload haproxy'

Sorted by address. Nothing is written, and the exit code is 0, where nobody is up. An address has
the port that its watch was given, or that of --port.

A template is one of Jinja's, over `label` and `hosts`, each with address, host, port, service_id,
state, info and since:
  {% for h in hosts %}
    server {{ h.service_id }} {{ h.host }}:{{ h.port or 9200 }} check
  {% endfor %}

Exits 1 where --timeout is over or --exec failed. With --watch it goes on until SIGTERM, and after
an outage of etcd goes on by itself.";

/// Flags of `hosts`.
#[derive(Debug, Clone, Args)]
pub struct HostsArgs {
    #[command(flatten)]
    etcd: EtcdCommand,

    /// The services that belong together
    #[arg(long)]
    label: Label,

    /// The port of all of them
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// How it is written [default: csv, or template where --template is given]
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,

    /// The template, or @FILE that it is in
    #[arg(long, value_name = "TEMPLATE", required_if_eq("format", "template"))]
    template: Option<String>,

    /// Also those that are down, with the state behind each address
    #[arg(long)]
    all: bool,

    /// Wait until there are so many [one, where no number is given]
    #[arg(long, value_name = "NUMBER", num_args = 0..=1, require_equals = true,
          default_missing_value = "1")]
    wait: Option<NonZeroUsize>,

    /// How long is waited [default: for ever]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, requires = "wait")]
    timeout: Option<Duration>,

    /// Go on, and write them again whenever they change
    #[arg(long)]
    watch: bool,

    /// Write them into this file, whole or not at all, and only if they changed
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// What /bin/sh is to run when the file was changed
    #[arg(long, value_name = "COMMAND", requires = "output")]
    exec: Option<String>,

    /// Those of this host not
    #[arg(long)]
    except_self: bool,

    #[command(flatten)]
    address: AddressArgs,
}

/// What is listed, how, and where to.
struct Hosts {
    label: Label,
    selection: Selection,
    form: Form,
    output: Output,
    /// Whether another list may follow, which it is to be told from.
    more_follow: bool,
}

pub(super) async fn run(args: HostsArgs) -> Result<ExitCode, Failure> {
    let hosts = Hosts::new(&args)?;
    let store = args.etcd.start().await?;
    if args.watch || args.wait.is_some() {
        return Box::pin(follow::run(store, &args, &hosts)).await;
    }
    let listing = store.list(&hosts.prefix(), None).await?;
    let mut catalogue = Catalogue::default();
    catalogue.list_all(&listing.entries);
    let _ = hosts.put(&hosts.selection.of(&catalogue)).await?;
    Ok(ExitCode::SUCCESS)
}

impl Hosts {
    fn new(args: &HostsArgs) -> Result<Self, Failure> {
        let output = match &args.output {
            Some(path) => Output::File {
                path: path.clone(),
                command: args.exec.clone(),
            },
            None => Output::Stdout,
        };
        let except = args.except_self.then(|| args.address.of_host());
        let form = args.form()?;
        Ok(Self {
            label: args.label.clone(),
            more_follow: args.watch && args.output.is_none(),
            selection: Selection {
                all: args.all,
                port: args.port,
                except: except.transpose()?,
            },
            form,
            output,
        })
    }

    fn prefix(&self) -> String {
        hosts_prefix(&self.label)
    }

    /// Hands them over. Break: nobody reads any more.
    async fn put(&self, hosts: &[ServiceHost]) -> Result<ControlFlow<()>, Failure> {
        let mut text = self.form.write(&self.label, hosts)?;
        let one_line = !matches!(self.form, Form::Lines { .. } | Form::Template(_));
        if self.more_follow && !(one_line && text.ends_with('\n')) {
            text.push('\n');
        }
        self.output.put(&text).await
    }
}

impl HostsArgs {
    fn form(&self) -> Result<Form, Failure> {
        let states = self.all;
        match (self.format, &self.template) {
            (None | Some(Format::Template), Some(template)) => {
                Compiled::read(template).map(Form::Template)
            }
            (Some(_), Some(_)) => Err(Failure::usage(
                "--template is for --format template, and another format was given",
            )),
            (Some(Format::Template), None) => Err(Failure::usage("--template is missing")),
            (None | Some(Format::Csv), None) => Ok(Form::Csv { states }),
            (Some(Format::Lines), None) => Ok(Form::Lines { states }),
            (Some(Format::Json), None) => Ok(Form::Json),
            (Some(Format::Prometheus), None) => Ok(Form::Prometheus),
        }
    }
}
