//! Shards: how nodes are divided among workers, and what the workers must tell each other.
//!
//! A worker owns a set of nodes. What its nodes send to those of another one crosses a [`Cut`]: words in an order that
//! both sides know from the calendars, so that nothing but words has to travel. How far a worker may run ahead of its
//! neighbours follows from the calendars too. Nothing here knows who carries the words, or how.

mod cut;
mod matrix;
mod pace;
mod partition;
mod progress;
mod reach;
mod slack;
mod sync;

pub(crate) use cut::{Block, Cursor, NOTICE};
pub use cut::{Cut, CutFrame};
pub use matrix::{CutFlow, CutMatrix, Imbalance, ShardLoad};
pub(crate) use pace::Pace;
pub use partition::{Carrier, Partition, PartitionError, Partitioner};
pub use progress::{Progress, Waiting};

crate::ids! {
    /// The nodes of one worker.
    #[derive(serde::Serialize, serde::Deserialize)]
    #[serde(transparent)]
    ShardId("shard#");
}
