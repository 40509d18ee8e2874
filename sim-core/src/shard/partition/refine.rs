//! Refinement of a division into two sides: vertices move to the other side, best first, and the best moment is kept.
//!
//! Source: Fiduccia & Mattheyses, "A Linear-Time Heuristic for Improving Network Partitions", DAC 1982; with a heap in place
//! of buckets, because words per edge have no small bound.

use super::graph::{Graph, Weight};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Passes over a graph, at most; nearly always three are enough.
const PASSES: u32 = 8;
/// Moves in a row that do not better the division, after which a pass ends.
const STALLED: usize = 256;

/// How much the two sides may weigh.
#[derive(Clone, Copy, Debug)]
pub(super) struct Balance {
    /// Load of each side, at most.
    pub(super) load: [u64; 2],
    /// Words of memory of each side, at most.
    pub(super) memory: [u64; 2],
    /// Nodes of each side, at least.
    pub(super) nodes: [u64; 2],
}

/// A division of a graph into two sides.
#[derive(Clone, Debug)]
pub(super) struct Sides {
    /// By vertex: 0 or 1.
    pub(super) of: Vec<u8>,
    pub(super) weights: [Weight; 2],
    /// Words that cross.
    pub(super) cut: u64,
}

impl Balance {
    /// How many nodes a side lacks, and how much load and memory it has beyond what may be there.
    pub(super) fn excess(&self, weights: &[Weight; 2]) -> [u64; 3] {
        let larger = |of: &dyn Fn(usize) -> u64| of(0).max(of(1));
        [
            larger(&|side| self.nodes[side].saturating_sub(weights[side].nodes)),
            larger(&|side| weights[side].load.saturating_sub(self.load[side])),
            larger(&|side| weights[side].memory.saturating_sub(self.memory[side])),
        ]
    }
}

impl Sides {
    pub(super) fn new(graph: &Graph, of: Vec<u8>) -> Self {
        let (mut weights, mut cut) = ([Weight::default(); 2], 0);
        for vertex in 0..graph.len() as u32 {
            let side = of[vertex as usize];
            weights[side as usize] += graph.weight(vertex);
            let crossing = graph.edges(vertex).iter().filter(|edge| of[edge.to as usize] != side);
            cut += crossing.map(|edge| u64::from(edge.words)).sum::<u64>();
        }
        Self { of, weights, cut: cut / 2 }
    }

    /// Less is better: balance first, then words.
    pub(super) fn rank(&self, balance: &Balance) -> ([u64; 3], u64) {
        (balance.excess(&self.weights), self.cut)
    }

    /// Betters the division; it never gets worse. O(edges · log) per pass, and few passes.
    pub(super) fn refine(&mut self, graph: &Graph, balance: &Balance) {
        for _ in 0..PASSES {
            let before = self.rank(balance);
            Pass::new(graph, balance, self).run();
            if self.rank(balance) >= before {
                return;
            }
        }
    }
}

/// One pass: every vertex moves once at most.
struct Pass<'a> {
    graph: &'a Graph,
    balance: &'a Balance,
    sides: &'a mut Sides,
    /// By vertex: words that fewer would cross if it moved.
    gains: Vec<i64>,
    moved: Vec<bool>,
    /// By side: vertices that may move, by gain, then by number; those whose gain has changed since are out of date.
    heaps: [BinaryHeap<(i64, Reverse<u32>)>; 2],
}

impl<'a> Pass<'a> {
    fn new(graph: &'a Graph, balance: &'a Balance, sides: &'a mut Sides) -> Self {
        let count = graph.len();
        let mut pass = Self {
            graph,
            balance,
            sides,
            gains: vec![0; count],
            moved: vec![false; count],
            heaps: [BinaryHeap::new(), BinaryHeap::new()],
        };
        // Where the balance is right, only vertices at the border are worth a look.
        let all = balance.excess(&pass.sides.weights) != [0; 3];
        for vertex in 0..count as u32 {
            let side = pass.sides.of[vertex as usize];
            let (mut gain, mut border) = (0, false);
            for edge in graph.edges(vertex) {
                let crosses = pass.sides.of[edge.to as usize] != side;
                gain += if crosses { i64::from(edge.words) } else { -i64::from(edge.words) };
                border |= crosses;
            }
            pass.gains[vertex as usize] = gain;
            if border || all {
                pass.heaps[side as usize].push((gain, Reverse(vertex)));
            }
        }
        pass
    }

    fn run(mut self) {
        let (mut best, mut kept) = (self.sides.rank(self.balance), 0);
        let mut moves = Vec::new();
        while let Some(vertex) = self.next() {
            self.step(vertex);
            moves.push(vertex);
            let rank = self.sides.rank(self.balance);
            if rank < best {
                (best, kept) = (rank, moves.len());
            } else if moves.len() - kept > STALLED {
                break;
            }
        }
        for &vertex in moves[kept..].iter().rev() {
            self.step(vertex);
        }
    }

    /// The best vertex that may move, and does not stand on a side's list any more.
    fn next(&mut self) -> Option<u32> {
        let tops = [self.top(0), self.top(1)];
        let side = match tops {
            [None, None] => return None,
            [Some(_), None] => 0,
            [None, Some(_)] => 1,
            // Among equals the side that is fuller, in parts of what it may weigh.
            [Some((a, _)), Some((b, _))] if a == b => {
                let full = |side: usize, other: usize| {
                    u128::from(self.sides.weights[side].load) * u128::from(self.balance.load[other])
                };
                usize::from(full(1, 0) > full(0, 1))
            }
            [Some((a, _)), Some((b, _))] => usize::from(b > a),
        };
        self.heaps[side].pop();
        tops[side].map(|(_, vertex)| vertex)
    }

    /// The first vertex of a side's heap that may move. Those that may not now are not asked again in this pass.
    fn top(&mut self, side: usize) -> Option<(i64, u32)> {
        loop {
            let &(gain, Reverse(vertex)) = self.heaps[side].peek()?;
            let current = !self.moved[vertex as usize] && self.gains[vertex as usize] == gain;
            if current && self.allowed(vertex, side) {
                return Some((gain, vertex));
            }
            self.heaps[side].pop();
        }
    }

    /// Whether no excess grows when `vertex` leaves `side`.
    fn allowed(&self, vertex: u32, side: usize) -> bool {
        let (now, weight) = (self.sides.weights, self.graph.weight(vertex));
        let mut then = now;
        then[side] = now[side] - weight;
        then[1 - side] = now[1 - side] + weight;
        let (before, after) = (self.balance.excess(&now), self.balance.excess(&then));
        before.iter().zip(after).all(|(&before, after)| after <= before)
    }

    /// Moves a vertex to the other side, or back.
    fn step(&mut self, vertex: u32) {
        let side = self.sides.of[vertex as usize];
        let weight = self.graph.weight(vertex);
        self.sides.weights[usize::from(side)] = self.sides.weights[usize::from(side)] - weight;
        self.sides.weights[usize::from(1 - side)] += weight;
        self.sides.of[vertex as usize] = 1 - side;
        self.sides.cut = self.sides.cut.checked_add_signed(-self.gains[vertex as usize]).expect("gains are right");
        self.gains[vertex as usize] *= -1;
        self.moved[vertex as usize] = true;
        for edge in self.graph.edges(vertex) {
            let other = edge.to as usize;
            let gain = &mut self.gains[other];
            *gain += if self.sides.of[other] == side { 2 } else { -2 } * i64::from(edge.words);
            if !self.moved[other] {
                self.heaps[usize::from(self.sides.of[other])].push((*gain, Reverse(edge.to)));
            }
        }
    }
}
