//! The hot loop: events of a contiguous range of nodes, in rounds.
//!
//! An event of a node measures at one instant and acts at a later one. It needs other clocks only until it measures,
//! less the latency; and every clock is known until its own next act. So events of all nodes may be computed in any
//! order, each as soon as one comparison per link says that its sources are known far enough, and come out the same.
//! The earliest event of all can always be computed, so that no order gets stuck.

use super::super::controller::{Controller, Measured};
use super::super::oscillator::{Cursor, Oscillator};
use super::super::units::{FRAME, Femtos, Frequency, ceil_divide, whole_frames};
use super::line::{Clock, Segment, gained, time_to_gain};
use super::statistics::Tally;
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
    pub(super) log: bool,
}

/// A contiguous range of nodes with what their events need, and copies of the clocks of others.
#[derive(Clone, Debug)]
pub(super) struct Shard<S> {
    /// The first node.
    pub(super) first: u32,
    /// Own clocks, then copies.
    pub(super) clocks: Vec<Clock>,
    /// `depth` older segments per clock, the newest first.
    pub(super) past: Vec<Segment>,
    pub(super) depth: usize,
    /// Per own node: when it measures next, phase beyond the target at its next act, uncorrected frequency, state.
    pub(super) measure_at: Vec<i64>,
    pub(super) excess: Vec<i64>,
    pub(super) uncorrected: Vec<i64>,
    pub(super) states: Vec<S>,
    /// Per own node the number of its rhythm; empty if there is only one.
    pub(super) rhythm: Vec<u16>,
    /// Per own node, if any varies; else empty.
    pub(super) varying: Vec<Varying>,
    /// Incoming links of own node i are `wires[starts[i] .. starts[i + 1]]`.
    pub(super) starts: Vec<u32>,
    pub(super) wires: Vec<Wire>,
    /// Nodes whose clocks are copied, ascending.
    pub(super) copied: Vec<u32>,
    /// Own nodes that wait for others' clocks.
    pub(super) waiting: Vec<u32>,
    readings: Vec<i64>,
    pub(super) tally: Tally,
    pub(super) log: Vec<ClockEvent>,
}

/// How a node's turn in a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Its next act is beyond the horizon.
    Done,
    /// It waits for another clock.
    Waits,
}

impl<S: Clone> Shard<S> {
    pub(super) fn new(first: u32, depth: usize) -> Self {
        Self {
            first,
            clocks: Vec::new(),
            past: Vec::new(),
            depth,
            measure_at: Vec::new(),
            excess: Vec::new(),
            uncorrected: Vec::new(),
            states: Vec::new(),
            rhythm: Vec::new(),
            varying: Vec::new(),
            starts: vec![0],
            wires: Vec::new(),
            copied: Vec::new(),
            waiting: Vec::new(),
            readings: Vec::new(),
            tally: Tally::default(),
            log: Vec::new(),
        }
    }

    /// Own nodes.
    pub(super) fn nodes(&self) -> usize {
        self.measure_at.len()
    }

    pub(super) fn past(&self, place: usize) -> &[Segment] {
        &self.past[place * self.depth..(place + 1) * self.depth]
    }

    /// Incoming links of an own node.
    pub(super) fn row(&self, place: usize) -> std::ops::Range<usize> {
        self.starts[place] as usize..self.starts[place + 1] as usize
    }

    #[inline]
    pub(super) fn rhythm(&self, shared_rhythms: &[Rhythm], place: usize) -> Rhythm {
        shared_rhythms[self.rhythm.get(place).map_or(0, |&rhythm| rhythm.into())]
    }

    /// Begins a round: all events that act before `horizon`, as far as copies reach.
    pub(super) fn begin<C: Controller<State = S>>(&mut self, shared: &Shared<C>, horizon: i64) {
        self.tally.begin_round();
        self.waiting.clear();
        for place in 0..self.nodes() {
            if self.clocks[place].until < horizon && self.turn(shared, place, horizon) == Turn::Waits {
                self.waiting.push(place as u32);
            } else {
                self.tally.settle(self.clocks[place].frequency);
            }
        }
        self.catch_up(shared, horizon);
    }

    /// Goes on with nodes that wait, as long as that gets any of them further.
    pub(super) fn catch_up<C: Controller<State = S>>(&mut self, shared: &Shared<C>, horizon: i64) {
        let mut waiting = std::mem::take(&mut self.waiting);
        loop {
            let (before, events) = (waiting.len(), self.tally.events);
            waiting.retain(|&place| {
                let waits = self.turn(shared, place as usize, horizon) == Turn::Waits;
                if !waits {
                    self.tally.settle(self.clocks[place as usize].frequency);
                }
                waits
            });
            if waiting.is_empty() || waiting.len() == before && events == self.tally.events {
                break;
            }
        }
        self.waiting = waiting;
    }

