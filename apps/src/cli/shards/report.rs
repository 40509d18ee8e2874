//! What a sharded run says of itself in its summary.

use super::super::session::{counted, grouped};
use crate::sharding::{RunRates, ShardsReport};
use serde::Serialize;
use sim_core::shard::{CutMatrix, Imbalance};

/// The file of the results with all that shards measured.
pub(crate) const REPORT_FILE: &str = "shards.json";

/// How a run was divided, and what that cost; the rest is in [`REPORT_FILE`].
#[derive(Serialize)]
pub(crate) struct ShardsJson {
    pub(crate) matrix: CutMatrix,
    imbalance: Imbalance,
    rates: RunRates,
}

impl ShardsJson {
    pub(crate) fn new(report: &ShardsReport) -> Self {
        Self { matrix: report.matrix.clone(), imbalance: report.imbalance, rates: report.rates.clone() }
    }

    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let RunRates { seconds_per_million_ticks, seconds_per_simulated_second, resident_bytes_per_node, .. } =
            self.rates;
        let RunRates { idle_fraction, imbalance_of_time, .. } = self.rates;
        let shards = counted(self.matrix.shards.len() as u64, "shard");
        let idle = idle_fraction * 100.0;
        let mut time = format!("{seconds_per_million_ticks:.3} s per million ticks");
        if let Some(seconds) = seconds_per_simulated_second {
            time += &format!(", {seconds:.3} s per simulated second");
        }
        vec![
            (
                "divided among",
                format!("{shards}, {idle:.0} % of their time idle, the busiest {imbalance_of_time:.2} times the mean"),
            ),
            ("wall time", time),
            ("resident", format!("{} bytes per node", grouped(resident_bytes_per_node.round() as u64))),
        ]
    }
}
