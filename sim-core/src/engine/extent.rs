//! What follows from the number of iterations of a run: when each class of entries acts, and when the run ends.

use super::EngineError;
use crate::program::{FiringEvent, Program};
use crate::time::Tick;
use std::ops::Range;

/// The state left by the tick before the one in slot `slot` of metacycle `metacycle`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) metacycle: u64,
    pub(super) slot: i64,
}

impl Row {
    /// The first tick that it does not include.
    pub(super) fn tick(self, metacycle: i64) -> Tick {
        Tick(self.metacycle as i64 * metacycle + self.slot)
    }
}

/// A run's extent in time.
pub(super) struct Extent {
    /// Metacycles in which a class acts, indexed by class.
    ranges: Vec<Range<u64>>,
    /// Metacycles in which all classes act.
    pub(super) steady: Range<u64>,
    /// The row at which the run ends.
    pub(super) end: Row,
}

impl Extent {
    /// The extent of a run of `iterations` iterations.
    ///
    /// # Errors
    /// [`EngineError::TooLong`] if a tick or a number of firings does not fit 62 bits.
    pub(super) fn new(program: &Program, iterations: u64) -> Result<Self, EngineError> {
        let too_long = || EngineError::TooLong { iterations, metacycle: program.metacycle };
        let unroll = u64::from(program.unroll);
        let (whole, rest) = (iterations / unroll, iterations % unroll);
        let mut ranges = Vec::with_capacity(program.classes.len());
        for class in &program.classes {
            let activations = whole + u64::from(u64::from(class.place) < rest);
            let end = class.first.checked_add(activations).ok_or_else(too_long)?;
            ranges.push(class.first..end);
        }
        let last = ranges.iter().map(|range| range.end).max().unwrap_or(0);
        let firings = program.actors.values().map(|actor| actor.firings).max().unwrap_or(0);
        let ticks = i128::from(last + 1) * i128::from(program.metacycle);
        if ticks.max(i128::from(whole + 1) * i128::from(firings)) > 1 << 62 {
            return Err(too_long());
        }
        let steady = Range {
            start: ranges.iter().map(|range| range.start).max().unwrap_or(0),
            end: ranges.iter().map(|range| range.end).min().unwrap_or(0),
        };
        let mut extent = Self { ranges, steady, end: Row { metacycle: 0, slot: 0 } };
        extent.end = extent.last_firing_end(program);
        Ok(extent)
    }

    /// Metacycles in which `class` acts.
    pub(super) fn range(&self, class: u32) -> Range<u64> {
        self.ranges[class as usize].clone()
    }

    /// How many activations of an entry in slot `slot` lie before `row`.
    pub(super) fn activations_before(&self, class: u32, slot: i64, row: Row) -> u64 {
        let Range { start, end } = self.range(class);
        let reached = row.metacycle + u64::from(slot < row.slot);
        reached.saturating_sub(start).min(end - start)
    }

    /// Sets `active`, indexed by class, for one metacycle; returns whether any class acts.
    pub(super) fn mark_active(&self, metacycle: u64, active: &mut [bool]) -> bool {
        assert_eq!(self.ranges.len(), active.len());
        let mut any = false;
        for (range, active) in self.ranges.iter().zip(active) {
            *active = range.contains(&metacycle);
            any |= *active;
        }
        any
    }

    /// The first metacycle after `metacycle` in which a class starts to act.
    pub(super) fn next_start(&self, metacycle: u64) -> Option<u64> {
        let starting = self.ranges.iter().filter(|range| range.start > metacycle && !range.is_empty());
        starting.map(|range| range.start).min()
    }

    fn last_firing_end(&self, program: &Program) -> Row {
        let acting = program.firings.iter().filter(|event| !self.range(event.class).is_empty());
        let last = acting.map(|event| (self.range(event.class).end - 1, event.slot)).max();
        match last {
            None => Row { metacycle: 0, slot: 0 },
            Some((metacycle, slot)) if slot + 1 == program.metacycle => Row { metacycle: metacycle + 1, slot: 0 },
            Some((metacycle, slot)) => Row { metacycle, slot: slot + 1 },
        }
    }

    /// How many iterations are complete before `row`, in which the run of `iterations` iterations was stopped.
    pub(super) fn iterations_before(&self, program: &Program, iterations: u64, row: Row) -> u64 {
        let incomplete = |event: &FiringEvent| {
            let ended = self.activations_before(event.class, event.slot, row);
            ended * u64::from(program.unroll) + u64::from(program.classes[event.class as usize].place)
        };
        program.firings.iter().map(incomplete).min().unwrap_or(iterations).min(iterations)
    }
}