    /// All events of one node before `horizon`, in order, until one has to wait.
    #[inline]
    fn turn<C: Controller<State = S>>(&mut self, shared: &Shared<C>, place: usize, horizon: i64) -> Turn {
        while self.clocks[place].until < horizon {
            if !self.varying.is_empty() && self.varying[place].act_at != self.clocks[place].until {
                self.pass_knot(shared, place);
                continue;
            }
            if !self.event(shared, place) {
                return Turn::Waits;
            }
        }
        Turn::Done
    }

    /// One event: measures and acts. False if a source is not known far enough; then nothing has happened.
    #[inline]
    fn event<C: Controller<State = S>>(&mut self, shared: &Shared<C>, place: usize) -> bool {
        let node = NodeId(self.first + place as u32);
        let at = self.measure_at[place];
        let seen_at = match self.varying.get(place) {
            Some(varying) => (at + varying.oscillator.lateness(node, varying.number)).min(self.clocks[place].until),
            None => at,
        };
        let Some(sum) = self.read(shared, place, at, seen_at) else { return false };
        let uncorrected = match self.varying.get(place) {
            None => self.uncorrected[place],
            Some(_) => self.piece(shared, place, self.clocks[place].until).0,
        };
        let rhythm = self.rhythm(&shared.rhythms, place);
        let measured = Measured {
            node,
            at: Femtos::of_grains(shared.origin + i128::from(at)),
            period: rhythm.period,
            uncorrected: Frequency(uncorrected),
            readings: &self.readings,
            sum,
            per_frame: shared.per_frame,
        };
        let correction = shared.control.correct(&measured, &mut self.states[place]);
        self.act(shared, place, uncorrected, correction, sum);
        true
    }

    /// Reads all incoming links, whose frames are counted at `seen_at`; their sum, or `None` if that is not known yet.
    #[inline]
    fn read<C>(&mut self, shared: &Shared<C>, place: usize, at: i64, seen_at: i64) -> Option<i64> {
        let own = self.clocks[place].phase_at(self.past(place), at);
        let own_frames = whole_frames(own);
        self.readings.clear();
        let mut sum = 0_i64;
        for index in self.row(place) {
            let wire = self.wires[index];
            let class = &shared.classes[wire.class as usize];
            if !class.up {
                continue;
            }
            let sent = seen_at - class.latency_at(shared.origin, seen_at);
            let source = &self.clocks[wire.source as usize];
            if sent > source.until {
                return None;
            }
            let phase = source.phase_at(self.past(wire.source as usize), sent);
            let frames = match class.gear {
                1 => whole_frames(phase) - own_frames,
                gear => whole_frames(phase * i128::from(gear)) - whole_frames(own * i128::from(gear)),
            };
            let reading = wire.base + frames;
            let occupancy = (reading + i64::from(wire.centring)) as i32;
            let wire = &mut self.wires[index];
            wire.least = { wire.least }.min(occupancy);
            wire.most = { wire.most }.max(occupancy);
            self.readings.push(reading * class.weight);
            sum += reading * class.weight;
            self.tally.squares += u128::from(reading.unsigned_abs()) * u128::from(reading.unsigned_abs());
        }
        Some(sum)
    }

