//! Which worker owns which node.

use super::{Cut, ShardId};
use crate::engine::Extent;
use crate::ids::{Id, IdVec, NodeId};
use crate::machine::Machine;
use crate::program::Program;

/// Words that a thread should move between two exchanges; an exchange costs about half a microsecond.
const WORDS_BETWEEN: u128 = 1000;

/// The shard of every node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    shard_of: IdVec<NodeId, ShardId>,
    shards: u32,
}

/// Why a list of shards is no partition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartitionError {
    /// There must be one.
    #[error("a machine without nodes cannot be divided")]
    Empty,
    /// A shard without nodes below the highest one.
    #[error("{shard} has no node, though there is a higher one: shards are numbered from 0 without gaps")]
    Gap {
        /// The shard.
        shard: ShardId,
    },
}

impl Partition {
    /// The partition that gives node v to shard `shard_of[v]`.
    ///
    /// # Errors
    /// [`PartitionError`].
    pub fn new(shard_of: IdVec<NodeId, ShardId>) -> Result<Self, PartitionError> {
        let last = shard_of.values().max().ok_or(PartitionError::Empty)?.0;
        let mut used = vec![false; last as usize + 1];
        for shard in shard_of.values() {
            used[shard.index()] = true;
        }
        match used.iter().position(|used| !used) {
            Some(gap) => Err(PartitionError::Gap { shard: ShardId::from_index(gap) }),
            None => Ok(Self { shard_of, shards: last + 1 }),
        }
    }

    /// All nodes in one shard.
    #[must_use]
    pub fn whole(nodes: usize) -> Self {
        Self { shard_of: IdVec::filled(ShardId(0), nodes), shards: 1 }
    }

    /// At most `shards` shards of about equal work that keep neighbours together.
    ///
    /// Nodes are put in an order in which neighbours are near each other, and the order is cut where the work is even: for
    /// meshes and tori the order of their numbers, so that shards are slabs across the longest dimension; for other machines
    /// the order of a breadth-first search from a node at the rim, as Cuthill and McKee reduce the width of a matrix.
    #[must_use]
    pub fn balanced(machine: &Machine, program: &Program, shards: u32) -> Self {
        let nodes = machine.nodes().len();
        let order = order(machine);
        let work: Vec<u64> = order.iter().map(|&node| work(machine, program, node)).collect();
        let total: u64 = work.iter().sum();
        let shards = u64::from(shards.max(1)).min(nodes as u64).min(total.max(1));
        let mut shard_of = IdVec::filled(ShardId(0), nodes);
        let (mut done, mut shard, mut filled) = (0, 0, 0_u64);
        for (position, (&node, &work)) in order.iter().zip(&work).enumerate() {
            let left = (nodes - position) as u64;
            // The middle of a node's work decides where it belongs; no shard stays empty.
            let due = (2 * done + work) * shards / (2 * total.max(1));
            if filled > 0 && shard + 1 < shards && (due > shard || left < shards - shard) {
                (shard, filled) = (shard + 1, 0);
            }
            shard_of[node] = ShardId(shard as u32);
            done += work;
            filled += 1;
        }
        Self { shard_of, shards: shard as u32 + 1 }
    }

    /// Like [`Partition::balanced`], but with no more shards than threads pay for: whoever waits for words twice as often as
    /// he computes is better off alone.
    #[must_use]
    pub fn worthwhile(machine: &Machine, program: &Program, threads: u32) -> Self {
        let total: u64 = machine.nodes().ids().map(|node| work(machine, program, node)).sum();
        let Ok(extent) = Extent::new(program, 1) else { return Self::whole(machine.nodes().len()) };
        for shards in (2..=threads).rev() {
            let partition = Self::balanced(machine, program, shards);
            let lookaheads = Cut::all(program, &partition, &extent).into_iter().map(|cut| cut.lookahead().0);
            // Work between two exchanges, in words.
            let between = |lookahead: i64| {
                let ticks = u128::from(total) * lookahead.unsigned_abs() as u128;
                ticks / u128::from(partition.shards) / program.metacycle().unsigned_abs() as u128
            };
            if lookaheads.min().is_none_or(|lookahead| between(lookahead) >= WORDS_BETWEEN) {
                return partition;
            }
        }
        Self::whole(machine.nodes().len())
    }

    /// The shard of `node`.
    #[must_use]
    pub fn shard_of(&self, node: NodeId) -> ShardId {
        self.shard_of[node]
    }

    /// Number of shards.
    #[must_use]
    pub fn shards(&self) -> u32 {
        self.shards
    }

    /// All shards.
    pub fn ids(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.shards).map(ShardId)
    }

    /// Number of nodes.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.shard_of.len()
    }
}

/// Words that a node reads, writes and sends per metacycle, and its firings.
fn work(machine: &Machine, program: &Program, node: NodeId) -> u64 {
    let firings = program.firings_on(node).map(|(_, f)| 2 + u64::from(f.input_words) + u64::from(f.output_words));
    let frames = machine.outgoing(node).iter().map(|&link| program.frames_of(link).count() as u64);
    firings.chain(frames).sum()
}

fn order(machine: &Machine) -> Vec<NodeId> {
    use crate::machine::Preset;
    match machine.shape() {
        Some(Preset::Mesh { .. } | Preset::Torus { .. } | Preset::Line { .. } | Preset::Ring { .. }) => {
            machine.nodes().ids().collect()
        }
        Some(Preset::Hypercube { .. }) => machine.nodes().ids().collect(),
        _ => breadth_first(machine),
    }
}

/// Every component, from the node that is farthest from its lowest-numbered one.
fn breadth_first(machine: &Machine) -> Vec<NodeId> {
    let mut search = Search { machine, seen: vec![0; machine.nodes().len()], round: 0 };
    let mut order = Vec::with_capacity(machine.nodes().len());
    for node in machine.nodes().ids() {
        if search.seen[node.index()] == 0 {
            let rim = *search.from(node).last().expect("the start is reached");
            order.extend(search.from(rim));
        }
    }
    order
}

/// Breadth-first searches along links in both directions.
struct Search<'a> {
    machine: &'a Machine,
    /// The last search that reached a node, 0 for none.
    seen: Vec<u32>,
    round: u32,
}

impl Search<'_> {
    fn from(&mut self, start: NodeId) -> Vec<NodeId> {
        self.round += 1;
        self.seen[start.index()] = self.round;
        let mut reached = vec![start];
        let mut next = 0;
        while let Some(&node) = reached.get(next) {
            let machine = self.machine;
            let outgoing = machine.outgoing(node).iter().map(|&link| machine.links()[link].target);
            let incoming = machine.incoming(node).iter().map(|&link| machine.links()[link].source);
            for neighbour in outgoing.chain(incoming) {
                if std::mem::replace(&mut self.seen[neighbour.index()], self.round) != self.round {
                    reached.push(neighbour);
                }
            }
            next += 1;
        }
        reached
    }
}
