//! Compilation: from an application and a machine to verified calendars.
//!
//! Bound → placement and routing for a few numbers of unrolled iterations → slots at the shortest metacycle that works →
//! memory → calendars → verifier. Each stage is a module; this one decides what is tried, in which order.

mod error;
mod finish;
mod machines;
mod report;
mod routed;
mod search;

pub use error::CompileError;
pub use report::{Report, Warning};

use crate::analysis::analyse_firings;
use crate::bounds::any_placement;
use crate::distance::{Distances, Unit};
use crate::schedule::Schedule;
use calendars::{CalendarSet, Verified};
use machines::{check_machine, with_fewer_cores, without_last_host};
use search::{Compiler, SMALL};
use sim_core::{ActorId, App, Machine, NodeId};

/// What a compilation may be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Largest number of iterations in a metacycle, U.
    pub max_unroll: u32,
    /// Nodes that actors must run on; they win over the application's own pins.
    pub pins: Vec<(ActorId, NodeId)>,
    /// Whether the schedule is listed beside the calendars. On large machines it is several times as large.
    pub schedule: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_unroll: 8, pins: Vec::new(), schedule: true }
    }
}

/// A compiled application.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Where and when everything happens; `None` if it was not asked for.
    pub schedule: Option<Schedule>,
    /// The same as calendars.
    pub calendars: CalendarSet,
    /// What the verifier found out about them: the words that frames carry.
    pub verified: Verified,
    /// How good it is.
    pub report: Report,
    /// What the user should know although it is no error.
    pub warnings: Vec<Warning>,
}
/// Compiles `app` for `machine`. Pure and deterministic.
///
/// # Errors
/// [`CompileError`]: the application is at fault, or no feasible calendar exists.
pub fn compile(app: &App, machine: &Machine, options: &Options) -> Result<Compiled, CompileError> {
    let (analysis, single) = analyse_firings(app)?;
    let pins = check_machine(app, machine, options)?;
    let unit = Unit::of(app);
    let distances = Distances::new(machine, unit);
    let (repetition, max_unroll) = (&analysis.repetition, options.max_unroll.max(1));
    let list = options.schedule;
    let compiler = Compiler { app, machine, repetition, distances: &distances, pins: &pins, list };
    compiler.check_words(1)?;
    let bound = any_placement(app, machine, &analysis, &single, &pins);
    let mut best = compiler.solve(single, bound, max_unroll)?;
    if best.period() <= bound.ticks {
        return compiler.finish(best, bound, max_unroll);
    }
    let mut machines = with_fewer_cores(machine);
    if repetition.total_firings() <= SMALL
        && let Some(smaller) = without_last_host(machine, &pins)
    {
        let fewer = with_fewer_cores(&smaller);
        machines.push(smaller);
        machines.extend(fewer);
    }
    let distances: Vec<Distances<'_>> = machines.iter().map(|machine| Distances::new(machine, unit)).collect();
    for (machine, distances) in machines.iter().zip(&distances) {
        let fewer = Compiler { app, machine, repetition, distances, pins: &pins, list };
        // Without a node there may be no way from one pinned actor to another.
        let solution = fewer.graph(1).and_then(|graph| fewer.solve(graph, bound, max_unroll));
        if let Ok(solution) = solution
            && solution.period() < best.period()
        {
            best = solution;
        }
        if best.period() <= bound.ticks {
            break;
        }
    }
    compiler.finish(best, bound, max_unroll)
}
