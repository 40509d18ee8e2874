//! Watching elastic buffers: every over- and underflow, with the very frame and tick, between measurements too.
//!
//! In a piece of time in which source and target keep their frequencies, the difference of their phases is a straight
//! line. Only where that line leaves what the buffer holds can there be an event; there ticks are looked at one by one.

use super::super::controller::Controller;
use super::super::units::{Divisor, FRAME, Femtos, whole_frames};
use super::ClockEngine;
use super::edit::{Edit, EditKind};
use super::line::{Clock, Segment};
use super::shard::{Class, NEVER, Shard, Shared};
use crate::ids::{IdVec, LinkId};

/// How a buffer failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BufferFault {
    /// A frame arrived at a full buffer and was dropped.
    Overflow,
    /// The node read an empty buffer: an idle frame was inserted.
    Underflow,
}

/// An over- or underflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferEvent {
    /// When.
    pub at: Femtos,
    /// The link.
    pub link: LinkId,
    /// The receiver's tick in which it happened: the floor of its phase.
    pub tick: i64,
    /// What happened.
    pub fault: BufferFault,
}

/// What is watched, and what was seen.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    /// Links in the order of wires, with their depth.
    watched: Vec<Watched>,
    pub(super) events: Vec<BufferEvent>,
    pub(super) count: u64,
    /// How many events are kept.
    keep: usize,
}

#[derive(Clone, Copy, Debug)]
struct Watched {
    link: LinkId,
    shard: u32,
    wire: u32,
    place: u32,
    depth: u32,
    least: i64,
    most: i64,
}

/// One link's two clocks, with all that turns phases into occupancies.
#[derive(Clone, Copy)]
struct Buffer<'a> {
    source: &'a Clock,
    source_past: &'a [Segment],
    target: &'a Clock,
    target_past: &'a [Segment],
    class: &'a Class,
    origin: i128,
    depth: i64,
}

impl<C: Controller> ClockEngine<C> {
    /// Watches all buffers of limited depth from now on, and keeps the first `keep` over- and underflows. Each drops or
    /// inserts a frame, which changes the link's logical latency.
    pub fn watch(&mut self, keep: usize) {
        let mut watched: Vec<Watched> = self
            .link_ids()
            .filter_map(|link| {
                let depth = self.depths.of(link)?;
                let ((shard, wire), (_, place)) = (self.wire_place(link), self.target_place(link));
                let (shard, wire, place) = (shard as u32, wire as u32, place as u32);
                Some(Watched { link, shard, wire, place, depth, least: i64::MAX, most: i64::MIN })
            })
            .collect();
        watched.sort_by_key(|watched| (watched.shard, watched.wire));
        self.watch = Some(Watch { watched, events: Vec::new(), count: 0, keep });
    }

    /// Over- and underflows that were kept, by time, then by link.
    #[must_use]
    pub fn buffer_events(&self) -> &[BufferEvent] {
        self.watch.as_ref().map_or(&[], |watch| &watch.events)
    }

    /// How many over- and underflows there have been since buffers are watched.
    #[must_use]
    pub fn buffer_event_count(&self) -> u64 {
        self.watch.as_ref().map_or(0, |watch| watch.count)
    }

    /// Lowest and highest occupancy of all watched buffers at any time since they are watched, by link.
    #[must_use]
    pub fn watched_occupancies(&self) -> IdVec<LinkId, Option<(i64, i64)>> {
        let mut all = IdVec::filled(None, self.links());
        for watched in self.watch.iter().flat_map(|watch| &watch.watched) {
            all[watched.link] = (watched.least <= watched.most).then_some((watched.least, watched.most));
        }
        all
    }

    /// Finds the over- and underflows of the round that has just been computed.
    pub(super) fn watch_round(&mut self, end: i128) {
        if self.draining {
            return;
        }
        let Some(mut watch) = self.watch.take() else { return };
        let origin = self.shared.origin;
        let span = ((self.now - origin) as i64, (end - origin) as i64);
        let mut found = Vec::new();
        for watched in &mut watch.watched {
            watch_link(&self.shared, &mut self.shards, watched, span, &mut found);
        }
        found.sort_by_key(|event| (event.at, event.link));
        for event in found {
            watch.count += 1;
            if watch.events.len() < watch.keep {
                watch.events.push(event);
                let frames = if event.fault == BufferFault::Overflow { -1 } else { 1 };
                self.edits.push(Edit { at: event.at, link: event.link, kind: EditKind::Fault(event.fault), frames });
            }
        }
        self.watch = Some(watch);
    }
}

