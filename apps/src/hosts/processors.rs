//! Processors that programs may be bound to.

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

/// The processors that the calling thread may use; none if the system does not say.
pub(super) fn processors() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return Vec::new() };
    (0..CpuSet::count()).filter(|&processor| set.is_set(processor).unwrap_or(false)).collect()
}
