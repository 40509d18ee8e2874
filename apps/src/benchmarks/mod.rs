//! Benchmarks of this host: the engine, the same work done naively, and a plain copy of the same bytes.
//!
//! All figures of a pair come from alternating runs in one process, so that their ratio means something on a noisy host;
//! absolute times do not travel. A ratio is the median over the pairs, every other figure a median, with the least and
//! the largest beside it.

mod naive;
mod shards;

pub use shards::ShardsCase;

use crate::library::{dense, sparse};
use crate::pipeline::compile;
use crate::sharding::LocalError;
use calendars::lower;
use naive::NaiveTorus;
use scheduler::{CompileError, Options};
use serde::Serialize;
use sim_core::digest::DigestLevel;
use sim_core::engine::{Engine, EngineError, RING_BYTES_PER_FRAME};
use sim_core::program::Program;
use sim_core::shard::Partition;
use sim_core::{App, AppError, Link, LogicalLatency, Machine, MachineError, RunOptions};
use std::hint::black_box;
use std::num::NonZeroU32;
use std::time::Instant;

/// What a load's links and actors do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    /// Every link in every tick, latency 8.
    Dense,
    /// The same with latencies from 1 to 8.
    Mixed,
    /// Every link in every hundredth tick.
    Sparse,
}

/// One figure: median, least and largest of several measurements.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figure {
    /// The median.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

/// The engine under one load.
#[derive(Clone, Debug, Serialize)]
pub struct EngineCase {
    /// What the machine is.
    pub machine: String,
    /// Number of nodes.
    pub nodes: usize,
    /// "8" or "1..8".
    pub latencies: &'static str,
    /// Share of link slots that carry a frame.
    pub activity: f64,
    /// Ticks of one measurement.
    pub ticks: u64,
    /// Seconds to compile, verify and lower.
    pub compile_seconds: f64,
    /// Bytes of the engine per node: words, calendars, states; without the program that it was made from.
    pub bytes_per_node: f64,
    /// Bytes of the program per node.
    pub program_bytes_per_node: f64,
    /// Nanoseconds per node and tick on one thread, digest off.
    pub ns_per_node_tick: Figure,
    /// Nanoseconds per frame.
    pub ns_per_frame: f64,
    /// The same work with a queue per link, if it was measured.
    pub naive_ns_per_node_tick: Option<Figure>,
    /// Naive ÷ engine.
    pub times_naive: Option<f64>,
    /// Time for copying the bytes that frames move through rings ÷ the engine's.
    pub share_of_copy: Option<f64>,
    /// One thread ÷ two threads; absent where the host does not give two threads two cores.
    pub two_threads: Option<f64>,
    /// Why there is no two-thread figure.
    pub inconclusive: Option<&'static str>,
    /// What the digest of states adds, in parts of the time without.
    pub digest_state: Option<f64>,
    /// What the digest of events adds.
    pub digest_events: Option<f64>,
}

/// All measurements of one host.
#[derive(Clone, Debug, Serialize)]
pub struct Measurements {
    /// Cores that the host offers.
    pub cores: usize,
    /// How much faster two spinning threads are than one after the other: 2 where both have a core.
    pub calibration: f64,
    /// The engine under several loads.
    pub engine: Vec<EngineCase>,
    /// Two shards, by the size of the machine.
    pub shards: Vec<ShardsCase>,
    /// The same by the share of words that cross between them.
    pub cuts: Vec<ShardsCase>,
}

