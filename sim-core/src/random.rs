//! Keyed randomness: every draw is a function of (seed, purpose, entity, tick), never the next of a shared stream.
//!
//! Adding an entity, a thread or a shard therefore changes nobody else's draws, and nothing has to be checkpointed.
//! Source: Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11 (Philox4x32-10).

use std::fmt;
use std::num::NonZeroU64;

/// What all randomness of a run derives from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Seed(pub u64);

impl Seed {
    /// The seed where none is asked for. A constant: two runs without a seed are the same run.
    pub const DEFAULT: Self = Self(1);
}

impl Default for Seed {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a draw is for. The numbers are part of every result: they are never changed and never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Purpose {
    /// Choices in the scheduler's search for a placement.
    Placement = 1,
    /// Data that the sources of built-in applications and examples produce.
    Input = 2,
    /// Steps of an oscillator's random walk.
    Wander = 16,
    /// Displacements of a clock's edges.
    PhaseNoise = 17,
    /// Constant offsets of oscillators that a specification leaves to chance.
    Offset = 18,
}

/// The draws of one entity for one purpose.
///
/// ```
/// use sim_core::random::{Keyed, Purpose, Seed};
///
/// let node = Keyed::new(Seed::DEFAULT, Purpose::Placement, 7);
/// assert_eq!(node.at(3), node.at(3));
/// assert_ne!(node.at(3), node.at(4));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyed {
    key: [u32; 2],
    purpose: Purpose,
    entity: u32,
}

impl Keyed {
    /// The draws of `entity` (the number of a node, link, actor, …) for `purpose`.
    #[must_use]
    pub const fn new(seed: Seed, purpose: Purpose, entity: u32) -> Self {
        Self { key: halves(seed.0), purpose, entity }
    }

    /// 128 random bits for `tick`, or for whatever else counts this entity's steps.
    #[must_use]
    pub const fn at(&self, tick: u64) -> [u32; 4] {
        self.draw(tick, 0)
    }

    /// 64 random bits for `tick`: the first two words of [`at`](Self::at), the first one being the low half.
    #[must_use]
    pub const fn word(&self, tick: u64) -> u64 {
        low_word(self.at(tick))
    }

    /// A number below `bound` for `tick`, all of them exactly equally likely.
    ///
    /// Source: Lemire, "Fast random integer generation in an interval", ACM TOMACS 29(1), 2019.
    #[must_use]
    pub fn below(&self, tick: u64, bound: NonZeroU64) -> u64 {
        let bound = bound.get();
        // 2⁶⁴ mod `bound` draws are too many to share out evenly: whoever meets one of them draws again.
        let surplus = bound.wrapping_neg() % bound;
        (0..1 << DRAW_BITS)
            .map(|draw| u128::from(low_word(self.draw(tick, draw))) * u128::from(bound))
            .find(|&product| product as u64 >= surplus)
            .map(|product| (product >> 64) as u64)
            .expect("a draw is repeated with a probability below one half")
    }

    /// Block number `draw` of `tick`. No two keys of draws share a block: the counter holds them side by side.
    const fn draw(&self, tick: u64, draw: u32) -> [u32; 4] {
        let [low, high] = halves(tick);
        philox4x32_10([low, high, self.entity, ((self.purpose as u32) << DRAW_BITS) | draw], self.key)
    }
}

/// Bits of the counter that number the draws of one tick; the purpose has the others of its word.
const DRAW_BITS: u32 = 24;

const fn halves(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

const fn low_word(block: [u32; 4]) -> u64 {
    block[0] as u64 | (block[1] as u64) << 32
}

/// The Philox4x32 generator with 10 rounds: a bijection of the counter, chosen by the key.
#[must_use]
pub const fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let ([mut c0, mut c1, mut c2, mut c3], [mut k0, mut k1]) = (counter, key);
    let mut round = 0;
    while round < 10 {
        let [low0, high0] = halves(0xD251_1F53 * c0 as u64);
        let [low1, high1] = halves(0xCD9E_8D57 * c2 as u64);
        (c0, c1, c2, c3) = (high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0);
        (k0, k1) = (k0.wrapping_add(0x9E37_79B9), k1.wrapping_add(0xBB67_AE85));
        round += 1;
    }
    [c0, c1, c2, c3]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// `kat_vectors` of the Random123 distribution.
    #[test]
    fn philox_gives_the_known_answers() {
        let cases = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, answer) in cases {
            assert_eq!(philox4x32_10(counter, key), answer);
        }
    }

    #[test]
    fn the_key_of_a_draw_is_laid_out_as_documented() {
        let keyed = Keyed::new(Seed(0x1122_3344_5566_7788), Purpose::Input, 9);
        let block = philox4x32_10([0xccdd_eeff, 0x8899_aabb, 9, 2 << 24], [0x5566_7788, 0x1122_3344]);
        assert_eq!(keyed.at(0x8899_aabb_ccdd_eeff), block);
        assert_eq!(keyed.word(0x8899_aabb_ccdd_eeff), u64::from(block[0]) | u64::from(block[1]) << 32);
    }

    #[test]
    fn every_part_of_the_key_matters() {
        let mut seen = BTreeSet::new();
        for seed in [0, 1, 1 << 32] {
            for purpose in [Purpose::Placement, Purpose::Input] {
                for entity in 0..4 {
                    let keyed = Keyed::new(Seed(seed), purpose, entity);
                    seen.extend([0, 1, 1 << 32].map(|tick| keyed.at(tick)));
                }
            }
        }
        assert_eq!(seen.len(), 3 * 2 * 4 * 3);
    }

    #[test]
    fn numbers_below_a_bound_are_uniform() {
        let keyed = Keyed::new(Seed::DEFAULT, Purpose::Placement, 0);
        let bound = NonZeroU64::new(6).unwrap();
        let mut counts = [0_u32; 6];
        for tick in 0..60_000 {
            counts[usize::try_from(keyed.below(tick, bound)).unwrap()] += 1;
        }
        // The standard deviation of each count is 91.
        assert!(counts.iter().all(|&count| count.abs_diff(10_000) < 400), "{counts:?}");
    }

    /// Of a bound just above 2⁶³, nearly half of the first draws must be repeated.
    #[test]
    fn large_bounds_are_uniform_too() {
        let keyed = Keyed::new(Seed::DEFAULT, Purpose::Placement, 0);
        let bound = NonZeroU64::new((1 << 63) + 1).unwrap();
        let draws: Vec<u64> = (0..10_000).map(|tick| keyed.below(tick, bound)).collect();
        let low = draws.iter().filter(|&&draw| draw < 1 << 62).count();
        assert!(draws.iter().all(|&draw| draw < bound.get()) && low.abs_diff(5_000) < 300, "{low}");
        let scaled = |tick| ((u128::from(keyed.word(tick)) * u128::from(bound.get())) >> 64) as u64;
        let repeated = (0..10_000).filter(|&tick| keyed.below(tick, bound) != scaled(tick)).count();
        assert!(repeated.abs_diff(5_000) < 300, "{repeated}");
    }

    #[test]
    fn a_bound_of_one_leaves_no_choice() {
        let keyed = Keyed::new(Seed::DEFAULT, Purpose::Input, 0);
        assert!((0..100).all(|tick| keyed.below(tick, NonZeroU64::MIN) == 0));
    }
}
