//! How far the firings of an actor end out of order.

use super::{ActorPlan, FiringId, PlannedFiring};
use crate::ids::{ActorId, IdVec};

/// Counts every actor's firings, and states how far out of order they end. O(n log n).
pub(super) fn order_actors(
    actors: &mut IdVec<ActorId, ActorPlan>,
    firings: &IdVec<FiringId, PlannedFiring>,
    metacycle: i64,
) {
    let mut ends: Vec<(ActorId, i64, End)> = firings
        .values()
        .map(|f| (f.actor, f.last.0 % metacycle, End { metacycle: f.last.0 / metacycle, index: f.index }))
        .collect();
    // A stable sort: firings that end in one slot stay in the order of nodes and cores.
    ends.sort_by_key(|&(actor, slot, _)| (actor, slot));
    for group in ends.chunk_by(|a, b| a.0 == b.0) {
        let ends: Vec<End> = group.iter().map(|&(_, _, end)| end).collect();
        actors[group[0].0] = ActorPlan { firings: group.len() as u64, reorder: reorder(&ends) };
    }
}

/// The end of one firing of an actor.
#[derive(Clone, Copy)]
struct End {
    /// Metacycle in which activation 0 ends.
    metacycle: i64,
    index: u32,
}

/// What [`ActorPlan::reorder`] says, for the `firings` of one actor, given in the order in which those of one metacycle
/// end. O(firings).
///
/// Firing (a, r) has number a·K + r and ends in metacycle F(r) + a. When it has ended, the first activation of r' that has
/// not is a' = a + F(r) − F(r') + [r' comes not after r in a metacycle]. So it is ahead of the first firing that has not
/// ended by the largest of r − r' + K·(F(r') − F(r) − [r' not after r]), whatever a is. (Near the start of a run a' may be
/// negative; then the true distance is smaller.)
fn reorder(firings: &[End]) -> u64 {
    let k = firings.len() as i128;
    let lag = |firing: &End| k * i128::from(firing.metacycle) - i128::from(firing.index);
    let mut after = vec![i128::MIN; firings.len() + 1];
    for (i, firing) in firings.iter().enumerate().rev() {
        after[i] = after[i + 1].max(lag(firing));
    }
    let mut before = i128::MIN;
    let mut ahead = i128::MIN;
    for (i, firing) in firings.iter().enumerate() {
        before = before.max(lag(firing));
        ahead = ahead.max((before - k).max(after[i + 1]) - lag(firing));
    }
    if ahead < 0 { 0 } else { u64::try_from(ahead + 1).unwrap_or(u64::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(metacycle: i64, index: u32) -> End {
        End { metacycle, index }
    }

    /// Plays many metacycles and measures.
    fn measured(firings: &[End]) -> u64 {
        let k = firings.len() as u64;
        let last = firings.iter().map(|f| f.metacycle).max().unwrap() as u64 + 20;
        let mut ended = vec![false; (k * (last + 1)) as usize];
        let (mut next, mut reorder) = (0, 0);
        for metacycle in 0..=last {
            for firing in firings.iter().filter(|f| f.metacycle as u64 <= metacycle) {
                let number = (metacycle - firing.metacycle as u64) * k + u64::from(firing.index);
                ended[number as usize] = true;
                while ended.get(next as usize) == Some(&true) {
                    next += 1;
                }
                if number > next {
                    reorder = reorder.max(number - next + 1);
                }
            }
        }
        reorder
    }

    #[test]
    fn firings_in_order_need_no_ring() {
        assert_eq!(reorder(&[event(0, 0), event(0, 1), event(0, 2)]), 0);
        assert_eq!(reorder(&[event(1, 1), event(0, 0)]), 0);
    }

    proptest! {
        /// The formula agrees with the play of a long run.
        #[test]
        fn the_bound_is_exact(firsts in prop::collection::vec(0_i64..4, 1..7), seed in any::<u64>()) {
            let mut indices: Vec<u32> = (0..firsts.len() as u32).collect();
            indices.sort_by_key(|&i| crate::mix::mix64(seed ^ u64::from(i)));
            let firings: Vec<_> = firsts.iter().zip(indices).map(|(&first, index)| event(first, index)).collect();
            prop_assert_eq!(reorder(&firings), measured(&firings));
        }
    }
}
