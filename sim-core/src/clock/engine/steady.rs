//! Rounds of steady networks: the hot loop.
//!
//! A network is steady while no oscillator varies, no detector is on, and all links are up, carry one frame per tick, and
//! keep their latencies. Its events are those of `shard.rs`, to the bit, without the questions that others must ask of every link;
//! what is left are a cache line per neighbour, and two multiplications for each reading.

use super::super::controller::{Controller, Measured};
use super::super::units::{Divisor, Frequency, whole_frames};
use super::line::{Clock, Segment};
use super::shard::{Class, Loop, Rhythm, Shard, Shared, Wire};
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
    readings: &'a mut Vec<i64>,
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
    let Shard { first, clocks, past, depth, loops, rhythm, starts, wires, readings, waiting, extremes, tally, .. } =
        shard;
    let nodes = loops.len();
    let block = shard.wave.block.min(nodes);
    let mut arrays = Arrays { clocks, past, depth: *depth, loops, starts, wires, readings, tally };
    for step in 0..nodes.div_ceil(block) + horizons.len() - 1 {
        for (round, &horizon) in horizons.iter().enumerate().take(step + 1) {
            let begin = (step - round) * block;
            let mut seen = extremes[round];
            for place in begin..(begin + block).min(nodes) {
                if round > 0 && arrays.clocks[place].until < horizons[round - 1] {
                    continue; // It waits since the round before.
                }
                let rhythm = &shared.rhythms[rhythm.get(place).map_or(0, |&rhythm| rhythm.into())];
                if turn(shared, &mut arrays, rhythm, *first, place, horizon) {
                    seen.settle(arrays.clocks[place].frequency);
                } else {
                    waiting.push((place as u32, round as u32));
                }
            }
            extremes[round] = seen;
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
        let Arrays { clocks, past, depth, loops, starts, wires, readings, tally } = arrays;
        let own_past = place * *depth..(place + 1) * *depth;
        let own_frames = whole_frames(clocks[place].phase_at(&past[own_past.clone()], at));
        let wires = &mut wires[starts[place] as usize..starts[place + 1] as usize];
        if readings.len() < wires.len() {
            readings.resize(wires.len(), 0);
        }
        let readings = &mut readings[..wires.len()];
        let read = read((clocks, past, *depth), &shared.classes, wires, readings, at, own_frames);
        let Some((sum, squares)) = read else { return false };
        tally.squares += squares;
        let (clock, own) = (&mut clocks[place], &mut loops[place]);
        let measured = Measured {
            node: NodeId(first + place as u32),
            grains: shared.origin + i128::from(at),
            period: rhythm.period,
            uncorrected: Frequency(own.uncorrected),
            readings,
            sum,
            per_frame: 1,
            settled_at: None,
        };
        let correction = shared.control.correct(&measured, &mut own.state);
        let frequency = shared.within_reach(own.uncorrected, correction.0, tally);
        tally.segment(clock, shared.nominal);
        tally.events += 1;
        clock.turn(&mut past[own_past], frequency, 0);
        let wanted = rhythm.period_phase - i128::from(own.excess);
        let divisor = Divisor::new(frequency);
        let (time, excess) = divisor.ceil_and_excess(wanted);
        own.excess = excess;
        clock.until = clock.since + time;
        own.measure_at = clock.since + divisor.ceil(wanted - rhythm.delay_phase);
    }
    true
}

/// Reads a node's links at `at`, when it has come to `own_frames`: Σ readings and Σ readings², or `None` if a source is
/// not known that far.
#[inline]
fn read(
    (clocks, past, depth): (&[Clock], &[Segment], usize),
    classes: &[Class],
    wires: &mut [Wire],
    readings: &mut [i64],
    at: i64,
    own_frames: i64,
) -> Option<(i64, u128)> {
    let (mut sum, mut squares) = (0, 0);
    for (wire, kept) in wires.iter_mut().zip(readings) {
        let (sent, place) = (at - classes[wire.class as usize].latency, wire.source as usize);
        let source = &clocks[place];
        if sent > source.until {
            return None;
        }
        let phase = source.steady_phase_at(sent);
        let phase = phase.unwrap_or_else(|| source.phase_at(&past[place * depth..(place + 1) * depth], sent));
        let reading = wire.base + whole_frames(phase) - own_frames;
        wire.measured(reading as i32 + wire.centring);
        *kept = reading;
        sum += reading;
        squares += (i128::from(reading) * i128::from(reading)) as u128;
    }
    Some((sum, squares))
}
