//! What a run is asked for, and what it yields: shared by the engines and the oracles.

use crate::app::App;
use crate::digest::{ChannelDigest, DigestLevel, RunDigest, stream_digest};
use crate::ids::ChannelId;
use crate::time::{Tick, Ticks};
use std::collections::BTreeMap;

/// What to execute and what to observe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// Iterations of the graph to execute.
    pub iterations: u64,
    /// Level of the run digest.
    pub digest: DigestLevel,
    /// Channels whose tokens are digested, ascending.
    pub channels: Vec<ChannelId>,
    /// Channels whose tokens are kept, ascending.
    pub record: Vec<ChannelId>,
    /// Ticks that an engine executes at once, at most; as many as it likes if not given. Changes no result.
    pub window: Option<Ticks>,
    /// Whether an engine keeps every event with its words. Changes no result.
    pub trace: bool,
    /// A fault of the engine itself, for tests of what finds faults.
    #[cfg(feature = "planted-fault")]
    pub fault: Option<crate::engine::PlantedFault>,
}

/// What was produced on one digested channel, initial tokens not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelOutcome {
    /// Number of tokens.
    pub tokens: u64,
    /// Digest of their words.
    pub digest: ChannelDigest,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Iterations executed.
    pub iterations: u64,
    /// The end of the last firing; `None` for an untimed run.
    pub ticks: Option<Tick>,
    /// What was produced on the channels that it was asked for.
    pub channels: BTreeMap<ChannelId, ChannelOutcome>,
    /// Words of the recorded channels, tokens in FIFO order.
    pub recorded: BTreeMap<ChannelId, Vec<u64>>,
    /// The run digest; `None` for an untimed run.
    pub digest: Option<RunDigest>,
}

impl Outcome {
    /// The stream digest, if every channel of `app` was digested.
    #[must_use]
    pub fn stream_digest(&self, app: &App) -> Option<ChannelDigest> {
        let all = self.channels.len() == app.channels().len();
        all.then(|| stream_digest(self.channels.values().map(|channel| channel.digest)))
    }
}
