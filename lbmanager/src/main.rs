//! Keeps load balancers as a tree of keys in etcd says.

use std::process::ExitCode;

fn main() -> ExitCode {
    presence::process::exit::main(lbmanager::cli::run)
}
