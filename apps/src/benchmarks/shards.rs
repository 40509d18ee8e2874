//! How fast two shards are over QUIC on loopback, beside one process on one thread: by the size of the machine, and by the
//! share of words that cross between them.
//!
//! The load is `dense`, on a torus; by the share of words on two tori that only a switch joins, which carries nothing. A shard
//! has one of them, but in some rows nodes go to the shards in turn, like the squares of a chessboard, so that every word there
//! crosses: from no word at all to all of them.

use super::{BenchError, Figure, calibrate, figure, inconclusive};
use crate::library::dense;
use crate::pipeline::compile;
use crate::sharding::{LocalRun, over_loopback};
use calendars::lower;
use scheduler::Options;
use serde::Serialize;
use sim_core::digest::DigestLevel;
use sim_core::engine::Engine;
use sim_core::program::Program;
use sim_core::shard::{Carrier, CutMatrix, Partition, ShardId};
use sim_core::{App, Link, LogicalLatency, Machine, MachineError, Node, NodeId, RunOptions};
use std::time::Instant;

/// Two shards of one machine.
#[derive(Clone, Debug, Serialize)]
pub struct ShardsCase {
    /// Nodes of both together.
    pub nodes: usize,
    /// Share of all words that cross.
    pub crossing: f64,
    /// Words that cross per tick, both ways together.
    pub words_per_tick: f64,
    /// Ticks that a shard may be ahead of the other; nothing if no word crosses.
    pub lookahead: Option<i64>,
    /// Ticks from an exchange to the next.
    pub step: Option<i64>,
    /// Microseconds that one process takes for these ticks.
    pub step_us: Option<f64>,
    /// Nanoseconds per node and tick in one process on one thread.
    pub one_process: Figure,
    /// The same in two shards over QUIC on loopback.
    pub two_shards: Figure,
    /// One process ÷ two shards: the median of pairs, each measured one after the other.
    pub speedup: f64,
    /// How much faster two spinning threads were than one after the other, meanwhile.
    pub calibration: f64,
    /// Why the ratio says little, if it does.
    pub inconclusive: Option<&'static str>,
    /// Bytes of packets ÷ bytes of words that crossed.
    pub wire_overhead: Option<f64>,
    /// Share of the shards' time that they waited.
    pub idle: f64,
}

/// Firings of one measurement, about: enough for many exchanges of a large machine, and of a small one.
const FIRINGS: u64 = 40_000_000;
/// Rows, of eight, in which all words cross.
const EIGHTHS: [u32; 6] = [0, 1, 2, 4, 6, 8];

/// Measures a torus of `side` × `side` nodes, each figure `repeats` times.
pub(super) fn by_size(side: u32, repeats: usize) -> Result<ShardsCase, BenchError> {
    let loaded = Loaded::new(Machine::torus([side, side]).latency(8))?;
    let partition = Partition::balanced(&loaded.machine, &loaded.program, 2, Carrier::Network);
    loaded.case(&partition, repeats)
}

/// Measures tori of `side` × `side` nodes together, each figure `repeats` times; `side` is a multiple of 8.
pub(super) fn by_crossing(
    side: u32,
    repeats: usize,
    mut talk: impl FnMut(&str),
) -> Result<Vec<ShardsCase>, BenchError> {
    let loaded = Loaded::new(two_tori(side)?)?;
    let case = |eighths: u32| {
        talk(&format!("two shards, {eighths} of 8 rows cross"));
        loaded.case(&chessboard(&loaded.machine, side, side / 8 * eighths), repeats)
    };
    EIGHTHS.into_iter().map(case).collect()
}

/// A machine with its load.
struct Loaded {
    app: App,
    machine: Machine,
    program: Program,
    options: RunOptions,
}

impl Loaded {
    fn new(machine: Machine) -> Result<Self, BenchError> {
        let app = dense(&machine)?;
        let compiled = compile(&app, &machine, &Options::default())?;
        let program = lower(&app, &machine, &compiled.result().calendars)?;
        let iterations = (FIRINGS / machine.nodes().len() as u64).clamp(100, 20_000);
        let options = RunOptions { iterations, digest: DigestLevel::Off, ..RunOptions::default() };
        Ok(Self { app, machine, program, options })
    }

