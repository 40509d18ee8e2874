//! Coarsening: neighbours that exchange the most words become one vertex.
//!
//! Source: Karypis & Kumar, "A Fast and High Quality Multilevel Scheme for Partitioning Irregular Graphs", SIAM J. Sci.
//! Comput. 20(1), 1998: heavy-edge matching.

use super::graph::Graph;

/// A coarser graph, and the vertex of it that every vertex belongs to; `None` if hardly any vertices find a partner. No pair
/// has more than `most` load. O(edges).
pub(super) fn coarser(graph: &Graph, most: u64) -> Option<(Graph, Vec<u32>)> {
    const UNMATCHED: u32 = u32::MAX;
    let mut group = vec![UNMATCHED; graph.len()];
    let mut groups = 0;
    for vertex in 0..graph.len() as u32 {
        if group[vertex as usize] != UNMATCHED {
            continue;
        }
        let fits = |other: u32| graph.weight(vertex).load + graph.weight(other).load <= most;
        let free = graph.edges(vertex).iter().filter(|edge| group[edge.to as usize] == UNMATCHED && fits(edge.to));
        // Among equals the first one: on a grid that pairs rows first, then columns, so that groups become squares.
        let partner = free.reduce(|best, edge| if edge.words > best.words { edge } else { best });
        group[vertex as usize] = groups;
        if let Some(partner) = partner {
            group[partner.to as usize] = groups;
        }
        groups += 1;
    }
    let groups = groups as usize;
    (groups < graph.len() - graph.len() / 16).then(|| (graph.contract(&group, groups), group))
}
