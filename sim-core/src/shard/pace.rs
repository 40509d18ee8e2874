//! How many ticks each shard executes from one exchange to the next, and where these steps begin.
//!
//! Shards that all step at the same ticks exchange words once per reach (see [`Cut::reach`]). If neighbours take turns
//! instead, each goes as far as words take there and back: one stands at 10, 30, 50, … while the other goes to 20, 40, 60, …,
//! and both send half as often.
//!
//! In general, let a shard of colour c of k, neighbours differing in colour, end its steps at c·φ, c·φ + T, c·φ + 2T, …, every
//! cut letting its receiver be R ahead. Of two neighbours the one of the higher colour then waits for a step of the other that
//! ends no more than R before its own: that is the one with the same number if (k − 1)·φ ≤ R. And the one of the lower colour
//! waits for the step before that if T − φ ≤ R. On every circle somebody has a higher colour than who waits for him, so steps
//! never wait for each other in a circle. Hence T ≤ R + R ÷ (k − 1) and φ = T − R, all in whole metacycles, so that every
//! window is divided alike. A step that ends early, with a window or an epoch, waits for less.

use super::cut::{Cut, NOTICE};
use super::{Carrier, ShardId};
use crate::ids::Id;
use crate::time::Ticks;

/// How a shard steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Ticks of a step, at most.
    pub(crate) step: Ticks,
    /// Where shards take turns: steps, which are whole metacycles, end so many ticks after multiples of their length.
    pub(crate) phase: Option<Ticks>,
}

impl Pace {
    /// That of shard `id`, if nobody executes more than `most` ticks at once. `cuts` are all cuts of a run. Where exchanges cost
    /// next to nothing, shorter steps leave more time until words are waited for.
    pub(crate) fn new(cuts: &[Cut], metacycle: i64, id: ShardId, most: Ticks, carrier: Carrier) -> Self {
        let own = cuts.iter().filter(|cut| cut.from() == id || cut.to() == id).filter_map(Cut::reach).min();
        let turns = (carrier == Carrier::Network && own.is_some()).then(|| Turns::new(cuts, metacycle, most));
        match turns.flatten() {
            Some(Turns { step, shift, colours }) => Self { step, phase: Some(Ticks(shift.0 * colours[id.index()])) },
            None => Self { step: own.map_or(most, |reach| reach.min(most)), phase: None },
        }
    }
}

/// Shards that take turns.
struct Turns {
    step: Ticks,
    /// From the steps of one colour to those of the next.
    shift: Ticks,
    /// By shard; no two on a common circle that exchange words have the same.
    colours: Vec<i64>,
}

impl Turns {
    /// How the shards between which there are `cuts` take turns, if that lets all of them make longer steps.
    fn new(cuts: &[Cut], metacycle: i64, most: Ticks) -> Option<Self> {
        // What is relayed would wait for two steps.
        if cuts.iter().any(|cut| cut.relay_lookahead() < Ticks(i64::MAX)) {
            return None;
        }
        let circles = || cuts.iter().filter_map(|cut| Some((cut, cut.reach()?)));
        let whole = |ticks: i64| ticks / metacycle * metacycle;
        let ahead = whole(circles().map(|(cut, _)| cut.lookahead().0.saturating_add(NOTICE.0)).min()?);
        let pairs: Vec<_> = circles().map(|(cut, _)| (cut.from().index(), cut.to().index())).collect();
        let colours = colours(&pairs);
        let step = ahead.saturating_add(whole(ahead / colours.iter().max()?)).min(whole(most.0));
        let longest = circles().map(|(_, reach)| reach.0).max()?;
        (step > longest).then_some(Self { step: Ticks(step), shift: Ticks(step - ahead), colours })
    }
}

/// A colour for each of the shards of `pairs`, those of a pair having different ones: each the least that its earlier
/// neighbours leave.
fn colours(pairs: &[(usize, usize)]) -> Vec<i64> {
    let shards = pairs.iter().map(|&(a, b)| a.max(b) + 1).max().unwrap_or(0);
    let mut colours: Vec<i64> = Vec::new();
    for shard in 0..shards {
        let others =
            pairs.iter().filter_map(|&(a, b)| if a == shard { Some(b) } else { Some(a).filter(|_| b == shard) });
        let taken: Vec<i64> = others.filter_map(|other| colours.get(other).copied()).collect();
        colours.push((0..).find(|colour| !taken.contains(colour)).expect("there are more colours than shards"));
    }
    colours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_have_different_colours() {
        assert_eq!(colours(&[]), []);
        assert_eq!(colours(&[(0, 1), (1, 0)]), [0, 1]);
        // A circle of even length needs two, one of odd length three.
        assert_eq!(colours(&[(0, 1), (1, 2), (2, 3), (3, 0)]), [0, 1, 0, 1]);
        assert_eq!(colours(&[(0, 1), (1, 2), (2, 0)]), [0, 1, 2]);
        assert_eq!(colours(&[(2, 4)]), [0, 0, 0, 0, 1]);
    }
}
