//! The clock engine: rounds of events over flat arrays, on one thread or several, to the same bits.
//!
//! Time advances in rounds of the shortest measuring period. Between rounds the network may be observed and changed.
//! Source of the algorithm: the observation that an event needs its neighbours' phases only one latency and one control
//! delay back, so that no event queue is needed; see `shard.rs`.

mod build;
mod detector;
mod edit;
mod line;
mod observe;
mod shard;
mod statistics;
mod steady;
mod watch;

pub use detector::Detector;
pub use edit::{Edit, EditError, EditKind, Fault};
pub use observe::{LinkView, NodeView, Snapshot, Summary};
pub use shard::ClockEvent;
pub use watch::{BufferEvent, BufferFault};

use super::controller::{Control, Controller};
use super::network::ClockNetwork;
use super::units::{Femtos, Frequency};
use crate::ids::{LinkId, NodeId};
use edit::{Agenda, Reach};
use shard::{Shard, Shared};
use statistics::{Extremes, Tally};
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use watch::Watch;

/// How a clock engine works; results depend on the tolerance only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// Threads that compute rounds.
    pub threads: NonZeroUsize,
    /// Difference between the fastest and the slowest clock below which all count as settled.
    pub tolerance: Frequency,
    /// How many events are kept from the beginning.
    pub first_events: usize,
}

impl EngineOptions {
    /// One thread, a tolerance of 1 ppm of `nominal`, no events.
    #[must_use]
    pub fn new(nominal: Frequency) -> Self {
        Self { threads: NonZeroUsize::MIN, tolerance: Frequency((nominal.0 / 1_000_000).max(1)), first_events: 0 }
    }
}

/// A simulation of clocks in progress.
///
/// ```
/// use sim_core::NodeId;
/// use sim_core::clock::{ClockEngine, ClockLink, ClockNetwork, ClockNode, Control, EngineOptions, Femtos, Frequency, Gain, Law};
///
/// let nodes = [100, -100].map(|ppm| ClockNode::new(Frequency::hertz(1_000_000_000).shifted(ppm * 1_000_000)));
/// let link = |source, target| ClockLink::new(NodeId(source), NodeId(target), Femtos::nanos(5_000));
/// let pair = ClockNetwork::new(nodes.to_vec(), vec![link(0, 1), link(1, 0)])?;
/// let control = Control::from(Law::Proportional { kp: Gain::per_nanosecond("2e-8".parse()?).unwrap() });
/// let mut engine = ClockEngine::new(&pair, control, EngineOptions::new(pair.nominal()));
/// engine.advance(Femtos::nanos(500_000_000));
/// assert!(engine.summary().settled_at.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClockEngine<C: Controller = Control> {
    shared: Shared<C>,
    shards: Vec<Shard<C::State>>,
    options: EngineOptions,
    /// All events before this absolute time, in attoseconds, have been computed.
    now: i128,
    /// Rounds end at multiples of this many attoseconds, so that observers do not change what rounds observe.
    round: i128,
    next_round: i128,
    /// How many rounds may be computed together.
    together: usize,
    /// Since when the spread has been within tolerance.
    settled_at: Option<i128>,
    spread: Option<(Frequency, Frequency)>,
    spread_most: Frequency,
    /// Parts of tallies that shards have handed over.
    events: Vec<ClockEvent>,
    /// Per link its place among all wires; empty if links come in the order of their targets.
    order: Vec<u32>,
    set_points: PerLink<i64>,
    depths: PerLink<Option<u32>>,
    agenda: Agenda,
    /// How far back phases are asked for.
    reach: Reach,
    /// Nodes that do not tick, and links that are down by themselves.
    stopped: BTreeSet<NodeId>,
    down: BTreeSet<LinkId>,
    edits: Vec<Edit>,
    /// Whether buffers are kept empty.
    draining: bool,
    watch: Option<Watch>,
}

