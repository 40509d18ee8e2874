//! A fault of the engine itself, for tests of what finds faults: it shows only if there are several shards.

use crate::ids::LinkId;
use crate::shard::Cut;
use crate::time::Tick;

/// The frame that is sent on `link` at tick `sent` arrives with its lowest bit inverted, if it crosses to another shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlantedFault {
    /// The link.
    pub link: LinkId,
    /// When the frame is sent; nothing happens if the calendars send none then.
    pub sent: Tick,
}

impl PlantedFault {
    /// Which frame of `cut` it is, and in which metacycle, at metacycles of `length` ticks.
    pub(super) fn in_cut(self, cut: &Cut, length: i64) -> Option<(usize, i64)> {
        let Self { link, sent } = self;
        let (slot, metacycle) = (sent.0.rem_euclid(length), sent.0.div_euclid(length));
        let frame = cut.frames().iter().position(|frame| (frame.slot, frame.link) == (slot, link))?;
        Some((frame, metacycle))
    }
}
