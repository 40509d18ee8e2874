//! Nodes in an order in which neighbours are near each other, from the machine alone.

use crate::ids::{Id, NodeId};
use crate::machine::{Machine, Preset};

/// For meshes and tori the order of the nodes' numbers, so that pieces are slabs across the longest dimension; for other
/// machines that of a breadth-first search from a node at the rim, as Cuthill and McKee reduce the width of a matrix.
pub(super) fn order(machine: &Machine) -> Vec<NodeId> {
    match machine.shape() {
        Some(
            Preset::Mesh { .. }
            | Preset::Torus { .. }
            | Preset::Line { .. }
            | Preset::Ring { .. }
            | Preset::Hypercube { .. },
        ) => machine.nodes().ids().collect(),
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
