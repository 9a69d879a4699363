//! Which processor a guest runs on.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The next guest's, of those that this process may use; the first is anyone's guess, so that
/// several test programs do not all begin with the same.
static NEXT: LazyLock<AtomicUsize> = LazyLock::new(|| AtomicUsize::new(fastrand::usize(..1024)));

/// Keeps a guest on one processor. A guest has only one, and each of its system calls is a switch
/// between two processes of the host: that is ten times as long where the second has to be woken on
/// another processor of a busy machine.
pub(super) fn pin(pid: u32) {
    let Ok(pid) = i32::try_from(pid) else {
        return;
    };
    // Where this is not allowed, it is slower.
    let Ok(allowed) = sched_getaffinity(Pid::from_raw(0)) else {
        return;
    };
    let all = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu) == Ok(true));
    let all: Vec<usize> = all.collect();
    if all.is_empty() {
        return;
    }
    let mut one = CpuSet::new();
    let next = NEXT.fetch_add(1, Ordering::Relaxed) % all.len();
    if one.set(all[next]).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(pid), &one);
    }
}