    /// Ends the present segment at the act that is due, and begins the next one.
    #[inline]
    fn act<C>(&mut self, shared: &Shared<C>, place: usize, uncorrected: i64, correction: Frequency, sum: i64) {
        let frequency = self.reachable(shared, uncorrected, correction.0);
        let rhythm = self.rhythm(&shared.rhythms, place);
        let (measured_at, acted_at) = (self.measure_at[place], self.clocks[place].until);
        self.tally.segment(&self.clocks[place], shared.nominal);
        self.tally.events += 1;
        if self.varying.is_empty() {
            let past = &mut self.past[place * self.depth..(place + 1) * self.depth];
            self.clocks[place].turn(past, frequency, 0);
            let wanted = rhythm.period_phase - i128::from(self.excess[place]);
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
        rhythm: Rhythm,
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
        let wanted = uncorrected.saturating_add(correction);
        let frequency = wanted.clamp(shared.reachable.0, shared.reachable.1);
        self.tally.saturated += u64::from(frequency != wanted);
        frequency
    }

    /// Sets when a clock of constant frequency acts next, `wanted` of phase after its segment's beginning, and when it
    /// measures for that, unless it has.
    #[inline]
    pub(super) fn aim(&mut self, place: usize, wanted: i128, delay_phase: i128, measure: bool) {
        let clock = &mut self.clocks[place];
        let since_phase = clock.phase; // at `since`, which was `until` just before
        let time = ceil_divide(wanted, clock.frequency);
        let phase = i128::from(clock.frequency) * i128::from(time);
        clock.until = clock.since + time;
        clock.phase = since_phase + phase;
        self.excess[place] = (phase - wanted) as i64;
        if measure {
            self.measure_at[place] = clock.since + ceil_divide(wanted - delay_phase, clock.frequency);
        }
    }

    /// A clock with a varying oscillator comes to a knot.
    #[cold]
    fn pass_knot<C>(&mut self, shared: &Shared<C>, place: usize) {
        self.tally.segment(&self.clocks[place], shared.nominal);
        let measured = self.measure_at[place] <= self.clocks[place].until;
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
            self.measure_at[place] = after(wanted - rhythm.delay_phase);
        }
        clock.until = varying.act_at.min(end);
        clock.phase += gained(frequency, slope, clock.until - clock.since);
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
            (varying.correction, varying.target) = (correction, self.clocks[place].phase + delay_phase);
            self.begin_piece(shared, place, true);
            return;
        }
        let frequency = self.reachable(shared, self.uncorrected[place], correction);
        self.turn_clock(place, frequency);
        self.aim(place, delay_phase, delay_phase, true);
    }

    /// Ends the present segment at `now`, which lies within it.
    fn cut(&mut self, place: usize, now: i64) {
        let phase = self.clocks[place].phase_at(self.past(place), now);
        (self.clocks[place].phase, self.clocks[place].until) = (phase, now);
    }

    fn turn_clock(&mut self, place: usize, frequency: i64) {
        let past = &mut self.past[place * self.depth..(place + 1) * self.depth];
        self.clocks[place].turn(past, frequency, 0);
    }

    /// Stops a clock.
    pub(super) fn stop<C>(&mut self, shared: &Shared<C>, place: usize, now: i64) {
        self.cut(place, now);
        self.tally.segment(&self.clocks[place], shared.nominal);
        self.turn_clock(place, 0);
        self.clocks[place].until = NEVER;
        self.measure_at[place] = NEVER;
        self.excess[place] = 0;
        if let Some(varying) = self.varying.get_mut(place) {
            varying.act_at = NEVER;
        }
    }

    /// Lets a stopped clock run again, with a controller that has forgotten all.
    pub(super) fn restart<C: Controller<State = S>>(&mut self, shared: &Shared<C>, place: usize, now: i64) {
        self.cut(place, now);
        self.states[place] = shared.control.start(NodeId(self.first + place as u32), Frequency(0));
        self.launch(shared, place, 0);
    }

    /// Changes the uncorrected frequency of a clock that runs.
    pub(super) fn step_frequency<C>(&mut self, shared: &Shared<C>, place: usize, now: i64, by: i64) {
        let target = self.clocks[place].phase - i128::from(self.excess[place]);
        let measure = self.measure_at[place] >= now;
        let frequency = self.clocks[place].frequency;
        self.cut(place, now);
        self.tally.segment(&self.clocks[place], shared.nominal);
        self.uncorrected[place] += by;
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
        for time in self.measure_at.iter_mut().chain(self.varying.iter_mut().map(|varying| &mut varying.act_at)) {
            *time = moved(*time, by);
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
        self.uncorrected[place] += by;
        if let Some(varying) = self.varying.get_mut(place) {
            varying.cursor.stepped += by;
        }
    }

    /// Bytes of memory for nodes and links.
    pub(super) fn bytes(&self) -> usize {
        self.clocks.capacity() * size_of::<Clock>()
            + self.past.capacity() * size_of::<Segment>()
            + (self.measure_at.capacity() + self.excess.capacity() + self.uncorrected.capacity()) * size_of::<i64>()
            + self.states.capacity() * size_of::<S>()
            + self.rhythm.capacity() * size_of::<u16>()
            + self.varying.capacity() * size_of::<Varying>()
            + (self.starts.capacity() + self.copied.capacity() + self.waiting.capacity()) * size_of::<u32>()
            + self.wires.capacity() * size_of::<Wire>()
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
