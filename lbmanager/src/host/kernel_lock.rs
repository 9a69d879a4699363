//! One manager for the virtual services of a kernel (a network namespace).
//!
//! The lock is an abstract Unix socket: the name exists once per network
//! namespace, as the table does, and ends with the process.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::preconditions::Process;

const NAME: &[u8] = b"lbmanager-ipvs";

/// Keeps other managers from this kernel's virtual services, once it is taken
/// and as long as it lives. Clones are the same lock.
#[derive(Debug, Clone)]
pub struct KernelLock {
    runtime: Handle,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
enum State {
    Free,
    Held(JoinHandle<()>),
    /// A process has the name that cannot be a manager.
    Unavailable,
}

/// Why the lock cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another manager has it.
    #[error(
        "the virtual services of this kernel (network namespace) are managed by another \
         lbmanager{}; stop that process, or run this one with --backends elb",
        pid.map_or(String::new(), |pid| format!(", the process {pid}"))
    )]
    Taken {
        /// Its process ID, if it is known here.
        pid: Option<i32>,
    },
    /// The system does not permit it.
    #[error("cannot create the socket @lbmanager-ipvs")]
    Socket(#[source] io::Error),
}

impl KernelLock {
    /// A lock that is not taken yet. To be called within a runtime.
    pub fn new() -> Self {
        Self {
            runtime: Handle::current(),
            state: Arc::new(Mutex::new(State::Free)),
        }
    }

    /// Takes it, unless this process has it.
    pub fn take(&self) -> Result<(), LockError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Free) {
            let _runtime = self.runtime.enter();
            *state = bind()?;
        }
        Ok(())
    }
}

/// Whether the kernel has virtual services yet; its module may be loaded later.
pub fn has_table() -> bool {
    Path::new("/proc/net/ip_vs").exists()
}

impl Default for KernelLock {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Self::Held(task) = self {
            task.abort();
        }
    }
}

fn bind() -> Result<State, LockError> {
    let address = SocketAddr::from_abstract_name(NAME).map_err(LockError::Socket)?;
    loop {
        match UnixListener::bind_addr(&address) {
            Ok(listener) => return hold(listener).map_err(LockError::Socket),
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                return Err(LockError::Socket(error));
            }
            Err(_) => {}
        }
        // If nobody listens any more, the name is free.
        if let Ok(stream) = UnixStream::connect_addr(&address) {
            return judge(holder(stream));
        }
    }
}

/// Accepts every connection: a second manager connects to learn the process ID.
fn hold(listener: UnixListener) -> io::Result<State> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::UnixListener::from_std(listener)?;
    Ok(State::Held(tokio::spawn(async move {
        loop {
            if listener.accept().await.is_err() {
                sleep(Duration::from_secs(1)).await;
            }
        }
    })))
}

/// The process that listens at the other end.
fn holder(stream: UnixStream) -> Option<i32> {
    stream.set_nonblocking(true).ok()?;
    let stream = tokio::net::UnixStream::from_std(stream).ok()?;
    // Of another PID namespace the kernel says 0.
    stream.peer_cred().ok()?.pid().filter(|pid| *pid > 0)
}

/// Any user may take the name, so a process without the capability does not
/// keep a manager from its work.
fn judge(pid: Option<i32>) -> Result<State, LockError> {
    let process = pid.map(|pid| Process::look(&PathBuf::from(format!("/proc/{pid}"))));
    if process.is_some_and(|process| process.admin == Some(false)) {
        tracing::warn!(
            "the process {} has the socket @lbmanager-ipvs and cannot be a manager, as it lacks \
             CAP_NET_ADMIN; a second manager of this kernel would not be noticed",
            pid.unwrap_or_default()
        );
        return Ok(State::Unavailable);
    }
    Err(LockError::Taken { pid })
}
