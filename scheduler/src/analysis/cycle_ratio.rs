//! Maximum cycle ratios: how much the slowest cycle of a graph costs per unit of its distance.
//!
//! Howard's policy iteration in exact integers, per strongly connected component. Nothing is rounded and no tolerance
//! decides when to stop: potentials are kept multiplied by the denominator of the current ratio.
//! Source: Cochet-Terrasson, Cohen, Gaubert, McGettrick & Quadrat, "Numerical computation of spectral elements in max-plus
//! algebra", IFAC SSC 1998; Dasdan, "Experimental analysis of the fastest optimum cycle ratio and mean algorithms", ACM
//! TODAES 9(4), 2004.

use super::components::{Rows, strong_components};
use num_rational::Ratio;
use std::ops::Range;

/// An edge of a graph whose nodes are numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RatioEdge {
    /// Where it starts.
    pub from: u32,
    /// Where it ends.
    pub to: u32,
    /// What passing it costs.
    pub weight: i64,
    /// What it counts in the denominator, at least 0.
    pub distance: i64,
}

/// A cycle of the largest ratio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CriticalCycle {
    /// Sum of weights ÷ sum of distances.
    pub ratio: Ratio<i128>,
    /// Its edges in order, each starting where the one before ends: positions in the given slice.
    pub edges: Vec<usize>,
}

/// The cycle with the largest Σ weight ÷ Σ distance of the graph with `nodes` nodes; `None` if no edge is on a cycle.
///
/// Exponential in theory, a handful of linear passes in practice. Deterministic: ties are broken by position.
///
/// ```
/// use scheduler::analysis::{RatioEdge, max_cycle_ratio};
///
/// // Two actors of 3 and 4 ticks that hand two tokens around need 7 ticks for two iterations.
/// let edges = [
///     RatioEdge { from: 0, to: 1, weight: 3, distance: 0 },
///     RatioEdge { from: 1, to: 0, weight: 4, distance: 2 },
/// ];
/// assert_eq!(max_cycle_ratio(2, &edges).unwrap().ratio.to_string(), "7/2");
/// ```
///
/// # Panics
/// If an edge ends outside the graph or has a negative distance; if a cycle has distance 0 (a deadlock: liveness comes
/// first); or if 4 · nodes² · largest weight · largest distance reaches 2¹²⁶ (the limits of applications and of firing graphs
/// stay below).
#[must_use]
pub fn max_cycle_ratio(nodes: usize, edges: &[RatioEdge]) -> Option<CriticalCycle> {
    check_input(nodes, edges);
    let graph = CyclicPart::new(nodes, edges);
    let mut search = Search::new(&graph);
    let mut best: Option<CriticalCycle> = None;
    for component in &graph.components {
        let (ratio, root) = search.howard(component.clone());
        if best.as_ref().is_none_or(|best| ratio > best.ratio) {
            best = Some(CriticalCycle { ratio, edges: search.cycle(root).map(|e| graph.origin[e] as usize).collect() });
        }
    }
    best
}

fn check_input(nodes: usize, edges: &[RatioEdge]) {
    let mut weight = 1_u64;
    let mut distance = 1_u64;
    for edge in edges {
        assert!((edge.from.max(edge.to) as usize) < nodes, "{edge:?} leaves a graph of {nodes} nodes");
        assert!(edge.distance >= 0, "{edge:?} has a negative distance");
        weight = weight.max(edge.weight.unsigned_abs());
        distance = distance.max(edge.distance.unsigned_abs());
    }
    let n = nodes.max(1) as u128;
    // A ratio has at most n·weight over n·distance, a reduced cost at most 2·n·weight·distance, a potential n times that,
    // and one pass of improvements at most doubles it.
    let bound = (4 * n * n).checked_mul(u128::from(weight)).and_then(|b| b.checked_mul(u128::from(distance)));
    assert!(bound.is_some_and(|bound| bound < 1 << 126), "{nodes} nodes with such weights and distances overflow");
}

/// The edges that are inside strongly connected components, in flat arrays.
///
/// Nodes are renumbered: a component's nodes are consecutive, and among them an edge of distance 0 leads to a lower number.
/// A pass over the nodes in order then carries a change of potential along whole chains of such edges.
struct CyclicPart {
    /// Nodes of each component.
    components: Vec<Range<u32>>,
    /// `leaving[v] .. leaving[v + 1]` are the edges that start at node `v`.
    leaving: Vec<u32>,
    source: Vec<u32>,
    target: Vec<u32>,
    weight: Vec<i64>,
    distance: Vec<i64>,
    /// Position in the caller's slice.
    origin: Vec<u32>,
    /// The edges that end at a node.
    entering: Rows,
}