impl<C: Controller> ClockEngine<C> {
    /// The network at time 0. Takes memory in proportion to nodes and links; the network itself is not kept.
    #[must_use]
    pub fn new(network: &ClockNetwork, control: C, options: EngineOptions) -> Self {
        build::engine(network, control, options)
    }

    /// All events that act before this time have been computed.
    #[must_use]
    pub fn now(&self) -> Femtos {
        Femtos::of_grains(self.now)
    }

    /// Computes all events that act before `until`, and applies the edits that are scheduled before it.
    pub fn advance(&mut self, until: Femtos) {
        let until = until.grains();
        while self.now < until {
            let edit = self.agenda.next().filter(|&at| at < until);
            let ends = self.rounds_before(edit.unwrap_or(until));
            self.compute(&ends);
            for (round, end) in ends.into_iter().enumerate() {
                self.now = end;
                if end == self.next_round {
                    self.next_round += self.round;
                    self.observe_round(end, round);
                }
            }
            if edit == Some(self.now) {
                self.apply_due_edits();
            }
        }
    }

    /// Where the next rounds end that may be computed together, not after `limit`.
    fn rounds_before(&self, limit: i128) -> Vec<i128> {
        let together = if self.shared.steady && !self.shared.log && self.watch.is_none() { self.together } else { 1 };
        let mut ends = vec![limit.min(self.next_round)];
        while ends.len() < together && ends[ends.len() - 1] + self.round <= limit {
            ends.push(ends[ends.len() - 1] + self.round);
        }
        ends
    }

    /// Computes the events between now and the last of `ends`.
    fn compute(&mut self, ends: &[i128]) {
        const REBASE: i128 = 1 << 59;
        let end = *ends.last().expect("there is a round to compute");
        if end - self.shared.origin > REBASE {
            self.rebase();
        }
        let origin = self.shared.origin;
        let local = |end: &i128| i64::try_from(end - origin).expect("rounds are short against the time between bases");
        let horizons: Vec<i64> = ends.iter().map(local).collect();
        let shared = &self.shared;
        each_shard(&mut self.shards, |shard| shard.begin(shared, &horizons));
        while self.shards.iter().any(|shard| !shard.waiting.is_empty()) {
            self.exchange();
            let shared = &self.shared;
            each_shard(&mut self.shards, |shard| shard.catch_up(shared, &horizons));
        }
        self.exchange();
        if self.shared.log {
            self.collect_events();
        }
        self.watch_round(end);
    }

    /// Brings the copies of clocks up to date.
    fn exchange(&mut self) {
        if self.shards.len() == 1 {
            return;
        }
        for index in 0..self.shards.len() {
            let copied = std::mem::take(&mut self.shards[index].copied);
            let (own, depth) = (self.shards[index].nodes(), self.shards[index].depth);
            for (number, &node) in copied.iter().enumerate() {
                let owner = self.shards.partition_point(|shard| shard.first <= node) - 1;
                let place = (node - self.shards[owner].first) as usize;
                let clock = self.shards[owner].clocks[place];
                let shard = &mut self.shards[index];
                if shard.clocks[own + number] == clock {
                    continue;
                }
                shard.clocks[own + number] = clock;
                for older in 0..depth {
                    let segment = self.shards[owner].past[place * depth + older];
                    self.shards[index].past[(own + number) * depth + older] = segment;
                }
            }
            self.shards[index].copied = copied;
        }
    }

    /// Moves the shards' time 0 to now: 64 bits hold some seconds.
    fn rebase(&mut self) {
        let by = (self.now - self.shared.origin) as i64;
        for shard in &mut self.shards {
            shard.rebase(by);
        }
        self.shared.origin = self.now;
    }

