//! The choice among several partitions, by what they cost.

use super::bisect::{LOAD_SLACK, divide};
use super::graph::{Graph, Weight};
use super::order::order;
use super::traffic::Traffic;
use super::{Partition, ShardId};
use crate::ids::{Id, NodeId};
use crate::machine::Machine;
use crate::program::Program;
use crate::time::Ticks;
use std::collections::BTreeMap;

/// Who carries words from shard to shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// Rings in memory: an exchange costs as much as moving 500 words.
    Memory,
    /// Sockets: an exchange costs as much as moving 15 000 words, and a word as much as 16.
    Network,
}

/// How much work a carrier is, in words that a node moves.
#[derive(Clone, Copy)]
struct Costs {
    exchange: u128,
    word: u128,
}

impl Carrier {
    /// An exchange takes half a microsecond or 15 µs, a word in memory 1 ns, one of 8 bytes on a socket 2 ns per byte.
    fn costs(self) -> Costs {
        match self {
            Self::Memory => Costs { exchange: 500, word: 1 },
            Self::Network => Costs { exchange: 15_000, word: 16 },
        }
    }
}

/// A machine and a program, ready to be divided among any number of shards.
#[derive(Debug)]
pub struct Partitioner {
    metacycle: u128,
    order: Vec<NodeId>,
    traffic: Traffic,
    graph: Graph,
    total: Weight,
    heaviest: u64,
}

impl Partitioner {
    /// Looks at all calendars once.
    #[must_use]
    pub fn new(machine: &Machine, program: &Program) -> Self {
        let traffic = Traffic::new(machine, program);
        let order = order(machine);
        let graph = traffic.graph(&order);
        let total = traffic.weights.values().copied().sum();
        let heaviest = traffic.weights.values().map(|weight| weight.load).max().unwrap_or(0);
        Self { metacycle: u128::from(program.metacycle().unsigned_abs()), order, traffic, graph, total, heaviest }
    }

    /// See [`Partition::balanced`].
    #[must_use]
    pub fn divide(&self, shards: u32, carrier: Carrier) -> Partition {
        let nodes = self.order.len();
        let shards = shards.clamp(1, nodes as u32);
        if shards == 1 {
            return Partition::whole(nodes);
        }
        let mut best = self.slices(shards);
        let mut consider = |shard_of: Vec<u32>| {
            let partition = Partition::of_numbers(shard_of, shards);
            if self.is_even(&partition) && self.cost(&partition, carrier) < self.cost(&best, carrier) {
                best = partition;
            }
        };
        consider(divide(&self.graph, shards));
        for least in self.slack_classes() {
            let (group, groups) = self.traffic.glued(least);
            let glued = self.graph.contract(&group, groups).with_single_nodes();
            // Larger slacks make larger groups, so that these would not fit either.
            if groups < shards as usize || glued.weights().iter().any(|weight| weight.load > self.load_most(shards)) {
                break;
            }
            let of_groups = divide(&glued, shards);
            consider(group.iter().map(|&group| of_groups[group as usize]).collect());
        }
        best
    }

    /// Pieces of the order in which neighbours are near each other, each with a node at least.
    #[must_use]
    pub fn slices(&self, shards: u32) -> Partition {
        let nodes = self.order.len() as u64;
        let shards = u64::from(shards).clamp(1, nodes);
        let mut shard_of = vec![0; self.order.len()];
        let (mut done, mut shard, mut filled) = (0, 0, 0_u64);
        for (position, &node) in (0..).zip(&self.order) {
            let load = self.traffic.weights[node].load;
            // The middle of a node's work decides where it belongs; no shard stays empty.
            let due = u128::from(2 * done + load) * u128::from(shards) / u128::from(2 * self.total.load.max(1));
            let needed = nodes - position <= shards - 1 - shard;
            if filled > 0 && shard + 1 < shards && (due > u128::from(shard) || needed) {
                (shard, filled) = (shard + 1, 0);
            }
            shard_of[node.index()] = shard as u32;
            done += load;
            filled += 1;
        }
        Partition::of_numbers(shard_of, shards as u32)
    }

