//! Keeps a service's presence true, and lists who is there.

use std::process::ExitCode;

fn main() -> ExitCode {
    presence::process::exit::main(service_monitor::cli::run)
}
