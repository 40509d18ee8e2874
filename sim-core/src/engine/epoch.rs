//! Run digests: the leaves of an epoch, computed from the machine's state at its end.
//!
//! What is live, in flight or counted follows from the program and the tick alone, so that the hot loop pays nothing.

use super::extent::{Extent, Row};
use super::tick::{Stage, StateSlot};
use crate::csr::Csr;
use crate::digest::{DigestLevel, Leaf, RunDigest, StateLeaf};
use crate::ids::{IdVec, LinkId, NodeId};
use crate::program::{Program, Spot};
use crate::time::Tick;

/// The chain over epochs, with what the leaves are computed from.
pub(super) struct Epochs {
    level: DigestLevel,
    digest: RunDigest,
    leaves: IdVec<NodeId, Leaf>,
    /// Whether the leaves are those of the present state.
    fresh: bool,
    /// Nodes in whose state something can change.
    busy: Vec<NodeId>,
    lists: Lists,
    /// Per word of one node: its next event (see [`Next`]).
    next: Vec<u64>,
    leaf: StateLeaf,
}

/// Positions in the program's arrays, grouped.
struct Lists {
    sends: Csr<NodeId, u32>,
    stores: Csr<NodeId, u32>,
    /// Firings by actor.
    firings: Csr<NodeId, u32>,
    /// Links that carry anything.
    links: Csr<NodeId, LinkId>,
    /// Words sent on a link, by slot.
    frames: Csr<LinkId, u32>,
}

impl Epochs {
    pub(super) fn new(program: &Program, level: DigestLevel) -> Self {
        let nodes = program.nodes.len();
        let lists = Lists::new(program);
        let unused = |&node: &NodeId| {
            lists.sends.row(node).is_empty() && lists.stores.row(node).is_empty() && lists.firings.row(node).is_empty()
        };
        let busy: Vec<NodeId> = program.nodes.ids().filter(|node| !unused(node)).collect();
        let words = busy.iter().map(|&node| program.nodes[node].words as usize).max().unwrap_or(0);
        let empty = match level {
            DigestLevel::Events => crate::digest::EventHash::default().leaf(),
            DigestLevel::Off | DigestLevel::State => StateLeaf::default().finish(),
        };
        Self {
            level,
            digest: RunDigest::new(level, &program.identity),
            leaves: IdVec::filled(empty, nodes),
            fresh: false,
            busy,
            lists,
            next: if level == DigestLevel::State { vec![NEVER; words] } else { Vec::new() },
            leaf: StateLeaf::default(),
        }
    }

    /// Says that something happened since the leaves were computed.
    pub(super) fn disturb(&mut self) {
        self.fresh = false;
    }

    /// Closes the epoch that ends before `row`.
    pub(super) fn close(&mut self, program: &Program, extent: &Extent, row: Row, stage: &Stage<'_>) {
        if self.level == DigestLevel::Off {
            return;
        }
        if !self.fresh {
            for i in 0..self.busy.len() {
                let node = self.busy[i];
                self.leaves[node] = match self.level {
                    DigestLevel::Events => stage.events[node].leaf(),
                    DigestLevel::Off | DigestLevel::State => self.state_leaf(program, extent, row, node, stage),
                };
            }
            self.fresh = true;
        }
        self.digest.close_epoch(row.tick(program.metacycle), self.leaves.values());
    }

    pub(super) fn digest(&self) -> RunDigest {
        self.digest
    }

    fn state_leaf(&mut self, program: &Program, extent: &Extent, row: Row, node: NodeId, stage: &Stage<'_>) -> Leaf {
        self.live_words(program, extent, row, node, &stage.memory);
        self.frames_in_flight(program, extent, row, node, stage);
        self.actors(program, extent, row, node, stage);
        if let Some(hash) = stage.consumed[node] {
            self.leaf.consumed(hash);
        }
        self.leaf.finish()
    }

    /// Reports the words whose next event is a read. O(words of the node's memory).
    fn live_words(&mut self, program: &Program, extent: &Extent, row: Row, node: NodeId, memory: &[u64]) {
        let start = program.nodes[node].start as usize;
        let words = program.nodes[node].words as usize;
        let mut next = Next { program, extent, row, start, next: &mut self.next[..words] };
        next.next.fill(NEVER);
        for &send in self.lists.sends.row(node) {
            let send = send as usize;
            next.mark(program.send_class[send], program.sends[send].slot, program.send_from[send], 1, READ);
        }
        for &store in self.lists.stores.row(node) {
            let store = store as usize;
            next.mark(program.store_class[store], program.stores[store].slot, program.store_to[store], 1, WRITE);
        }
        for &firing in self.lists.firings.row(node) {
            let event = &program.firings[firing as usize];
            for operand in &program.consumed[event.inputs.start as usize..event.inputs.end as usize] {
                next.mark(event.class, event.slot, operand.spot, operand.words, READ);
            }
            for operand in &program.produced[event.outputs.start as usize..event.outputs.end as usize] {
                next.mark(event.class, event.slot, operand.spot, operand.words, WRITE);
            }
        }
        for (address, (&event, &word)) in self.next[..words].iter().zip(&memory[start..start + words]).enumerate() {
            if event != NEVER && event & 1 == READ {
                self.leaf.live_word(u32::try_from(address).expect("addresses are limited"), word);
            }
        }
    }

