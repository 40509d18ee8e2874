//! Rounds of steady networks: the hot loop.
//!
//! A network is steady while no oscillator varies, and all links are up, carry one frame per tick, and keep their
//! latencies. Its events are those of `shard.rs`, to the bit, without the questions that others must ask of every link;
//! what is left are a cache line per neighbour, and two multiplications for each reading. Instructions per event with
//! four links in, by callgrind: about 400, against 790 in the general form.

use super::super::controller::{Controller, Measured};
use super::super::units::{Divisor, Frequency, whole_frames};
use super::line::{Clock, Segment};
use super::shard::{Loop, Rhythm, Shard, Shared, Wire};
use super::statistics::Tally;
use crate::ids::NodeId;

/// What events of a shard's own nodes change. Own nodes are the first `loops.len()` of `clocks`.
struct Arrays<'a, S> {
    clocks: &'a mut [Clock],
    past: &'a mut [Segment],
    depth: usize,
    loops: &'a mut [Loop<S>],
    starts: &'a [u32],
    wires: &'a mut [Wire],
    /// At least as many as any node has links.
    readings: &'a mut [i64],
    tally: &'a mut Tally,
}

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

/// All events of a shard in rounds that end at `horizons`, as far as copies reach; nodes that wait for others are noted.
pub(super) fn rounds<C: Controller>(shared: &Shared<C>, shard: &mut Shard<C::State>, horizons: &[i64]) {
    let most = shard.starts.windows(2).map(|pair| (pair[1] - pair[0]) as usize).max().unwrap_or(0);
    shard.readings.resize(most, 0);
    let Shard { first, clocks, past, depth, loops, rhythm, starts, wires, readings, waiting, extremes, tally, .. } =
        shard;
    let nodes = loops.len();
    let block = shard.wave.block.min(nodes);
    let mut arrays = Arrays { clocks, past, depth: *depth, loops, starts, wires, readings, tally };
    for step in 0..nodes.div_ceil(block) + horizons.len() - 1 {
        for (round, &horizon) in horizons.iter().enumerate().take(step + 1) {
            let begin = (step - round) * block;
            for place in begin..(begin + block).min(nodes) {
                if round > 0 && arrays.clocks[place].until < horizons[round - 1] {
                    continue; // It waits since the round before.
                }
                let rhythm = &shared.rhythms[rhythm.get(place).map_or(0, |&rhythm| rhythm.into())];
                if turn(shared, &mut arrays, rhythm, *first, place, horizon) {
                    extremes[round].settle(arrays.clocks[place].frequency);
                } else {
                    waiting.push((place as u32, round as u32));
                }
            }
        }
    }
}

/// All events of one node before `horizon`; false if one has to wait.
#[inline]
fn turn<C: Controller>(
    shared: &Shared<C>,
    arrays: &mut Arrays<'_, C::State>,
    rhythm: &Rhythm,
    first: u32,
    place: usize,
    horizon: i64,
) -> bool {
    while arrays.clocks[place].until < horizon {
        let at = arrays.loops[place].measure_at;
        let Some((sum, count)) = read(shared, arrays, place, at) else { return false };
        let Arrays { clocks, past, depth, loops, readings, tally, .. } = arrays;
        let (clock, own) = (&mut clocks[place], &mut loops[place]);
        let measured = Measured {
            node: NodeId(first + place as u32),
            grains: shared.origin + i128::from(at),
            period: rhythm.period,
            uncorrected: Frequency(own.uncorrected),
            readings: &readings[..count],
            sum,
            per_frame: 1,
        };
        let correction = shared.control.correct(&measured, &mut own.state);
        let frequency = shared.within_reach(own.uncorrected, correction.0, tally);
        tally.segment(clock, shared.nominal);
        tally.events += 1;
        clock.turn(&mut past[place * *depth..(place + 1) * *depth], frequency, 0);
        let wanted = rhythm.period_phase - i128::from(own.excess);
        let divisor = Divisor::new(frequency);
        let (time, excess) = divisor.ceil_and_excess(wanted);
        own.excess = excess;
        clock.until = clock.since + time;
        own.measure_at = clock.since + divisor.ceil(wanted - rhythm.delay_phase);
    }
    true
}

/// The sum of all readings of a node at `at`, and how many they are; `None` if a source is not known that far.
#[inline]
fn read<C, S>(shared: &Shared<C>, arrays: &mut Arrays<'_, S>, place: usize, at: i64) -> Option<(i64, usize)> {
    let Arrays { clocks, past, depth, starts, wires, readings, tally, .. } = arrays;
    let phase_of = |place: usize, clock: &Clock, time: i64| {
        clock.steady_phase_at(|| &past[place * *depth..(place + 1) * *depth], time)
    };
    let own_frames = whole_frames(phase_of(place, &clocks[place], at));
    let wires = &mut wires[starts[place] as usize..starts[place + 1] as usize];
    let (mut sum, mut squares) = (0, 0);
    for (wire, kept) in wires.iter_mut().zip(readings.iter_mut()) {
        let sent = at - shared.classes[wire.class as usize].latency;
        let source = &clocks[wire.source as usize];
        if sent > source.until {
            return None;
        }
        let reading = wire.base + whole_frames(phase_of(wire.source as usize, source, sent)) - own_frames;
        wire.measured(reading as i32 + wire.centring);
        *kept = reading;
        sum += reading;
        squares += i128::from(reading) * i128::from(reading);
    }
    tally.squares += squares as u128;
    Some((sum, wires.len()))
}
