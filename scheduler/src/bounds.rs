//! Lower bounds on the iteration period, as exact rationals, before any placement.

use crate::analysis::{Analysis, FiringGraph, Repetition, max_cycle_ratio};
use crate::placement::narrow;
use num_rational::Ratio;
use sim_core::{ActorId, App, IdVec, Machine, NodeId};

/// What a bound comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BoundKind {
    /// Firings on cores.
    Compute,
    /// Frames on links.
    Link,
    /// A cycle of dependencies.
    Recurrence,
    /// Words in memory.
    Memory,
}

impl BoundKind {
    /// The kind's name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Link => "link",
            Self::Recurrence => "recurrence",
            Self::Memory => "memory",
        }
    }
}

/// No schedule has a shorter iteration period than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Ticks per iteration.
    pub ticks: Ratio<i64>,
    /// The resource that it comes from.
    pub kind: BoundKind,
}

impl Bound {
    /// The largest of several; the first of equals. `None` if there is none.
    pub(crate) fn largest(bounds: impl IntoIterator<Item = Bound>) -> Option<Bound> {
        bounds.into_iter().reduce(|best, bound| if bound.ticks > best.ticks { bound } else { best })
    }

    /// How far `period` is above it: period / bound − 1.
    #[must_use]
    pub fn gap(&self, period: Ratio<i64>) -> f64 {
        let excess = (period - self.ticks) / self.ticks;
        *excess.numer() as f64 / *excess.denom() as f64
    }
}

/// The bound for any placement that respects the pins: total work over all cores, work of every pinned node, the slowest
/// cycle with free communication, frames that pins force through a node's links, and word-ticks over all memory.
pub(crate) fn any_placement(
    app: &App,
    machine: &Machine,
    analysis: &Analysis,
    graph: &FiringGraph,
    pins: &IdVec<ActorId, Option<NodeId>>,
) -> Bound {
    let work = |actor: ActorId| graph.firings_of(actor).map(|firing| graph.duration(firing)).sum::<i64>();
    let total: i64 = app.actors().ids().map(work).sum();
    let cores: i64 = machine.nodes().values().map(|node| i64::from(node.cores)).sum();
    let mut bounds = vec![Bound { ticks: Ratio::new(total, cores.max(1)), kind: BoundKind::Compute }];
    let mut pinned: IdVec<NodeId, i64> = IdVec::filled(0, machine.nodes().len());
    for actor in app.actors().ids() {
        if let Some(node) = pins[actor] {
            pinned[node] += work(actor);
        }
    }
    for (node, &load) in pinned.iter().filter(|&(_, &load)| load > 0) {
        let cores = i64::from(machine.nodes()[node].cores.max(1));
        bounds.push(Bound { ticks: Ratio::new(load, cores), kind: BoundKind::Compute });
    }
    let recurrence = slowest_cycle(analysis, graph);
    bounds.extend(recurrence.map(|ticks| Bound { ticks, kind: BoundKind::Recurrence }));
    bounds.extend(forced_frames(app, machine, &analysis.repetition, pins));
    bounds.extend(memory(app, machine, graph));
    Bound::largest(bounds).expect("there is a compute bound")
}

/// Ticks per iteration of the slowest cycle with free communication; `None` if there is no cycle.
fn slowest_cycle(analysis: &Analysis, graph: &FiringGraph) -> Option<Ratio<i64>> {
    // The analysis has found it already, unless a firing of 0 ticks is compiled as one of 1.
    if graph.firings().all(|firing| graph.exec(firing) == graph.duration(firing)) {
        return analysis.critical.is_some().then(|| narrow(analysis.period));
    }
    let edges = graph.ratio_edges(|_, dependency| graph.duration(dependency.from));
    max_cycle_ratio(graph.len(), &edges).map(|cycle| narrow(cycle.ratio))
}

/// Frames between pinned actors leave and enter nodes over no more than the node's links.
fn forced_frames(
    app: &App,
    machine: &Machine,
    repetition: &Repetition,
    pins: &IdVec<ActorId, Option<NodeId>>,
) -> Vec<Bound> {
    let mut out: IdVec<NodeId, i64> = IdVec::filled(0, machine.nodes().len());
    let mut into = out.clone();
    for channel in app.channels().values() {
        if let (Some(from), Some(to)) = (pins[channel.source], pins[channel.target])
            && from != to
        {
            let words = repetition.tokens(channel) as i64 * i64::from(channel.token_words());
            out[from] += words;
            into[to] += words;
        }
    }
    let mut bounds = Vec::new();
    for node in machine.nodes().ids() {
        for (frames, links) in [(out[node], machine.outgoing(node)), (into[node], machine.incoming(node))] {
            if frames > 0 && !links.is_empty() {
                bounds.push(Bound { ticks: Ratio::new(frames, links.len() as i64), kind: BoundKind::Link });
            }
        }
    }
    bounds
}

/// Every consumed word is held at least while its consumer fires; all of that shares the machine's memory.
fn memory(app: &App, machine: &Machine, graph: &FiringGraph) -> Option<Bound> {
    let words: Option<Vec<u32>> = machine.nodes().values().map(|node| node.memory_words).collect();
    let words: i64 = words?.into_iter().map(i64::from).sum();
    let held: i64 = graph
        .dependencies()
        .values()
        .filter_map(|d| {
            let channel = &app.channels()[d.channel?];
            Some(i64::from(d.tokens) * i64::from(channel.token_words()) * graph.duration(d.to))
        })
        .sum();
    (words > 0).then(|| Bound { ticks: Ratio::new(held, words), kind: BoundKind::Memory })
}
