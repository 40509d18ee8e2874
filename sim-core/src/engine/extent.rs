//! What follows from the number of iterations of a run: how often entries act, and when the run ends.

use super::EngineError;
use crate::program::{PlannedFiring, Program};
use crate::time::Tick;

/// A run's extent in time.
#[derive(Clone, Debug)]
pub(crate) struct Extent {
    metacycle: i64,
    /// Activations of every entry, and entries of how many places have one more.
    whole: u64,
    rest: u64,
    /// The tick at which the run ends: that after the last end of a firing.
    pub(crate) end: Tick,
}

impl Extent {
    /// The extent of a run of `iterations` iterations.
    ///
    /// # Errors
    /// [`EngineError::TooLong`] if a tick or a number of firings does not fit 62 bits.
    pub(crate) fn new(program: &Program, iterations: u64) -> Result<Self, EngineError> {
        let unroll = u64::from(program.unroll);
        let (whole, rest) = (iterations / unroll, iterations % unroll);
        let entries = program.firings.values().map(|f| f.last).chain(program.frames.values().map(|f| f.sent));
        let last = entries.max().unwrap_or_default().0;
        let firings = program.actors.values().map(|actor| actor.firings).max().unwrap_or(0);
        let ticks = i128::from(last) + (i128::from(whole) + 1) * i128::from(program.metacycle);
        if ticks.max((i128::from(whole) + 1) * i128::from(firings)) > 1 << 62 {
            return Err(EngineError::TooLong { iterations, metacycle: program.metacycle });
        }
        let mut extent = Self { metacycle: program.metacycle, whole, rest, end: Tick(0) };
        let ends = program.firings.values().map(|f| extent.last_end(f.last, f.place));
        extent.end = Tick(ends.max().unwrap_or(0));
        Ok(extent)
    }

    /// How often an entry of place `place` acts.
    #[inline]
    pub(crate) fn activations(&self, place: u32) -> i64 {
        (self.whole + u64::from(u64::from(place) < self.rest)) as i64
    }

    /// How many activations of an entry whose first one acts at `first` lie before `tick`.
    #[inline]
    pub(crate) fn before(&self, first: Tick, place: u32, tick: Tick) -> i64 {
        let reached = (tick.0 - first.0 + self.metacycle - 1).div_euclid(self.metacycle);
        reached.clamp(0, self.activations(place))
    }

    /// Metacycles from the start of the run to its end, a broken one counted whole.
    pub(crate) fn metacycles(&self) -> i64 {
        (self.end.0 + self.metacycle - 1).div_euclid(self.metacycle)
    }

    /// How many iterations are complete before `tick`, in which the run of `iterations` iterations was stopped.
    pub(crate) fn iterations_before(&self, program: &Program, iterations: u64, tick: Tick) -> u64 {
        let complete = |firing: &PlannedFiring| {
            let ended = self.before(firing.last, firing.place, tick) as u64;
            ended * u64::from(program.unroll) + u64::from(firing.place)
        };
        program.firings.values().map(complete).min().unwrap_or(iterations).min(iterations)
    }

    /// The tick after the last activation of an entry, 0 if it never acts.
    fn last_end(&self, first: Tick, place: u32) -> i64 {
        match self.activations(place) {
            0 => 0,
            count => first.0 + (count - 1) * self.metacycle + 1,
        }
    }
}
