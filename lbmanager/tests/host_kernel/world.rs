//! What tells of the kernel.

use std::process::Command;

use lbmanager::host::links::{Links, Route};

/// What a program wrote that must have ended well.
pub fn run(program: &str, args: &str) -> String {
    let args: Vec<&str> = args.split_ascii_whitespace().collect();
    let output = Command::new(program).args(&args).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

pub fn links() -> Links {
    Route::open().unwrap().links().unwrap()
}
