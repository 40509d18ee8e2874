//! Boot: clocks settle, buffers are centred, and the logical latencies that then hold are captured.
//!
//! Until the end of boot buffers may overflow freely; from then on each over- or underflow is an event. That clocks have
//! settled is detected as the hardware does it: every counter stays near where it was for a stated time, looked at
//! whenever its receiver measures.

use super::controller::Controller;
use super::engine::{ClockEngine, Detector};
use super::units::{Femtos, Frequency};
use crate::ids::{IdVec, LinkId};

/// When clocks count as settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootOptions {
    /// Frames by which a counter may move either way.
    pub margin: i64,
    /// How long all counters must have stayed within the margin, and frequencies within the engine's tolerance.
    pub stable_for: Femtos,
    /// When to give up.
    pub limit: Femtos,
    /// Whether buffers are kept empty until clocks have settled; else they pass frames, and over- and underflow freely.
    pub drain: bool,
}

impl Default for BootOptions {
    /// The hardware's: 4 frames, 2 seconds; within a minute. Buffers pass frames.
    fn default() -> Self {
        let seconds = |seconds: i128| Femtos(seconds * Femtos::PER_SECOND);
        Self { margin: 4, stable_for: seconds(2), limit: seconds(60), drain: false }
    }
}

/// What boot yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// Since when frequencies have been within the tolerance.
    pub settled_at: Femtos,
    /// When buffers were centred and latencies captured.
    pub at: Femtos,
    /// Frames that each buffer was centred by: inserted, or dropped if negative.
    pub centred_by: IdVec<LinkId, i64>,
    /// The captured logical latencies.
    pub latencies: IdVec<LinkId, i64>,
}

/// Why a network does not boot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootError {
    /// Only links of one frame per tick have a latency in ticks.
    #[error("{link} carries {gear} frames per tick: only links with a gear of 1 can be booted")]
    Geared {
        /// The link.
        link: LinkId,
        /// Its gear.
        gear: i64,
    },
    /// A link that carries nothing has no latency.
    #[error("{link} is down at {at}: its latency cannot be captured")]
    LinkDown {
        /// The link.
        link: LinkId,
        /// When boot gave up.
        at: Femtos,
    },
    /// Frequencies or counters went on moving.
    #[error(
        "clocks have not settled by {limit}: they are {spread} apart, and {unstable} of {links} links have moved lately"
    )]
    NotSettled {
        /// When boot gave up.
        limit: Femtos,
        /// Difference between the fastest and the slowest clock.
        spread: Frequency,
        /// Links whose counters left the margin less than the stated time ago.
        unstable: usize,
        /// All links.
        links: usize,
    },
}

/// Lets clocks settle, centres all buffers, and captures logical latencies.
///
/// # Errors
/// [`BootError`]. The engine is then where boot gave up.
pub fn boot<C: Controller>(engine: &mut ClockEngine<C>, options: &BootOptions) -> Result<Boot, BootError> {
    for link in engine.link_ids() {
        let gear = engine.gear(link);
        if gear != 1 {
            return Err(BootError::Geared { link, gear });
        }
    }
    let begin = engine.now();
    if options.drain {
        engine.drain();
    }
    engine.detect(Detector { margin: options.margin, stable_for: options.stable_for });
    let settled = settle(engine, options, begin);
    engine.end_detection();
    settled.map(|settled_at| capture(engine, settled_at))
}

/// Lets clocks run until links are stable and frequencies near each other; since when they are.
fn settle<C: Controller>(
    engine: &mut ClockEngine<C>,
    options: &BootOptions,
    begin: Femtos,
) -> Result<Femtos, BootError> {
    let step = Femtos((options.stable_for.0 / 64).max(engine.round().0));
    loop {
        let settled = engine.summary().settled_at.filter(|&at| engine.now() - at >= options.stable_for);
        if let Some(settled_at) = settled.filter(|_| engine.unstable_links().next().is_none()) {
            return Ok(settled_at);
        }
        let limit = begin + options.limit;
        if engine.now() >= limit {
            let unstable = engine.unstable_links().count();
            let at = engine.now();
            if let Some(link) = engine.link_ids().find(|&link| !engine.is_up(link)) {
                return Err(BootError::LinkDown { link, at });
            }
            let spread = engine.summary().spread.map_or(Frequency(0), |(low, high)| Frequency(high.0 - low.0));
            return Err(BootError::NotSettled { limit, spread, unstable, links: engine.links() });
        }
        engine.advance((engine.now() + step).min(limit));
    }
}

fn capture<C: Controller>(engine: &mut ClockEngine<C>, settled_at: Femtos) -> Boot {
    let all = |engine: &ClockEngine<C>| -> IdVec<LinkId, i64> {
        engine.link_ids().map(|link| engine.logical_latency(link)).collect()
    };
    let before = all(engine);
    engine.centre();
    let latencies = all(engine);
    let centred_by = latencies.iter().map(|(link, latency)| latency - before[link]).collect();
    Boot { settled_at, at: engine.now(), centred_by, latencies }
}
