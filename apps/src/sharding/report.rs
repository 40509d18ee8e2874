//! What a run in shards reports: the file `shards.json` of its results, which `view shards` draws.

use net_runtime::quic::{DigestMark, Figures};
use serde::{Deserialize, Serialize};
use sim_core::shard::{CutMatrix, Imbalance, ShardId};
use std::collections::BTreeMap;

/// The version of the form; keys do not change within one.
pub const REPORT_VERSION: u32 = 2;

/// Everything that shards measured, put together on shard 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShardsReport {
    /// [`REPORT_VERSION`].
    pub version: u32,
    /// The application's name.
    pub app: String,
    /// The machine's name.
    pub machine: String,
    /// Number of shards.
    pub shards: u32,
    /// What the calendars say of the partition.
    pub matrix: CutMatrix,
    /// How even it is, by the calendars.
    pub imbalance: Imbalance,
    /// What the run as a whole took.
    pub rates: RunRates,
    /// By shard; those of a run that stopped early may be missing.
    pub measured: Vec<ShardFigures>,
}

/// What one shard measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShardFigures {
    /// Which.
    pub shard: ShardId,
    /// Programs that it hosts.
    pub programs: u64,
    /// What it measured.
    pub figures: Figures,
}

/// What a run as a whole took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunRates {
    /// Seconds from the common start until the last shard had executed everything.
    pub seconds: f64,
    /// Ticks executed.
    pub ticks: i64,
    /// Seconds per million ticks.
    pub seconds_per_million_ticks: f64,
    /// Seconds per second of simulated time, where ticks have a length.
    pub seconds_per_simulated_second: Option<f64>,
    /// Bytes that all processes hold at the end, per node of the machine.
    pub resident_bytes_per_node: f64,
    /// Share of the time that shards waited.
    pub idle_fraction: f64,
    /// Most time that a shard executed over the mean: 1 is even.
    pub imbalance_of_time: f64,
    /// Whether what was received is what was sent, by the checksums of both ends of every pair; nothing if an end is missing.
    pub checksums_agree: Option<bool>,
}

impl ShardsReport {
    /// Puts together what shards measured; a tick takes `tick_seconds`, if that is known, and `programs` are hosted by shard.
    #[must_use]
    pub fn new(
        (app, machine): (&str, &str),
        matrix: CutMatrix,
        figures: BTreeMap<ShardId, Figures>,
        tick_seconds: Option<f64>,
        programs: impl Fn(ShardId) -> u64,
    ) -> Self {
        let shards = u32::try_from(matrix.shards.len()).unwrap_or(u32::MAX);
        let figures = figures.into_iter();
        let measured: Vec<ShardFigures> =
            figures.map(|(shard, figures)| ShardFigures { shard, programs: programs(shard), figures }).collect();
        let rates = RunRates::new(&matrix, &measured, tick_seconds);
        let imbalance = matrix.imbalance();
        let (app, machine) = (app.to_owned(), machine.to_owned());
        Self { version: REPORT_VERSION, app, machine, shards, matrix, imbalance, rates, measured }
    }

    /// What `shard` measured.
    #[must_use]
    pub fn of(&self, shard: ShardId) -> Option<&Figures> {
        self.measured.iter().find(|known| known.shard == shard).map(|found| &found.figures)
    }
}

impl RunRates {
    fn new(matrix: &CutMatrix, figures: &[ShardFigures], tick_seconds: Option<f64>) -> Self {
        let most = |of: fn(&Figures) -> u64| figures.iter().map(|shard| of(&shard.figures)).max().unwrap_or(0);
        let sum = |of: fn(&Figures) -> u64| figures.iter().map(|shard| of(&shard.figures)).sum::<u64>() as f64;
        let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
        let begin = figures.iter().map(|shard| shard.figures.ticks.0).min().unwrap_or_default();
        let end = figures.iter().map(|shard| shard.figures.ticks.1).max().unwrap_or_default();
        let (seconds, ticks) = (most(|figures| figures.run_ns) as f64 / 1e9, (end - begin).0);
        let nodes: u64 = matrix.shards.iter().map(|shard| shard.nodes).sum();
        let executed = most(|figures| figures.execute_ns) as f64 * figures.len() as f64;
        Self {
            seconds,
            ticks,
            seconds_per_million_ticks: ratio(seconds * 1e6, ticks as f64),
            seconds_per_simulated_second: tick_seconds.map(|length| ratio(seconds, ticks as f64 * length)),
            resident_bytes_per_node: ratio(sum(|figures| figures.resident_bytes.0), nodes as f64),
            idle_fraction: ratio(sum(|figures| figures.wait_ns), sum(|figures| figures.run_ns)),
            imbalance_of_time: ratio(executed, sum(|figures| figures.execute_ns)),
            checksums_agree: checksums_agree(matrix, figures),
        }
    }
}

/// Whether all that both have counted is the same. The last words may be under way when nobody needs them any more.
fn alike(sent: &[DigestMark], received: &[DigestMark]) -> bool {
    let differs = |mark: &DigestMark| received.iter().any(|other| other.words == mark.words && other != mark);
    !sent.iter().any(differs)
}

fn checksums_agree(matrix: &CutMatrix, figures: &[ShardFigures]) -> Option<bool> {
    if figures.len() < matrix.shards.len() {
        return None;
    }
    let pair = |a: ShardId, b: ShardId| figures.get(a.0 as usize)?.figures.pairs.get(&b);
    let agrees = |from, to| match (pair(from, to), pair(to, from)) {
        (Some(sent), Some(received)) => Some(alike(&sent.digests_sent, &received.digests_received)),
        (None, None) => Some(true),
        _ => None,
    };
    let all: Option<Vec<bool>> = matrix.cuts.iter().map(|cut| agrees(cut.from, cut.to)).collect();
    all.map(|all| all.into_iter().all(|agrees| agrees))
}
