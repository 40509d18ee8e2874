//! Which firings of a shard's nodes wait for words of which others: what the order of visits depends on.

use super::super::layout::Parts;
use super::{RUN_WORDS, WINDOW_METACYCLES};
use crate::csr::Csr;
use crate::ids::{IdVec, NodeId};

/// Which firings of the shard's nodes wait for words of which others.
pub(super) struct Waits {
    /// Ticks of a metacycle.
    pub(super) length: i64,
    /// By node: where its firings start, which are ordered by slot; and where the last ones end.
    pub(super) nodes: Vec<u32>,
    /// By firing: the slot of its last tick.
    pub(super) slots: Vec<i64>,
    /// By firing: where its waits start, and where the last ones end.
    pub(super) firings: Vec<u32>,
    pub(super) list: Vec<Wait>,
    /// By firing: words of a row.
    pub(super) words: Vec<u32>,
    /// Metacycles that a visit executes, at most.
    pub(super) runs: i64,
    /// Whether words leave the shard, if only such as come from others.
    pub(super) exports: bool,
    /// Nodes that make words for other shards, ascending.
    pub(super) exporters: Vec<u32>,
    /// By node: whether it makes words for other shards, or reads theirs.
    pub(super) at_the_edge: Vec<bool>,
    /// By node: who waits for its words.
    pub(super) readers: Csr<NodeId, u32>,
    /// By node: how many firings it executes while words go to a neighbour and back.
    pub(super) turns: Vec<i64>,
    /// By node: whether it goes first. No two of these wait for each other.
    pub(super) firsts: Vec<bool>,
}

/// A firing waits for another one, of another node, as it happens `ago` metacycles before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) node: u32,
    pub(super) firing: u32,
    pub(super) ago: i64,
}

impl Waits {
    /// Those of the nodes of a shard.
    pub(super) fn new(parts: &Parts<'_, '_>) -> Self {
        let program = parts.program;
        let metacycle = |last: crate::time::Tick| last.0.div_euclid(program.metacycle);
        let mut numbers = IdVec::filled(u32::MAX, program.nodes());
        let mut waits = Self::none(program.metacycle, parts.nodes().count());
        let mut most = 1;
        for (number, node) in (0..).zip(parts.nodes()) {
            numbers[node] = number;
            waits.nodes.push(waits.slots.len() as u32);
            for (_, firing) in program.firings_on(node) {
                waits.slots.push(firing.last.0.rem_euclid(program.metacycle));
                waits.words.push(firing.output_words);
                most = most.max(i64::from(firing.input_words.max(firing.output_words)));
            }
        }
        waits.nodes.push(waits.slots.len() as u32);
        waits.runs = (RUN_WORDS / most).clamp(1, WINDOW_METACYCLES.into());
        for (number, node) in (0..).zip(parts.nodes()) {
            for (_, firing) in program.firings_on(node) {
                let start = waits.list.len();
                waits.firings.push(start as u32);
                for read in program.reads(firing) {
                    let producer = program.producer(read.product);
                    if !parts.here(producer.node) {
                        waits.at_the_edge[number] = true;
                        continue;
                    }
                    if producer.node == node {
                        continue;
                    }
                    let other = numbers[producer.node];
                    let position =
                        program.products[read.product].firing.0 - program.firings_on.row(producer.node).start;
                    let ago = metacycle(firing.last) - metacycle(producer.last) + i64::from(read.lag);
                    let wait = Wait { node: other, firing: waits.nodes[other as usize] + position, ago };
                    // Words of one firing are mostly read side by side.
                    if waits.list[start..].last() != Some(&wait) {
                        waits.list.push(wait);
                    }
                }
            }
        }
        waits.firings.push(waits.list.len() as u32);
        let crossing = || parts.frames().filter(|(_, link)| !parts.here(link.target));
        let exporters = crossing().map(|(frame, _)| program.producer(program.frames[frame].product).node);
        waits.exporters = exporters.filter(|&node| parts.here(node)).map(|node| numbers[node]).collect();
        waits.exports = crossing().next().is_some();
        waits.exporters.sort_unstable();
        waits.exporters.dedup();
        waits.exporters.iter().for_each(|&node| waits.at_the_edge[node as usize] = true);
        waits.meet();
        waits
    }

