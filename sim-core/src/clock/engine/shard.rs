//! The hot loop: events of a contiguous range of nodes, in rounds.
//!
//! An event of a node measures at one instant and acts at a later one. It needs other clocks only until it measures,
//! less the latency; and every clock is known until its own next act. So events of all nodes may be computed in any
//! order, each as soon as one comparison per link says that its sources are known far enough, and come out the same.
//! The earliest event of all can always be computed, so that no order gets stuck.

use super::super::controller::{Controller, Measured};
use super::super::oscillator::{Cursor, Oscillator};
use super::super::units::{Divisor, FRAME, Femtos, Frequency, whole_frames};
use super::detector::{Detector, NOT_YET, Stored};
use super::line::{Clock, Segment, time_to_gain};
use super::statistics::{Extremes, Tally};
use super::steady::{self, Wave};
use crate::ids::NodeId;

/// A time that is never reached.
pub(super) const NEVER: i64 = 1 << 62;

/// How often a node is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rhythm {
    /// Ticks.
    pub(super) period: u64,
    /// As phases.
    pub(super) period_phase: i128,
    pub(super) delay_phase: i128,
}

/// What links have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) latency: i64,
    pub(super) gear: i64,
    /// What a frame of a reading counts: the least common multiple of all gears over this one.
    pub(super) weight: i64,
    pub(super) up: bool,
    /// One frame per tick, and a latency that does not change.
    pub(super) plain: bool,
    pub(super) ramp: Option<Ramp>,
}

/// A latency on its way from one value to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ramp {
    /// Absolute attoseconds.
    pub(super) begin: i128,
    pub(super) end: i128,
    pub(super) from: i64,
}

impl Class {
    /// Attoseconds that a frame has been under way that arrives at `at`.
    #[inline]
    pub(super) fn latency_at(&self, origin: i128, at: i64) -> i64 {
        let Some(ramp) = self.ramp else { return self.latency };
        let at = origin + i128::from(at);
        if at >= ramp.end {
            return self.latency;
        }
        let passed = (at - ramp.begin).max(0);
        ramp.from + (i128::from(self.latency - ramp.from) * passed).div_euclid(ramp.end - ramp.begin) as i64
    }
}

/// A link as its receiver sees it; 28 bytes, of which references cannot be taken.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
pub(super) struct Wire {
    /// Place of the source among the shard's clocks.
    pub(super) source: u32,
    pub(super) class: u32,
    /// Constant of the counter, less the set point: what is added to ⌊θ_source(t − l)⌋ − ⌊θ_target(t)⌋ for a reading.
    pub(super) base: i64,
    /// Occupancy less reading.
    pub(super) centring: i32,
    /// Lowest and highest occupancy that was measured.
    pub(super) least: i32,
    pub(super) most: i32,
}

impl Wire {
    /// Takes in an occupancy. Without a branch: while clocks settle, no processor guesses which ones are extremes.
    #[inline]
    pub(super) fn measured(&mut self, occupancy: i32) {
        (self.least, self.most) = ({ self.least }.min(occupancy), { self.most }.max(occupancy));
    }
}

/// What a node with a varying oscillator keeps besides.
#[derive(Clone, Debug)]
pub(super) struct Varying {
    pub(super) oscillator: Oscillator,
    pub(super) cursor: Cursor,
    pub(super) correction: i64,
    /// Phase at which it acts next.
    pub(super) target: i128,
    pub(super) act_at: i64,
    /// Measurements so far.
    pub(super) number: u64,
}

/// An event, for logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockEvent {
    /// The node.
    pub node: NodeId,
    /// Its number: ticks of the measurement since the node's start, over the period.
    pub number: u64,
    /// When it measured.
    pub measured_at: Femtos,
    /// When it acted.
    pub acted_at: Femtos,
    /// The frequency from then on.
    pub frequency: Frequency,
    /// The sum of its readings, in frames (times the least common gear).
    pub reading: i64,
}

