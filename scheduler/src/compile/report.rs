//! How good calendars are.

use crate::bounds::Bound;
use num_rational::Ratio;
use sim_core::{IdVec, NodeId};
use std::fmt;

/// Figures of a compiled application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Ticks per iteration: metacycle ÷ U.
    pub iteration_period: Ratio<i64>,
    /// Ticks of one metacycle.
    pub metacycle: i64,
    /// Iterations per metacycle, U.
    pub unroll: u32,
    /// For any placement that respects the pins.
    pub bound: Bound,
    /// For this placement and routing.
    pub placed_bound: Bound,
    /// Ticks from the first start to the last end of iteration 0.
    pub latency_ticks: i64,
    /// Words of memory used, per node.
    pub memory_words: IdVec<NodeId, u64>,
    /// Run-length entries in all calendars.
    pub calendar_entries: usize,
}

impl Report {
    /// How far the period is above what this placement and routing allow, as a fraction.
    #[must_use]
    pub fn gap(&self) -> f64 {
        self.placed_bound.gap(self.iteration_period)
    }

    /// How far the period is above what any placement allows, as a fraction.
    #[must_use]
    pub fn gap_total(&self) -> f64 {
        self.bound.gap(self.iteration_period)
    }

    /// Words of memory used on the fullest node.
    #[must_use]
    pub fn memory_words_max(&self) -> u64 {
        self.memory_words.values().copied().max().unwrap_or(0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |gap: f64| format!("{:.1} %", gap * 100.0);
        writeln!(
            f,
            "iteration period  {} ticks (metacycle {}, unroll {})",
            self.iteration_period, self.metacycle, self.unroll
        )?;
        writeln!(
            f,
            "bound             {} ticks for this placement, by {} (gap {})",
            self.placed_bound.ticks,
            self.placed_bound.kind.name(),
            percent(self.gap())
        )?;
        writeln!(
            f,
            "                  {} ticks for any placement, by {} (gap {})",
            self.bound.ticks,
            self.bound.kind.name(),
            percent(self.gap_total())
        )?;
        writeln!(f, "latency           {} ticks", self.latency_ticks)?;
        writeln!(f, "memory            {} words on the fullest node", self.memory_words_max())?;
        write!(f, "calendars         {} entries", self.calendar_entries)
    }
}

/// What the user should know although it is no error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// A duration of 0 in the file.
    #[error("actor `{actor}` has an exec of 0 ticks, compiled as 1")]
    ZeroExec {
        /// The actor's name.
        actor: String,
    },
}
