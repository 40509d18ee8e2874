//! One scheduling problem: the firings of U iterations, grouped into the items that placement moves as a whole.

use crate::analysis::{DependencyId, FiringGraph, FiringId};
use crate::distance::Distances;
use crate::routing::Flow;
use crate::together::{components, stays_together};
use sim_core::{ActorId, App, ChannelId, Id, IdVec, Machine, NodeId};
use std::collections::BTreeMap;

/// The firings of U iterations on one machine.
pub(crate) struct Problem<'a> {
    pub(crate) app: &'a App,
    pub(crate) machine: &'a Machine,
    pub(crate) distances: &'a Distances<'a>,
    pub(crate) graph: FiringGraph,
    /// Firings that share a node: all of an actor that must or should stay together, else a single one.
    pub(crate) items: Vec<Item>,
    /// Item of every firing.
    pub(crate) item_of: Vec<u32>,
    /// Traffic between different items, by (from, to), in words per metacycle. None where every item is pinned.
    pub(crate) traffic: Vec<Traffic>,
    /// Positions in `traffic` of every item, as either end; empty where every item is pinned.
    pub(crate) around: Vec<Vec<u32>>,
    /// Longest firing.
    pub(crate) duration_max: i64,
}

/// Firings that share a node.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Core ticks per metacycle.
    pub(crate) load: i64,
    /// The node that it must be on.
    pub(crate) pin: Option<NodeId>,
    /// Component of the item graph; items on a common cycle share it.
    pub(crate) component: u32,
}

/// Words that one item sends to another in a metacycle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) words: i64,
    /// Both ends are on a common cycle: latency between them may cost throughput.
    pub(crate) cyclic: bool,
}

impl<'a> Problem<'a> {
    /// Groups the firings of `graph`. `pins` are indexed by actor.
    pub(crate) fn new(
        app: &'a App,
        distances: &'a Distances<'a>,
        graph: FiringGraph,
        pins: &IdVec<ActorId, Option<NodeId>>,
    ) -> Self {
        let mut items = Vec::new();
        let mut item_of = vec![0; graph.len()];
        let mut duration_max = 0;
        for actor in app.actors().ids() {
            let together = stays_together(app, actor);
            for (n, firing) in graph.firings_of(actor).enumerate() {
                if n == 0 || !together {
                    items.push(Item { load: 0, pin: pins[actor], component: 0 });
                }
                item_of[firing.index()] = items.len() as u32 - 1;
                items.last_mut().expect("just pushed").load += graph.duration(firing);
                duration_max = duration_max.max(graph.duration(firing));
            }
        }
        let mut words: BTreeMap<(u32, u32), i64> = BTreeMap::new();
        // Where nothing can be moved, nobody asks who talks to whom.
        let movable = items.iter().any(|item| item.pin.is_none());
        for dependency in graph.dependencies().values().filter(|_| movable) {
            let ends = (item_of[dependency.from.index()], item_of[dependency.to.index()]);
            if let Some(channel) = dependency.channel
                && ends.0 != ends.1
            {
                let tokens = i64::from(dependency.tokens);
                *words.entry(ends).or_insert(0) += tokens * i64::from(app.channels()[channel].token_words());
            }
        }
        if movable {
            for (component, members) in components(items.len(), words.keys().copied()).into_iter().enumerate() {
                for item in members {
                    items[item].component = component as u32;
                }
            }
        }
        let traffic: Vec<Traffic> = words
            .into_iter()
            .map(|((from, to), words)| {
                let cyclic = items[from as usize].component == items[to as usize].component;
                Traffic { from, to, words, cyclic }
            })
            .collect();
        let mut around = vec![Vec::new(); if movable { items.len() } else { 0 }];
        for (i, t) in traffic.iter().enumerate() {
            around[t.from as usize].push(i as u32);
            around[t.to as usize].push(i as u32);
        }
        let machine = distances.machine();
        Self { app, machine, distances, graph, items, item_of, traffic, around, duration_max }
    }

