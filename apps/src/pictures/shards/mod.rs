//! A run in shards: how each spent its time, which neighbour bounded how far it might go, and what crossed between them.

pub(crate) mod draw;

use crate::sharding::ShardsReport;
use net_runtime::quic::{Figures, Span};

/// What a thread that computes does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Executing windows.
    Execute,
    /// Taking in what has come, and passing on what is to be sent.
    Exchange,
    /// Waiting for a neighbour.
    Wait,
    /// Serving the socket: making bytes of words.
    Encode,
    /// The same: handing them to QUIC, with the time that it has no room.
    Send,
    /// The same: making words of bytes.
    Decode,
}

/// A part of a run, of one shard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// Seconds from the common start.
    pub start: f64,
    /// Its end, in the same way.
    pub end: f64,
    /// Windows in it.
    pub windows: u64,
    /// The first tick, and the tick after the last.
    pub ticks: (i64, i64),
    /// Shares of the time that the thread that computes executed, exchanged, and waited: together 1.
    pub computing: [f64; 3],
    /// Shares of the time that the other thread encoded, sent, and decoded: together 1 at most.
    pub serving: [f64; 3],
    /// Who allowed the least, and how many ticks.
    pub bound: Option<(u32, i64)>,
}

/// One shard.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardLane {
    /// Its number.
    pub shard: u32,
    /// Its nodes.
    pub nodes: u64,
    /// Seconds from the common start until it had executed everything.
    pub seconds: f64,
    /// Shares of that, as in [`Stretch::computing`].
    pub computing: [f64; 3],
    /// Parts of the run, without gaps.
    pub stretches: Vec<Stretch>,
}

/// What crosses from a shard to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// Who sends.
    pub from: u32,
    /// Who receives.
    pub to: u32,
    /// Words per metacycle.
    pub words: u64,
    /// Ticks that the receiver may be ahead.
    pub lookahead: Option<i64>,
}

/// A picture of a run in shards.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardsScene {
    /// The heading.
    pub title: String,
    /// The line below it.
    pub subtitle: String,
    /// Number of shards.
    pub shards: u32,
    /// By shard; those that told nothing are missing.
    pub lanes: Vec<ShardLane>,
    /// Pairs that exchange words.
    pub crossings: Vec<Crossing>,
}

impl ShardsScene {
    /// What a run reports.
    #[must_use]
    pub fn new(report: &ShardsReport) -> Self {
        let lane = |known: &crate::sharding::ShardFigures| {
            let nodes = report.matrix.shards.get(known.shard.0 as usize).map_or(0, |shard| shard.nodes);
            ShardLane::new(known.shard.0, nodes, &known.figures)
        };
        let crossing = |cut: &sim_core::shard::CutFlow| Crossing {
            from: cut.from.0,
            to: cut.to.0,
            words: cut.words,
            lookahead: cut.lookahead.map(|ticks| ticks.0),
        };
        let rates = &report.rates;
        Self {
            title: format!("{} on {}, in {} shards", report.app, report.machine, report.shards),
            subtitle: format!(
                "{} ticks in {:.3} s · {:.0} % of the shards' time idle · the busiest executes {:.2} times the mean",
                super::axis::grouped(rates.ticks),
                rates.seconds,
                rates.idle_fraction * 100.0,
                rates.imbalance_of_time
            ),
            shards: report.shards,
            lanes: report.measured.iter().map(lane).collect(),
            crossings: report.matrix.cuts.iter().map(crossing).collect(),
        }
    }

    /// Seconds until the last shard had executed everything.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.lanes.iter().map(|lane| lane.seconds).fold(0.0, f64::max)
    }
}

impl ShardLane {
    fn new(shard: u32, nodes: u64, figures: &Figures) -> Self {
        let ends = figures.spans.iter().skip(1).map(|span| span.start_ns).chain([figures.run_ns]);
        let stretches = figures.spans.iter().zip(ends).map(|(span, end)| stretch(span, end)).collect();
        let computing = computing(figures.execute_ns, figures.wait_ns, figures.run_ns);
        Self { shard, nodes, seconds: figures.run_ns as f64 / 1e9, computing, stretches }
    }
}

fn stretch(span: &Span, end_ns: u64) -> Stretch {
    let took = end_ns.saturating_sub(span.start_ns).max(1);
    let io = [span.io.encode_ns, span.io.send_ns, span.io.decode_ns].map(|ns| ns as f64 / took as f64);
    // Several streams may wait for room at once.
    let much = io.iter().sum::<f64>().max(1.0);
    Stretch {
        start: span.start_ns as f64 / 1e9,
        end: end_ns.max(span.start_ns) as f64 / 1e9,
        windows: span.windows,
        ticks: (span.ticks.0.0, span.ticks.1.0),
        computing: computing(span.execute_ns, span.wait_ns, took),
        serving: io.map(|share| share / much),
        bound: span.bound.map(|(shard, ticks)| (shard.0, ticks.0)),
    }
}

/// Shares of executing, exchanging and waiting of a time, of which two are known.
fn computing(execute_ns: u64, wait_ns: u64, took_ns: u64) -> [f64; 3] {
    let took = took_ns.max(execute_ns + wait_ns).max(1) as f64;
    let (execute, wait) = (execute_ns as f64 / took, wait_ns as f64 / took);
    [execute, (1.0 - execute - wait).max(0.0), wait]
}