fn watch_link<C, S: Clone>(
    shared: &Shared<C>,
    shards: &mut [Shard<S>],
    watched: &mut Watched,
    (begin, end): (i64, i64),
    found: &mut Vec<BufferEvent>,
) {
    let shard = &shards[watched.shard as usize];
    let wire = shard.wires[watched.wire as usize];
    let class = &shared.classes[wire.class as usize];
    if !class.up {
        return;
    }
    let (source, target) = (wire.source as usize, watched.place as usize);
    let buffer = Buffer {
        source: &shard.clocks[source],
        source_past: shard.past(source),
        target: &shard.clocks[target],
        target_past: shard.past(target),
        class,
        origin: shared.origin,
        depth: watched.depth.into(),
    };
    let mut latency = wire.base + i64::from(wire.centring);
    let (first, before) = (latency, found.len());
    let mut from = begin;
    for to in buffer.breaks(begin, end).into_iter().chain([end]) {
        let (low, high) = buffer.range(from, to, latency);
        watched.least = watched.least.min(low.max(0));
        watched.most = watched.most.max(high.min(buffer.depth));
        let mut at = from;
        while let Some((time, fault)) = buffer.first_fault(at, to, latency) {
            let tick = whole_frames(buffer.target_phase(time));
            found.push(BufferEvent {
                at: Femtos::of_grains(shared.origin + i128::from(time)),
                link: watched.link,
                tick,
                fault,
            });
            latency += if fault == BufferFault::Overflow { -1 } else { 1 };
            at = time;
        }
        from = to;
    }
    if found.len() > before {
        shards[watched.shard as usize].wires[watched.wire as usize].centring += (latency - first) as i32;
    }
}

impl Buffer<'_> {
    fn sent_at(&self, time: i64) -> i64 {
        time - self.class.latency_at(self.origin, time)
    }

    /// Phase that has arrived, and phase that was read, times the gear.
    fn source_phase(&self, time: i64) -> i128 {
        self.source.phase_at(self.source_past, self.sent_at(time)) * i128::from(self.class.gear)
    }

    fn target_phase(&self, time: i64) -> i128 {
        self.target.phase_at(self.target_past, time) * i128::from(self.class.gear)
    }

    fn occupancy(&self, time: i64, latency: i64) -> i64 {
        latency + whole_frames(self.source_phase(time)) - whole_frames(self.target_phase(time))
    }

    /// Times between `begin` and `end` at which one of the frequencies may change, ascending.
    fn breaks(&self, begin: i64, end: i64) -> Vec<i64> {
        let steady = !self.ramps(begin);
        let sources = self.source.segments(self.source_past).filter(|segment| segment.since < NEVER / 2);
        let arrivals = sources.map(|segment| segment.since.saturating_add(self.class.latency)).filter(|_| steady);
        let targets = self.target.segments(self.target_past).filter(|segment| segment.since < NEVER / 2);
        let mut breaks: Vec<i64> = arrivals.chain(targets.map(|segment| segment.since)).collect();
        breaks.retain(|&at| begin < at && at < end);
        breaks.sort_unstable();
        breaks.dedup();
        breaks
    }

    fn ramps(&self, begin: i64) -> bool {
        self.class.ramp.is_some_and(|ramp| self.origin + i128::from(begin) < ramp.end)
    }

    /// Bounds of the occupancy from `from` until `to`, which it reaches if that is at least a tick.
    fn range(&self, from: i64, to: i64, latency: i64) -> (i64, i64) {
        let difference = |time| self.source_phase(time) - self.target_phase(time);
        let (a, b) = (difference(from), difference(to));
        let (low, high) = (a.min(b), a.max(b));
        (latency + whole_frames(low), latency + whole_frames(high + FRAME - 1))
    }

    /// The first time after `from` (or at it) and before `to` at which there are too few or too many frames.
    fn first_fault(&self, from: i64, to: i64, latency: i64) -> Option<(i64, BufferFault)> {
        if from >= to {
            return None;
        }
        // Between ends the difference is a straight line: beyond these bounds there can be faults, but need not be.
        let (least, most) = (-i128::from(latency) * FRAME, i128::from(self.depth - latency) * FRAME);
        let bent = self.ramps(from) || self.curved(from);
        let slack = if bent { FRAME } else { 0 };
        let difference = |time| self.source_phase(time) - self.target_phase(time);
        let (a, b) = (difference(from), difference(to));
        let under = crossing(from, to, least + slack - a, least + slack - b, bent);
        let over = crossing(from, to, a - most + slack, b - most + slack, bent);
        let under = under.and_then(|begin| self.first_underflow(begin, to, latency));
        let over = over.and_then(|begin| self.first_overflow(begin, under.unwrap_or(to), latency));
        match (over, under) {
            (Some(over), _) => Some((over, BufferFault::Overflow)),
            (None, Some(under)) => Some((under, BufferFault::Underflow)),
            (None, None) => None,
        }
    }

    fn curved(&self, time: i64) -> bool {
        let slope = |clock: &Clock, past: &[Segment], time: i64| {
            clock.segments(past).find(|segment| time >= segment.since).is_some_and(|segment| segment.slope != 0)
        };
        slope(self.source, self.source_past, self.sent_at(time)) || slope(self.target, self.target_past, time)
    }

    /// The first tick that finds nothing to read.
    fn first_underflow(&self, from: i64, to: i64, latency: i64) -> Option<i64> {
        if self.occupancy(from, latency) < 0 {
            return Some(from);
        }
        let mut frame = whole_frames(self.target_phase(from)) + 1;
        while let Some(time) = first_at(|time| self.target_phase(time), from, to, frame) {
            if self.occupancy(time, latency) < 0 {
                return Some(time);
            }
            frame += 1;
        }
        None
    }

    /// The first arrival that finds no room.
    fn first_overflow(&self, from: i64, to: i64, latency: i64) -> Option<i64> {
        if self.occupancy(from, latency) > self.depth {
            return Some(from);
        }
        let mut frame = whole_frames(self.source_phase(from)) + 1;
        while let Some(time) = first_at(|time| self.source_phase(time), from, to, frame) {
            if self.occupancy(time, latency) > self.depth {
                return Some(time);
            }
            frame += 1;
        }
        None
    }
}