/// Why a benchmark cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The machine is not one.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The load does not fit it.
    #[error(transparent)]
    App(#[from] AppError),
    /// It does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The calendars do not lower.
    #[error(transparent)]
    Lower(#[from] calendars::LowerError),
    /// It does not run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It does not run in shards.
    #[error(transparent)]
    Shards(#[from] LocalError),
}

/// Below this two threads do not have two cores.
const TWO_CORES: f64 = 1.8;

/// Why figures of two threads say little, if they do.
fn inconclusive(calibration: f64) -> Option<&'static str> {
    (calibration < TWO_CORES).then_some("two threads do not get two cores here")
}

/// Measures tori of the given sides, each figure `repeats` times; if there is a `cut_side`, a multiple of 8, also as two shards,
/// and those of a torus of that side by what crosses. `talk` is told what comes next.
///
/// # Errors
/// [`BenchError`].
pub fn measure(
    sides: &[u32],
    cut_side: Option<u32>,
    repeats: usize,
    mut talk: impl FnMut(&str),
) -> Result<Measurements, BenchError> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    talk("calibration of two threads");
    let calibration = calibrate(repeats);
    let mut engine = Vec::new();
    for &side in sides {
        for load in [Load::Dense, Load::Mixed, Load::Sparse] {
            talk(&format!("torus {side}×{side}, {load:?}"));
            engine.push(case(side, load, repeats, calibration)?);
        }
    }
    let (mut shards, mut cuts) = (Vec::new(), Vec::new());
    if let Some(cut_side) = cut_side {
        for &side in sides {
            talk(&format!("two shards of torus {side}×{side}"));
            shards.push(shards::by_size(side, repeats)?);
        }
        cuts = shards::by_crossing(cut_side, repeats, talk)?;
    }
    Ok(Measurements { cores, calibration, engine, shards, cuts })
}

fn case(side: u32, load: Load, repeats: usize, calibration: f64) -> Result<EngineCase, BenchError> {
    let machine = match load {
        Load::Dense | Load::Sparse => Machine::torus([side, side]).latency(8),
        Load::Mixed => mixed(&Machine::torus([side, side]))?,
    };
    let period = if load == Load::Sparse { NonZeroU32::new(100).expect("it is not 0") } else { NonZeroU32::MIN };
    let app = if load == Load::Sparse { sparse(&machine, period)? } else { dense(&machine)? };
    let start = Instant::now();
    let compiled = compile(&app, &machine, &Options::default())?;
    let program = lower(&app, &machine, &compiled.result().calendars)?;
    let compile_seconds = start.elapsed().as_secs_f64();
    drop(compiled);
    let nodes = machine.nodes().len();
    // About 20 million firings per measurement.
    let iterations = (20_000_000 / nodes as u64).clamp(20, 100_000);
    let bench = Bench { app: &app, machine: &machine, program: &program, iterations };
    let ticks = iterations * u64::from(period.get());
    let per = nodes as f64 * ticks as f64;
    let mut naive = (load == Load::Dense).then(|| NaiveTorus::new(side, 8));
    let (mut one, mut two, mut slow, mut copy) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut state, mut events) = (Vec::new(), Vec::new());
    let frames = program.frames() as u64 * iterations;
    for _ in 0..repeats {
        one.push(bench.run(1, DigestLevel::Off)? / per);
        if let Some(naive) = &mut naive {
            let naive_ticks = (iterations / 16).max(4);
            slow.push(naive.run(naive_ticks) / (nodes as f64 * naive_ticks as f64));
            copy.push(copied(frames as usize * RING_BYTES_PER_FRAME / 2, nodes * 24 * 32) / per);
            state.push(bench.run(1, DigestLevel::State)? / per);
            events.push(bench.run(1, DigestLevel::Events)? / per);
        }
        two.push(bench.run(2, DigestLevel::Off)? / per);
    }
    // What the host does beside hits both of a pair.
    let ratio = |a: &[f64], b: &[f64]| {
        let pairs: Vec<f64> = a.iter().zip(b).map(|(a, b)| a / b).collect();
        (!pairs.is_empty()).then(|| figure(&pairs).median)
    };
    let inconclusive = inconclusive(calibration);
    let base = figure(&one);
    let engine = Engine::new(&app, &program, &bench.options(DigestLevel::Off))?;
    Ok(EngineCase {
        machine: format!("torus:{side}x{side}"),
        nodes,
        latencies: if load == Load::Mixed { "1..8" } else { "8" },
        activity: 1.0 / f64::from(period.get()),
        ticks,
        compile_seconds,
        bytes_per_node: engine.bytes() as f64 / nodes as f64,
        program_bytes_per_node: program.bytes() as f64 / nodes as f64,
        ns_per_node_tick: base,
        ns_per_frame: base.median * per / frames as f64,
        naive_ns_per_node_tick: (!slow.is_empty()).then(|| figure(&slow)),
        times_naive: ratio(&slow, &one),
        share_of_copy: ratio(&copy, &one),
        two_threads: ratio(&one, &two).filter(|_| inconclusive.is_none()),
        inconclusive,
        digest_state: ratio(&state, &one).map(|ratio| ratio - 1.0),
        digest_events: ratio(&events, &one).map(|ratio| ratio - 1.0),
    })
}

