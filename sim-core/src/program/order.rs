//! How far the firings of an actor end out of order.

use super::FiringEvent;

/// What [`super::ActorPlan::reorder`] says, for the `firings` of one actor, given in the order in which an engine executes
/// those that end in one metacycle. O(firings).
///
/// Firing (a, r) has number a·K + r and ends in metacycle F(r) + a. When it has ended, the first activation of r' that has
/// not is a' = a + F(r) − F(r') + [r' comes not after r in a metacycle]. So it is ahead of the first firing that has not
/// ended by the largest of r − r' + K·(F(r') − F(r) − [r' not after r]), whatever a is. (Near the start of a run a' may be
/// negative; then the true distance is smaller.)
pub(super) fn reorder(firings: &[&FiringEvent]) -> u64 {
    let k = firings.len() as i128;
    let lag = |firing: &FiringEvent| k * i128::from(firing.first) - i128::from(firing.index);
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
    use crate::ids::{ActorId, NodeId};
    use proptest::prelude::*;

    fn event(first: u64, index: u32) -> FiringEvent {
        FiringEvent {
            first,
            slot: 0,
            exec: 1,
            node: NodeId(0),
            actor: ActorId(0),
            index,
            phase: 0,
            class: 0,
            inputs: 0..0,
            outputs: 0..0,
            stage: 0..0,
        }
    }

    /// Plays many metacycles and measures.
    fn measured(firings: &[FiringEvent]) -> u64 {
        let k = firings.len() as u64;
        let last = firings.iter().map(|f| f.first).max().unwrap() + 20;
        let mut ended = vec![false; (k * (last + 1)) as usize];
        let (mut next, mut reorder) = (0, 0);
        for metacycle in 0..=last {
            for firing in firings.iter().filter(|f| f.first <= metacycle) {
                let number = (metacycle - firing.first) * k + u64::from(firing.index);
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
        assert_eq!(reorder(&[&event(0, 0), &event(0, 1), &event(0, 2)]), 0);
        assert_eq!(reorder(&[&event(1, 1), &event(0, 0)]), 0);
    }

    proptest! {
        /// The formula agrees with the play of a long run.
        #[test]
        fn the_bound_is_exact(firsts in prop::collection::vec(0_u64..4, 1..7), seed in any::<u64>()) {
            let mut indices: Vec<u32> = (0..firsts.len() as u32).collect();
            indices.sort_by_key(|&i| crate::mix::mix64(seed ^ u64::from(i)));
            let firings: Vec<_> = firsts.iter().zip(indices).map(|(&first, index)| event(first, index)).collect();
            prop_assert_eq!(reorder(&firings.iter().collect::<Vec<_>>()), measured(&firings));
        }
    }
}
