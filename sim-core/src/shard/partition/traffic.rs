//! What the calendars say of nodes and links: work, memory, words, slack.

use super::graph::{Graph, Weight};
use crate::ids::{Id, IdVec, NodeId};
use crate::machine::Machine;
use crate::program::Program;
use crate::shard::slack::{add_reads, relay_slacks};
use crate::time::Ticks;

/// What crosses a link per metacycle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) words: u32,
    /// The least slack of its frames.
    pub(super) slack: Ticks,
}

/// The work of every node and the traffic on every link.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    pub(super) weights: IdVec<NodeId, Weight>,
    /// By link: its nodes, and what crosses it. Links without frames are left out.
    pub(super) flows: Vec<(NodeId, NodeId, Flow)>,
}

impl Traffic {
    pub(super) fn new(machine: &Machine, program: &Program) -> Self {
        let mut slacks = relay_slacks(program);
        add_reads(program, &mut slacks, |_| true);
        let mut flows = Vec::new();
        for (link, ends) in machine.links().iter() {
            let mut flow = Flow { words: 0, slack: Ticks(i64::MAX) };
            for (id, _) in program.frames_of(link) {
                flow.words += 1;
                flow.slack = flow.slack.min(slacks[id]);
            }
            if flow.words > 0 {
                flows.push((ends.source, ends.target, flow));
            }
        }
        Self { weights: weights(machine, program), flows }
    }

    /// The graph of nodes and of words per metacycle, places being those of `order`.
    pub(super) fn graph(&self, order: &[NodeId]) -> Graph {
        let mut places = vec![0; order.len()];
        for (place, node) in (0..).zip(order) {
            places[node.index()] = place;
        }
        let edges = self.flows.iter().map(|&(a, b, flow)| (a.0, b.0, flow.words));
        Graph::new(self.weights.as_slice().to_vec(), places, edges.filter(|(a, b, _)| a != b))
    }

    /// For every node the group of those that it must share a shard with so that every cut has a lookahead of `least`, and the
    /// number of groups.
    pub(super) fn glued(&self, least: Ticks) -> (Vec<u32>, usize) {
        let mut parent: IdVec<NodeId, NodeId> = (0..self.weights.len()).map(NodeId::from_index).collect();
        let root = |parent: &mut IdVec<NodeId, NodeId>, mut node: NodeId| {
            while parent[node] != node {
                let above = parent[parent[node]];
                parent[node] = above;
                node = above;
            }
            node
        };
        for &(source, target, _) in self.flows.iter().filter(|(.., flow)| flow.slack < least) {
            let (a, b) = (root(&mut parent, source), root(&mut parent, target));
            // The lower number leads, so that a group's root comes before its other members.
            parent[a.max(b)] = a.min(b);
        }
        let mut groups = 0;
        let mut group = vec![0; self.weights.len()];
        for node in parent.ids() {
            let root = root(&mut parent, node);
            if root == node {
                group[node.index()] = groups;
                groups += 1;
            } else {
                group[node.index()] = group[root.index()];
            }
        }
        (group, groups as usize)
    }
}

/// By node: words that it reads, writes and sends per metacycle, and its firings; words of memory that hold what it produces
/// and receives. O(firings + frames).
pub(in crate::shard) fn weights(machine: &Machine, program: &Program) -> IdVec<NodeId, Weight> {
    let mut weights = IdVec::filled(Weight { load: 0, memory: 0, nodes: 1 }, machine.nodes().len());
    for firing in program.firings.values() {
        let weight = &mut weights[firing.node];
        weight.load += 2 + u64::from(firing.input_words) + u64::from(firing.output_words);
        let words =
            program.products(firing).map(|(_, p)| u64::from(p.words) * u64::from(program.addresses[p.address].count));
        weight.memory += words.sum::<u64>();
    }
    for (link, ends) in machine.links().iter() {
        for (_, frame) in program.frames_of(link) {
            weights[ends.source].load += 1;
            weights[ends.target].memory += u64::from(program.addresses[frame.to].count);
        }
    }
    weights
}
