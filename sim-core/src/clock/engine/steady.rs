//! Rounds of steady networks: the hot loop.
//!
//! A network is steady while no oscillator varies, no detector is on, and all links are up, carry one frame per tick, and
//! keep their latencies. Its events are those of `shard.rs`, to the bit, without the questions that others must ask of every link;
//! what is left are a cache line per neighbour, and two multiplications for each reading.

use super::super::controller::{Controller, Measured};
use super::super::units::{Divisor, Frequency};
use super::line::{Clock, Segment};
use super::shard::{Class, Shard, Shared};
use crate::ids::NodeId;
use std::ops::Range;

/// In which order several rounds pass over the nodes: round k over block b − k, when round 0 has come to block b.
///
/// Where links join blocks that are next to each other, every node comes after its sources had their turns in the round
/// before, and clocks are taken from memory once for all rounds. Where they do not, nodes wait; the events are the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wave {
    /// How many rounds go together.
    pub(super) rounds: usize,
    /// Nodes of a block.
    block: usize,
}

impl Wave {
    /// Round after round.
    pub(super) const NONE: Self = Self { rounds: 1, block: usize::MAX };

    /// As many rounds as caches hold, if blocks can be so large that nine of ten links end in the same or the next one.
    pub(super) fn of<S: Clone>(shard: &Shard<S>) -> Self {
        /// Half of a usual second-level cache.
        const CACHE: usize = 1 << 20;
        const ROUNDS: usize = 8;
        let nodes = shard.nodes().max(1);
        let row = |node: usize| &shard.wires[shard.starts[node] as usize..shard.starts[node + 1] as usize];
        let span = |node: usize| row(node).iter().map(move |wire| (wire.source as usize).abs_diff(node));
        let mut spans: Vec<usize> = (0..shard.nodes()).flat_map(span).collect();
        let most = spans.len() * 9 / 10;
        let block = if spans.is_empty() { 1 } else { *spans.select_nth_unstable(most).1 };
        let block = block.max(64);
        let rounds = (CACHE * nodes / shard.bytes() / block).saturating_sub(1).min(ROUNDS);
        if nodes < 4 * rounds * block || rounds < 2 { Self::NONE } else { Self { rounds, block } }
    }
}

/// Nodes that read together, and then act together: few enough for what they read to stay in the nearest cache.
const BATCH: usize = 64;

/// All events of a shard in rounds that end at `horizons`, as far as copies reach; nodes that wait for others are noted.
pub(super) fn rounds<C: Controller>(shared: &Shared<C>, shard: &mut Shard<C::State>, horizons: &[i64]) {
    let nodes = shard.nodes();
    let block = shard.wave.block.min(nodes);
    let mut batch = Batch::default();
    for step in 0..nodes.div_ceil(block) + horizons.len() - 1 {
        for (round, &horizon) in horizons.iter().enumerate().take(step + 1) {
            // Who has not come so far waits since the round before.
            let from = if round > 0 { horizons[round - 1] } else { i64::MIN };
            let begin = (step - round) * block;
            let end = (begin + block).min(nodes);
            for begin in (begin..end).step_by(BATCH) {
                let places = begin..(begin + BATCH).min(end);
                batch.begin(shard, places.clone(), from..horizon);
                while !batch.due.is_empty() {
                    batch.read(shard, &shared.classes, round);
                    batch.act(shared, shard, horizon);
                }
                let there = shard.clocks[places].iter().filter(|clock| clock.until >= horizon);
                shard.extremes[round] = there.fold(shard.extremes[round], |seen, clock| seen.settled(clock.frequency));
            }
        }
    }
}

/// Nodes on their way through a round. Each waits for its sources only, so that all may read before the first one acts.
#[derive(Default)]
struct Batch {
    /// Nodes whose next act is due.
    due: Vec<u32>,
    /// Those of them that have read their links: Σ readings.
    read: Vec<(u32, i64)>,
    /// What they read, link by link.
    readings: Vec<i64>,
}

