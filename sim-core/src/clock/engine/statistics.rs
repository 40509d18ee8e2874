//! Reductions on the way: what is known of a run at any time without having kept it. Integer sums, so that the order of
//! nodes, and with it the number of threads, cannot matter.

use super::line::Clock;

/// What a shard counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) events: u64,
    /// Corrections that actuators could not follow.
    pub(super) saturated: u64,
    /// ∫(ω − nominal) dt in 10⁻²⁴ frames, and ∫(ω − nominal)² dt in 2⁶⁰ µHz²·as, over segments that have ended.
    pub(super) deviation: i128,
    pub(super) deviation_squared: i128,
    /// Σ (counter − set point)² over all readings.
    pub(super) squares: u128,
}

/// The lowest and the highest frequency at the end of a round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extremes {
    pub(super) slowest: i64,
    pub(super) fastest: i64,
}

impl Extremes {
    /// Of no clock.
    pub(super) const NONE: Self = Self { slowest: i64::MAX, fastest: i64::MIN };

    /// With one more clock; stopped ones do not count.
    #[inline]
    pub(super) fn settled(self, frequency: i64) -> Self {
        if frequency > 0 { self.and(Self { slowest: frequency, fastest: frequency }) } else { self }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self { slowest: self.slowest.min(other.slowest), fastest: self.fastest.max(other.fastest) }
    }
}

/// Bits of squared deviations that are dropped.
pub(super) const SQUARE_BITS: u32 = 60;

impl Tally {
    /// Takes in a segment that has ended, as if its frequency had stayed as it was at its beginning.
    #[inline]
    pub(super) fn segment(&mut self, clock: &Clock, nominal: i64) {
        if clock.frequency == 0 {
            return; // stopped
        }
        let (deviation, time) = (clock.frequency - nominal, clock.until - clock.since);
        self.deviation += i128::from(deviation) * i128::from(time);
        // In two halves, or the product would not fit where clocks are far apart and segments long. Frequencies are
        // within an eighth of their extremes, so that the first half has 64 bits.
        let square = (i128::from(deviation) * i128::from(deviation)) >> (SQUARE_BITS / 2);
        let square = u64::try_from(square).unwrap_or(u64::MAX);
        let squared = (u128::from(square) * u128::from(time as u64)) >> (SQUARE_BITS / 2);
        self.deviation_squared += squared as i128;
    }

    /// Both tallies together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            events: self.events + other.events,
            saturated: self.saturated + other.saturated,
            deviation: self.deviation + other.deviation,
            deviation_squared: self.deviation_squared + other.deviation_squared,
            squares: self.squares + other.squares,
        }
    }
}
