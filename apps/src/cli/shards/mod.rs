//! A run in several processes: the launcher that starts shards, and what one shard does.
//!
//! Shard 0 is an ordinary `run` that executes only some nodes itself: it compiles, waits for the others, sends them all that
//! they need, and keeps the results. The others need to know where it is, and the secret of the run.

mod execute;
pub(crate) mod launch;
mod manifest;
mod network;
mod orders;
mod programs;
mod progress;
mod rank;
mod report;
mod shard;
mod stop;
mod supervise;

pub(crate) use launch::{Launch, local};
pub(crate) use network::{Patience, build, resolve, secret_of_stdin};
pub(crate) use report::{REPORT_FILE, ShardsJson};
pub(crate) use shard::ShardCommand;