    /// What is known before any node is looked at, with metacycles of `length` ticks.
    fn none(length: i64, nodes: usize) -> Self {
        Self {
            length,
            nodes: Vec::new(),
            slots: Vec::new(),
            firings: Vec::new(),
            list: Vec::new(),
            words: Vec::new(),
            runs: 1,
            exports: false,
            exporters: Vec::new(),
            at_the_edge: vec![false; nodes],
            readers: Csr::from_rows(std::iter::empty::<[u32; 0]>()),
            turns: Vec::new(),
            firsts: Vec::new(),
        }
    }

    /// Finds out who reads whose words, how long words take there and back, and who goes first.
    fn meet(&mut self) {
        let sources = |node: u32| {
            let (start, count) = self.firings_of(node);
            let range = self.firings[start as usize] as usize..self.firings[start as usize + count as usize] as usize;
            let mut sources: Vec<(u32, i64)> = self.list[range].iter().map(|wait| (wait.node, wait.ago)).collect();
            sources.sort_unstable();
            // The shortest way from each.
            sources.dedup_by_key(|source| source.0);
            sources
        };
        let sources: Csr<NodeId, (u32, i64)> = Csr::from_rows((0..self.len() as u32).map(sources));
        let back = |from: u32, to: u32| {
            let row = sources.row(NodeId(to));
            row.binary_search_by_key(&from, |source| source.0).map(|place| row[place].1)
        };
        let turn = |node: u32| {
            let ways = sources.row(NodeId(node)).iter();
            let turns = ways.filter_map(|&(other, ago)| back(node, other).ok().map(|back| ago.saturating_add(back)));
            let metacycles = turns.min().unwrap_or(i64::MAX).clamp(1, WINDOW_METACYCLES.into());
            self.firings_of(node).1 * metacycles
        };
        let turns = (0..self.len() as u32).map(turn).collect();
        let pairs = (0..self.len() as u32)
            .flat_map(|node| sources.row(NodeId(node)).iter().map(move |&(other, _)| (NodeId(other), node)));
        self.readers = Csr::group(self.len(), pairs);
        self.turns = turns;
        self.firsts = vec![true; self.len()];
        for node in 0..self.len() {
            if self.firsts[node] {
                self.readers.row(NodeId(node as u32)).iter().for_each(|&reader| self.firsts[reader as usize] = false);
            }
        }
    }

    /// Nodes with one firing per tick each, which waits as it is given.
    #[cfg(test)]
    pub(super) fn of_single_firings(nodes: &[Vec<Wait>]) -> Self {
        let count = nodes.len();
        let starts = |lengths: &mut dyn Iterator<Item = usize>| {
            let mut starts = vec![0];
            lengths.for_each(|length| starts.push(starts[starts.len() - 1] + length as u32));
            starts
        };
        let mut waits = Self {
            nodes: starts(&mut nodes.iter().map(|_| 1)),
            slots: vec![0; count],
            firings: starts(&mut nodes.iter().map(Vec::len)),
            list: nodes.concat(),
            words: vec![1; count],
            runs: WINDOW_METACYCLES.into(),
            ..Self::none(1, count)
        };
        waits.meet();
        waits
    }

    /// Number of nodes.
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - 1
    }

    /// Where the firings of a node start, and how many there are.
    pub(super) fn firings_of(&self, node: u32) -> (u32, i64) {
        let (start, end) = (self.nodes[node as usize], self.nodes[node as usize + 1]);
        (start, i64::from(end - start))
    }

    pub(super) fn waits_of(&self, firing: u32) -> &[Wait] {
        &self.list[self.firings[firing as usize] as usize..self.firings[firing as usize + 1] as usize]
    }

    /// How many firings of `node` end before `tick` of a window.
    pub(super) fn steps_before(&self, node: u32, tick: i64) -> i64 {
        let (start, count) = self.firings_of(node);
        let slots = &self.slots[start as usize..start as usize + count as usize];
        tick / self.length * count + slots.partition_point(|&slot| slot < tick % self.length) as i64
    }

    /// Divides a window of so many metacycles into stretches within which firings end in at most `reach` ticks: their first slots,
    /// and those after the last in which firings end.
    pub(super) fn bounds(&self, metacycles: i64, reach: i64) -> Vec<(i64, i64)> {
        let mut slots = self.slots.clone();
        slots.sort_unstable();
        slots.dedup();
        let mut bounds: Vec<(i64, i64)> = vec![(0, 0)];
        for metacycle in 0..metacycles {
            for slot in slots.iter().map(|slot| metacycle * self.length + slot) {
                let (start, end) = bounds.last_mut().expect("there is a first part");
                if slot - *start >= reach {
                    bounds.push((slot, slot + 1));
                } else {
                    *end = slot + 1;
                }
            }
        }
        bounds
    }
}
