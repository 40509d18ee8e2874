//! How many ticks shards may execute at once without waiting for each other in a circle.
//!
//! A shard at tick p that executes w ticks at once waits for a neighbour at q until q ≥ p + w − L, L being the lookahead of
//! the cut between them, and that [`NOTICE`](super::cut::NOTICE) that a word is known before it is sent. All shards around a
//! circle wait at the same time only if Σ (w − L) > 0 there. So they never do if none of them executes more at once than the
//! mean lookahead of every circle that it is on; a single cut may have less. A shard that only relays gives no notice, but it
//! does not execute anything either: with n shards on a circle, of which m execute, these wait at the same time only if
//! m·w > m + Σ (L − 1), which w ≤ Σ L ÷ n excludes.

use super::ShardId;
use crate::ids::Id;
use crate::time::Ticks;
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

/// For each of `cuts`, which are (from, to, lookahead), the most ticks that the shards on circles with it may execute at once,
/// at least 1; `None` if what is sent across it never comes back. Cuts whose words nobody waits for are left out.
pub(super) fn reaches(cuts: &[(ShardId, ShardId, Ticks)]) -> Vec<Option<Ticks>> {
    let mut graph = DiGraph::<(), usize>::new();
    let shards = cuts.iter().map(|(from, to, _)| from.max(to).index() + 1).max().unwrap_or(0);
    let nodes: Vec<NodeIndex> = (0..shards).map(|_| graph.add_node(())).collect();
    for (number, (from, to, _)) in cuts.iter().enumerate() {
        graph.add_edge(nodes[from.index()], nodes[to.index()], number);
    }
    let mut reaches = vec![None; cuts.len()];
    // By shard: its place among those that it is on circles with.
    let mut places = vec![None; shards];
    for members in kosaraju_scc(&graph) {
        members.iter().enumerate().for_each(|(place, node)| places[node.index()] = Some(place));
        let all = members.iter().flat_map(|&node| graph.edges(node).map(|edge| *edge.weight()));
        let inner = all.filter_map(|number| {
            let (from, to, lookahead) = cuts[number];
            Some((number, (places[from.index()]?, places[to.index()]?, lookahead.0)))
        });
        let (numbers, edges): (Vec<usize>, Vec<Edge>) = inner.unzip();
        let reach = least_mean(members.len(), &edges);
        numbers.into_iter().for_each(|number| reaches[number] = reach);
        members.iter().for_each(|node| places[node.index()] = None);
    }
    reaches
}

/// From, to, lookahead.
type Edge = (usize, usize, i64);

/// The least mean lookahead of a circle, rounded down; at least 1. Found by bisection.
fn least_mean(nodes: usize, edges: &[Edge]) -> Option<Ticks> {
    // No circle has a mean outside of these.
    let mut low = edges.iter().map(|edge| edge.2).min()?;
    let mut high = edges.iter().map(|edge| edge.2).max()?;
    while low < high {
        let middle = low + (high - low) / 2 + (high - low) % 2;
        if has_circle_below(nodes, edges, middle) {
            high = middle - 1;
        } else {
            low = middle;
        }
    }
    Some(Ticks(low.max(1)))
}

/// Whether Σ (lookahead − ticks) < 0 on any circle, by the algorithm of Bellman and Ford.
fn has_circle_below(nodes: usize, edges: &[Edge], ticks: i64) -> bool {
    let mut distance = vec![0_i128; nodes];
    for _ in 0..nodes {
        let mut changed = false;
        for &(from, to, lookahead) in edges {
            let through = distance[from] + i128::from(lookahead) - i128::from(ticks);
            if through < distance[to] {
                distance[to] = through;
                changed = true;
            }
        }
        if !changed {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(cuts: &[(u32, u32, i64)]) -> Vec<Option<i64>> {
        let cuts: Vec<_> = cuts.iter().map(|&(from, to, ticks)| (ShardId(from), ShardId(to), Ticks(ticks))).collect();
        reaches(&cuts).into_iter().map(|reach| reach.map(|ticks| ticks.0)).collect()
    }

    #[test]
    fn a_circle_allows_its_mean() {
        assert_eq!(found(&[(0, 1, 2), (1, 0, 31)]), [Some(16); 2]);
        assert_eq!(found(&[(0, 1, 8), (1, 0, 8)]), [Some(8); 2]);
        assert_eq!(found(&[(0, 1, 1), (1, 2, 1), (2, 0, 2)]), [Some(1); 3]);
        assert_eq!(found(&[(0, 1, 1), (1, 2, 1), (2, 0, 7)]), [Some(3); 3]);
    }

    #[test]
    fn the_slowest_of_several_circles_counts() {
        assert_eq!(found(&[(0, 1, 9), (1, 0, 9), (1, 2, 3), (2, 1, 4)]), [Some(3); 4]);
    }

    #[test]
    fn what_never_comes_back_is_free() {
        assert_eq!(found(&[(0, 1, 2), (1, 2, 2), (2, 1, 4), (4, 3, 1)]), [None, Some(3), Some(3), None]);
        assert_eq!(found(&[]), []);
    }
}
