//! Analyses of an application by itself, before any machine: consistent, live, and how fast at best.
//!
//! Three verdicts that are never merged: [`Inconsistent`], [`Deadlock`], and "too slow", which only a machine's bound can
//! give, but which starts from the [`Critical`] cycle found here. Pure and exact; the meaning of period is that of
//! self-timed execution on unlimited processors, where firings of an actor without state may overlap.
//! Source: Ghamarian et al., "Throughput analysis of synchronous data flow graphs", ACSD 2006.

mod components;
mod cycle_ratio;
mod dependencies;
mod liveness;
mod repetition;

pub use cycle_ratio::{CriticalCycle, RatioEdge, max_cycle_ratio};
pub use dependencies::{Dependency, DependencyId, FIRINGS_MAX, FiringGraph, FiringId, TooManyFirings};
pub use liveness::{Deadlock, liveness};
pub use repetition::{Clash, Inconsistent, Repetition, repetition};

use num_rational::Ratio;
use sim_core::{ActorId, App, ChannelId};
use std::fmt::Display;

/// What an application is capable of on any machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analysis {
    /// Firings per iteration.
    pub repetition: Repetition,
    /// Ticks per iteration on unlimited processors with free communication; 0 if no cycle bounds it. Firings whose `exec` is
    /// 0 count as 0.
    pub period: Ratio<i128>,
    /// A cycle that allows no shorter period; `None` if the period is 0.
    pub critical: Option<Critical>,
}

/// A cycle of firings that wait for each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Critical {
    /// Once around, from the firing with the lowest actor and index.
    pub steps: Vec<CriticalStep>,
    /// Ticks once around.
    pub ticks: i128,
    /// Iterations once around: the period is `ticks` ÷ `iterations`.
    pub iterations: i128,
}

/// A firing of a critical cycle and why the next one waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CriticalStep {
    /// The actor.
    pub actor: ActorId,
    /// Number of the firing in its iteration, from 0.
    pub index: u32,
    /// Ticks of the firing.
    pub exec: i64,
    /// The channel to the next step's firing; `None` for the actor's own state.
    pub channel: Option<ChannelId>,
    /// Iterations between the two.
    pub distance: i64,
}

impl Critical {
    /// The actors of the cycle, each once, in the order in which they are met.
    #[must_use]
    pub fn actors(&self) -> Vec<ActorId> {
        once_each(self.steps.iter().map(|step| step.actor))
    }

    /// The channels of the cycle, each once, in the order in which they are met.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelId> {
        once_each(self.steps.iter().filter_map(|step| step.channel))
    }
}

/// Why an application cannot run, whatever the machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnalysisError {
    /// No numbers of firings keep every channel balanced.
    #[error(transparent)]
    Inconsistent(#[from] Inconsistent),
    /// Firings wait for each other in vain.
    #[error(transparent)]
    Deadlocked(#[from] Deadlock),
    /// Beyond what is analysed.
    #[error(transparent)]
    TooManyFirings(#[from] TooManyFirings),
}

/// Finds repetition vector, liveness and the shortest period of `app`.
///
/// # Errors
/// [`AnalysisError`], in the order of its variants, except that an application with too many firings is not played.
pub fn analyse(app: &App) -> Result<Analysis, AnalysisError> {
    analyse_firings(app).map(|(analysis, _)| analysis)
}

/// The same, with the firings of one iteration.
pub(crate) fn analyse_firings(app: &App) -> Result<(Analysis, FiringGraph), AnalysisError> {
    let repetition = repetition(app)?;
    dependencies::check_size(app, &repetition, 1)?;
    liveness(app, &repetition)?;
    let graph = FiringGraph::new(app, &repetition, 1)?;
    let edges = graph.ratio_edges(|_, dependency| graph.exec(dependency.from));
    let zero = Ratio::from_integer(0);
    let cycle = max_cycle_ratio(graph.len(), &edges).filter(|cycle| cycle.ratio > zero);
    let critical = cycle.as_ref().map(|cycle| critical(&graph, cycle));
    Ok((Analysis { repetition, period: cycle.map_or(zero, |cycle| cycle.ratio), critical }, graph))
}

fn critical(graph: &FiringGraph, cycle: &CriticalCycle) -> Critical {
    let step = |&edge: &usize| {
        let dependency = &graph.dependencies().as_slice()[edge];
        CriticalStep {
            actor: graph.actor_of(dependency.from),
            index: graph.index_of(dependency.from),
            exec: graph.exec(dependency.from),
            channel: dependency.channel,
            distance: dependency.distance,
        }
    };
    let mut steps: Vec<CriticalStep> = cycle.edges.iter().map(step).collect();
    let first = (0..steps.len()).min_by_key(|&at| (steps[at].actor, steps[at].index)).expect("a cycle has a step");
    steps.rotate_left(first);
    let ticks = steps.iter().map(|step| i128::from(step.exec)).sum();
    let iterations = steps.iter().map(|step| i128::from(step.distance)).sum();
    Critical { steps, ticks, iterations }
}

fn once_each<T: Copy + Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut met = std::collections::BTreeSet::new();
    items.filter(|&item| met.insert(item)).collect()
}

/// Items of a message, separated by commas; of many only the first.
fn list<T: Display>(items: impl ExactSizeIterator<Item = T>) -> String {
    const SHOWN: usize = 8;
    let count = items.len();
    let shown: Vec<String> = items.take(SHOWN).map(|item| item.to_string()).collect();
    let more = if count > SHOWN { format!(" and {} more", count - SHOWN) } else { String::new() };
    shown.join(", ") + &more
}
