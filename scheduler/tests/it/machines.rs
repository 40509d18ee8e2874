//! Random machines: small presets and digraphs with latencies of their own, cores, switches, and counters that start
//! anywhere.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use sim_core::{Id, IdVec, Link, LogicalLatency, Machine, Node, NodeId};
use std::fmt;

/// What a random machine is made from. Changing it before [`Wiring::machine`] gives related machines.
#[derive(Clone)]
pub(crate) struct Wiring {
    pub(crate) nodes: Vec<Node>,
    /// Links under counters that all start together: no latency is negative.
    pub(crate) links: Vec<Link>,
    /// Where each node's counter starts: what relabelling adds to latencies and takes from them.
    pub(crate) labels: Vec<i64>,
}

/// Short enough to be read in the report of a failed law.
impl fmt::Debug for Wiring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores: Vec<u32> = self.nodes.iter().map(|node| node.cores).collect();
        write!(f, "cores {cores:?}, labels {:?}, links", self.labels)?;
        self.links.iter().try_for_each(|l| write!(f, " {}->{}:{}", l.source.0, l.target.0, l.latency))
    }
}

impl Wiring {
    /// The machine as its nodes' counters see it.
    pub(crate) fn machine(&self) -> Machine {
        let label = |node: NodeId| self.labels[node.index()];
        let seen = |&link: &Link| {
            let latency = link.latency.0 + label(link.source) - label(link.target);
            Link { latency: LogicalLatency(latency), ..link }
        };
        let links: Vec<Link> = self.links.iter().map(seen).collect();
        Machine::new("random", self.nodes.clone(), links).expect("random machines are well-formed")
    }

    /// The same machine with counters that start at `labels`, repeated as needed.
    pub(crate) fn relabelled(&self, labels: &[i64]) -> Self {
        Self { labels: labels.iter().copied().cycle().take(self.nodes.len()).collect(), ..self.clone() }
    }

    /// Nodes that can fire.
    pub(crate) fn hosts(&self) -> Vec<NodeId> {
        let host = |&(_, node): &(usize, &Node)| node.cores > 0;
        self.nodes.iter().enumerate().filter(host).map(|(at, _)| NodeId::from_index(at)).collect()
    }

    /// Which nodes can be reached from which, over any number of links.
    pub(crate) fn reach(&self) -> IdVec<NodeId, IdVec<NodeId, bool>> {
        let nodes = self.nodes.len();
        let mut reach: IdVec<NodeId, IdVec<NodeId, bool>> = IdVec::filled(IdVec::filled(false, nodes), nodes);
        for node in reach.ids() {
            reach[node][node] = true;
        }
        for _ in 0..nodes {
            for link in &self.links {
                for from in reach.ids() {
                    let far = reach[from][link.source];
                    reach[from][link.target] |= far;
                }
            }
        }
        reach
    }
}

/// The first shapes are the smallest: shrinking goes there.
const PRESETS: [&str; 14] = [
    "single",
    "ring:2",
    "line:3",
    "ring:3",
    "ring:4",
    "star:3",
    "complete:4",
    "hourglass:2",
    "mesh:2x3",
    "tree:2x2",
    "fat-tree:2",
    "hypercube:3",
    "torus:2x2x2",
    "torus:3x3",
];

/// Latencies and cores, repeated as needed.
fn figures() -> impl Strategy<Value = (Vec<i64>, Vec<u32>)> {
    (prop::collection::vec(0..10_i64, 1..=6), prop::collection::vec(1..=3_u32, 1..=4))
}

fn preset() -> impl Strategy<Value = Wiring> {
    (select(PRESETS.to_vec()), figures()).prop_map(|(preset, (latencies, cores))| {
        let machine = Machine::from_preset(&preset.parse().expect("a preset"));
        let mut nodes: Vec<Node> = machine.nodes().values().cloned().collect();
        for (node, &cores) in nodes.iter_mut().filter(|node| node.cores > 0).zip(cores.iter().cycle()) {
            node.cores = cores;
        }
        let links = machine.links().values().zip(latencies.iter().cycle());
        let links = links.map(|(&link, &latency)| Link { latency: LogicalLatency(latency), ..link }).collect();
        Wiring { labels: vec![0; nodes.len()], nodes, links }
    })
}

/// Nodes and links drawn at random; `closed` adds a ring around all nodes, so that each can reach each.
fn digraph(closed: bool) -> impl Strategy<Value = Wiring> {
    let wires = prop::collection::vec(any::<[Index; 2]>(), 0..=8);
    (prop::collection::vec(0..=3_u32, 1..=6), wires, figures()).prop_map(move |(mut cores, wires, (latencies, _))| {
        let count = cores.len();
        if cores.iter().all(|&cores| cores == 0) {
            cores[0] = 1;
        }
        let ring = (0..count).filter(|_| closed && count > 1).map(|node| [node, (node + 1) % count]);
        let extra = wires.iter().map(|ends| ends.map(|end| end.index(count)));
        let links = ring.chain(extra).zip(latencies.iter().cycle()).map(|(ends, &latency)| {
            let [source, target] = ends.map(NodeId::from_index);
            Link { source, target, latency: LogicalLatency(latency) }
        });
        let nodes = cores.iter().enumerate().map(|(at, &cores)| Node::new(format!("n{at}"), cores)).collect();
        Wiring { nodes, links: links.collect(), labels: vec![0; count] }
    })
}

/// Counters that start together, or anywhere.
pub(crate) fn labels() -> impl Strategy<Value = Vec<i64>> {
    prop_oneof![1 => Just(vec![0]), 2 => prop::collection::vec(-1000..1000_i64, 1..=8)]
}

/// Machines in which every node can reach every other.
pub(crate) fn connected_wiring() -> impl Strategy<Value = Wiring> {
    (prop_oneof![preset(), digraph(true)], labels()).prop_map(|(wiring, labels)| wiring.relabelled(&labels))
}

/// Machines of any wires, most of them with nodes that cannot reach others.
pub(crate) fn any_wiring() -> impl Strategy<Value = Wiring> {
    (digraph(false), labels()).prop_map(|(wiring, labels)| wiring.relabelled(&labels))
}
