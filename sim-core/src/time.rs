//! Logical time: points, spans, and the latency of a link.

use std::fmt;
use std::ops::{Add, AddAssign, Mul, Sub};

/// A point of logical time, in normal-form ticks. Tick 0 is the first of a run; planning may pass through negative ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Tick(pub i64);

/// A signed span of logical time, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Ticks(pub i64);

/// Receive tick minus send tick of every frame on one link. Constant while the link is up; one link's may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct LogicalLatency(pub i64);

impl LogicalLatency {
    /// Ticks from sending a word to the first tick at which the receiver can read it (a store is visible one tick later).
    #[must_use]
    pub const fn hop(self) -> Ticks {
        Ticks(self.0 + 1)
    }
}

impl Add<Ticks> for Tick {
    type Output = Tick;
    fn add(self, span: Ticks) -> Tick {
        Tick(self.0 + span.0)
    }
}

impl AddAssign<Ticks> for Tick {
    fn add_assign(&mut self, span: Ticks) {
        self.0 += span.0;
    }
}

impl Sub<Ticks> for Tick {
    type Output = Tick;
    fn sub(self, span: Ticks) -> Tick {
        Tick(self.0 - span.0)
    }
}

impl Sub for Tick {
    type Output = Ticks;
    fn sub(self, earlier: Tick) -> Ticks {
        Ticks(self.0 - earlier.0)
    }
}

impl Add for Ticks {
    type Output = Ticks;
    fn add(self, other: Ticks) -> Ticks {
        Ticks(self.0 + other.0)
    }
}

impl Sub for Ticks {
    type Output = Ticks;
    fn sub(self, other: Ticks) -> Ticks {
        Ticks(self.0 - other.0)
    }
}

impl Mul<i64> for Ticks {
    type Output = Ticks;
    fn mul(self, factor: i64) -> Ticks {
        Ticks(self.0 * factor)
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Ticks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for LogicalLatency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