/// What all shards share during a round.
#[derive(Clone, Debug)]
pub(super) struct Shared<C> {
    pub(super) control: C,
    pub(super) classes: Vec<Class>,
    pub(super) rhythms: Vec<Rhythm>,
    /// Frequencies at which actuators saturate.
    pub(super) reachable: (i64, i64),
    pub(super) nominal: i64,
    /// Least common multiple of all gears.
    pub(super) per_frame: i64,
    /// Absolute time of the shards' time 0.
    pub(super) origin: i128,
    /// Detectors that are on, by who asks.
    pub(super) detectors: [Option<Detector>; 2],
    /// Whether no oscillator varies, no detector is on, and all links are up, have one frame per tick, and keep their
    /// latencies. Rounds of such networks are compiled apart, without the questions that others must ask of every link.
    pub(super) steady: bool,
    pub(super) log: bool,
}

impl<C> Shared<C> {
    /// A frequency within reach, and note if it was not.
    #[inline]
    pub(super) fn within_reach(&self, uncorrected: i64, correction: i64, tally: &mut Tally) -> i64 {
        let wanted = uncorrected.saturating_add(correction);
        let frequency = wanted.clamp(self.reachable.0, self.reachable.1);
        tally.saturated += u64::from(frequency != wanted);
        frequency
    }
}

/// A node's control loop between two acts.
#[derive(Clone, Debug)]
pub(super) struct Loop<S> {
    /// When it measures next.
    pub(super) measure_at: i64,
    /// Phase beyond the target at its next act.
    pub(super) excess: i64,
    /// The oscillator's frequency, if it is constant.
    pub(super) uncorrected: i64,
    pub(super) state: S,
}

/// A contiguous range of nodes with what their events need, and copies of the clocks of others.
///
/// Aligned so that threads, each of which counts events in a shard of its own, share no cache lines.
#[derive(Clone, Debug)]
#[repr(align(128))]
pub(super) struct Shard<S> {
    /// The first node.
    pub(super) first: u32,
    /// Own clocks, then copies.
    pub(super) clocks: Vec<Clock>,
    /// `depth` older segments per clock, the newest first.
    pub(super) past: Vec<Segment>,
    pub(super) depth: usize,
    /// Per own node.
    pub(super) loops: Vec<Loop<S>>,
    /// Per own node the number of its rhythm; empty if there is only one.
    pub(super) rhythm: Vec<u16>,
    /// Per own node, if any varies; else empty.
    pub(super) varying: Vec<Varying>,
    /// Incoming links of own node i are `wires[starts[i] .. starts[i + 1]]`.
    pub(super) starts: Vec<u32>,
    pub(super) wires: Vec<Wire>,
    /// Per wire, for each detector that is on.
    pub(super) stored: [Vec<Stored>; 2],
    /// Per own node, if the control law has a detector: when it first found all links stable, in absolute attoseconds.
    pub(super) settled: Vec<i128>,
    /// Nodes whose clocks are copied, ascending.
    pub(super) copied: Vec<u32>,
    /// Own nodes that wait for others' clocks, and the round in which they do.
    pub(super) waiting: Vec<(u32, u32)>,
    /// What is known of frequencies at the end of each round.
    pub(super) extremes: Vec<Extremes>,
    pub(super) wave: Wave,
    /// Readings of one event: the first `read` of them.
    pub(super) readings: Vec<i64>,
    read: usize,
    pub(super) tally: Tally,
    pub(super) log: Vec<ClockEvent>,
}

impl<S: Clone> Shard<S> {
    pub(super) fn new(first: u32, depth: usize) -> Self {
        Self {
            first,
            clocks: Vec::new(),
            past: Vec::new(),
            depth,
            loops: Vec::new(),
            rhythm: Vec::new(),
            varying: Vec::new(),
            starts: vec![0],
            wires: Vec::new(),
            stored: [const { Vec::new() }; 2],
            settled: Vec::new(),
            copied: Vec::new(),
            waiting: Vec::new(),
            extremes: Vec::new(),
            wave: Wave::NONE,
            readings: Vec::new(),
            read: 0,
            tally: Tally::default(),
            log: Vec::new(),
        }
    }

    /// Own nodes.
    pub(super) fn nodes(&self) -> usize {
        self.loops.len()
    }