struct Bench<'a> {
    app: &'a App,
    machine: &'a Machine,
    program: &'a Program,
    iterations: u64,
}

impl Bench<'_> {
    fn options(&self, digest: DigestLevel) -> RunOptions {
        RunOptions { iterations: self.iterations, digest, ..RunOptions::default() }
    }

    /// Nanoseconds of one run, without setting up.
    fn run(&self, threads: u32, digest: DigestLevel) -> Result<f64, BenchError> {
        let partition = Partition::worthwhile(self.machine, self.program, threads);
        let mut engine = Engine::parallel(self.app, self.program, &self.options(digest), &partition)?;
        let start = Instant::now();
        engine.advance(u64::MAX)?;
        let time = start.elapsed();
        black_box(engine.finish());
        Ok(time.as_secs_f64() * 1e9)
    }
}

/// The same torus with latencies from 1 to 8, equal both ways.
fn mixed(torus: &Machine) -> Result<Machine, MachineError> {
    let links = torus.links().values().map(|link| {
        let (low, high) = (link.source.0.min(link.target.0), link.source.0.max(link.target.0));
        let draw = sim_core::mix::mix64(u64::from(low) << 32 | u64::from(high));
        Link { latency: LogicalLatency(1 + (draw % 8) as i64), ..*link }
    });
    Machine::new("mixed torus", torus.nodes().values().cloned().collect::<Vec<_>>(), links.collect::<Vec<_>>())
}

/// Nanoseconds for copying `bytes` bytes, from and to areas of `area` bytes together.
fn copied(bytes: usize, area: usize) -> f64 {
    let words = (area / 16).max(1024);
    let (source, mut target) = (vec![1_u64; words], vec![0_u64; words]);
    let start = Instant::now();
    let mut left = bytes / 8;
    while left > 0 {
        let part = left.min(words);
        target[..part].copy_from_slice(&source[..part]);
        black_box(&mut target);
        left -= part;
    }
    start.elapsed().as_secs_f64() * 1e9
}

/// How much faster two threads spin side by side than one after the other.
fn calibrate(repeats: usize) -> f64 {
    let spin = || {
        let mut word = 1_u64;
        (0..20_000_000_u64).for_each(|i| word = black_box(word).rotate_left(5) ^ i);
        black_box(word);
    };
    let mut ratios = Vec::new();
    for _ in 0..repeats {
        let start = Instant::now();
        spin();
        spin();
        let serial = start.elapsed().as_secs_f64();
        let start = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(spin);
            spin();
        });
        ratios.push(serial / start.elapsed().as_secs_f64());
    }
    figure(&ratios).median
}

fn figure(values: &[f64]) -> Figure {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    Figure { median: sorted[sorted.len() / 2], min: sorted[0], max: sorted[sorted.len() - 1] }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small tori go through all loads, and both engines do the work that is claimed.
    #[test]
    fn every_load_is_measured() {
        let measured = measure(&[4], None, 1, |_| {}).unwrap();
        assert_eq!(measured.engine.len(), 3);
        for case in &measured.engine {
            assert_eq!(case.nodes, 16);
            assert!(case.ns_per_node_tick.median > 0.0 && case.bytes_per_node > 0.0);
        }
        assert_eq!(measured.engine[2].activity, 0.01);
        assert_eq!(measured.engine[2].ticks, measured.engine[0].ticks * 100);
    }
}
