//! A placed and routed problem, and the shortest metacycle for which it has slots.

use super::CompileError;
use crate::placement::{Placed, delays};
use crate::problem::Problem;
use crate::slotting::{Slotted, slot};
use num_rational::Ratio;

/// The part of a known metacycle by which a first schedule may be longer and still promise a shorter one.
const HOPE: i64 = 8;
/// Steps down towards the bound.
const BISECTIONS: usize = 10;

/// A placed and routed problem without slots.
pub(super) struct Routed<'a> {
    pub(super) problem: Problem<'a>,
    pub(super) placed: Placed,
}

/// Slots for a placement.
pub(super) struct Solution<'a> {
    pub(super) problem: Problem<'a>,
    pub(super) placed: Placed,
    pub(super) slotted: Slotted,
}

impl<'a> Routed<'a> {
    /// Ticks that a metacycle has at least.
    pub(super) fn shortest(&self) -> Ratio<i64> {
        self.placed.bound().max(Ratio::from_integer(self.problem.duration_max))
    }

    /// Starts from a schedule without any hurry, whose cycles tell how long a metacycle they need; goes up from there in
    /// steps that double until slots are found, then down towards the bound by bisection.
    ///
    /// `None` if the metacycle `known` seems out of reach.
    pub(super) fn shortest_metacycle(&self, known: Option<i64>) -> Result<Option<(i64, Slotted)>, CompileError> {
        let bound = self.shortest().ceil().to_integer();
        let leisure = self.leisure();
        let at_leisure = slot(&self.problem, &self.placed, leisure);
        let start = at_leisure.as_ref().map_or(bound, |slotted| slotted.needed.clamp(bound, leisure));
        if known.is_some_and(|known| start > known + known / HOPE) {
            return Ok(None);
        }
        let mut failed = bound;
        let mut found = at_leisure.map(|slotted| (leisure, slotted));
        let mut metacycle = start.max(bound + 1);
        let grain = (bound / 256).max(1);
        let mut step = grain;
        while found.as_ref().is_none_or(|(longest, _)| metacycle < *longest) {
            if let Some(slotted) = slot(&self.problem, &self.placed, metacycle) {
                found = Some((metacycle, slotted));
                break;
            }
            if metacycle > i64::MAX / 8 {
                return Err(CompileError::NoSlots { metacycle });
            }
            failed = metacycle;
            metacycle += step;
            step *= 2;
        }
        let mut found = found.expect("the loop ends with slots");
        for _ in 0..BISECTIONS {
            if found.0 - failed <= grain {
                break;
            }
            let metacycle = failed + (found.0 - failed) / 2;
            match slot(&self.problem, &self.placed, metacycle) {
                Some(slotted) => found = (metacycle, slotted),
                None => failed = metacycle,
            }
        }
        Ok(Some(found))
    }

    /// A metacycle in which everything could happen one after another.
    fn leisure(&self) -> i64 {
        let graph = &self.problem.graph;
        let work: i64 = graph.firings().map(|firing| graph.duration(firing)).sum();
        let delays = delays(&self.problem, &self.placed.flow_of, &self.placed.routes);
        delays.values().fold(work, |sum, &delay| sum.saturating_add(delay)).min(i64::MAX / 64)
    }

    pub(super) fn solved(self, slotted: Slotted) -> Solution<'a> {
        Solution { problem: self.problem, placed: self.placed, slotted }
    }
}

impl Solution<'_> {
    /// Ticks per iteration.
    pub(super) fn period(&self) -> Ratio<i64> {
        Ratio::new(self.slotted.metacycle, i64::from(self.problem.graph.unroll()))
    }
}
