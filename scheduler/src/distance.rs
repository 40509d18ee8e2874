//! Distances between nodes: ticks from a word being readable at one node to being readable at another, over the best path.

use sim_core::{Id, Machine, NodeId};
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

/// What an unreachable node is away.
pub(crate) const UNREACHABLE: i64 = i64::MAX / 4;

/// Shortest distances *to* a node, per hop λ + 1 ticks; rows are computed when first asked for.
pub(crate) struct Distances<'a> {
    machine: &'a Machine,
    rows: RefCell<Vec<Option<Rc<[i64]>>>>,
}

impl<'a> Distances<'a> {
    /// No row is computed yet.
    pub(crate) fn new(machine: &'a Machine) -> Self {
        Self { machine, rows: RefCell::new(vec![None; machine.nodes().len()]) }
    }

    /// The machine.
    pub(crate) fn machine(&self) -> &'a Machine {
        self.machine
    }

    /// Distances of all nodes to `target`, indexed by node; [`UNREACHABLE`] where there is no path.
    pub(crate) fn to(&self, target: NodeId) -> Rc<[i64]> {
        if let Some(row) = &self.rows.borrow()[target.index()] {
            return Rc::clone(row);
        }
        let row: Rc<[i64]> = self.dijkstra(target).into();
        self.rows.borrow_mut()[target.index()] = Some(Rc::clone(&row));
        row
    }

    /// Distance from `source` to `target`.
    pub(crate) fn between(&self, source: NodeId, target: NodeId) -> i64 {
        if source == target { 0 } else { self.to(target)[source.index()] }
    }

    fn dijkstra(&self, target: NodeId) -> Vec<i64> {
        let mut row = vec![UNREACHABLE; self.machine.nodes().len()];
        let mut heap = BinaryHeap::from([Reverse((0, target))]);
        row[target.index()] = 0;
        while let Some(Reverse((distance, node))) = heap.pop() {
            if distance > row[node.index()] {
                continue;
            }
            for &link in self.machine.incoming(node) {
                let link = self.machine.links()[link];
                let through = distance + link.latency.hop().0;
                if through < row[link.source.index()] {
                    row[link.source.index()] = through;
                    heap.push(Reverse((through, link.source)));
                }
            }
        }
        row
    }
}
