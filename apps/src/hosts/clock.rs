//! What time it is when a firing starts: its tick in the calendars, times the period.
//!
//! Nodes count in normal form here, from the start of the run, so their clocks agree as well as clocks can that tell time over
//! the same links. What a node's own counter showed when the links came up differs from boot to boot; a program that saw it
//! would not run the same on other oscillators.

use calendars::CalendarSet;
use shim::Nanos;
use sim_core::ActorId;

/// The ticks at which one actor's firings start, and what they are in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeClock {
    metacycle: i64,
    /// First metacycle and slot of each firing of a metacycle, by their number in it.
    starts: Vec<(u32, i64)>,
    tick_ns: u64,
}

/// Why calendars tell no times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// An actor that never fires, or some of whose firings are missing.
    #[error("the calendars hold no firing number {index} of {actor}")]
    NoFiring {
        /// The actor.
        actor: ActorId,
        /// Number of the firing in a metacycle.
        index: usize,
    },
}

impl NodeClock {
    /// The clock of `actor`, whose firings `calendars` place. A tick has `tick_ns` nanoseconds.
    ///
    /// # Errors
    /// [`ClockError`].
    pub fn new(calendars: &CalendarSet, actor: ActorId, tick_ns: u64) -> Result<Self, ClockError> {
        let mut entries = Vec::new();
        for calendar in calendars.nodes.values() {
            for entry in calendar.compute.iter().filter(|entry| entry.actor == actor) {
                entries.extend(entry.firings().map(|firing| (firing.index as usize, (entry.first, firing.slot))));
            }
        }
        entries.sort_unstable();
        let missing = entries.iter().enumerate().find(|&(at, &(index, _))| at != index);
        if let (Some((index, _)), _) | (None, (true, index)) = (missing, (entries.is_empty(), 0)) {
            return Err(ClockError::NoFiring { actor, index });
        }
        let starts = entries.into_iter().map(|(_, start)| start).collect();
        Ok(Self { metacycle: calendars.metacycle, starts, tick_ns })
    }

    /// When firing `index` (over the whole run, from 0) starts.
    #[must_use]
    pub fn at(&self, index: u64) -> Nanos {
        let count = self.starts.len() as u64;
        let (first, slot) = self.starts[(index % count) as usize];
        let metacycle = i128::from(first) + i128::from(index / count);
        let tick = metacycle * i128::from(self.metacycle) + i128::from(slot);
        Nanos(u64::try_from(tick.max(0) * i128::from(self.tick_ns)).unwrap_or(u64::MAX))
    }
}
