//! What a partition costs, in figures of the calendars: the cut matrix, and how evenly shards are loaded.

use super::partition::weights;
use super::{Carrier, Cut, Pace, Partition, ShardId};
use crate::engine::{EngineError, Extent, most_ticks};
use crate::ids::{IdVec, LinkId};
use crate::machine::Machine;
use crate::program::Program;
use crate::time::Ticks;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What crosses between every two shards, and what each has to do, per metacycle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutMatrix {
    /// Ticks of a metacycle.
    pub metacycle: i64,
    /// By shard.
    pub shards: Vec<ShardLoad>,
    /// Cuts across which any frame travels, by (from, to).
    pub cuts: Vec<CutFlow>,
    /// The most ticks from one exchange of a shard over a network to the next, of the shard that exchanges most often; `None` if
    /// no shard waits for words that follow from its own.
    #[serde(default)]
    pub step: Option<Ticks>,
}

/// What one shard has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardLoad {
    /// Its nodes.
    pub nodes: u64,
    /// Their firings per metacycle.
    pub firings: u64,
    /// Words that they read, write and send per metacycle, and 2 for every firing: what partitions are balanced by.
    pub work: u64,
    /// Words of memory that hold what they produce and receive.
    pub memory_words: u64,
}

/// What one shard sends another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutFlow {
    /// Who sends.
    pub from: ShardId,
    /// Who receives.
    pub to: ShardId,
    /// Links that carry any of the words.
    pub links: u64,
    /// Words per metacycle.
    pub words: u64,
    /// How far the receiver may execute beyond what was sent to it; `None` if it never uses any of it.
    pub lookahead: Option<Ticks>,
    /// How far the shards at its ends may be apart in the mean (see [`Cut::reach`]); `None` if it is on no circle.
    pub reach: Option<Ticks>,
}

/// How much more the fullest shard has than the mean: 1 is even.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Imbalance {
    /// Of work.
    pub work: f64,
    /// Of firings.
    pub firings: f64,
    /// Of memory.
    pub memory: f64,
}

impl CutMatrix {
    /// The figures of `partition`.
    ///
    /// # Errors
    /// [`EngineError::TooLong`] if the ticks of a metacycle cannot be counted.
    pub fn new(machine: &Machine, program: &Program, partition: &Partition) -> Result<Self, EngineError> {
        // One iteration has every frame once.
        let cuts = Cut::all(program, partition, &Extent::new(program, 1)?);
        let mut shards: IdVec<ShardId, ShardLoad> = IdVec::filled(ShardLoad::default(), partition.shards() as usize);
        let weights = weights(machine, program);
        for node in machine.nodes().ids() {
            let shard = &mut shards[partition.shard_of(node)];
            shard.nodes += 1;
            shard.firings += program.firings_on(node).count() as u64;
            shard.work += weights[node].load;
            shard.memory_words += weights[node].memory;
        }
        let most = most_ticks(program.metacycle(), false, None);
        let steps = partition.ids().map(|id| Pace::new(&cuts, program.metacycle(), id, most, Carrier::Network).step);
        Ok(Self {
            step: cuts.iter().any(|cut| cut.reach().is_some()).then(|| steps.min()).flatten(),
            metacycle: program.metacycle(),
            shards: shards.values().copied().collect(),
            cuts: cuts.iter().map(flow).collect(),
        })
    }

    /// The most of any shard over the mean of all.
    #[must_use]
    pub fn imbalance(&self) -> Imbalance {
        let over = |of: fn(&ShardLoad) -> u64| {
            let all: u64 = self.shards.iter().map(of).sum();
            let most = self.shards.iter().map(of).max().unwrap_or(0);
            if all == 0 { 1.0 } else { most as f64 * self.shards.len() as f64 / all as f64 }
        };
        Imbalance {
            work: over(|shard| shard.work),
            firings: over(|shard| shard.firings),
            memory: over(|shard| shard.memory_words),
        }
    }

    /// Words per metacycle across all cuts.
    #[must_use]
    pub fn words(&self) -> u64 {
        self.cuts.iter().map(|cut| cut.words).sum()
    }

    /// The least lookahead of any cut; `None` if no word is ever waited for.
    #[must_use]
    pub fn lookahead(&self) -> Option<Ticks> {
        self.cuts.iter().filter_map(|cut| cut.lookahead).min()
    }

    /// What `from` sends to `to`.
    #[must_use]
    pub fn cut(&self, from: ShardId, to: ShardId) -> Option<&CutFlow> {
        self.cuts.iter().find(|cut| (cut.from, cut.to) == (from, to))
    }
}

fn flow(cut: &Cut) -> CutFlow {
    let links: BTreeSet<LinkId> = cut.frames().iter().map(|frame| frame.link).collect();
    CutFlow {
        from: cut.from(),
        to: cut.to(),
        links: links.len() as u64,
        words: cut.frames().len() as u64,
        lookahead: Some(cut.lookahead()).filter(|&lookahead| lookahead < Ticks(i64::MAX)),
        reach: cut.reach(),
    }
}