    pub(super) fn past(&self, place: usize) -> &[Segment] {
        &self.past[place * self.depth..(place + 1) * self.depth]
    }

    /// Incoming links of an own node.
    pub(super) fn row(&self, place: usize) -> std::ops::Range<usize> {
        self.starts[place] as usize..self.starts[place + 1] as usize
    }

    #[inline]
    pub(super) fn rhythm<'a>(&self, shared_rhythms: &'a [Rhythm], place: usize) -> &'a Rhythm {
        &shared_rhythms[self.rhythm.get(place).map_or(0, |&rhythm| rhythm.into())]
    }

    /// Begins rounds that end at `horizons`, ascending: all events that act before the last, as far as copies reach.
    pub(super) fn begin<C: Controller<State = S>>(&mut self, shared: &Shared<C>, horizons: &[i64]) {
        self.extremes.clear();
        self.extremes.resize(horizons.len(), Extremes::NONE);
        self.waiting.clear();
        if shared.steady && !shared.log {
            steady::rounds(shared, self, horizons);
        } else {
            for place in 0..self.nodes() {
                let waits = self.turn(shared, (place as u32, 0), horizons);
                self.waiting.extend(waits);
            }
        }
        self.catch_up(shared, horizons);
    }

    /// Goes on with nodes that wait, as long as that gets any of them further.
    pub(super) fn catch_up<C: Controller<State = S>>(&mut self, shared: &Shared<C>, horizons: &[i64]) {
        let mut waiting = std::mem::take(&mut self.waiting);
        loop {
            let events = self.tally.events;
            waiting.retain_mut(|turn| match self.turn(shared, *turn, horizons) {
                Some(later) => {
                    *turn = later;
                    true
                }
                None => false,
            });
            if waiting.is_empty() || events == self.tally.events {
                break;
            }
        }
        self.waiting = waiting;
    }

    /// All events of one node in order, from those of one round on, until one has to wait; then where to go on.
    fn turn<C: Controller<State = S>>(
        &mut self,
        shared: &Shared<C>,
        (node, round): (u32, u32),
        horizons: &[i64],
    ) -> Option<(u32, u32)> {
        let place = node as usize;
        for (round, &horizon) in (round..).zip(&horizons[round as usize..]) {
            while self.clocks[place].until < horizon {
                if !self.varying.is_empty() && self.varying[place].act_at != self.clocks[place].until {
                    self.pass_knot(shared, place);
                    continue;
                }
                if !self.event(shared, place) {
                    return Some((node, round));
                }
            }
            let seen = &mut self.extremes[round as usize];
            *seen = seen.settled(self.clocks[place].frequency);
        }
        None
    }

    /// One event: measures and acts. False if a source is not known far enough; then nothing has happened.
    #[inline]
    fn event<C: Controller<State = S>>(&mut self, shared: &Shared<C>, place: usize) -> bool {
        let node = NodeId(self.first + place as u32);
        let at = self.loops[place].measure_at;
        let seen_at = match self.varying.get(place) {
            Some(varying) => (at + varying.oscillator.lateness(node, varying.number)).min(self.clocks[place].until),
            None => at,
        };
        let Some((sum, settled_at)) = self.read(shared, place, at, seen_at) else { return false };
        let uncorrected = if self.varying.is_empty() {
            self.loops[place].uncorrected
        } else {
            self.piece(shared, place, self.clocks[place].until).0
        };
        let rhythm = self.rhythm(&shared.rhythms, place);
        let measured = Measured {
            node,
            grains: shared.origin + i128::from(at),
            period: rhythm.period,
            uncorrected: Frequency(uncorrected),
            readings: &self.readings[..self.read],
            sum,
            per_frame: shared.per_frame,
            settled_at,
        };
        let correction = shared.control.correct(&measured, &mut self.loops[place].state);
        self.act(shared, place, uncorrected, correction, sum);
        true
    }

    /// Reads all incoming links, whose frames are counted at `seen_at`; their sum, and when the control law's detector
    /// first found all of them stable. `None` if a source is not known that far.
    #[inline]
    fn read<C>(&mut self, shared: &Shared<C>, place: usize, at: i64, seen_at: i64) -> Option<(i64, Option<i128>)> {
        let row = self.row(place);
        let Self { clocks, past, depth, wires, readings, .. } = self;
        let phase_of = |place: usize, time: i64| {
            let past = || &past[place * *depth..(place + 1) * *depth];
            let clock = &clocks[place];
            clock.phase_at(past(), time)
        };
        let own = phase_of(place, at);
        let own_frames = whole_frames(own);
        let wires = &mut wires[row];
        if readings.len() < wires.len() {
            readings.resize(wires.len(), 0);
        }
        let (mut count, mut sum, mut squares) = (0, 0_i64, 0_u128);
        for wire in wires {
            let class = &shared.classes[wire.class as usize];
            if !class.up {
                continue;
            }
            let steady = class.plain;
            let latency = if steady { class.latency } else { class.latency_at(shared.origin, seen_at) };
            let sent = seen_at - latency;
            let source = wire.source as usize;
            if sent > clocks[source].until {
                return None;
            }
            let phase = phase_of(source, sent);
            let frames = if steady {
                whole_frames(phase) - own_frames
            } else {
                let gear = i128::from(class.gear);
                whole_frames(phase * gear) - whole_frames(own * gear)
            };
            let reading = wire.base + frames;
            wire.measured(reading as i32 + wire.centring);
            // Gears of unstable loops may make more of a reading than 64 bits hold.
            let weighted = reading.saturating_mul(class.weight);
            readings[count] = weighted;
            count += 1;
            sum = sum.saturating_add(weighted);
            squares += (i128::from(reading) * i128::from(reading)) as u128;
        }
        self.read = count;
        self.tally.squares += squares;
        let now = shared.origin + i128::from(seen_at);
        let settled_at = self.look(shared, place, now);
        Some((sum, settled_at))
    }

    /// Ends the present segment at the act that is due, and begins the next one.
    #[inline]
    fn act<C>(&mut self, shared: &Shared<C>, place: usize, uncorrected: i64, correction: Frequency, sum: i64) {
        let frequency = self.reachable(shared, uncorrected, correction.0);
        let rhythm = self.rhythm(&shared.rhythms, place);
        let (measured_at, acted_at) = (self.loops[place].measure_at, self.clocks[place].until);
        self.tally.segment(&self.clocks[place], shared.nominal);
        self.tally.events += 1;
        if self.varying.is_empty() {
            self.turn_clock(place, frequency);
            let wanted = rhythm.period_phase - i128::from(self.loops[place].excess);
            self.aim(place, wanted, rhythm.delay_phase, true);
        } else {
            let varying = &mut self.varying[place];
            varying.correction = correction.0;
            varying.number += 1;
            varying.target += rhythm.period_phase;
            self.begin_piece(shared, place, true);
        }
        if shared.log {
            let node = NodeId(self.first + place as u32);
            self.record(shared, node, measured_at, acted_at, frequency, sum, rhythm);
        }
    }

    #[cold]
    #[allow(clippy::too_many_arguments)] // one event, field by field
    fn record<C>(
        &mut self,
        shared: &Shared<C>,
        node: NodeId,
        measured_at: i64,
        acted_at: i64,
        frequency: i64,
        reading: i64,
        rhythm: &Rhythm,
    ) {
        let place = (node.0 - self.first) as usize;
        let phase = self.clocks[place].phase_at(self.past(place), acted_at);
        self.log.push(ClockEvent {
            node,
            number: (whole_frames(phase - rhythm.delay_phase) / rhythm.period as i64) as u64,
            measured_at: Femtos::of_grains(shared.origin + i128::from(measured_at)),
            acted_at: Femtos::of_grains(shared.origin + i128::from(acted_at)),
            frequency: Frequency(frequency),
            reading,
        });
    }

    /// A frequency within reach, and note if it was not.
    #[inline]
    fn reachable<C>(&mut self, shared: &Shared<C>, uncorrected: i64, correction: i64) -> i64 {
        shared.within_reach(uncorrected, correction, &mut self.tally)
    }

    /// Sets when a clock of constant frequency acts next, `wanted` of phase after its segment's beginning, and when it
    /// measures for that, unless it has.
    #[inline]
    pub(super) fn aim(&mut self, place: usize, wanted: i128, delay_phase: i128, measure: bool) {
        let (clock, own) = (&mut self.clocks[place], &mut self.loops[place]);
        let frequency = Divisor::new(clock.frequency);
        let (time, excess) = frequency.ceil_and_excess(wanted);
        clock.until = clock.since + time;
        own.excess = excess;
        if measure {
            own.measure_at = clock.since + frequency.ceil(wanted - delay_phase);
        }
    }

    /// A clock with a varying oscillator comes to a knot.
    #[cold]
    fn pass_knot<C>(&mut self, shared: &Shared<C>, place: usize) {
        self.tally.segment(&self.clocks[place], shared.nominal);
        let measured = self.loops[place].measure_at <= self.clocks[place].until;
        self.begin_piece(shared, place, !measured);
    }

    /// Uncorrected frequency and slope at `at`, and when they change.
    fn piece<C>(&mut self, shared: &Shared<C>, place: usize, at: i64) -> (i64, i32, i64) {
        let varying = &mut self.varying[place];
        let node = NodeId(self.first + place as u32);
        let piece = varying.cursor.piece(&varying.oscillator, node, shared.origin + i128::from(at));
        let end =
            piece.end.map_or(NEVER, |end| i64::try_from(end.grains() - shared.origin).unwrap_or(NEVER).min(NEVER));
        (piece.frequency, piece.slope, end)
    }

    /// A clock with a varying oscillator begins a new segment where the present one ends.
    #[cold]
    pub(super) fn begin_piece<C>(&mut self, shared: &Shared<C>, place: usize, measure: bool) {
        let (uncorrected, slope, end) = self.piece(shared, place, self.clocks[place].until);
        let rhythm = self.rhythm(&shared.rhythms, place);
        let frequency = self.reachable(shared, uncorrected, self.varying[place].correction);
        let past = &mut self.past[place * self.depth..(place + 1) * self.depth];
        let clock = &mut self.clocks[place];
        clock.turn(past, frequency, slope);
        let varying = &mut self.varying[place];
        let wanted = varying.target - clock.phase;
        let after = |phase: i128| {
            time_to_gain(frequency, slope, phase).map_or(NEVER, |time| clock.since.saturating_add(time).min(NEVER))
        };
        varying.act_at = after(wanted);
        if measure {
            self.loops[place].measure_at = after(wanted - rhythm.delay_phase);
        }
        clock.until = varying.act_at.min(end);
    }
}