    /// Takes in the end of one of the rounds that were computed last.
    fn observe_round(&mut self, end: i128, round: usize) {
        let all = self.shards.iter().map(|shard| shard.extremes[round]);
        let Extremes { slowest, fastest } = all.fold(Extremes::NONE, Extremes::and);
        let spread = Frequency(fastest.saturating_sub(slowest));
        self.spread = (slowest <= fastest).then_some((Frequency(slowest), Frequency(fastest)));
        self.spread_most = self.spread_most.max(spread);
        if self.spread.is_some() && spread <= self.options.tolerance {
            self.settled_at.get_or_insert(end);
        } else {
            self.settled_at = None;
        }
    }

    fn tally(&self) -> Tally {
        self.shards.iter().fold(Tally::default(), |sum, shard| sum.and(shard.tally))
    }

    fn collect_events(&mut self) {
        for shard in &mut self.shards {
            self.events.append(&mut shard.log);
        }
        // Every round's events are later than those before it.
        self.events.sort_by_key(|event| (event.acted_at, event.node));
        self.events.truncate(self.options.first_events);
        self.shared.log = self.events.len() < self.options.first_events;
    }

    /// Shard and place of a node.
    fn node_place(&self, node: NodeId) -> (usize, usize) {
        let shard = self.shards.partition_point(|shard| shard.first <= node.0) - 1;
        (shard, (node.0 - self.shards[shard].first) as usize)
    }

    /// Shard and wire of a link.
    fn wire_place(&self, link: LinkId) -> (usize, usize) {
        let mut wire = self.order.get(link.0 as usize).map_or(link.0 as usize, |&place| place as usize);
        for (index, shard) in self.shards.iter().enumerate() {
            if wire < shard.wires.len() {
                return (index, wire);
            }
            wire -= shard.wires.len();
        }
        panic!("{link} is not one of the network's links");
    }

    /// Shard and place of the node that receives from a link.
    fn target_place(&self, link: LinkId) -> (usize, usize) {
        let (shard, wire) = self.wire_place(link);
        let starts = &self.shards[shard].starts;
        (shard, starts.partition_point(|&start| start as usize <= wire) - 1)
    }

    /// The node that sends on a link.
    #[must_use]
    pub fn source(&self, link: LinkId) -> NodeId {
        let (shard, wire) = self.wire_place(link);
        self.shards[shard].node_at(self.shards[shard].wires[wire].source)
    }

    /// The node that receives from a link.
    #[must_use]
    pub fn target(&self, link: LinkId) -> NodeId {
        let (shard, place) = self.target_place(link);
        NodeId(self.shards[shard].first + place as u32)
    }

    /// All links.
    pub fn link_ids(&self) -> impl Iterator<Item = LinkId> + use<C> {
        (0..self.links()).map(|link| LinkId(link as u32))
    }

    /// The occupancy that a link's buffer begins with and is centred to: half its depth, or the set point if it is
    /// unlimited.
    fn middle(&self, link: LinkId) -> i64 {
        self.depths.of(link).map_or(self.set_points.of(link), |depth| i64::from(depth / 2))
    }
}

/// What all links share, or each has.
#[derive(Clone, Debug)]
enum PerLink<T> {
    All(T),
    Each(Vec<T>),
}

impl<T: Copy + PartialEq> PerLink<T> {
    fn new(values: impl Iterator<Item = T> + Clone, none: T) -> Self {
        let first = values.clone().next().unwrap_or(none);
        if values.clone().all(|value| value == first) { Self::All(first) } else { Self::Each(values.collect()) }
    }

    fn of(&self, link: LinkId) -> T {
        match self {
            Self::All(value) => *value,
            Self::Each(values) => values[link.0 as usize],
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::All(_) => 0,
            Self::Each(values) => values.capacity() * size_of::<T>(),
        }
    }
}

/// Runs `work` on every shard, each on a thread of its own.
fn each_shard<S: Send>(shards: &mut [Shard<S>], work: impl Fn(&mut Shard<S>) + Sync) {
    let Some((first, others)) = shards.split_first_mut() else { return };
    if others.is_empty() {
        return work(first);
    }
    std::thread::scope(|scope| {
        for shard in others {
            scope.spawn(|| work(shard));
        }
        work(first);
    });
}