    /// Reports the frames sent before `row` that arrive at it or later. O(those frames + frames per metacycle).
    fn frames_in_flight(&mut self, program: &Program, extent: &Extent, row: Row, node: NodeId, stage: &Stage<'_>) {
        for &link in self.lists.links.row(node) {
            let latency = program.links[link].latency.0;
            let tick = row.tick(program.metacycle).0;
            let frames = self.lists.frames.row(link);
            let ranges = || frames.iter().map(|&send| extent.range(program.send_class[send as usize]));
            let start = ranges().map(|range| range.start).min().unwrap_or(0);
            let end = ranges().map(|range| range.end).max().unwrap_or(0);
            let oldest = (tick - latency).max(0) / program.metacycle;
            for metacycle in start.max(oldest as u64)..end.min(row.metacycle + 1) {
                for &send in frames {
                    let send = send as usize;
                    let sent = metacycle as i64 * program.metacycle + program.sends[send].slot;
                    let active = extent.range(program.send_class[send]).contains(&metacycle);
                    if active && sent < tick && sent + latency >= tick {
                        let spot = stage.send_to[send];
                        let word = stage.flight[spot.copy(stage.rotors[spot].position(metacycle))];
                        self.leaf.frame(link, Tick(sent), word);
                    }
                }
            }
        }
    }

    /// Reports, actor by actor, the plain state and how many firings have ended.
    fn actors(&mut self, program: &Program, extent: &Extent, row: Row, node: NodeId, stage: &Stage<'_>) {
        let firings = self.lists.firings.row(node);
        let actor_of = |firing: &u32| program.firings[*firing as usize].actor;
        for group in firings.chunk_by(|a, b| actor_of(a) == actor_of(b)) {
            let actor = actor_of(&group[0]);
            if let StateSlot::Words(range) = &stage.actors[actor].state
                && !range.is_empty()
            {
                self.leaf.actor_state(actor, &stage.states[range.clone()]);
            }
            let ended = |&firing: &u32| {
                let event = &program.firings[firing as usize];
                extent.activations_before(event.class, event.slot, row)
            };
            let count: u64 = group.iter().map(ended).sum();
            if count > 0 {
                self.leaf.firings(actor, count);
            }
        }
    }
}

impl Lists {
    fn new(program: &Program) -> Self {
        let nodes = program.nodes.len();
        let source = |send: &u32| program.links[program.sends[*send as usize].link].source;
        let sends = || (0..).zip(&program.sends).map(|(send, _): (u32, _)| send);
        let mut firings: Vec<u32> = (0..).zip(&program.firings).map(|(firing, _)| firing).collect();
        firings.sort_by_key(|&firing| program.firings[firing as usize].actor);
        let frames = Csr::group(program.links.len(), sends().map(|send| (program.sends[send as usize].link, send)));
        let used = program.links.iter().filter(|&(link, _)| !frames.row(link).is_empty());
        Self {
            sends: Csr::group(nodes, sends().map(|send| (source(&send), send))),
            stores: Csr::group(nodes, (0..).zip(&program.stores).map(|(store, stored)| (stored.node, store))),
            firings: Csr::group(nodes, firings.into_iter().map(|f| (program.firings[f as usize].node, f))),
            links: Csr::group(nodes, used.map(|(link, ends)| (ends.source, link))),
            frames,
        }
    }
}

/// At equal ticks a read comes before a write: the lowest bit of an event, above it the tick.
const READ: u64 = 0;
const WRITE: u64 = 1;
/// No event.
const NEVER: u64 = u64::MAX;

/// Finds the next event of every word of one node.
struct Next<'a> {
    program: &'a Program,
    extent: &'a Extent,
    row: Row,
    /// Where the node's memory starts.
    start: usize,
    /// Earliest event found so far, indexed by address: 2 · tick + kind.
    next: &'a mut [u64],
}

impl Next<'_> {
    /// Considers an entry of class `class` that touches `words` words from `spot` on in slot `slot`.
    fn mark(&mut self, class: u32, slot: i64, spot: Spot, words: u32, kind: u64) {
        let rotor = self.program.rotors[spot];
        let range = self.extent.range(class);
        let first = range.start + self.extent.activations_before(class, slot, self.row);
        let mut position = rotor.position(first);
        for metacycle in (first..range.end).take(rotor.count as usize) {
            let tick = metacycle * self.program.metacycle as u64 + slot as u64;
            let word = spot.copy(position) - self.start;
            for next in &mut self.next[word..word + words as usize] {
                *next = (*next).min(2 * tick + kind);
            }
            position = if position + 1 == rotor.count { 0 } else { position + 1 };
        }
    }
}
