//! A kernel of its own for programs that program the kernel: Linux as a process.
//!
//! The guest is user-mode Linux over the host's own files. Programs, test binaries and the folder
//! of cargo are where they are outside; everything can be written to, in the guest's memory, and
//! nothing of it gets to the host except through a [folder](Guest::folder). It boots in 2 seconds,
//! has IPVS with all its schedulers, and any user may start one.
//!
//! ```no_run
//! # async fn f() -> testbed::Result<()> {
//! let table = testbed::guest::run("ipvsadm", ["-Ln"]).await?;
//! assert!(table.starts_with("IP Virtual Server"));
//! # Ok(()) }
//! ```
//!
//! With `TESTBED_KERNEL=own` in the environment the same programs run on the machine's own kernel,
//! in network and mount namespaces of their own: quicker, but root and a kernel with ip_vs are
//! needed, and what they write to files and to the rest of the kernel is the machine's.
//!
//! Tests that are to run inside are a [`suite`].

mod capture;
mod files;
mod finished;
mod kernel;
mod processor;
mod running;
pub mod shell;
pub mod suite;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

pub use self::finished::Finished;
pub use self::kernel::Kernel;
pub use self::running::Running;
use crate::error::{Error, Result};

/// Says what a guest is to have and to run.
#[derive(Debug, Clone)]
pub struct Guest {
    kernel: Kernel,
    memory_mib: u32,
    time_limit: Duration,
    folders: Vec<PathBuf>,
    modules: Vec<String>,
    environment: Vec<(OsString, OsString)>,
    current_dir: Option<PathBuf>,
    echo: bool,
    host: bool,
}

/// Runs one program in a guest, and gives its output; to fail is an error.
pub async fn run(
    program: impl AsRef<OsStr>,
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<String> {
    Guest::new()?.run(program, args).await?.success()
}

impl Guest {
    /// One with 512 MiB, of which half can be used for files, and a limit of five minutes.
    pub fn new() -> Result<Self> {
        Ok(Self {
            kernel: Kernel::from_environment()?,
            memory_mib: 512,
            time_limit: Duration::from_mins(5),
            folders: Vec::new(),
            modules: Vec::new(),
            environment: Vec::new(),
            current_dir: None,
            echo: false,
            host: false,
        })
    }

    /// Another kernel than the one that the environment asks for.
    #[must_use]
    pub fn kernel(mut self, kernel: Kernel) -> Self {
        self.kernel = kernel;
        self
    }

    /// A whole host instead of the bare kernel, with 2 GiB; see [`host`](crate::host). It is always
    /// a guest, whatever the environment asks for.
    #[must_use]
    pub fn host(mut self) -> Self {
        self.host = true;
        self.kernel = Kernel::Guest;
        self.memory_mib(2048)
    }

    /// How much memory it has. The machine gives it when it is first used.
    #[must_use]
    pub fn memory_mib(mut self, mib: u32) -> Self {
        self.memory_mib = mib;
        self
    }

    /// For how long the program may run. The time to boot does not count.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// A folder of the host where what is written inside gets to the host. It has the same path
    /// inside. On the machine's own kernel every folder is one.
    #[must_use]
    pub fn folder(mut self, path: impl Into<PathBuf>) -> Self {
        self.folders.push(path.into());
        self
    }

    /// Modules of the kernel to be loaded. Those of IPVS are; many others load themselves when they
    /// are needed (veth, bridge, dummy, those of iptables).
    #[must_use]
    pub fn modules(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.modules.extend(names.into_iter().map(Into::into));
        self
    }

    /// An environment variable, besides those of this process.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Where the program runs; otherwise where this process does.
    #[must_use]
    pub fn current_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.current_dir = Some(path.into());
        self
    }

    /// Passes on what the program writes as it comes, to the standard output and error of this
    /// process.
    #[must_use]
    pub fn echo(mut self) -> Self {
        self.echo = true;
        self
    }

    /// Runs a program to its end. How it ended, well or not, is in the result; an error is a guest
    /// that did not get as far: it did not boot, its kernel panicked, the time was over.
    pub async fn run(
        &self,
        program: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<Finished> {
        self.start(program, args).await?.wait().await
    }

    /// Boots it and starts a program in it.
    pub async fn start(
        &self,
        program: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<Running> {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned());
        let command: Vec<OsString> = std::iter::once(program.as_ref().to_owned())
            .chain(args)
            .collect();
        Running::start(self, &command, None).await
    }

    fn folder_of_program(&self) -> Result<PathBuf> {
        match &self.current_dir {
            Some(path) => Ok(path.clone()),
            None => std::env::current_dir().map_err(Error::io("find", "the current directory")),
        }
    }
}
