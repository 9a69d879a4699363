//! The kernel guest.

mod ends;
mod runs;

use testbed::guest::{Guest, Kernel};

/// Never the machine's own kernel: these tests write everywhere and let the kernel panic.
fn guest() -> Guest {
    Guest::new()
        .expect("the environment says nothing wrong")
        .kernel(Kernel::Guest)
}