/// A time of a shard after its time 0 has moved on by `by`. What is never reached, or was long ago, stays so.
fn moved(time: i64, by: i64) -> i64 {
    const FAR: i64 = NEVER / 2;
    if time >= FAR { time } else { (time - by).max(-NEVER) }
}

impl<S: Clone> Shard<S> {
    /// Lets a clock run from where its present segment ends: it measures at once.
    pub(super) fn launch<C>(&mut self, shared: &Shared<C>, place: usize, correction: i64) {
        let delay_phase = self.rhythm(&shared.rhythms, place).delay_phase;
        if let Some(varying) = self.varying.get_mut(place) {
            (varying.correction, varying.target) = (correction, self.clocks[place].phase_at_end() + delay_phase);
            self.begin_piece(shared, place, true);
            return;
        }
        let frequency = self.reachable(shared, self.loops[place].uncorrected, correction);
        self.turn_clock(place, frequency);
        self.aim(place, delay_phase, delay_phase, true);
    }

    #[inline]
    fn turn_clock(&mut self, place: usize, frequency: i64) {
        let past = &mut self.past[place * self.depth..(place + 1) * self.depth];
        self.clocks[place].turn(past, frequency, 0);
    }

    /// Stops a clock.
    pub(super) fn stop<C>(&mut self, shared: &Shared<C>, place: usize, now: i64) {
        // The present segment ends.
        self.clocks[place].until = now;
        self.tally.segment(&self.clocks[place], shared.nominal);
        self.turn_clock(place, 0);
        self.clocks[place].until = NEVER;
        (self.loops[place].measure_at, self.loops[place].excess) = (NEVER, 0);
        if let Some(varying) = self.varying.get_mut(place) {
            varying.act_at = NEVER;
        }
    }

