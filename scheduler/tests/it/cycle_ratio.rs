//! Maximum cycle ratios against oracles that share nothing with them.

use crate::graphs::cases;
use num_rational::Ratio;
use proptest::prelude::*;
use scheduler::analysis::{CriticalCycle, RatioEdge, max_cycle_ratio};

/// Edges that go up may have distance 0; all others have more, so no cycle has distance 0.
fn edges(nodes: u32, count: usize, weight: i64) -> impl Strategy<Value = Vec<RatioEdge>> {
    let edge = (0..nodes, 0..nodes, -weight / 4..=weight, 0..4_i64).prop_map(|(from, to, weight, distance)| {
        let distance = if from < to { (distance - 2).max(0) } else { distance.max(1) };
        RatioEdge { from, to, weight, distance }
    });
    prop::collection::vec(edge, 0..=count)
}

/// All simple cycles, by depth-first search from their lowest node.
fn by_enumeration(nodes: u32, edges: &[RatioEdge]) -> Option<Ratio<i128>> {
    fn search(
        start: u32,
        at: u32,
        sums: (i128, i128),
        seen: &mut [bool],
        edges: &[RatioEdge],
        best: &mut Option<Ratio<i128>>,
    ) {
        for edge in edges.iter().filter(|edge| edge.from == at && edge.to >= start) {
            let sums = (sums.0 + i128::from(edge.weight), sums.1 + i128::from(edge.distance));
            if edge.to == start {
                *best = (*best).max(Some(Ratio::new(sums.0, sums.1)));
            } else if !seen[edge.to as usize] {
                seen[edge.to as usize] = true;
                search(start, edge.to, sums, seen, edges, best);
                seen[edge.to as usize] = false;
            }
        }
    }
    let mut best = None;
    for start in 0..nodes {
        search(start, start, (0, 0), &mut vec![false; nodes as usize], edges, &mut best);
    }
    best
}

/// Whether some cycle has a ratio above `ratio`: longest paths do not settle (Bellman–Ford).
fn exceeds(nodes: u32, edges: &[RatioEdge], ratio: Ratio<i128>) -> bool {
    let mut length = vec![0_i128; nodes as usize];
    for _ in 0..=nodes {
        let mut longer = false;
        for edge in edges {
            let cost = i128::from(edge.weight) * ratio.denom() - i128::from(edge.distance) * ratio.numer();
            if length[edge.from as usize] + cost > length[edge.to as usize] {
                length[edge.to as usize] = length[edge.from as usize] + cost;
                longer = true;
            }
        }
        if !longer {
            return false;
        }
    }
    true
}

/// Halves an interval of ratios until no other fraction with such denominators fits.
fn by_bisection(nodes: u32, edges: &[RatioEdge]) -> Option<Ratio<i128>> {
    let total = |of: fn(&RatioEdge) -> i64| edges.iter().map(|edge| i128::from(of(edge).abs())).sum::<i128>() + 1;
    let (weight, distance) = (total(|edge| edge.weight), total(|edge| edge.distance));
    let (mut low, mut high) = (Ratio::from_integer(-weight), Ratio::from_integer(weight));
    if !exceeds(nodes, edges, low) {
        return None;
    }
    while high - low > Ratio::new(1, 2 * distance * distance) {
        let middle = (low + high) / 2;
        *if exceeds(nodes, edges, middle) { &mut low } else { &mut high } = middle;
    }
    // The maximum is the only fraction in (low, high] whose denominator is at most `distance`.
    (1..=distance)
        .map(|denominator| Ratio::new((high * denominator).floor().to_integer(), denominator))
        .find(|&r| r > low)
}

fn check_cycle(edges: &[RatioEdge], cycle: &CriticalCycle) {
    let path: Vec<RatioEdge> = cycle.edges.iter().map(|&edge| edges[edge]).collect();
    for (edge, next) in path.iter().zip(path.iter().cycle().skip(1)) {
        assert_eq!(edge.to, next.from, "the cycle hangs together");
    }
    let sum = |of: fn(&RatioEdge) -> i64| path.iter().map(|edge| i128::from(of(edge))).sum();
    assert_eq!(cycle.ratio, Ratio::new(sum(|edge| edge.weight), sum(|edge| edge.distance)));
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn no_simple_cycle_has_a_larger_ratio(edges in edges(6, 14, 20)) {
        let found = max_cycle_ratio(6, &edges);
        prop_assert_eq!(found.as_ref().map(|cycle| cycle.ratio), by_enumeration(6, &edges));
        found.iter().for_each(|cycle| check_cycle(&edges, cycle));
    }

    #[test]
    fn ties_and_zeros_do_not_confuse_it(edges in edges(7, 18, 1)) {
        let found = max_cycle_ratio(7, &edges);
        prop_assert_eq!(found.map(|cycle| cycle.ratio), by_enumeration(7, &edges));
    }

    #[test]
    fn bisection_agrees_on_larger_graphs(edges in edges(40, 150, 1_000)) {
        let found = max_cycle_ratio(40, &edges);
        prop_assert_eq!(found.as_ref().map(|cycle| cycle.ratio), by_bisection(40, &edges));
        found.iter().for_each(|cycle| check_cycle(&edges, cycle));
    }
}

#[test]
fn a_graph_without_cycles_has_no_ratio() {
    assert_eq!(max_cycle_ratio(0, &[]), None);
    assert_eq!(max_cycle_ratio(2, &[RatioEdge { from: 0, to: 1, weight: 5, distance: 0 }]), None);
}

#[test]
#[should_panic(expected = "a cycle has distance 0")]
fn a_deadlock_is_refused() {
    let edge = |from, to| RatioEdge { from, to, weight: 0, distance: 0 };
    let _ = max_cycle_ratio(2, &[edge(0, 1), edge(1, 0)]);
}

#[test]
fn the_largest_legal_numbers_do_not_overflow() {
    let edge = |from, to, distance| RatioEdge { from, to, weight: 1 << 40, distance };
    let edges = [edge(0, 1, 1 << 26), edge(1, 0, 0), edge(1, 2, 1), edge(2, 1, (1 << 26) - 1)];
    assert_eq!(max_cycle_ratio(1 << 20, &edges).unwrap().ratio, Ratio::from_integer(1 << 15));
}