    /// The least slack of the frames that cross between shards; `None` if none does.
    #[must_use]
    pub fn lookahead(&self, partition: &Partition) -> Option<Ticks> {
        let crossing = self.traffic.flows.iter().filter(|(a, b, _)| partition.shard_of(*a) != partition.shard_of(*b));
        crossing.map(|(.., flow)| flow.slack).min()
    }

    /// Work between two exchanges, in words, of `shards` shards.
    pub(super) fn between(&self, shards: u32, lookahead: Ticks) -> u128 {
        let ticks = u128::from(self.total.load) * u128::from(lookahead.0.unsigned_abs());
        ticks / u128::from(shards) / self.metacycle
    }

    /// The largest slack of a link.
    pub(super) fn slack_most(&self) -> Ticks {
        self.traffic.flows.iter().map(|(.., flow)| flow.slack).max().unwrap_or(Ticks(i64::MAX))
    }

    /// Slacks to keep inside, from the least on: powers of two, apart from those that all links have.
    fn slack_classes(&self) -> impl Iterator<Item = Ticks> {
        let class = |slack: Ticks| slack.0.max(1).ilog2();
        let mut found: u64 = 0;
        for (.., flow) in &self.traffic.flows {
            found |= 1 << class(flow.slack);
        }
        // Whoever keeps the lowest class inside glues nothing.
        let above = found & found.wrapping_sub(1);
        (0..63).filter(move |class| above >> class & 1 == 1).map(|class| Ticks(1 << class))
    }

    /// The most load that a shard may have.
    fn load_most(&self, shards: u32) -> u64 {
        let total = u128::from(self.total.load) * u128::from(1000 + LOAD_SLACK);
        (total / (1000 * u128::from(shards))) as u64 + self.heaviest
    }

    fn is_even(&self, partition: &Partition) -> bool {
        let mut loads = vec![0; partition.shards as usize];
        for (node, weight) in self.traffic.weights.iter() {
            loads[partition.shard_of(node).index()] += weight.load;
        }
        loads.iter().all(|&load| load <= self.load_most(partition.shards))
    }

    /// Work of the slowest shard per metacycle, then of all, in words that a node moves: what its nodes do, the words that it
    /// sends and receives, and two exchanges per lookahead and neighbour.
    #[must_use]
    pub fn cost(&self, partition: &Partition, carrier: Carrier) -> (u128, u128) {
        let costs = carrier.costs();
        let mut shards = vec![0; partition.shards as usize];
        for (node, weight) in self.traffic.weights.iter() {
            shards[partition.shard_of(node).index()] += u128::from(weight.load);
        }
        let mut cuts: BTreeMap<(ShardId, ShardId), (u128, Ticks)> = BTreeMap::new();
        for &(source, target, flow) in &self.traffic.flows {
            let (from, to) = (partition.shard_of(source), partition.shard_of(target));
            if from != to {
                let cut = cuts.entry((from, to)).or_insert((0, flow.slack));
                *cut = (cut.0 + u128::from(flow.words), cut.1.min(flow.slack));
            }
        }
        for ((from, to), (words, lookahead)) in cuts {
            let lookahead = u128::from(lookahead.0.max(1).unsigned_abs());
            let cost = words * costs.word + costs.exchange * 2 * self.metacycle / lookahead;
            shards[from.index()] += cost;
            shards[to.index()] += cost;
        }
        (shards.iter().copied().max().unwrap_or(0), shards.iter().sum())
    }
}

impl Partition {
    /// Shards by the numbers of their nodes, each of `shards` at least once.
    fn of_numbers(shard_of: Vec<u32>, shards: u32) -> Self {
        Self { shard_of: shard_of.into_iter().map(ShardId).collect(), shards }
    }
}
