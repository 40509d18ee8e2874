//! Processors: which there are, and on which one a thread stays that drives programs.
//!
//! A program and its supervisor share a processor. The thread that lets them run waits meanwhile; on the same processor that
//! is a switch each way, and on another one a wake-up, which takes several times as long. Where threads run changes no
//! result, so whoever is not allowed to choose goes without.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::cell::Cell;

/// The calling thread, for the system.
const THIS_THREAD: Pid = Pid::from_raw(0);

thread_local! {
    /// Where the calling thread stays, and where else it might run.
    static STAYS: Cell<Option<(usize, CpuSet)>> = const { Cell::new(None) };
}

/// The processors that the calling thread may use, where it does not stay on one; none if the system does not say.
pub(super) fn processors() -> Vec<usize> {
    let allowed = STAYS.get().map_or_else(|| sched_getaffinity(THIS_THREAD).ok(), |(_, allowed)| Some(allowed));
    let Some(allowed) = allowed else { return Vec::new() };
    (0..CpuSet::count()).filter(|&processor| allowed.is_set(processor).unwrap_or(false)).collect()
}

/// Keeps the calling thread on `processor` until [`leave`].
pub(super) fn stay(processor: usize) {
    if STAYS.get().is_some_and(|(stays, _)| stays == processor) {
        return;
    }
    leave();
    let Ok(allowed) = sched_getaffinity(THIS_THREAD) else { return };
    let mut only = CpuSet::new();
    if only.set(processor).and_then(|()| sched_setaffinity(THIS_THREAD, &only)).is_ok() {
        STAYS.set(Some((processor, allowed)));
    }
}

/// Lets the calling thread run again wherever it could.
pub(super) fn leave() {
    if let Some((_, allowed)) = STAYS.take() {
        // If the system has taken these processors away meanwhile, it has given others.
        let _ = sched_setaffinity(THIS_THREAD, &allowed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the calling thread may run, by what the system says.
    fn allowed() -> Vec<usize> {
        let set = sched_getaffinity(THIS_THREAD).unwrap();
        (0..CpuSet::count()).filter(|&processor| set.is_set(processor).unwrap()).collect()
    }

    #[test]
    fn a_thread_stays_and_leaves() {
        let all = allowed();
        assert_eq!(processors(), all);
        for &processor in &all {
            stay(processor);
            assert_eq!(allowed(), [processor]);
            assert_eq!(processors(), all, "a thread that stays somewhere could be elsewhere");
        }
        leave();
        assert_eq!(allowed(), all);
    }

    #[test]
    fn a_processor_that_is_not_there_changes_nothing() {
        let all = allowed();
        stay(CpuSet::count() - 1);
        stay(CpuSet::count());
        assert_eq!(allowed(), all);
    }
}
