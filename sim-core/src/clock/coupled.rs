//! Clocks under a run: when each node executes each logical tick, and whether its buffers bear it.
//!
//! Every node ticks and every link carries a frame in every tick, whatever the calendars say. So physical time and buffers
//! follow from clocks alone, and the application's values from logical ticks alone: only an over- or underflow joins them.

use super::controller::Controller;
use super::engine::{BufferEvent, ClockEngine};
use super::units::Femtos;
use crate::ids::{IdVec, LinkId, NodeId};
use crate::time::Tick;
use std::collections::VecDeque;

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

/// One tick of a run in physical time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoupledTick {
    /// The tick of the run.
    pub tick: Tick,
    /// When each node began it.
    pub began: IdVec<NodeId, Femtos>,
    /// Frames in each buffer when the last node began it.
    pub occupancies: IdVec<LinkId, i64>,
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
    /// Some ticks in physical time, ascending.
    pub ticks: Vec<CoupledTick>,
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
        let wanted: Vec<i64> = (0..end.0).step_by(usize::try_from(every).expect("positive")).chain([end.0]).collect();
        let mut next: IdVec<NodeId, usize> = IdVec::filled(0, self.shift.len());
        let mut ticks: Vec<CoupledTick> = Vec::new();
        let mut began: VecDeque<IdVec<NodeId, Femtos>> = VecDeque::new();
        let (step, mut fault) = (self.engine.round(), None);
        while fault.is_none() && ticks.len() < wanted.len() {
            self.engine.advance(self.engine.now() + step);
            for node in self.shift.ids() {
                while let Some(&tick) = wanted.get(next[node]) {
                    let Some(at) = self.engine.time_of_tick(node, tick - self.shift[node]) else { break };
                    let place = next[node] - ticks.len();
                    if place == began.len() {
                        began.push_back(IdVec::filled(Femtos(0), self.shift.len()));
                    }
                    began[place][node] = at;
                    next[node] += 1;
                }
            }
            let through = next.values().copied().min().unwrap_or(0);
            while ticks.len() < through {
                let began = began.pop_front().expect("a node that is through has begun");
                ticks.push(self.tick(Tick(wanted[ticks.len()]), began));
            }
            fault = self.first_fault(end);
        }
        let whole = ticks.len() == wanted.len();
        let all = |tick: Option<&CoupledTick>, pick: fn(Femtos, Femtos) -> Femtos| {
            tick.and_then(|tick| tick.began.values().copied().reduce(pick)).unwrap_or(self.engine.now())
        };
        CoupledRun {
            begin: all(ticks.first(), Femtos::min),
            end: all(ticks.last().filter(|_| whole), Femtos::max),
            fault,
            ticks,
            occupancies: self.engine.watched_occupancies(),
        }
    }

    /// A tick that every node has begun.
    fn tick(&self, tick: Tick, began: IdVec<NodeId, Femtos>) -> CoupledTick {
        let last = began.values().copied().max().unwrap_or(Femtos(0)).min(self.engine.now());
        let occupancy = |link| self.engine.link_view(link, last).occupancy;
        CoupledTick { tick, occupancies: self.engine.link_ids().map(occupancy).collect(), began }
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