    /// Whether every item has its node.
    pub(crate) fn is_pinned(&self) -> bool {
        self.items.iter().all(|item| item.pin.is_some())
    }

    /// The node of every firing, if pins decide all of them.
    pub(crate) fn pinned(&self) -> Option<Vec<NodeId>> {
        let nodes: Option<Vec<NodeId>> = self.items.iter().map(|item| item.pin).collect();
        nodes.map(|nodes| self.nodes_of_firings(&nodes))
    }

    /// Expands a node per item to a node per firing.
    pub(crate) fn nodes_of_firings(&self, nodes: &[NodeId]) -> Vec<NodeId> {
        self.item_of.iter().map(|&item| nodes[item as usize]).collect()
    }

    /// Node and duration of every firing, for nodes by firing.
    pub(crate) fn loads<'s>(&'s self, node_of: &'s [NodeId]) -> impl Iterator<Item = (NodeId, i64)> + 's {
        self.graph.firings().map(|firing| (node_of[firing.index()], self.graph.duration(firing)))
    }

    /// Words of one token of `channel`.
    pub(crate) fn token_words(&self, channel: ChannelId) -> i64 {
        i64::from(self.app.channels()[channel].token_words())
    }

    /// Words that a dependency moves per metacycle; 0 for order alone.
    pub(crate) fn words(&self, dependency: DependencyId) -> i64 {
        let d = &self.graph.dependencies()[dependency];
        d.channel.map_or(0, |channel| i64::from(d.tokens) * self.token_words(channel))
    }

    /// Flows between nodes for a placement, and the flow of every dependency ([`LOCAL`] where both ends share a node).
    ///
    /// All dependencies of a channel between two nodes make one flow, unless that is more than `heavy` words.
    pub(crate) fn flows(&self, node_of: &[NodeId], heavy: i64) -> (Vec<Flow>, IdVec<DependencyId, u32>) {
        let mut flows: Vec<Flow> = Vec::new();
        // Most channels have one flow: the last of each is looked at first, and only those before it are kept in a tree.
        let mut last = IdVec::filled(LOCAL, self.app.channels().len());
        let mut earlier: BTreeMap<(ChannelId, NodeId, NodeId), u32> = BTreeMap::new();
        let mut flow_of = IdVec::filled(LOCAL, self.graph.dependencies().len());
        for (dependency, d) in self.graph.dependencies().iter() {
            let (from, to) = (node_of[d.from.index()], node_of[d.to.index()]);
            let Some(channel) = d.channel.filter(|_| from != to) else { continue };
            let words = self.words(dependency);
            let known = flows.get(last[channel] as usize).copied();
            let open = match known {
                Some(flow) if (flow.from, flow.to) == (from, to) => Some(last[channel]),
                Some(flow) => {
                    earlier.insert((channel, flow.from, flow.to), last[channel]);
                    earlier.get(&(channel, from, to)).copied()
                }
                None => None,
            };
            let flow = match open {
                Some(flow) if flows[flow as usize].words + words <= heavy => flow,
                _ => {
                    flows.push(Flow { from, to, words: 0, channel });
                    flows.len() as u32 - 1
                }
            };
            last[channel] = flow;
            flows[flow as usize].words += words;
            flow_of[dependency] = flow;
        }
        (flows, flow_of)
    }

    /// Components of the firing graph under all dependencies, in topological order.
    pub(crate) fn firing_components(&self) -> Vec<Vec<FiringId>> {
        let edges = self.graph.dependencies().values().map(|d| (d.from.index() as u32, d.to.index() as u32));
        let components = components(self.graph.len(), edges);
        components.into_iter().map(|members| members.into_iter().map(FiringId::from_index).collect()).collect()
    }
}

/// Flow of a dependency that needs no link.
pub(crate) const LOCAL: u32 = u32::MAX;