impl CyclicPart {
    fn new(nodes: usize, edges: &[RatioEdge]) -> Self {
        let by_source = Rows::group(nodes, edges.iter().map(|edge| edge.from));
        let scc = strong_components(&by_source, |edge| edges[edge as usize].to);
        let inner = |edge: &&RatioEdge| scc.of[edge.from as usize] == scc.of[edge.to as usize];
        let mut cyclic = vec![false; scc.count];
        for edge in edges.iter().filter(inner) {
            cyclic[scc.of[edge.from as usize] as usize] = true;
        }
        let order = sinks_first(nodes, edges);
        let by_component = Rows::group(scc.count, order.iter().map(|&node| scc.of[node as usize]));
        let (mut components, mut number, mut count) = (Vec::new(), vec![u32::MAX; nodes], 0);
        for component in (0..scc.count).filter(|&component| cyclic[component]) {
            let start = count;
            for &place in by_component.row(component) {
                number[order[place as usize] as usize] = count;
                count += 1;
            }
            components.push(start..count);
        }
        let kept: Vec<u32> = (0..).zip(edges).filter(|(_, edge)| inner(edge)).map(|(id, _)| id).collect();
        let leaving = Rows::group(count as usize, kept.iter().map(|&id| number[edges[id as usize].from as usize]));
        let origin: Vec<u32> = leaving.items.iter().map(|&place| kept[place as usize]).collect();
        let sorted = || origin.iter().map(|&id| &edges[id as usize]);
        let target: Vec<u32> = sorted().map(|edge| number[edge.to as usize]).collect();
        Self {
            components,
            source: sorted().map(|edge| number[edge.from as usize]).collect(),
            weight: sorted().map(|edge| edge.weight).collect(),
            distance: sorted().map(|edge| edge.distance).collect(),
            entering: Rows::group(count as usize, target.iter().copied()),
            leaving: leaving.offsets,
            target,
            origin,
        }
    }
}

/// All nodes, such that an edge of distance 0 leads to a node that comes earlier.
fn sinks_first(nodes: usize, edges: &[RatioEdge]) -> Vec<u32> {
    let mut waiting = vec![0_u32; nodes]; // edges of distance 0 that lead to nodes not listed yet
    for edge in edges.iter().filter(|edge| edge.distance == 0) {
        waiting[edge.from as usize] += 1;
    }
    let by_target = Rows::group(nodes, edges.iter().map(|edge| edge.to));
    let mut order: Vec<u32> = (0..nodes as u32).filter(|&node| waiting[node as usize] == 0).collect();
    let mut next = 0;
    while let Some(&node) = order.get(next) {
        next += 1;
        for edge in by_target.row(node as usize).iter().map(|&edge| &edges[edge as usize]) {
            if edge.distance == 0 {
                waiting[edge.from as usize] -= 1;
                if waiting[edge.from as usize] == 0 {
                    order.push(edge.from);
                }
            }
        }
    }
    assert_eq!(order.len(), nodes, "a cycle has distance 0");
    order
}

const NONE: u32 = u32::MAX;

/// While the ratio stays, exact potentials speed up a pass of improvements less than they cost. Measured on a torus of
/// 90 000 nodes with random weights (188 passes, 0.7 s): evaluating every time takes 2.4 times, never 1.5 times as long.
const PASSES_PER_EVALUATION: u64 = 8;

/// A policy, which is one leaving edge for every node, and the potentials that it gives.
struct Search<'a> {
    graph: &'a CyclicPart,
    policy: Vec<u32>,
    /// Largest known reduced cost of a path to the root, where an edge costs weight · denominator − distance · numerator.
    potential: Vec<i128>,
    /// Which walk came by a node first.
    walk: Vec<u32>,
    settled: Vec<bool>,
    /// Nodes with a potential, in the order in which they got it.
    queue: Vec<u32>,
    /// Nodes whose policy leads to a node, as linked lists: the first, and the next of the same list.
    first: Vec<u32>,
    next: Vec<u32>,
}

impl<'a> Search<'a> {
    fn new(graph: &'a CyclicPart) -> Self {
        let nodes = graph.leaving.len() - 1;
        Self {
            graph,
            policy: vec![NONE; nodes],
            potential: vec![0; nodes],
            walk: vec![NONE; nodes],
            settled: vec![false; nodes],
            queue: Vec::new(),
            first: vec![NONE; nodes],
            next: vec![NONE; nodes],
        }
    }

    /// The largest ratio in one component and a node of a cycle that has it, which the policy then follows.
    ///
    /// Terminates: after `evaluate` the policy has a single cycle, of cost 0. If improvements close another one, at least
    /// one edge of that was a strict improvement, so its cost is positive and the ratio strictly rises; if not, the old
    /// cycle is still the only one and some potentials strictly rise, none above the cost of its policy's path. So no
    /// policy comes twice.
    fn howard(&mut self, component: Range<u32>) -> (Ratio<i128>, u32) {
        for node in component.clone() {
            let edges = self.graph.leaving[node as usize]..self.graph.leaving[node as usize + 1];
            let heaviest = edges.max_by_key(|&edge| (self.graph.weight[edge as usize], std::cmp::Reverse(edge)));
            self.policy[node as usize] = heaviest.expect("nodes of a component have an edge in it");
        }
        let mut evaluated: Option<Ratio<i128>> = None;
        let mut pass = 0_u64;
        loop {
            let (ratio, root) = self.best_policy_cycle(component.clone());
            if evaluated != Some(ratio) || pass.is_multiple_of(PASSES_PER_EVALUATION) {
                self.evaluate(component.clone(), ratio, root);
                evaluated = Some(ratio);
            }
            if !self.improve(component.clone(), ratio, pass) {
                return (ratio, root);
            }
            pass += 1;
        }
    }

