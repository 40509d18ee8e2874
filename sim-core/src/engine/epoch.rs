//! Run digests: the leaves of a shard's nodes at the end of an epoch.
//!
//! What is live, in flight or counted follows from the program and the tick alone, so that the hot loop pays nothing.

use super::extent::Extent;
use super::hot::{Stage, StateSlot};
use super::layout::Layout;
use super::sites::{Now, Sites};
use crate::digest::{DigestLevel, Leaf, Root, StateLeaf};
use crate::program::Program;
use crate::time::Tick;

/// The leaves of a shard's nodes.
pub(super) struct Epochs {
    level: DigestLevel,
    /// The sum of the leaves, if nothing has happened since they were computed.
    root: Option<Root>,
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
    pub(super) fn new(program: &Program, layout: &Layout, level: DigestLevel) -> Self {
        Self {
            level,
            root: None,
            sites: if level == DigestLevel::State { Sites::new(program, layout) } else { Sites::default() },
            ended: Vec::new(),
        }
    }

    /// Says that something happened since the leaves were computed.
    pub(super) fn disturb(&mut self) {
        self.root = None;
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
        let root = self.root.unwrap_or_else(|| {
            let now = Now { program, extent, layout, end };
            let mut root = Root::default();
            for (number, plan) in layout.nodes.iter().enumerate() {
                root.add(&match self.level {
                    DigestLevel::Off => continue,
                    DigestLevel::Events => stage.watch.events[number].leaf(plan.node),
                    DigestLevel::State => self.state_leaf(&now, number, stage),
                });
            }
            root
        });
        self.root = Some(root);
        EpochPart { end, root }
    }

    /// Where words are, if the run digest needs to know.
    pub(super) fn sites(&self) -> Option<&Sites> {
        (self.level == DigestLevel::State).then_some(&self.sites)
    }

    /// Bytes of what grows with nodes.
    pub(super) fn bytes(&self) -> usize {
        self.sites.bytes()
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
