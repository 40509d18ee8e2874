//! How much faster shards are than one process: a model of few constants, and these constants measured on this host.
//!
//! With c the time to compute a tick, o the processor's time of an exchange, and L the time of a message on its way, a shard
//! takes W·c + o + L per step of W ticks. (Steps of half the length would hide L, but a node visited for half as many ticks
//! costs more than that wherever sharding pays.) Shards that take turns step twice as far as one may be ahead of the other, and
//! then words go there and back in every step: that takes 2·(o + L) at least. The slowest shard sets the pace.

use super::local::{LocalError, over_loopback};
use crate::library::dense;
use crate::pipeline::compile;
use scheduler::Options;
use serde::Serialize;
use sim_core::digest::DigestLevel;
use sim_core::engine::{Engine, EngineError};
use sim_core::program::Program;
use sim_core::shard::{CutMatrix, Partition, ShardId};
use sim_core::{App, Machine, NodeId, RunOptions, Ticks};
use std::time::{Duration, Instant};

/// What it costs to exchange words with another shard.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LinkCosts {
    /// Nanoseconds of a processor per exchange: a message sent and one received.
    pub exchange_ns: f64,
    /// Nanoseconds from the end of a window until its words can be used by the other shard.
    pub latency_ns: f64,
    /// Nanoseconds of a processor per byte, at either end.
    pub byte_ns: f64,
}

/// QUIC on loopback of a server of 2024, for those who do not want to measure.
pub const LINK_DEFAULT: LinkCosts = LinkCosts { exchange_ns: 15_000.0, latency_ns: 12_000.0, byte_ns: 2.0 };

/// Nanoseconds that a word of work takes, for those who do not want to measure.
const WORK_NS: f64 = 1.0;

/// What a prediction rests on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Constants {
    /// Nanoseconds that one process on one thread takes per metacycle.
    pub metacycle_ns: f64,
    /// What exchanges cost.
    pub link: LinkCosts,
}

/// How shards would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// Time of one process ÷ time of the shards, each having a processor of its own.
    pub speedup: f64,
    /// Ticks from one exchange to the next; `None` if nothing is exchanged.
    pub window: Option<Ticks>,
    /// The shard that sets the pace.
    pub slowest: ShardId,
    /// By shard.
    pub shards: Vec<ShardPrediction>,
}

/// How one shard would do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ShardPrediction {
    /// Nanoseconds that it computes per metacycle.
    pub compute_ns: f64,
    /// Nanoseconds that it exchanges words.
    pub exchange_ns: f64,
    /// Nanoseconds that it would take alone with its neighbours.
    pub metacycle_ns: f64,
}

/// Predicts the time of shards with these cuts.
#[must_use]
pub fn predict(matrix: &CutMatrix, constants: &Constants) -> Prediction {
    let window = matrix.step;
    let reach = matrix.cuts.iter().filter_map(|cut| cut.reach).min();
    let ways = if window > reach { 2.0 } else { 1.0 };
    let metacycle = matrix.metacycle as f64;
    let work: u64 = matrix.shards.iter().map(|shard| shard.work).sum();
    let shard = |number: u32| {
        let id = ShardId(number);
        let share = matrix.shards[number as usize].work as f64 / work.max(1) as f64;
        let compute_ns = constants.metacycle_ns * share;
        let own: Vec<_> = matrix.cuts.iter().filter(|cut| cut.from == id || cut.to == id).collect();
        let (Some(window), false) = (window, own.is_empty()) else {
            return ShardPrediction { compute_ns, exchange_ns: 0.0, metacycle_ns: compute_ns };
        };
        let mut neighbours: Vec<ShardId> =
            own.iter().map(|cut| if cut.from == id { cut.to } else { cut.from }).collect();
        neighbours.sort_unstable();
        neighbours.dedup();
        let windows = metacycle / window.0 as f64;
        let bytes = own.iter().map(|cut| 8.0 * cut.words as f64).sum::<f64>();
        let link = &constants.link;
        let exchange_ns = windows * link.exchange_ns * neighbours.len() as f64 + bytes * link.byte_ns;
        let travel_ns = windows * ways * (link.exchange_ns + link.latency_ns);
        let metacycle_ns = (compute_ns + exchange_ns + windows * link.latency_ns).max(travel_ns);
        ShardPrediction { compute_ns, exchange_ns, metacycle_ns }
    };
    let shards: Vec<ShardPrediction> = (0..matrix.shards.len() as u32).map(shard).collect();
    let (slowest, longest) = (0..)
        .map(ShardId)
        .zip(&shards)
        .max_by(|a, b| a.1.metacycle_ns.total_cmp(&b.1.metacycle_ns))
        .expect("there is a shard");
    let speedup = if longest.metacycle_ns > 0.0 { constants.metacycle_ns / longest.metacycle_ns } else { 1.0 };
    Prediction { speedup, window, slowest, shards }
}