/// Where a straight line from `a` (at `from`) to `b` (at `to`) becomes positive, or a little before.
fn crossing(from: i64, to: i64, a: i128, b: i128, bent: bool) -> Option<i64> {
    match (a > 0, b > 0) {
        (true, _) => Some(from),
        (false, false) => None,
        (false, true) if bent => Some(from),
        // a ≤ 0 < b: the line is positive from this share of the time on.
        (false, true) => Some((from + (fraction(-a, b - a, to - from)) - 1).max(from)),
    }
}

/// ⌊length · part / whole⌋ for 0 ≤ part ≤ whole, or a little less.
fn fraction(part: i128, whole: i128, length: i64) -> i64 {
    // Phases within a round and lengths do not fit a product together; dropping bits of both makes the share smaller.
    let shift = 64_u32.saturating_sub(whole.leading_zeros());
    let (part, whole) = (part >> shift, (whole >> shift) + 1);
    (i128::from(length) * part / whole) as i64
}

/// The first time in [from, to) at which an ascending phase has reached `frame`.
fn first_at(phase: impl Fn(i64) -> i128, from: i64, to: i64, frame: i64) -> Option<i64> {
    let wanted = i128::from(frame) * FRAME;
    let (mut low, mut high) = (from, to);
    let (phase_low, phase_high) = (phase(low), phase(high));
    if phase_low >= wanted {
        return Some(low);
    }
    // A guess by the mean frequency is exact, or next to it, while the frequency is constant.
    let mean = ((phase_high - phase_low) / i128::from(high - low).max(1)) as i64;
    if mean > 0 {
        let guess = from.saturating_add(Divisor::new(mean).ceil(wanted - phase_low));
        for near in [guess.saturating_sub(2), guess] {
            if low < near && near < high {
                if phase(near) >= wanted { high = near } else { low = near }
            }
        }
    }
    if phase(high) < wanted {
        return None;
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if phase(middle) >= wanted { high = middle } else { low = middle }
    }
    (high < to).then_some(high)
}
