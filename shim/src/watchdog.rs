//! The watchdog: ends a program that computes and never waits, or that waits for what only the host knows.
//!
//! It looks from outside, now and then, at the processor time that a node's processes have used. Real time alone says
//! nothing: on a busy machine a program may wait for seconds until it gets a processor. Whatever it finds, it only ever
//! *fails* a run; it never lets time pass for a program.

use std::time::Duration;

/// How many times it looks within its limit.
pub(crate) const LOOKS: u32 = 10;

/// What the looks at one advance have shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watch {
    first: Option<Duration>,
    last: Duration,
    /// Looks in a row that have shown no change.
    idle: u32,
}

/// Why a program is to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has used a processor for as long as is allowed.
    Computes,
    /// It has used none for as long as is allowed, and has not come back either.
    Stands,
}

impl Watch {
    /// Takes in that the node's processes have `used` so much processor time, a look after the advance or the last look.
    pub(crate) fn look(&mut self, used: Duration, limit: Duration) -> Option<Verdict> {
        let Some(first) = self.first else {
            (self.first, self.last) = (Some(used), used);
            return None;
        };
        self.idle = if used == self.last { self.idle + 1 } else { 0 };
        self.last = used;
        // Up to the first look it may have computed all the time.
        let before_first = limit / LOOKS;
        if used.saturating_sub(first) + before_first >= limit {
            return Some(Verdict::Computes);
        }
        (self.idle + 1 >= LOOKS).then_some(Verdict::Stands)
    }
}

/// Processor time that process `pid`, its descendants, and those of them that have ended and were waited for have used.
pub(crate) fn processor_time(pid: i32) -> Duration {
    // `USER_HZ`, which is the same on all machines with this interface.
    const TICKS_PER_SECOND: u64 = 100;
    let mut ticks = 0;
    let mut open = vec![pid.to_string()];
    while let Some(pid) = open.pop() {
        ticks += ticks_of(&pid);
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            open.extend(children.split_ascii_whitespace().map(str::to_owned));
        }
    }
    Duration::from_millis(ticks * (1000 / TICKS_PER_SECOND))
}

/// The fields `utime`, `stime`, `cutime` and `cstime` of `/proc/PID/stat`; 0 if the process is gone.
fn ticks_of(pid: &str) -> u64 {
    /// Behind the program's name, which may hold anything.
    const FIRST: usize = 11;
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let Some((_, fields)) = status.rsplit_once(") ") else { return 0 };
    fields.split(' ').skip(FIRST).take(4).filter_map(|field| field.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// The looks, a second apart, after which a program is ended that uses `used(look)` milliseconds in all.
    fn ended_after(used: impl Fn(u64) -> u64) -> Option<(u64, Verdict)> {
        let mut watch = Watch::default();
        (1..1000).find_map(|look| Some((look, watch.look(Duration::from_millis(used(look)), LIMIT)?)))
    }

    #[test]
    fn who_computes_is_ended_at_the_limit() {
        assert_eq!(ended_after(|look| 5_000 + look * 1_000), Some((10, Verdict::Computes)));
    }

    /// A tenth of a processor is all that it gets.
    #[test]
    fn who_gets_no_processor_has_the_time_that_he_needs() {
        assert_eq!(ended_after(|look| look * 100), Some((91, Verdict::Computes)));
    }

    #[test]
    fn who_does_nothing_is_ended_at_the_limit() {
        assert_eq!(ended_after(|_| 5_000), Some((10, Verdict::Stands)));
        assert_eq!(ended_after(|look| look.min(50) * 10), Some((59, Verdict::Stands)));
    }

    #[test]
    fn this_process_uses_a_processor() {
        let own = std::process::id() as i32;
        let before = processor_time(own);
        let begin = std::time::Instant::now();
        while processor_time(own) == before {
            assert!(begin.elapsed() < Duration::from_secs(60), "no time is counted");
        }
        assert_eq!(processor_time(-1), Duration::ZERO);
    }
}
