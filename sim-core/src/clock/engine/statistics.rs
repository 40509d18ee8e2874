//! Reductions on the way: what is known of a run at any time without having kept it. Integer sums, so that the order of
//! nodes, and with it the number of threads, cannot matter.

use super::line::Clock;

/// What a shard counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) events: u64,
    /// Corrections that actuators could not follow.
    pub(super) saturated: u64,
    /// Lowest and highest frequency at the end of the round.
    pub(super) slowest: i64,
    pub(super) fastest: i64,
    /// ∫(ω − nominal) dt in 10⁻²⁴ frames, and ∫(ω − nominal)² dt in 2⁶⁰ µHz²·as, over segments that have ended.
    pub(super) deviation: i128,
    pub(super) deviation_squared: i128,
    /// Σ (counter − set point)² over all readings.
    pub(super) squares: u128,
}

/// Bits of squared deviations that are dropped.
pub(super) const SQUARE_BITS: u32 = 60;

impl Tally {
    pub(super) fn begin_round(&mut self) {
        (self.slowest, self.fastest) = (i64::MAX, i64::MIN);
    }

    /// Takes in the frequency that a node has at the end of a round; stopped clocks do not count.
    #[inline]
    pub(super) fn settle(&mut self, frequency: i64) {
        if frequency > 0 {
            self.slowest = self.slowest.min(frequency);
            self.fastest = self.fastest.max(frequency);
        }
    }

    /// Takes in a segment that has ended, as if its frequency had stayed as it was at its beginning.
    #[inline]
    pub(super) fn segment(&mut self, clock: &Clock, nominal: i64) {
        if clock.frequency == 0 {
            return; // stopped
        }
        let deviation = i128::from(clock.frequency - nominal);
        let time = i128::from(clock.until - clock.since);
        self.deviation += deviation * time;
        // In two halves, or the product would not fit where clocks are far apart and segments long.
        self.deviation_squared += (((deviation * deviation) >> (SQUARE_BITS / 2)) * time) >> (SQUARE_BITS / 2);
    }

    /// Both tallies together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            events: self.events + other.events,
            saturated: self.saturated + other.saturated,
            slowest: self.slowest.min(other.slowest),
            fastest: self.fastest.max(other.fastest),
            deviation: self.deviation + other.deviation,
            deviation_squared: self.deviation_squared + other.deviation_squared,
            squares: self.squares + other.squares,
        }
    }
}
