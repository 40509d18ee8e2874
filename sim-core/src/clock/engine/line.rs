//! One clock's phase as a function of time: the present segment, and as much of the past as frames under way need.

use super::super::oscillator::SLOPE_BITS;
use super::super::units::{Divisor, frames_of_half, whole_frames};

/// What is known of one clock; a cache line. Times are attoseconds from the engine's origin.
///
/// Only the phase where the present segment began is stored. Earlier ones follow by going back: with exact integers this
/// loses nothing. Later ones do not matter to the sources' readers, who are hardly ever ahead: what a node reads off its
/// neighbours then does not wait for the arithmetic of their latest acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(64))]
pub(super) struct Clock {
    /// Phase at `since`.
    pub(super) phase: i128,
    /// When the present segment ends: at the next correction or knot.
    pub(super) until: i64,
    /// When it began.
    pub(super) since: i64,
    /// Frequency of the present segment at its beginning.
    pub(super) frequency: i64,
    /// The segment before it: beginning and frequency there.
    pub(super) since_before: i64,
    pub(super) frequency_before: i64,
    /// Slopes of both, in units of 2⁻⁵⁰ microhertz per attosecond.
    pub(super) slope: i32,
    pub(super) slope_before: i32,
}

/// A segment further back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) since: i64,
    pub(super) frequency: i64,
    pub(super) slope: i32,
}

impl Segment {
    /// Stands where no segment is known: no time is in it.
    pub(super) const NONE: Self = Self { since: super::shard::NEVER, frequency: 0, slope: 0 };
}

/// Phase gained in `time` attoseconds from a segment's beginning. Not negative times.
#[inline]
pub(super) fn gained(frequency: i64, slope: i32, time: i64) -> i128 {
    let straight = i128::from(frequency) * i128::from(time);
    if slope == 0 {
        return straight;
    }
    straight + curved(slope, time)
}

#[cold]
fn curved(slope: i32, time: i64) -> i128 {
    // time² · slope / 2, in two halves: the square alone may take nearly all bits.
    let square = i128::from(time) * i128::from(time);
    let (high, low) = (square >> SLOPE_BITS, square & ((1 << SLOPE_BITS) - 1));
    (high * i128::from(slope) + ((low * i128::from(slope)) >> SLOPE_BITS)) >> 1
}

/// The first time after a segment's beginning at which at least `phase` is gained; `None` if never.
#[inline]
pub(super) fn time_to_gain(frequency: i64, slope: i32, phase: i128) -> Option<i64> {
    if frequency <= 0 && slope <= 0 {
        return (phase <= 0).then_some(0);
    }
    if slope == 0 {
        return Some(Divisor::new(frequency).ceil(phase));
    }
    curved_time(frequency, slope, phase)
}

/// By bisection, exactly: phases of a clock ascend as long as its frequency is positive.
#[cold]
fn curved_time(frequency: i64, slope: i32, phase: i128) -> Option<i64> {
    if phase <= 0 {
        return Some(0);
    }
    let straight = Divisor::new(frequency.max(1)).ceil(phase);
    let (mut low, mut high) = (0, straight.saturating_mul(2).clamp(1, 1 << 58));
    if gained(frequency, slope, high) < phase {
        return None;
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if gained(frequency, slope, middle) < phase { low = middle } else { high = middle }
    }
    Some(high)
}

impl Clock {
    /// Phase at `time`, which is not after `until` and not before the oldest segment in `past` (newest first).
    #[inline]
    pub(super) fn phase_at(&self, past: &[Segment], time: i64) -> i128 {
        debug_assert!(time <= self.until, "asked for {time}, known until {}", self.until);
        if time >= self.since {
            return self.phase + gained(self.frequency, self.slope, time - self.since);
        }
        if time >= self.since_before {
            return self.phase - back(self.frequency_before, self.slope_before, self.since_before, time, self.since);
        }
        self.phase_long_ago(past, time)
    }

    /// Whole frames at `time`, within the same bounds, of a clock whose frequencies are constant; `None` if that takes
    /// the whole phase, or a segment further back.
    #[inline]
    pub(super) fn steady_frames_at(&self, time: i64) -> Option<i64> {
        // One product for either segment: they meet where the phase is known. Upper halves decide nearly always.
        let since = time - self.since;
        let frequency = if since >= 0 { self.frequency } else { self.frequency_before };
        let gained = (i128::from(frequency) * i128::from(since)) >> 64;
        let frames = frames_of_half((self.phase >> 64) as i64 + gained as i64)?;
        (time >= self.since_before).then_some(frames)
    }

    /// Whole frames at `time`, within the bounds of [`phase_at`](Self::phase_at).
    #[cold]
    pub(super) fn frames_at(&self, past: &[Segment], time: i64) -> i64 {
        whole_frames(self.phase_at(past, time))
    }

    /// Phase at the end of the present segment.
    #[inline]
    pub(super) fn phase_at_end(&self) -> i128 {
        self.phase + gained(self.frequency, self.slope, self.until - self.since)
    }

    #[cold]
    fn phase_long_ago(&self, past: &[Segment], time: i64) -> i128 {
        let mut end = self.since_before;
        let mut phase = self.phase - gained(self.frequency_before, self.slope_before, self.since - end);
        for segment in past {
            if time >= segment.since {
                return phase - back(segment.frequency, segment.slope, segment.since, time, end);
            }
            phase -= gained(segment.frequency, segment.slope, end - segment.since);
            end = segment.since;
        }
        panic!("the past of a clock is kept as long as frames are under way");
    }

    /// The frequency at `time`, within the same bounds.
    pub(super) fn frequency_at(&self, past: &[Segment], time: i64) -> i64 {
        let segment = self.segments(past).find(|segment| time >= segment.since);
        let segment = segment.expect("the past of a clock is kept as long as frames are under way");
        segment.frequency
            + (((i128::from(time) - i128::from(segment.since)) * i128::from(segment.slope)) >> SLOPE_BITS) as i64
    }

    /// All segments, the newest first.
    pub(super) fn segments<'a>(&self, past: &'a [Segment]) -> impl Iterator<Item = Segment> + use<'a> {
        let now = Segment { since: self.since, frequency: self.frequency, slope: self.slope };
        let before = Segment { since: self.since_before, frequency: self.frequency_before, slope: self.slope_before };
        [now, before].into_iter().chain(past.iter().copied())
    }

    /// Begins a new segment where the present one ends. `until` is then to be set.
    #[inline]
    pub(super) fn turn(&mut self, past: &mut [Segment], frequency: i64, slope: i32) {
        self.phase = self.phase_at_end();
        let mut older =
            Segment { since: self.since_before, frequency: self.frequency_before, slope: self.slope_before };
        if let [only] = past {
            *only = older;
        } else {
            for segment in past {
                older = std::mem::replace(segment, older);
            }
        }
        (self.since_before, self.frequency_before, self.slope_before) = (self.since, self.frequency, self.slope);
        (self.since, self.frequency, self.slope) = (self.until, frequency, slope);
    }
}

/// Phase gained from `time` to `end` in a segment that began at `since`.
#[inline]
fn back(frequency: i64, slope: i32, since: i64, time: i64, end: i64) -> i128 {
    if slope == 0 {
        return i128::from(frequency) * i128::from(end - time);
    }
    gained(frequency, slope, end - since) - gained(frequency, slope, time - since)
}
