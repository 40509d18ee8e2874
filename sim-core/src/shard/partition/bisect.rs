//! Division of a graph into two sides, on ever finer graphs; and into many, by dividing sides again.

use super::coarsen::coarser;
use super::graph::{Graph, Weight};
use super::refine::{Balance, Sides};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Vertices at which a graph is coarse enough to be divided from scratch.
const COARSE: usize = 64;
/// Vertices from which sides are grown.
const SEEDS: usize = 4;

/// How evenly shards are loaded: no more than this many thousandths beyond the mean, apart from the heaviest vertex.
pub(super) const LOAD_SLACK: u64 = 30;
/// The same for memory, which matters less.
const MEMORY_SLACK: u64 = 200;

/// Divides `graph` among `shards` shards, each with a node at least; by vertex. Near-linear in edges, times the logarithm of
/// the shards.
pub(super) fn divide(graph: &Graph, shards: u32) -> Vec<u32> {
    let mut shard_of = vec![0; graph.len()];
    // Every halving adds to the imbalance.
    let slack = LOAD_SLACK / u64::from(shards.max(2).ilog2() + u32::from(!shards.is_power_of_two()));
    let whole = (0..graph.len() as u32).collect();
    let mut open = vec![(graph.clone(), whole, 0, shards)];
    while let Some((graph, vertices, first, shards)) = open.pop() {
        let vertices: Vec<u32> = vertices;
        if shards <= 1 {
            vertices.iter().for_each(|&vertex| shard_of[vertex as usize] = first);
            continue;
        }
        let counts = [shards / 2, shards - shards / 2];
        let sides = bisect(&graph, counts, slack);
        let mut first = first;
        for (side, count) in (0..).zip(counts) {
            let (part, inner) = graph.part(|vertex| sides[vertex as usize] == side);
            open.push((part, inner.iter().map(|&vertex| vertices[vertex as usize]).collect(), first, count));
            first += count;
        }
    }
    shard_of
}

/// Two sides, for so many shards each.
fn bisect(graph: &Graph, shards: [u32; 2], slack: u64) -> Vec<u8> {
    let balance = balance(graph, shards, slack);
    let mut fine = by_place(graph, shards);
    fine.refine(graph, &balance);
    let coarse = multilevel(graph, shards, slack);
    // Who is not better does not replace what is simple.
    if coarse.rank(&balance) < fine.rank(&balance) { coarse.of } else { fine.of }
}

/// What the sides may weigh: their share and a little more, and half of the heaviest vertex.
fn balance(graph: &Graph, shards: [u32; 2], slack: u64) -> Balance {
    let total: Weight = graph.weights().iter().copied().sum();
    let heaviest = |of: fn(&Weight) -> u64| graph.weights().iter().map(of).max().unwrap_or(0);
    let (load, memory) = (heaviest(|weight| weight.load), heaviest(|weight| weight.memory));
    let most = |total: u64, side: usize, slack: u64, heaviest: u64| {
        let all = u128::from(shards[0]) + u128::from(shards[1]);
        let share = u128::from(total) * u128::from(shards[side]) * u128::from(1000 + slack) / (1000 * all);
        share as u64 + heaviest.div_ceil(2)
    };
    Balance {
        load: [0, 1].map(|side| most(total.load, side, slack, load)),
        memory: [0, 1].map(|side| most(total.memory, side, MEMORY_SLACK, memory)),
        nodes: shards.map(u64::from),
    }
}

/// Coarsens, divides, and refines on the way back.
fn multilevel(graph: &Graph, shards: [u32; 2], slack: u64) -> Sides {
    let load: u64 = graph.weights().iter().map(|weight| weight.load).sum();
    let most = (load / (COARSE as u64 / 2)).max(1);
    let mut levels: Vec<(Graph, Vec<u32>)> = Vec::new();
    let mut coarsest = graph;
    while coarsest.len() > COARSE {
        let Some(level) = coarser(coarsest, most) else { break };
        levels.push(level);
        coarsest = &levels[levels.len() - 1].0;
    }
    let mut sides = initial(coarsest, shards, slack);
    for number in (0..levels.len()).rev() {
        let finer = if number == 0 { graph } else { &levels[number - 1].0 };
        let of = levels[number].1.iter().map(|&group| sides.of[group as usize]).collect();
        sides = Sides::new(finer, of);
        sides.refine(finer, &balance(finer, shards, slack));
    }
    sides
}

/// The best of several simple divisions, each refined.
fn initial(graph: &Graph, shards: [u32; 2], slack: u64) -> Sides {
    let balance = balance(graph, shards, slack);
    let order = graph.in_order();
    let seeds = (0..SEEDS).map(|number| order[number * (order.len() - 1) / (SEEDS - 1)]);
    let grown = seeds.map(|seed| grow(graph, shards, seed));
    let all = std::iter::once(by_place(graph, shards)).chain(grown).map(|mut sides| {
        sides.refine(graph, &balance);
        sides
    });
    all.reduce(|best, sides| if sides.rank(&balance) < best.rank(&balance) { sides } else { best })
        .expect("there is one by place")
}

/// The vertices in order, cut where the load is even.
fn by_place(graph: &Graph, shards: [u32; 2]) -> Sides {
    take_until_even(graph, shards, graph.in_order().into_iter())
}

/// One side grows from `seed`: next comes who exchanges the most words with it.
fn grow(graph: &Graph, shards: [u32; 2], seed: u32) -> Sides {
    let mut inside = vec![0_i64; graph.len()];
    let mut taken = vec![false; graph.len()];
    let mut heap = BinaryHeap::from([(0_i64, Reverse(seed))]);
    let mut rest = graph.in_order().into_iter();
    let next = std::iter::from_fn(|| {
        let vertex = loop {
            match heap.pop() {
                Some((_, Reverse(vertex))) if taken[vertex as usize] => {}
                Some((_, Reverse(vertex))) => break vertex,
                // Another component.
                None => break rest.find(|&vertex| !taken[vertex as usize])?,
            }
        };
        taken[vertex as usize] = true;
        for edge in graph.edges(vertex).iter().filter(|edge| !taken[edge.to as usize]) {
            inside[edge.to as usize] += i64::from(edge.words);
            heap.push((inside[edge.to as usize], Reverse(edge.to)));
        }
        Some(vertex)
    });
    take_until_even(graph, shards, next)
}

/// The first vertices of `order` are on side 0: the middle of a vertex's load decides where it belongs, and each side has as
/// many nodes as shards.
fn take_until_even(graph: &Graph, shards: [u32; 2], order: impl Iterator<Item = u32>) -> Sides {
    let total: Weight = graph.weights().iter().copied().sum();
    let all = u128::from(shards[0]) + u128::from(shards[1]);
    let mut of = vec![1; graph.len()];
    let mut taken = Weight::default();
    for vertex in order {
        let weight = graph.weight(vertex);
        let middle = 2 * u128::from(taken.load) + u128::from(weight.load);
        let full = middle * all > 2 * u128::from(total.load) * u128::from(shards[0]);
        let enough = taken.nodes >= u64::from(shards[0]);
        let last = total.nodes - taken.nodes < weight.nodes + u64::from(shards[1]);
        if last || full && enough {
            break;
        }
        of[vertex as usize] = 0;
        taken += weight;
    }
    Sides::new(graph, of)
}
