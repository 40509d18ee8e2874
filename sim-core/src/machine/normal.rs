//! The normal form: where every node's counter is put, so that two labellings of one machine become the same machine.
//!
//! A counter may start anywhere, so the latency of one link may be any number; only sums around cycles are physical.
//! Here every node v gets a relabelling φ_v (normal-form tick = given tick − φ_v), and a link from u to v the latency
//! λ + φ_u − φ_v. Let m be the floor of the minimum cycle mean (0 without a cycle), and distances be shortest ones under
//! weights λ − m:
//!
//! - Within a strongly connected component φ_v = ⌊(dist(r→v) − dist(v→r)) / 2⌋ from its lowest-numbered node r, as NTP
//!   halves a round trip.
//! - Between components φ moves until the tightest path from where others are already placed has latencies m. In each
//!   part of the machine that hangs together, the component of the lowest-numbered node stays where it is.
//!
//! Then every latency is at least m ≥ 0. Sums are in 128 bits, which 64-bit latencies cannot overflow.

use super::Link;
use super::cycle_mean::{Cycle, minimum_mean};
use crate::csr::Csr;
use crate::ids::{Id, IdVec, LinkId, NodeId};
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

/// What the normal form depends on.
#[derive(Clone, Copy)]
pub(super) struct Wires<'a> {
    pub(super) links: &'a IdVec<LinkId, Link>,
    pub(super) outgoing: &'a Csr<NodeId, LinkId>,
    pub(super) incoming: &'a Csr<NodeId, LinkId>,
}

impl<'a> Wires<'a> {
    fn leaving(self, node: NodeId) -> impl Iterator<Item = &'a Link> {
        self.outgoing.row(node).iter().map(move |&link| &self.links[link])
    }

    fn entering(self, node: NodeId) -> impl Iterator<Item = &'a Link> {
        self.incoming.row(node).iter().map(move |&link| &self.links[link])
    }
}

/// The φ of every node, or a cycle of links whose latencies have a negative sum.
pub(super) fn relabelling(wires: Wires<'_>) -> Result<IdVec<NodeId, i128>, Cycle> {
    let (halved, twins) = halve_round_trips(wires);
    let lowest = wires.links.values().map(|link| relabelled(link, &halved)).min();
    if twins && lowest.is_none_or(|latency| latency >= 0) {
        // Every link now has a twin of equal latency the other way. The lowest latency is the minimum cycle mean, that
        // of a link and its twin, and distances are equal both ways: nothing is left to halve.
        return Ok(halved);
    }
    let components = Components::new(wires);
    let (mean, potential) = minimum_mean(wires, &components.of, halved)?;
    let mut phi = halve_distances(wires, &components, mean, &potential);
    place_components(wires, &components, mean, &mut phi);
    Ok(phi)
}

/// The latency of `link` under the relabelling `phi`.
pub(super) fn relabelled(link: &Link, phi: &IdVec<NodeId, i128>) -> i128 {
    i128::from(link.latency.0) + phi[link.source] - phi[link.target]
}

/// A relabelling that makes latencies equal both ways along the links by which a breadth-first search finds the nodes,
/// and whether it does so everywhere. Where the search goes by a link that none answers, that one gets 0.
/// O(nodes + links).
///
/// This settles every machine whose links have equal latencies both ways under *some* labelling. For others it is a
/// start: there the minimum cycle mean is searched for, and most of its potentials are already good.
fn halve_round_trips(wires: Wires<'_>) -> (IdVec<NodeId, i128>, bool) {
    let nodes = wires.outgoing.rows();
    let mut phi = IdVec::filled(0, nodes);
    let mut found = IdVec::filled(false, nodes);
    // The lowest latencies from the node at hand to each neighbour, and back from it.
    let (mut there, mut back) = (IdVec::filled(None, nodes), IdVec::filled(None, nodes));
    let (mut queue, mut neighbours) = (VecDeque::new(), Vec::new());
    let mut twins = true;
    for start in phi.ids() {
        if found[start] {
            continue;
        }
        found[start] = true;
        queue.push_back(start);
        while let Some(node) = queue.pop_front() {
            for link in wires.leaving(node) {
                lower(&mut there[link.target], link.latency.0.into());
                neighbours.push(link.target);
            }
            for link in wires.entering(node) {
                lower(&mut back[link.source], link.latency.0.into());
                neighbours.push(link.source);
            }
            for neighbour in neighbours.drain(..) {
                let (there, back) = (there[neighbour].take(), back[neighbour].take());
                let (step, equal) = match (there, back) {
                    (Some(there), Some(back)) => ((there - back).div_euclid(2), (there - back) % 2 == 0),
                    (Some(there), None) => (there, false),
                    (None, Some(back)) => (-back, false),
                    (None, None) => continue, // a parallel link has brought it up before
                };
                if !found[neighbour] {
                    found[neighbour] = true;
                    phi[neighbour] = phi[node] + step;
                    queue.push_back(neighbour);
                }
                twins &= equal && phi[neighbour] == phi[node] + step;
            }
        }
    }
    (phi, twins)
}

fn lower(lowest: &mut Option<i128>, latency: i128) {
    *lowest = Some(lowest.map_or(latency, |found| found.min(latency)));
}

/// The strongly connected components, numbered so that links between them lead from lower to higher ones.
struct Components {
    /// Nodes of each component, ascending.
    members: Vec<Vec<NodeId>>,
    /// The component of each node.
    of: IdVec<NodeId, usize>,
}