impl Constants {
    /// Without measuring: [`LINK_DEFAULT`], and a nanosecond per word of work.
    #[must_use]
    pub fn assumed(matrix: &CutMatrix) -> Self {
        let work: u64 = matrix.shards.iter().map(|shard| shard.work).sum();
        Self { metacycle_ns: work as f64 * WORK_NS, link: LINK_DEFAULT }
    }
}

impl LinkCosts {
    /// What exchanges cost on this host, over QUIC on loopback: two shards of few words that wait for each other in every
    /// window, and two that send 64 KiB in each. A third of a second, or longer where processors are busy.
    ///
    /// # Errors
    /// [`LocalError`].
    pub fn measure() -> Result<Self, LocalError> {
        let few = Probe::run(&Machine::line(2).latency(1), 1, 3_000)?;
        let many = Probe::run(&Machine::mesh([2, 256]).latency(64), 256, 8_000)?;
        let exchange_ns = few.overhead_ns / few.exchanges;
        let byte_ns = ((many.overhead_ns - exchange_ns * many.exchanges) / many.bytes).max(0.0);
        // By the model without work: a window takes o + L.
        let latency_ns = (few.window_ns - exchange_ns).max(0.0);
        Ok(Self { exchange_ns, latency_ns, byte_ns })
    }
}

/// What a run of two shards shows.
struct Probe {
    /// Processor's time of everything but executing, of both shards.
    overhead_ns: f64,
    /// Messages sent, by both shards.
    exchanges: f64,
    /// Bytes sent and bytes received, by both shards.
    bytes: f64,
    /// Time per window.
    window_ns: f64,
}

impl Probe {
    /// `dense` on a machine of two halves, the first with nodes below `border`.
    fn run(machine: &Machine, border: u32, iterations: u64) -> Result<Self, LocalError> {
        let app = dense(machine).expect("every node has a core");
        let compiled = compile(&app, machine, &Options::default()).expect("dense fits its machine");
        let program = calendars::lower(&app, machine, &compiled.result().calendars).expect("it is verified");
        let shards = machine.nodes().ids().map(|node: NodeId| ShardId(u32::from(node.0 >= border))).collect();
        let partition = Partition::new(shards).expect("both halves have nodes");
        let options = RunOptions { iterations, digest: DigestLevel::Off, ..RunOptions::default() };
        let run = over_loopback(&app, &program, &options, &partition)?;
        let sum = |of: &dyn Fn(&net_runtime::quic::Figures) -> u64| run.figures.iter().map(of).sum::<u64>() as f64;
        let pairs = |of: fn(&net_runtime::quic::PairFigures) -> u64| {
            run.figures.iter().flat_map(|figures| figures.pairs.values()).map(of).sum::<u64>() as f64
        };
        let execute = sum(&|figures| figures.execute_ns);
        Ok(Self {
            overhead_ns: (run.cpu.as_nanos() as f64 - execute).max(0.0),
            exchanges: pairs(|pair| pair.batches_sent).max(1.0),
            bytes: pairs(|pair| pair.bytes_sent + pair.bytes_received).max(1.0),
            window_ns: run.took.as_nanos() as f64 * 2.0 / sum(&|figures| figures.windows).max(1.0),
        })
    }
}

