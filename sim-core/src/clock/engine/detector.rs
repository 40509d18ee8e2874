//! The hardware's stability detector: a link is stable while its counter stays near where it was when it last moved.
//!
//! Every link is looked at whenever its receiver measures. Two detectors may be on at once: the one that a control law
//! asks for, to switch each node by itself, and the one of boot, which asks for all links together.
//! Source: bittide-hardware, clock control ("stability checker": margin 4, 2 s).

use super::super::controller::Controller;
use super::super::units::Femtos;
use super::ClockEngine;
use super::shard::{Shard, Shared};
use crate::ids::LinkId;

/// When a link counts as stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detector {
    /// Frames by which its counter may move either way.
    pub margin: i64,
    /// How long it must have stayed within the margin.
    pub stable_for: Femtos,
}

/// Who asks whether links are stable: a place in arrays of detectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    Control,
    Boot,
}

/// Stands for a node that has not found all its links stable.
pub(super) const NOT_YET: i128 = i128::MAX;

/// Where a link's counter was when it last moved beyond the margin, and when that was, in absolute attoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    reading: i64,
    since: i128,
}

impl Stored {
    /// Begins anew at `now`.
    pub(super) const fn anew(now: i128) -> Self {
        Self { reading: i64::MIN, since: now }
    }

    /// Takes in a reading; says since when the counter has been within the margin.
    pub(super) fn read(&mut self, reading: i64, now: i128, margin: i64) -> i128 {
        if reading.abs_diff(self.reading) > margin.unsigned_abs() {
            *self = Self { reading, since: now };
        }
        self.since
    }
}

impl<S: Clone> Shard<S> {
    /// Remembers every link anew for one of the detectors, or none any more.
    pub(super) fn detect(&mut self, asks: Asks, on: bool, now: i128) {
        let (wires, nodes) = if on { (self.wires.len(), self.nodes()) } else { (0, 0) };
        self.stored[asks as usize] = vec![Stored::anew(now); wires];
        if asks == Asks::Control {
            self.settled = vec![NOT_YET; nodes];
        }
    }

    /// Shows detectors what `place` has just read of its links; when the control law's first found all of them stable.
    #[inline]
    pub(super) fn look<C>(&mut self, shared: &Shared<C>, place: usize, now: i128) -> Option<i128> {
        if shared.detectors[Asks::Boot as usize].is_some() {
            self.look_as(shared, Asks::Boot, place, now);
        }
        let detector = shared.detectors[Asks::Control as usize]?;
        let since = self.look_as(shared, Asks::Control, place, now);
        let settled = &mut self.settled[place];
        if *settled == NOT_YET && now.saturating_sub(since) >= detector.stable_for.grains() {
            *settled = now;
        }
        Some(*settled).filter(|&at| at != NOT_YET)
    }

    /// Shows one detector what has just been read; since when all links that are up, if any, have been within its margin.
    fn look_as<C>(&mut self, shared: &Shared<C>, asks: Asks, place: usize, now: i128) -> i128 {
        let row = self.row(place);
        // A node none of whose links is up yet has found nothing.
        let none = if row.is_empty() { i128::MIN } else { now };
        let margin = shared.detectors[asks as usize].map_or(0, |detector| detector.margin);
        let (wires, stored) = (&self.wires[row.clone()], &mut self.stored[asks as usize][row]);
        let classes = wires.iter().map(|wire| &shared.classes[wire.class as usize]);
        let links = classes.zip(stored).filter(|(class, _)| class.up);
        let since = links
            .zip(&self.readings)
            .map(|((class, stored), &reading)| stored.read(reading, now, margin.saturating_mul(class.weight)));
        since.max().unwrap_or(none)
    }
}

impl<C: Controller> ClockEngine<C> {
    /// Looks whether links are stable, from now on. Costs a comparison per reading.
    pub fn detect(&mut self, detector: Detector) {
        self.set_detector(Asks::Boot, Some(detector));
    }

    /// Looks no more.
    pub fn end_detection(&mut self) {
        self.set_detector(Asks::Boot, None);
    }

    /// Links that are down, or have moved too lately to be stable; none unless [`detect`](Self::detect) was asked for.
    pub fn unstable_links(&self) -> impl Iterator<Item = LinkId> + '_ {
        let detector = self.shared.detectors[Asks::Boot as usize];
        self.link_ids().filter(move |&link| {
            let Some(Detector { stable_for, .. }) = detector else { return false };
            let (shard, wire) = self.wire_place(link);
            let since = self.shards[shard].stored[Asks::Boot as usize][wire].since;
            !self.is_up(link) || self.now - since < stable_for.grains()
        })
    }

    pub(super) fn set_detector(&mut self, asks: Asks, detector: Option<Detector>) {
        let now = self.now;
        self.shared.detectors[asks as usize] = detector;
        for shard in &mut self.shards {
            shard.detect(asks, detector.is_some(), now);
        }
        self.shared.steady = self.is_steady();
    }

    /// A link that has come up must be stable anew.
    pub(super) fn detect_anew(&mut self, link: LinkId) {
        let (now, (shard, wire)) = (self.now, self.wire_place(link));
        for stored in self.shards[shard].stored.iter_mut().filter(|stored| !stored.is_empty()) {
            stored[wire] = Stored::anew(now);
        }
    }
}
