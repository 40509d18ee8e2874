//! Points and spans of a node's own time, and what its clocks show.

use std::time::Duration;

/// A point of a node's monotonic clock, or a span of it, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

impl Nanos {
    /// Nanoseconds of a second.
    pub const SECOND: u64 = 1_000_000_000;

    /// Later than any deadline.
    pub const NEVER: Self = Self(u64::MAX);

    /// Whole seconds.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / Self::SECOND
    }

    /// Nanoseconds beyond the whole seconds.
    #[must_use]
    pub const fn subsecond(self) -> u64 {
        self.0 % Self::SECOND
    }

    /// This, `span` later; [`NEVER`](Self::NEVER) if that is beyond what can be counted.
    #[must_use]
    pub const fn after(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The span since `earlier`, 0 if that is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

impl From<Duration> for Nanos {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// What the monotonic clock shows at tick 0. Not 0, at which Go programs abort.
pub const MONOTONIC_BASE: Nanos = Nanos(Nanos::SECOND);
/// What the real-time clock shows when the monotonic one shows 0: 2000-01-01, in seconds since 1970.
pub const REAL_BASE_SECONDS: u64 = 946_684_800;

/// The clocks of a program at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) monotonic: Nanos,
    pub(crate) real: Nanos,
}

impl Times {
    /// `now` nanoseconds after tick 0.
    pub(crate) fn at(now: Nanos) -> Self {
        let monotonic = MONOTONIC_BASE.after(now);
        Self { monotonic, real: monotonic.after(Nanos(REAL_BASE_SECONDS * Nanos::SECOND)) }
    }
}