/// Nanoseconds that one process on one thread takes per metacycle of `program`, measured for about `time` once it is warm.
///
/// # Errors
/// [`EngineError`].
pub fn metacycle_ns(app: &App, program: &Program, time: Duration) -> Result<f64, EngineError> {
    let options = RunOptions { iterations: 1 << 40, ..RunOptions::default() };
    let mut engine = Engine::new(app, program, &options)?;
    let mut metacycles = 1;
    loop {
        let begin = Instant::now();
        let progress = engine.advance(metacycles)?;
        let took = begin.elapsed();
        if took >= time || progress.done {
            return Ok(took.as_nanos() as f64 / metacycles as f64);
        }
        metacycles *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::shard::{CutFlow, ShardLoad};

    fn matrix(shards: usize, work: u64, words: u64, lookahead: i64) -> CutMatrix {
        let load = ShardLoad { nodes: 1, firings: 1, work, memory_words: 1 };
        let pairs = (0..shards as u32).flat_map(|a| (0..shards as u32).map(move |b| (a, b)));
        let flow = |(a, b)| CutFlow {
            from: ShardId(a),
            to: ShardId(b),
            links: 1,
            words,
            lookahead: Some(Ticks(lookahead)),
            reach: Some(Ticks(lookahead)),
        };
        CutMatrix {
            metacycle: 1,
            step: Some(Ticks(lookahead)).filter(|_| shards > 1),
            shards: vec![load; shards],
            cuts: pairs.filter(|(a, b)| a.abs_diff(*b) == 1).map(flow).collect(),
        }
    }

    fn speedup(matrix: &CutMatrix, metacycle_ns: f64, latency_ns: f64) -> f64 {
        let link = LinkCosts { latency_ns, ..LINK_DEFAULT };
        predict(matrix, &Constants { metacycle_ns, link }).speedup
    }

    /// The figures of published measurements: two shards, exchanges of 12 to 15 µs.
    #[test]
    fn the_model_says_where_sharding_pays() {
        // 1 000 nodes of 6 ns, 32 ticks ahead, hardly a byte.
        let small = speedup(&matrix(2, 1, 1, 32), 6_000.0, 12_000.0);
        assert!((1.4..1.6).contains(&small), "{small}");
        // The bytes of 64 words to and fro in every tick eat all of that.
        let words = speedup(&matrix(2, 1, 64, 32), 6_000.0, 12_000.0);
        assert!((0.9..1.1).contains(&words), "{words}");
        // 64 000 nodes of 10 ns: nearly twice as fast, although the lookahead is short.
        let large = speedup(&matrix(2, 1, 512, 4), 640_000.0, 12_000.0);
        assert!((1.8..2.0).contains(&large), "{large}");
        // Few ticks of little work between exchanges: one process is faster.
        assert!(speedup(&matrix(2, 1, 64, 2), 6_000.0, 12_000.0) < 0.5);
        // A long way costs once per window.
        let near = speedup(&matrix(2, 1, 512, 16), 640_000.0, 0.0);
        assert!((1.6..near).contains(&speedup(&matrix(2, 1, 512, 16), 640_000.0, 500_000.0)), "{near}");
        assert!(speedup(&matrix(2, 1, 512, 16), 640_000.0, 50_000_000.0) < 0.3);
        // By turns, words go there and back in every step: 10 ms of 128 ticks where the way is long, else hardly noticed.
        let by_turns = |step: i64| CutMatrix { step: Some(Ticks(step)), ..matrix(2, 1, 512, step / 2) };
        let far = speedup(&by_turns(128), 16_000.0, 5_000_000.0);
        assert!((far - 16.0 * 128.0 / 10_030.0).abs() < 1e-3, "{far}");
        let near = speedup(&by_turns(32), 640_000.0, 12_000.0);
        assert!((1.8..2.0).contains(&near), "{near}");
        // Without cuts shards are as many times as fast as there are of them.
        let apart = CutMatrix { cuts: Vec::new(), ..matrix(4, 1, 0, 1) };
        assert!((speedup(&apart, 1000.0, 1e9) - 4.0).abs() < 1e-9);
    }
}