impl Components {
    fn new(wires: Wires<'_>) -> Self {
        let nodes = wires.outgoing.rows();
        let mut graph = DiGraph::<(), ()>::with_capacity(nodes, wires.links.len());
        for _ in 0..nodes {
            graph.add_node(());
        }
        for link in wires.links.values() {
            graph.add_edge(NodeIndex::new(link.source.index()), NodeIndex::new(link.target.index()), ());
        }
        let mut of = IdVec::filled(0, nodes);
        let mut members = Vec::new();
        // Kosaraju's algorithm yields a reverse topological order. (petgraph's version of Tarjan's is recursive: a long
        // line of nodes would exhaust the stack.)
        for component in kosaraju_scc(&graph).into_iter().rev() {
            let mut component: Vec<NodeId> =
                component.into_iter().map(|node| NodeId::from_index(node.index())).collect();
            component.sort_unstable();
            for &node in &component {
                of[node] = members.len();
            }
            members.push(component);
        }
        Self { members, of }
    }

    /// The lowest-numbered node of the component of `node`.
    fn lowest(&self, node: NodeId) -> NodeId {
        self.members[self.of[node]][0]
    }
}

/// φ within each component, from shortest distances to and from its lowest-numbered node. `potential` makes the weights
/// λ − `mean` of all links within components non-negative. O(links · log nodes).
fn halve_distances(
    wires: Wires<'_>,
    components: &Components,
    mean: i128,
    potential: &IdVec<NodeId, i128>,
) -> IdVec<NodeId, i128> {
    let there = distances(wires, wires.outgoing, components, mean, potential);
    let back = distances(wires, wires.incoming, components, mean, potential);
    let phi = potential.ids().map(|node| {
        // Distances under weights that the potential has changed, by its difference between the ends.
        let change = potential[node] - potential[components.lowest(node)];
        (there[node] - back[node]).div_euclid(2) + change
    });
    phi.collect()
}

/// Distances of all nodes from the lowest one of their component (Dijkstra), going along the links of `rows`, under
/// weights λ − `mean` changed by `potential`.
fn distances(
    wires: Wires<'_>,
    rows: &Csr<NodeId, LinkId>,
    components: &Components,
    mean: i128,
    potential: &IdVec<NodeId, i128>,
) -> IdVec<NodeId, i128> {
    let mut distance = IdVec::filled(i128::MAX, potential.len());
    let mut heap = BinaryHeap::new();
    for members in &components.members {
        distance[members[0]] = 0;
        heap.push(Reverse((0, members[0])));
    }
    while let Some(Reverse((reached, node))) = heap.pop() {
        if reached > distance[node] {
            continue;
        }
        for link in rows.row(node).iter().map(|&link| &wires.links[link]) {
            let next = if link.source == node { link.target } else { link.source };
            if components.of[next] != components.of[node] {
                continue;
            }
            let candidate = reached + relabelled(link, potential) - mean;
            if candidate < distance[next] {
                distance[next] = candidate;
                heap.push(Reverse((candidate, next)));
            }
        }
    }
    distance
}

/// Moves whole components, in each part of the machine that hangs together: the first one stays; then what lies
/// downstream of placed components moves down until a path from them is tight, then what lies upstream moves up until a
/// path to them is tight, and so on. O(links + nodes · log nodes).
fn place_components(wires: Wires<'_>, components: &Components, mean: i128, phi: &mut IdVec<NodeId, i128>) {
    let Components { members, of } = components;
    let into = |component: usize| members[component].iter().flat_map(move |&node| wires.entering(node));
    let out_of = |component: usize| members[component].iter().flat_map(move |&node| wires.leaving(node));
    let slack = |link: &Link| relabelled(link, phi) - mean;
    let mut moves: Vec<Option<i128>> = vec![None; members.len()];
    for node in phi.ids() {
        if moves[of[node]].is_some() {
            continue;
        }
        moves[of[node]] = Some(0);
        let mut placed = vec![of[node]];
        while !placed.is_empty() {
            let mut downstream = reach(&placed, &moves, |component| out_of(component).map(|link| of[link.target]));
            downstream.sort_unstable();
            for &component in &downstream {
                let bounds = into(component).filter_map(|link| Some(moves[of[link.source]]? + slack(link)));
                moves[component] = Some(bounds.min().expect("a placed component is upstream"));
            }
            placed.append(&mut downstream);
            let mut upstream = reach(&placed, &moves, |component| into(component).map(|link| of[link.source]));
            upstream.sort_unstable_by_key(|&component| Reverse(component));
            for &component in &upstream {
                let bounds = out_of(component).filter_map(|link| Some(moves[of[link.target]]? - slack(link)));
                moves[component] = Some(bounds.max().expect("a placed component is downstream"));
            }
            placed = upstream;
        }
    }
    for node in phi.ids() {
        phi[node] += moves[of[node]].expect("every component is placed");
    }
}

/// The components without a move that `next` leads to from `starts`, directly or by others of them.
fn reach<I: Iterator<Item = usize>>(starts: &[usize], moves: &[Option<i128>], next: impl Fn(usize) -> I) -> Vec<usize> {
    let mut reached = Vec::new();
    let mut seen = BTreeSet::new();
    let mut stack = starts.to_vec();
    while let Some(component) = stack.pop() {
        for neighbour in next(component) {
            if moves[neighbour].is_none() && seen.insert(neighbour) {
                reached.push(neighbour);
                stack.push(neighbour);
            }
        }
    }
    reached
}