    fn case(&self, partition: &Partition, repeats: usize) -> Result<ShardsCase, BenchError> {
        let Self { app, machine, program, options } = self;
        let matrix = CutMatrix::new(machine, program, partition)?;
        let nodes = machine.nodes().len();
        let (mut one, mut two, mut idle, mut gains) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut wire_overhead = None;
        for _ in 0..repeats {
            gains.push(calibrate(1));
            let mut engine = Engine::new(app, program, options)?;
            let start = Instant::now();
            engine.advance(u64::MAX)?;
            let took = start.elapsed().as_secs_f64() * 1e9;
            let per = nodes as f64 * engine.progress().end.0.max(1) as f64;
            one.push(took / per);
            let run = over_loopback(app, program, options, partition)?;
            two.push(run.took.as_secs_f64() * 1e9 / per);
            idle.push(waited(&run));
            wire_overhead = overhead(&run);
        }
        let ratios: Vec<f64> = one.iter().zip(&two).map(|(one, two)| one / two).collect();
        let metacycle = matrix.metacycle as f64;
        let (one, calibration) = (figure(&one), figure(&gains).median);
        Ok(ShardsCase {
            nodes,
            crossing: matrix.words() as f64 / program.frames().max(1) as f64,
            words_per_tick: matrix.words() as f64 / metacycle,
            lookahead: matrix.lookahead().map(|ticks| ticks.0),
            step: matrix.step.map(|ticks| ticks.0),
            step_us: matrix.step.map(|ticks| one.median * nodes as f64 * ticks.0 as f64 / 1e3),
            one_process: one,
            two_shards: figure(&two),
            speedup: figure(&ratios).median,
            calibration,
            inconclusive: inconclusive(calibration),
            wire_overhead,
            idle: figure(&idle).median,
        })
    }
}

fn waited(run: &LocalRun) -> f64 {
    let sum = |of: fn(&net_runtime::quic::Figures) -> u64| run.figures.iter().map(of).sum::<u64>() as f64;
    sum(|figures| figures.wait_ns) / sum(|figures| figures.run_ns).max(1.0)
}

fn overhead(run: &LocalRun) -> Option<f64> {
    let pairs = || run.figures.iter().flat_map(|figures| figures.pairs.values());
    let words: u64 = pairs().map(|pair| pair.words_sent).sum();
    let bytes: u64 = pairs().map(|pair| pair.wire_bytes_sent).sum();
    (words > 0).then(|| bytes as f64 / (8 * words) as f64)
}

/// Two tori of `side` × `side` / 2 nodes each; the last node is a switch between them, because a machine must be connected.
fn two_tori(side: u32) -> Result<Machine, MachineError> {
    let half = Machine::torus([side, side / 2]).latency(8);
    let count = half.nodes().len() as u32;
    let switch = NodeId(2 * count);
    let cores = |node: u32| u32::from(node < switch.0);
    let nodes: Vec<Node> = (0..=2 * count).map(|node| Node::new(format!("n{node}"), cores(node))).collect();
    let shifted = |shift: u32| {
        let moved = move |node: NodeId| NodeId(node.0 + shift);
        half.links().values().map(move |link| Link { source: moved(link.source), target: moved(link.target), ..*link })
    };
    let wire = |source, target| Link { source, target, latency: LogicalLatency(8) };
    let joined = [NodeId(0), NodeId(count)].into_iter().flat_map(|node| [wire(node, switch), wire(switch, node)]);
    let links: Vec<Link> = shifted(0).chain(shifted(count)).chain(joined).collect();
    Machine::new("two tori", nodes, links)
}

/// A torus per shard, but for the first `rows` rows of both: there nodes go to the shards in turn.
fn chessboard(machine: &Machine, side: u32, rows: u32) -> Partition {
    let columns = side / 2;
    let shard = |node: NodeId| {
        let (torus, inner) = (node.0 / (side * columns), node.0 % (side * columns));
        let (row, column) = (inner / columns, inner % columns);
        // The switch, which has nothing to do, comes after both.
        ShardId(if row < rows { (torus + row + column) % 2 } else { torus % 2 })
    };
    Partition::new(machine.nodes().ids().map(shard).collect()).expect("both shards have nodes")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From nothing to everything, and always the same work.
    #[test]
    fn the_sweep_covers_all_shares() {
        let cases = by_crossing(8, 1, |_| {}).unwrap();
        let shares: Vec<f64> = cases.iter().map(|case| case.crossing).collect();
        assert!(shares.is_sorted(), "{shares:?}");
        assert_eq!((shares[0], shares[shares.len() - 1]), (0.0, 1.0));
        assert_eq!((cases[0].lookahead, cases[0].wire_overhead), (None, None));
        for case in &cases[1..] {
            assert!(case.lookahead.is_some_and(|ticks| ticks >= 9));
            assert!(case.wire_overhead.unwrap() > 1.0 && case.step == Some(20));
        }
        let of_torus = by_size(4, 1).unwrap();
        assert_eq!((of_torus.nodes, of_torus.step), (16, Some(20)));
        assert!(of_torus.crossing > 0.0 && of_torus.step_us.unwrap() > 0.0);
    }

    /// Shards have equally many nodes whatever crosses.
    #[test]
    fn chessboards_are_even() {
        let machine = two_tori(16).unwrap();
        for rows in [0, 2, 8, 16] {
            let partition = chessboard(&machine, 16, rows);
            let hosts = machine.nodes().iter().filter(|(_, node)| node.cores > 0);
            assert_eq!(hosts.filter(|(node, _)| partition.shard_of(*node) == ShardId(0)).count(), 128);
        }
    }
}