impl Batch {
    /// Those nodes at `places` that act in `time`.
    fn begin<S>(&mut self, shard: &Shard<S>, places: Range<usize>, time: Range<i64>) {
        let clocks = shard.clocks[places.clone()].iter();
        let due = places.zip(clocks).filter(|(_, clock)| time.contains(&clock.until));
        self.due.extend(due.map(|(place, _)| place as u32));
    }

    /// All nodes that are due read their links, if their sources are known so far.
    #[inline(never)]
    fn read<S>(&mut self, shard: &mut Shard<S>, classes: &[Class], round: usize) {
        let Shard { clocks, past, depth, loops, starts, wires, waiting, tally, .. } = shard;
        let (clocks, past, depth) = (&**clocks, &**past, *depth);
        self.readings.clear();
        self.read.clear();
        let mut squares = 0;
        'nodes: for &node in &self.due {
            let place = node as usize;
            let at = loops[place].measure_at;
            let own_frames = frames(clocks, past, depth, place, at);
            let (mut sum, first) = (0, self.readings.len());
            for wire in &mut wires[starts[place] as usize..starts[place + 1] as usize] {
                let (sent, source) = (at - classes[wire.class as usize].latency, wire.source as usize);
                if sent > clocks[source].until {
                    self.readings.truncate(first);
                    waiting.push((node, round as u32));
                    continue 'nodes;
                }
                let reading = wire.base + frames(clocks, past, depth, source, sent) - own_frames;
                wire.measured(reading as i32 + wire.centring);
                self.readings.push(reading);
                sum += reading;
            }
            self.read.push((node, sum));
        }
        for &reading in &self.readings {
            squares += (i128::from(reading) * i128::from(reading)) as u128;
        }
        tally.squares += squares;
        self.due.clear();
    }

    /// All nodes that have read come to the ends of their clocks' segments, and go on as their controllers say.
    #[inline(never)]
    fn act<C: Controller>(&mut self, shared: &Shared<C>, shard: &mut Shard<C::State>, horizon: i64) {
        let mut readings = &*self.readings;
        for &(node, sum) in &self.read {
            let place = node as usize;
            let rhythm = shard.rhythm(&shared.rhythms, place);
            let Shard { first, clocks, past, depth, loops, starts, tally, .. } = &mut *shard;
            let (clock, own) = (&mut clocks[place], &mut loops[place]);
            let (own_readings, rest) = readings.split_at((starts[place + 1] - starts[place]) as usize);
            readings = rest;
            let measured = Measured {
                node: NodeId(*first + node),
                grains: shared.origin + i128::from(own.measure_at),
                period: rhythm.period,
                uncorrected: Frequency(own.uncorrected),
                readings: own_readings,
                sum,
                per_frame: 1,
                settled_at: None,
            };
            let correction = shared.control.correct(&measured, &mut own.state);
            let frequency = shared.within_reach(own.uncorrected, correction.0, tally);
            tally.segment(clock, shared.nominal);
            clock.turn(&mut past[place * *depth..(place + 1) * *depth], frequency, 0);
            let wanted = rhythm.period_phase - i128::from(own.excess);
            let divisor = Divisor::new(frequency);
            let (time, excess) = divisor.ceil_and_excess(wanted);
            own.excess = excess;
            clock.until = clock.since + time;
            own.measure_at = clock.since + divisor.ceil(wanted - rhythm.delay_phase);
            if clock.until < horizon {
                self.due.push(node);
            }
        }
        shard.tally.events += self.read.len() as u64;
    }
}

/// Whole frames of the clock at `place` at `at`.
#[inline]
fn frames(clocks: &[Clock], past: &[Segment], depth: usize, place: usize, at: i64) -> i64 {
    match clocks[place].steady_frames_at(at) {
        Some(frames) => frames,
        None => clocks[place].frames_at(&past[place * depth..(place + 1) * depth], at),
    }
}