    /// Lets a stopped clock run again, with a controller that has forgotten all.
    pub(super) fn restart<C: Controller<State = S>>(&mut self, shared: &Shared<C>, place: usize, now: i64) {
        self.clocks[place].until = now;
        self.loops[place].state = shared.control.start(NodeId(self.first + place as u32), Frequency(0));
        if let Some(settled) = self.settled.get_mut(place) {
            *settled = NOT_YET;
        }
        self.launch(shared, place, 0);
    }

    /// Changes the uncorrected frequency of a clock that runs.
    pub(super) fn step_frequency<C>(&mut self, shared: &Shared<C>, place: usize, now: i64, by: i64) {
        let target = self.clocks[place].phase_at_end() - i128::from(self.loops[place].excess);
        let measure = self.loops[place].measure_at >= now;
        let frequency = self.clocks[place].frequency;
        self.clocks[place].until = now;
        self.tally.segment(&self.clocks[place], shared.nominal);
        self.loops[place].uncorrected += by;
        if let Some(varying) = self.varying.get_mut(place) {
            varying.cursor.stepped += by;
            self.begin_piece(shared, place, measure);
            return;
        }
        let frequency = self.reachable(shared, frequency, by);
        self.turn_clock(place, frequency);
        let wanted = target - self.clocks[place].phase;
        let delay_phase = self.rhythm(&shared.rhythms, place).delay_phase;
        self.aim(place, wanted, delay_phase, measure);
    }

