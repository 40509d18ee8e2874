//! Runs in shards, seen from outside: executed in one process for measuring, predicted, and reported.

mod local;
mod model;
mod report;

pub use local::{LocalError, LocalRun, over_loopback};
pub use model::{Constants, LINK_DEFAULT, LinkCosts, Prediction, ShardPrediction, metacycle_ns, predict};
pub use report::{REPORT_VERSION, RunRates, ShardFigures, ShardsReport};
