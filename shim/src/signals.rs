//! Signals of programs: which are pending, and what they would do. The host's kernel keeps them; their order is ours.

use std::fs;

/// Signal sets of a thread, one bit each, signal 1 in the lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signals {
    pending: u64,
    blocked: u64,
    ignored: u64,
    caught: u64,
}

/// Signals that do nothing unless a program wants them: CHLD, CONT, URG, WINCH.
const HARMLESS: u64 = bit(libc::SIGCHLD) | bit(libc::SIGCONT) | bit(libc::SIGURG) | bit(libc::SIGWINCH);

const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

impl Signals {
    /// Those of thread `tid`, by the host's number.
    pub(crate) fn of(tid: i32) -> Self {
        // A thread that is gone has no signals.
        Self::parse(&fs::read_to_string(format!("/proc/{tid}/status")).unwrap_or_default())
    }

    fn parse(status: &str) -> Self {
        let mut signals = Self::default();
        for line in status.lines() {
            let Some((name, value)) = line.split_once(":\t") else { continue };
            let set = || u64::from_str_radix(value.trim(), 16).unwrap_or(0);
            match name {
                "SigPnd" | "ShdPnd" => signals.pending |= set(),
                "SigBlk" => signals.blocked = set(),
                "SigIgn" => signals.ignored = set(),
                "SigCgt" => signals.caught = set(),
                _ => {}
            }
        }
        signals
    }

    /// Those that are held back, ignored, and caught.
    pub(crate) fn sets(self) -> [u64; 3] {
        [self.blocked, self.ignored, self.caught]
    }

    /// Whether one is about to be delivered that the program notices: it has a handler, or ends.
    pub(crate) fn interrupt(self) -> bool {
        let deliverable = self.pending & !self.blocked & !self.ignored;
        deliverable & (self.caught | !HARMLESS) != 0
    }

    /// Whether one is about to be delivered while only `blocked` are held back.
    pub(crate) fn deliverable_with(self, blocked: u64) -> bool {
        self.pending & !blocked != 0
    }
}

/// The number of the signal called `name`, such as `SIGTERM` or `TERM`.
#[must_use]
pub fn signal_number(name: &str) -> Option<i32> {
    let long = if name.starts_with("SIG") { name.to_owned() } else { format!("SIG{name}") };
    long.parse::<nix::sys::signal::Signal>().ok().map(|signal| signal as i32)
}

/// Whether any signal is pending for thread `tid`, held back or not.
pub(crate) fn is_pending(tid: i32) -> bool {
    Signals::of(tid).pending != 0
}

/// The number that a thread or process has within its namespace.
pub(crate) fn number_within(tid: i32) -> i32 {
    let status = fs::read_to_string(format!("/proc/{tid}/status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    numbers.and_then(|numbers| numbers.split_ascii_whitespace().last()?.parse().ok()).unwrap_or(tid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_signals_that_do_something_interrupt() {
        let status = |blocked: u64, caught: u64| {
            format!(
                "SigPnd:\t0\nShdPnd:\t{:016x}\nSigBlk:\t{blocked:016x}\nSigIgn:\t0\nSigCgt:\t{caught:016x}\n",
                bit(libc::SIGCHLD)
            )
        };
        assert!(!Signals::parse(&status(0, 0)).interrupt());
        assert!(Signals::parse(&status(0, bit(libc::SIGCHLD))).interrupt());
        assert!(!Signals::parse(&status(bit(libc::SIGCHLD), bit(libc::SIGCHLD))).interrupt());
    }
}
