//! Clocks under a run: when each node executes each logical tick, and whether its buffers bear it.
//!
//! Every node ticks and every link carries a frame in every tick, whatever the calendars say. So physical time and buffers
//! follow from clocks alone, and the application's values from logical ticks alone: only an over- or underflow joins them.

use super::controller::Controller;
use super::engine::{BufferEvent, ClockEngine};
use super::units::Femtos;
use crate::ids::{IdVec, LinkId, NodeId};
use crate::time::Tick;

/// Clocks that have booted, with the ticks of a run laid over them.
#[derive(Clone, Debug)]
pub struct Coupling<C: Controller> {
    engine: ClockEngine<C>,
    /// What is added to a node's phase to get the tick of the run.
    shift: IdVec<NodeId, i64>,
}

/// The first over- or underflow of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoupledFault {
    /// What happened; its tick is the receiver's own count.
    pub event: BufferEvent,
    /// The receiver's tick of the run.
    pub tick: Tick,
}

/// How clocks carried a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoupledRun {
    /// The first over- or underflow, by physical time. The run holds up to its tick.
    pub fault: Option<CoupledFault>,
    /// When the first node began tick 0, and when the last one was through.
    pub begin: Femtos,
    /// See `begin`.
    pub end: Femtos,
    /// Physical times of some ticks: the tick, and when each node began it.
    pub times: Vec<(Tick, IdVec<NodeId, Femtos>)>,
    /// Lowest and highest occupancy of every limited buffer.
    pub occupancies: IdVec<LinkId, Option<(i64, i64)>>,
}

impl<C: Controller> Coupling<C> {
    /// Lays ticks over clocks that have just booted: tick 0 comes next, as soon as every node can begin it. `offsets` are
    /// those of the machine in normal form: tick of the run less local tick. Buffers are watched from now on.
    ///
    /// # Panics
    /// If there are not as many offsets as nodes.
    #[must_use]
    pub fn new(mut engine: ClockEngine<C>, offsets: &IdVec<NodeId, i64>) -> Self {
        const EVENTS: usize = 1_000;
        assert_eq!(offsets.len(), engine.nodes(), "every node has an offset");
        let now = engine.now();
        let began = offsets.iter().map(|(node, offset)| engine.node_view(node, now).phase.whole() + offset);
        let zero = began.max().unwrap_or(0) + 1;
        engine.watch(EVENTS);
        Self { engine, shift: offsets.values().map(|offset| offset - zero).collect() }
    }

    /// Lets clocks run until every node is through with tick `end` − 1, or a buffer fails. Physical times are taken of
    /// every `every`-th tick.
    ///
    /// # Panics
    /// If `every` is not positive, or the run is longer than phases last (see `ClockNetwork::time_most`).
    pub fn run(&mut self, end: Tick, every: i64) -> CoupledRun {
        assert!(every > 0, "times are taken of every so many ticks");
        let nodes = self.shift.len();
        let mut times: Vec<(Tick, IdVec<NodeId, Femtos>)> = Vec::new();
        let ticks: Vec<i64> = (0..end.0).step_by(usize::try_from(every).expect("positive")).chain([end.0]).collect();
        let mut next: IdVec<NodeId, usize> = IdVec::filled(0, nodes);
        times.extend(ticks.iter().map(|&tick| (Tick(tick), IdVec::filled(Femtos(0), nodes))));
        let step = self.engine.round();
        let mut fault = None;
        while fault.is_none() && next.values().any(|&next| next < ticks.len()) {
            self.engine.advance(self.engine.now() + step);
            for node in self.shift.ids() {
                while let Some(&tick) = ticks.get(next[node]) {
                    let Some(at) = self.engine.time_of_tick(node, tick - self.shift[node]) else { break };
                    times[next[node]].1[node] = at;
                    next[node] += 1;
                }
            }
            fault = self.first_fault(end);
        }
        let through = next.values().copied().min().unwrap_or(0);
        times.truncate(through);
        let all = |at: usize| times.get(at).map(|(_, times)| times.values().copied());
        CoupledRun {
            begin: all(0).and_then(Iterator::min).unwrap_or(self.engine.now()),
            end: all(ticks.len() - 1).and_then(Iterator::max).unwrap_or(self.engine.now()),
            fault,
            times,
            occupancies: self.engine.watched_occupancies(),
        }
    }

    /// The clocks.
    #[must_use]
    pub fn engine(&self) -> &ClockEngine<C> {
        &self.engine
    }

    /// The first failure in a tick before `end`; what happens behind the run is none of its business.
    fn first_fault(&self, end: Tick) -> Option<CoupledFault> {
        let fault = |&event: &BufferEvent| CoupledFault {
            event,
            tick: Tick(event.tick + self.shift[self.engine.target(event.link)]),
        };
        self.engine.buffer_events().iter().map(fault).find(|fault| fault.tick < end)
    }
}