    /// Moves time 0 to `by`.
    pub(super) fn rebase(&mut self, by: i64) {
        for clock in &mut self.clocks {
            clock.until = moved(clock.until, by);
            clock.since = moved(clock.since, by);
            clock.since_before = moved(clock.since_before, by);
        }
        for segment in &mut self.past {
            segment.since = moved(segment.since, by);
        }
        for own in &mut self.loops {
            own.measure_at = moved(own.measure_at, by);
        }
        for varying in &mut self.varying {
            varying.act_at = moved(varying.act_at, by);
        }
    }

    /// Keeps `depth` older segments of every clock from now on.
    pub(super) fn deepen(&mut self, depth: usize) {
        let mut past = Vec::with_capacity(self.clocks.len() * depth);
        for place in 0..self.clocks.len() {
            past.extend_from_slice(self.past(place));
            past.resize((place + 1) * depth, Segment::NONE);
        }
        (self.past, self.depth) = (past, depth);
    }

    /// Changes the uncorrected frequency of a clock that is stopped.
    pub(super) fn step_stopped(&mut self, place: usize, by: i64) {
        self.loops[place].uncorrected += by;
        if let Some(varying) = self.varying.get_mut(place) {
            varying.cursor.stepped += by;
        }
    }

    /// Bytes of memory for nodes and links.
    pub(super) fn bytes(&self) -> usize {
        self.clocks.capacity() * size_of::<Clock>()
            + self.past.capacity() * size_of::<Segment>()
            + self.loops.capacity() * size_of::<Loop<S>>()
            + self.rhythm.capacity() * size_of::<u16>()
            + self.varying.capacity() * size_of::<Varying>()
            + (self.starts.capacity() + self.copied.capacity()) * size_of::<u32>()
            + self.waiting.capacity() * size_of::<(u32, u32)>()
            + self.wires.capacity() * size_of::<Wire>()
            + self.settled.capacity() * size_of::<i128>()
            + self.stored.iter().map(|stored| stored.capacity() * size_of::<Stored>()).sum::<usize>()
    }

    /// The node whose clock is at `place`.
    pub(super) fn node_at(&self, place: u32) -> NodeId {
        match (place as usize).checked_sub(self.nodes()) {
            None => NodeId(self.first + place),
            Some(copy) => NodeId(self.copied[copy]),
        }
    }
}

/// Phase of `ticks` ticks.
pub(super) fn ticks(ticks: u64) -> i128 {
    i128::from(ticks) * FRAME
}