    /// Edges of the policy cycle through `root`, from there.
    fn cycle(&self, root: u32) -> impl Iterator<Item = usize> + '_ {
        let edge = |node: u32| self.policy[node as usize] as usize;
        let following = move |&at: &usize| {
            let node = self.graph.target[at];
            (node != root).then(|| edge(node))
        };
        std::iter::successors(Some(edge(root)), following)
    }

    /// The cycle of the policy with the largest ratio, and its lowest node.
    fn best_policy_cycle(&mut self, component: Range<u32>) -> (Ratio<i128>, u32) {
        self.walk[component.start as usize..component.end as usize].fill(NONE);
        let mut best: Option<(Ratio<i128>, u32)> = None;
        for start in component {
            let mut node = start;
            while self.walk[node as usize] == NONE {
                self.walk[node as usize] = start;
                node = self.graph.target[self.policy[node as usize] as usize];
            }
            if self.walk[node as usize] != start {
                continue;
            }
            let sum = |of: &[i64]| self.cycle(node).map(|edge| i128::from(of[edge])).sum();
            let ratio = Ratio::new(sum(&self.graph.weight), sum(&self.graph.distance));
            if best.is_none_or(|(best, _)| ratio > best) {
                let root = self.cycle(node).map(|edge| self.graph.source[edge]).min();
                best = Some((ratio, root.expect("a cycle has an edge")));
            }
        }
        best.expect("a policy has a cycle")
    }

    /// Gives every node the potential of its policy's path to `root`. Where the policy leads to another cycle, that cycle is
    /// opened at one node, which is sent towards the root instead.
    fn evaluate(&mut self, component: Range<u32>, ratio: Ratio<i128>, root: u32) {
        let graph = self.graph;
        for node in component.clone() {
            self.first[node as usize] = NONE;
            self.settled[node as usize] = false;
        }
        for node in component.clone() {
            let target = graph.target[self.policy[node as usize] as usize] as usize;
            self.next[node as usize] = std::mem::replace(&mut self.first[target], node);
        }
        self.queue.clear();
        self.queue.push(root);
        self.settled[root as usize] = true;
        self.potential[root as usize] = 0;
        let (mut followed, mut rerouted) = (0, 0); // places in the queue
        let mut entry = graph.entering.offsets[root as usize];
        loop {
            while let Some(&node) = self.queue.get(followed) {
                followed += 1;
                let mut before = self.first[node as usize];
                while before != NONE {
                    if !self.settled[before as usize] {
                        self.settle(before, ratio);
                    }
                    before = self.next[before as usize];
                }
            }
            if self.queue.len() == component.len() {
                return;
            }
            // All policies that lead to the root are followed. Find an edge from elsewhere.
            while entry == graph.entering.offsets[self.queue[rerouted] as usize + 1] {
                rerouted += 1;
                entry = graph.entering.offsets[self.queue[rerouted] as usize];
            }
            let edge = graph.entering.items[entry as usize];
            entry += 1;
            let node = graph.source[edge as usize];
            if !self.settled[node as usize] {
                self.policy[node as usize] = edge;
                self.settle(node, ratio);
            }
        }
    }

    fn settle(&mut self, node: u32, ratio: Ratio<i128>) {
        self.potential[node as usize] = self.through(self.policy[node as usize], ratio);
        self.settled[node as usize] = true;
        self.queue.push(node);
    }

    /// The potential that its start would have through `edge`.
    fn through(&self, edge: u32, ratio: Ratio<i128>) -> i128 {
        let edge = edge as usize;
        let weight = i128::from(self.graph.weight[edge]) * ratio.denom();
        let distance = i128::from(self.graph.distance[edge]) * ratio.numer();
        weight - distance + self.potential[self.graph.target[edge] as usize]
    }

    /// Takes every strictly better edge; whether there was one. Passes go up and down in turn, so that a change of potential
    /// runs along whole chains of edges that lead to lower numbers, or to higher ones.
    fn improve(&mut self, component: Range<u32>, ratio: Ratio<i128>, pass: u64) -> bool {
        let mut improved = false;
        let turned = component.start + component.end - 1;
        for node in component {
            let node = if pass.is_multiple_of(2) { node } else { turned - node };
            for edge in self.graph.leaving[node as usize]..self.graph.leaving[node as usize + 1] {
                let potential = self.through(edge, ratio);
                if potential > self.potential[node as usize] {
                    self.potential[node as usize] = potential;
                    self.policy[node as usize] = edge;
                    improved = true;
                }
            }
        }
        improved
    }
}
