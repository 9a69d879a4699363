//! The kernel's table, on a thread of its own.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError, mpsc};

use ipvs::{Command, CommandError, Destination, Entry, ServiceKey, proc};
use tokio::sync::oneshot;

use crate::host::kernel_lock::KernelLock;
use crate::host::preconditions::Process;

/// What is needed of the kernel. Blocks its caller.
pub trait Kernel: Send + 'static {
    /// The whole table.
    fn table(&mut self) -> Result<Vec<Entry>, KernelError>;

    /// The real servers of one service. None where there is no such service.
    fn servers(&mut self, service: &ServiceKey) -> Result<Vec<Destination>, KernelError>;

    /// The table as text: quick, and not all of it.
    fn sweep(&mut self) -> Result<Vec<proc::Service>, KernelError>;

    /// Carries commands out, in their order, with an outcome for each.
    fn execute(&mut self, commands: &[Command]) -> Vec<Result<(), CommandError>>;
}

/// The kernel could not be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelError {
    /// In words, with every cause.
    pub words: String,
    /// Trying again soon may help.
    pub is_temporary: bool,
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for KernelError {}

impl KernelError {
    fn new(error: &(dyn std::error::Error + 'static), is_temporary: bool) -> Self {
        let causes = std::iter::successors(Some(error), |error| error.source());
        let words: Vec<String> = causes.map(ToString::to_string).collect();
        Self {
            words: words.join(": "),
            is_temporary,
        }
    }
}

impl From<ipvs::Error> for KernelError {
    fn from(error: ipvs::Error) -> Self {
        use ipvs::Error;
        if matches!(error, Error::NoModule | Error::NotPermitted) {
            return Self {
                words: Process::look(Path::new("/proc/self")).explain(&error),
                is_temporary: false,
            };
        }
        Self::new(&error, true)
    }
}

impl From<proc::Error> for KernelError {
    fn from(error: proc::Error) -> Self {
        Self::new(&error, true)
    }
}

/// The kernel of this host, opened when it is first needed.
#[derive(Debug, Default)]
pub struct Linux {
    ipvs: Option<ipvs::Ipvs>,
    /// Taken before anything is changed; `None`: the kernel is only read.
    lock: Option<KernelLock>,
}

impl Linux {
    /// The kernel for its one manager.
    pub fn locked(lock: KernelLock) -> Self {
        Self {
            ipvs: None,
            lock: Some(lock),
        }
    }

    fn open(&mut self) -> Result<&mut ipvs::Ipvs, KernelError> {
        let ipvs = match self.ipvs.take() {
            Some(ipvs) => ipvs,
            None => ipvs::Ipvs::open()?,
        };
        let ipvs = self.ipvs.insert(ipvs);
        if let Some(lock) = &self.lock {
            lock.take()
                .map_err(|error| KernelError::new(&error, false))?;
        }
        Ok(ipvs)
    }
}

impl Kernel for Linux {
    fn table(&mut self) -> Result<Vec<Entry>, KernelError> {
        Ok(self.open()?.table()?)
    }

    fn servers(&mut self, service: &ServiceKey) -> Result<Vec<Destination>, KernelError> {
        Ok(self.open()?.destinations(service)?)
    }

    fn sweep(&mut self) -> Result<Vec<proc::Service>, KernelError> {
        Ok(proc::read()?)
    }

    fn execute(&mut self, commands: &[Command]) -> Vec<Result<(), CommandError>> {
        match self.open() {
            Ok(ipvs) => ipvs.execute(commands),
            // Whoever has a table has opened it: this ends with the next read.
            Err(_) => commands
                .iter()
                .map(|_| Err(CommandError::Unknown(ipvs::Lost::TimedOut)))
                .collect(),
        }
    }
}

/// A kernel on a thread of its own, which ends when this is dropped.
#[derive(Debug)]
pub struct Threaded<K>(Place<K>);

#[derive(Debug)]
enum Place<K> {
    There(mpsc::Sender<Task<K>>),
    Here(Mutex<K>),
}

type Task<K> = Box<dyn FnOnce(&mut K) + Send>;

impl<K: Kernel> Threaded<K> {
    /// Starts the thread.
    pub fn start(mut kernel: K) -> std::io::Result<Self> {
        let (sender, tasks) = mpsc::channel::<Task<K>>();
        std::thread::Builder::new()
            .name("ipvs".to_owned())
            .spawn(move || {
                for task in tasks {
                    task(&mut kernel);
                }
            })?;
        Ok(Self(Place::There(sender)))
    }

    /// Without a thread, for a kernel that never blocks: a test whose clock is
    /// paused cannot wait for a thread.
    pub fn here(kernel: K) -> Self {
        Self(Place::Here(Mutex::new(kernel)))
    }

    /// Has the kernel do something. If the answer is not waited for it is done
    /// all the same.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut K) -> T + Send + 'static,
    ) -> T {
        let thread = match &self.0 {
            Place::There(thread) => thread,
            Place::Here(kernel) => {
                return question(&mut kernel.lock().unwrap_or_else(PoisonError::into_inner));
            }
        };
        let (sender, answer) = oneshot::channel();
        let task = move |kernel: &mut K| {
            let _ = sender.send(question(kernel));
        };
        thread
            .send(Box::new(task))
            .expect("the thread lives as long as this does");
        answer
            .await
            .expect("the thread answers whatever it is asked")
    }
}
