//! Processors, and threads that are bound to one.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::cell::Cell;

/// The calling thread.
const THIS: Pid = Pid::from_raw(0);

/// The processors that the calling thread may use; none if the system does not say.
pub(super) fn processors() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(THIS) else { return Vec::new() };
    (0..CpuSet::count()).filter(|&processor| set.is_set(processor).unwrap_or(false)).collect()
}

/// Binds the calling thread to a processor, if it is not bound to it already.
pub(super) fn bind(processor: Option<usize>) {
    thread_local!(static BOUND: Cell<Option<usize>> = const { Cell::new(None) });
    let Some(wanted) = processor.filter(|_| BOUND.get() != processor) else { return };
    let mut set = CpuSet::new();
    // Where it is not allowed, all goes on, only slower.
    if set.set(wanted).and_then(|()| sched_setaffinity(THIS, &set)).is_ok() {
        BOUND.set(processor);
    }
}
