//! Runs one health-checked container per unit, published to its load balancers.

use std::process::ExitCode;

fn main() -> ExitCode {
    presence::process::exit::main(launcher::cli::run)
}
