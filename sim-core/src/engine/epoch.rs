//! Run digests: the leaves of a shard's nodes at the end of an epoch.
//!
//! What is live, in flight or counted follows from the program and the tick alone, so that the hot loop pays nothing.

use super::extent::Extent;
use super::hot::{Stage, StateSlot};
use super::layout::{Layout, Parts};
use super::sites::{Now, Sites};
use crate::digest::{DigestLevel, Leaf, Root, StateLeaf};
use crate::program::Program;
use crate::time::Tick;

/// The leaves of a shard's nodes.
pub(super) struct Epochs {
    level: DigestLevel,
    /// By position of the node in the shard.
    leaves: Vec<Leaf>,
    /// Their sum.
    root: Root,
    /// Whether the leaves are those of the present state.
    fresh: bool,
    sites: Sites,
    /// Firings that have ended, by actor of one node.
    ended: Vec<u64>,
}

/// The end of an epoch, as one shard sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochPart {
    /// The first tick after the epoch.
    pub end: Tick,
    /// Sum of the leaves of the shard's nodes.
    pub root: Root,
}

impl Epochs {
    pub(super) fn new(parts: &Parts<'_, '_>, layout: &Layout, level: DigestLevel) -> Self {
        Self {
            level,
            leaves: vec![Leaf::default(); if level == DigestLevel::Off { 0 } else { layout.nodes.len() }],
            root: Root::default(),
            fresh: false,
            sites: if level == DigestLevel::State { Sites::new(parts, layout) } else { Sites::default() },
            ended: Vec::new(),
        }
    }

    /// Says that something happened since the leaves were computed.
    pub(super) fn disturb(&mut self) {
        self.fresh = false;
    }

    /// Closes the epoch that ends before `end`.
    pub(super) fn close(
        &mut self,
        program: &Program,
        extent: &Extent,
        layout: &Layout,
        end: Tick,
        stage: &Stage<'_>,
    ) -> EpochPart {
        if !self.fresh {
            let now = Now { program, extent, layout, end };
            for number in 0..self.leaves.len() {
                let leaf = match self.level {
                    DigestLevel::Off | DigestLevel::Events => {
                        stage.watch.events[number].leaf(layout.nodes[number].node)
                    }
                    DigestLevel::State => self.state_leaf(&now, number, stage),
                };
                self.root.remove(&self.leaves[number]);
                self.root.add(&leaf);
                self.leaves[number] = leaf;
            }
            self.fresh = true;
        }
        EpochPart { end, root: self.root }
    }

    /// Bytes of leaves and sites.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.leaves) + self.sites.bytes()
    }

    fn state_leaf(&mut self, now: &Now<'_>, number: usize, stage: &Stage<'_>) -> Leaf {
        let plan = &now.layout.nodes[number];
        let mut leaf = StateLeaf::default();
        self.sites.live_words(now, number, |address, place| leaf.live_word(address, stage.words[place.index()]));
        self.sites
            .frames_in_flight(now, number, |link, sent, place| leaf.frame(link, sent, stage.words[place.index()]));
        self.count_firings(now, number);
        for (slot, &ended) in stage.actors[plan.actors as usize..].iter().zip(&self.ended) {
            if let StateSlot::Words(range) = &slot.state {
                leaf.actor_state(slot.actor, &stage.states[range.start as usize..range.end as usize]);
            }
            if ended > 0 {
                leaf.firings(slot.actor, ended);
            }
        }
        if let Some(&Some(hash)) = stage.watch.consumed.get(number) {
            leaf.consumed(hash);
        }
        leaf.finish(plan.node)
    }

    /// Counts the firings that have ended, by position of the actor in the node's list.
    fn count_firings(&mut self, now: &Now<'_>, number: usize) {
        let shape = &now.layout.shapes[now.layout.nodes[number].shape as usize];
        let metacycle = now.program.metacycle;
        self.ended.clear();
        for firing in &now.layout.firings[shape.firings.start as usize..shape.firings.end as usize] {
            let first = firing.first * metacycle + firing.slot;
            let reached = (now.end.0 - first + metacycle - 1).div_euclid(metacycle);
            let actor = firing.actor as usize;
            self.ended.resize(self.ended.len().max(actor + 1), 0);
            self.ended[actor] += reached.clamp(0, firing.end - firing.first) as u64;
        }
    }
}
