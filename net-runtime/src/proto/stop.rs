//! Why a run ends before its end. All shards give the same reason.

use super::ShardId;
use serde::{Deserialize, Serialize};
use sim_core::Tick;
use std::fmt;

/// Classes of reasons, each with an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// A fault of this program.
    Internal,
    /// What is to be run is invalid.
    Invalid,
    /// A check of the simulated system failed, such as by a panic in a firing.
    CheckFailed,
    /// Something could not be stored.
    Storage,
    /// A program that a node runs failed.
    HostFailed,
    /// A shard can no longer be reached.
    Lost,
    /// A shard was stopped for so long that the others gave it up.
    Expelled,
    /// Shards disagree on what is to be run, or one is not who it says.
    Disagreed,
    /// A shard sent what it must not send.
    Violated,
    /// The user interrupted the run (Ctrl-C).
    Interrupted,
    /// Somebody asked the run to end (SIGTERM).
    Terminated,
    /// What is executed again differs from what it was.
    Differs,
}

impl Cause {
    /// The exit code.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Invalid => 2,
            Self::CheckFailed => 4,
            Self::Storage => 5,
            Self::Lost | Self::Expelled => 6,
            Self::Disagreed => 7,
            Self::Violated => 8,
            Self::HostFailed => 9,
            Self::Differs => 10,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

/// Why a run ended early, and whose doing it was.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stop {
    /// The class.
    pub cause: Cause,
    /// The shard that is named as the reason.
    pub shard: ShardId,
    /// How far the shard that decided so was.
    pub tick: Tick,
    /// A sentence, without the shard.
    pub message: String,
}

/// Bytes of an encoded [`Stop`], at most.
const STOP_BYTES: usize = 1024;

impl Stop {
    /// The form in which a connection is closed; long messages are cut.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut stop = self.clone();
        let kept = (0..=STOP_BYTES - 64).rev().find(|&at| stop.message.is_char_boundary(at)).unwrap_or(0);
        stop.message.truncate(kept);
        postcard::to_stdvec(&stop).expect("plain data has a form")
    }

    /// Reads [`Self::encode`]'s form; `None` if it is none.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (stop, rest) = postcard::take_from_bytes(bytes).ok()?;
        (rest.is_empty() && bytes.len() <= STOP_BYTES).then_some(stop)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.shard, self.message)
    }
}

impl std::error::Error for Stop {}
