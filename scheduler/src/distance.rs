//! Distances between nodes over the best path: in ticks from a word being readable at one node to being readable at another,
//! or in hops.

use crate::together::{components, stays_together};
use sim_core::{App, Id, LinkId, Machine, NodeId};
use std::cell::{Ref, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

/// What an unreachable node is away.
pub(crate) const UNREACHABLE: i64 = i64::MAX / 4;

/// Nodes up to which a whole row of distances is worth computing for one path.
const ROW: usize = 1 << 8;

/// What distances are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// λ + 1 ticks per hop.
    Ticks,
    /// A hop is a hop.
    Hops,
}

impl Unit {
    /// Ticks where latency may cost throughput: where firings on several nodes may wait for each other in a circle. Elsewhere
    /// only frames on links cost, so that placement, routes and period are the same however long the links are.
    pub(crate) fn of(app: &App) -> Self {
        let channels = app.channels().values().map(|channel| (channel.source.0, channel.target.0));
        let acyclic = components(app.actors().len(), channels).iter().all(|members| members.len() == 1);
        let to_itself = app.channels().values().filter(|channel| channel.source == channel.target);
        if acyclic && to_itself.into_iter().all(|channel| stays_together(app, channel.source)) {
            Self::Hops
        } else {
            Self::Ticks
        }
    }
}

/// Shortest distances *to* a node; rows are computed when first asked for.
pub(crate) struct Distances<'a> {
    machine: &'a Machine,
    unit: Unit,
    rows: RefCell<Vec<Option<Rc<[i64]>>>>,
    vicinity: RefCell<Vicinity>,
}

impl<'a> Distances<'a> {
    /// No row is computed yet.
    pub(crate) fn new(machine: &'a Machine, unit: Unit) -> Self {
        let rows = RefCell::new(vec![None; machine.nodes().len()]);
        Self { machine, unit, rows, vicinity: RefCell::default() }
    }

    /// The machine.
    pub(crate) fn machine(&self) -> &'a Machine {
        self.machine
    }

    /// What it takes to cross `link`.
    pub(crate) fn length(&self, link: LinkId) -> i64 {
        length(self.machine, self.unit, link)
    }

    /// Distances of all nodes to `target`, indexed by node; [`UNREACHABLE`] where there is no path.
    fn to(&self, target: NodeId) -> Rc<[i64]> {
        if let Some(row) = &self.rows.borrow()[target.index()] {
            return Rc::clone(row);
        }
        let mut row = vec![UNREACHABLE; self.machine.nodes().len()];
        row[target.index()] = 0;
        let mut heap = BinaryHeap::from([Reverse((0, target))]);
        while let Some(Reverse((distance, node))) = heap.pop() {
            if distance > row[node.index()] {
                continue;
            }
            for (source, through) in steps_to(self.machine, self.unit, node, distance) {
                if through < row[source.index()] {
                    row[source.index()] = through;
                    heap.push(Reverse((through, source)));
                }
            }
        }
        let row: Rc<[i64]> = row.into();
        self.rows.borrow_mut()[target.index()] = Some(Rc::clone(&row));
        row
    }

    /// Distance from `source` to `target`.
    pub(crate) fn between(&self, source: NodeId, target: NodeId) -> i64 {
        if source == target { 0 } else { self.to(target)[source.index()] }
    }

    /// What is ahead of a path from `source` to `target`; `None` if there is none.
    ///
    /// On large machines, unless placement has asked for that row before, only the nodes around `target` are looked at, as
    /// far as `source` is away: a row for every target of a machine would be quadratic.
    pub(crate) fn ahead(&self, source: NodeId, target: NodeId) -> Option<Ahead<'_>> {
        let known = self.rows.borrow()[target.index()].is_some();
        if known || self.machine.nodes().len() <= ROW {
            let row = self.to(target);
            return (row[source.index()] < UNREACHABLE).then_some(Ahead::Row(row));
        }
        let radius = self.vicinity.borrow_mut().explore(self.machine, self.unit, source, target)?;
        Some(Ahead::Near { vicinity: self.vicinity.borrow(), radius })
    }
}

/// Lower bounds of the distances to one target: exact for the nodes that are no further away than the source of the path.
pub(crate) enum Ahead<'a> {
    /// All distances.
    Row(Rc<[i64]>),
    /// Those below `radius`; no other node is nearer than that.
    Near {
        /// Distances around the target.
        vicinity: Ref<'a, Vicinity>,
        /// Distance of the source.
        radius: i64,
    },
}

impl Ahead<'_> {
    /// A lower bound of the distance from `node`; [`UNREACHABLE`] if there is known to be no path.
    pub(crate) fn lower_bound(&self, node: NodeId) -> i64 {
        match self {
            Self::Row(row) => row[node.index()],
            Self::Near { vicinity, radius } => vicinity.known(node).map_or(*radius, |distance| distance.min(*radius)),
        }
    }
}

/// The nodes around one target, by Dijkstra's algorithm against the direction of links.
#[derive(Default)]
pub(crate) struct Vicinity {
    /// Which search reached a node last, and the distance that it found. Indexed by node.
    reached: Vec<(u32, i64)>,
    search: u32,
    heap: BinaryHeap<Reverse<(i64, NodeId)>>,
}

impl Vicinity {
    /// Searches from `target` until `source` is met; its distance, or `None` if it never is.
    fn explore(&mut self, machine: &Machine, unit: Unit, source: NodeId, target: NodeId) -> Option<i64> {
        self.reached.resize(machine.nodes().len(), (0, 0));
        self.search = self.search.checked_add(1).expect("flows are counted in 32 bits");
        self.heap.clear();
        self.reach(target, 0);
        while let Some(Reverse((distance, node))) = self.heap.pop() {
            if node == source {
                return Some(distance);
            }
            if self.known(node).is_some_and(|known| known < distance) {
                continue;
            }
            for (before, through) in steps_to(machine, unit, node, distance) {
                self.reach(before, through);
            }
        }
        None
    }

    fn reach(&mut self, node: NodeId, distance: i64) {
        if self.known(node).is_none_or(|known| distance < known) {
            self.reached[node.index()] = (self.search, distance);
            self.heap.push(Reverse((distance, node)));
        }
    }

    fn known(&self, node: NodeId) -> Option<i64> {
        let (search, distance) = self.reached[node.index()];
        (search == self.search).then_some(distance)
    }
}

/// The nodes with a link to `node`, and their distances through it if `node` is `distance` away.
fn steps_to(machine: &Machine, unit: Unit, node: NodeId, distance: i64) -> impl Iterator<Item = (NodeId, i64)> {
    let links = machine.incoming(node).iter();
    links.map(move |&link| (machine.links()[link].source, distance + length(machine, unit, link)))
}

fn length(machine: &Machine, unit: Unit, link: LinkId) -> i64 {
    match unit {
        Unit::Ticks => machine.links()[link].latency.hop().0,
        Unit::Hops => 1,
    }
}
