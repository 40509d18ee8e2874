//! Which worker owns which node.
//!
//! [`Traffic`](traffic::Traffic) is what the calendars say; `order`, `coarsen`, `bisect` and `refine` divide a
//! [`Graph`](graph::Graph) of it, and [`Partitioner`] chooses among what they find.

mod bisect;
mod choose;
mod coarsen;
mod graph;
mod order;
mod refine;
mod traffic;

pub use choose::{Carrier, Partitioner};
pub(super) use traffic::weights;

use super::ShardId;
use crate::ids::{Id, IdVec, NodeId};
use crate::machine::Machine;
use crate::program::Program;

/// Words that a thread should move between two exchanges. An exchange costs no more than 500, but a host that other programs
/// share holds up now one thread and now the other, and who waits gains nothing: there two threads took twice as long
/// as one with 4 000 words, as long with 30 000, and six sevenths of the time with 60 000.
const WORDS_BETWEEN: u128 = 40_000;

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

    /// `shards` shards of about equal work and memory that exchange few words, and these with a large lookahead; one per node
    /// if there are fewer nodes.
    ///
    /// Traffic is exact: the frames of the calendars, and the slack from sending each to its first use. Several partitions are
    /// made, and the one is taken that costs least where an exchange costs as much as [`Carrier`] says: pieces of an order in
    /// which neighbours are near each other; a multilevel division by words; and the same with ever larger slacks kept inside
    /// shards. No shard has more than 1.03 times the mean work and the heaviest node's beyond it. Equal inputs give equal
    /// partitions. Near-linear in nodes, links, frames and reads.
    #[must_use]
    pub fn balanced(machine: &Machine, program: &Program, shards: u32, carrier: Carrier) -> Self {
        Partitioner::new(machine, program).divide(shards, carrier)
    }

    /// Like [`Partition::balanced`], but with no more shards than threads pay for: whoever waits for words twice as often as
    /// he computes is better off alone.
    #[must_use]
    pub fn worthwhile(machine: &Machine, program: &Program, threads: u32) -> Self {
        let whole = Self::whole(machine.nodes().len());
        if threads < 2 {
            return whole;
        }
        let partitioner = Partitioner::new(machine, program);
        let pays = |partition: &Self| {
            let lookahead = partitioner.lookahead(partition);
            lookahead.is_none_or(|lookahead| partitioner.between(partition.shards, lookahead) >= WORDS_BETWEEN)
        };
        (2..=threads)
            .rev()
            .filter(|&shards| partitioner.between(shards, partitioner.slack_most()) >= WORDS_BETWEEN)
            .map(|shards| partitioner.divide(shards, Carrier::Memory))
            .find(pays)
            .unwrap_or(whole)
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
