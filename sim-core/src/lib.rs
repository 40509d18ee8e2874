//! The machine and its vocabulary: ids, time, topology, applications, programs, engines, digests.
//!
//! Pure: no file, no socket, no clock, no environment. Text forms, scheduling and calendars live in other crates.
//! The meaning of one tick is written down in `ARCHITECTURE.md`.

pub mod app;
pub mod clock;
pub mod csr;
pub mod digest;
pub mod engine;
pub mod ids;
pub mod machine;
pub mod mix;
pub mod program;
pub mod random;
pub mod reference;
pub mod run;
pub mod shard;
pub mod shared;
pub mod time;

pub use app::{
    Actor, ActorState, App, AppError, Behaviour, Channel, ChannelTokens, Figure, Firing, InitialTokens, InitialValues,
    SourcePlace, State,
};
pub use csr::Csr;
pub use ids::{ActorId, ChannelId, Id, IdVec, LinkId, NodeId};
pub use machine::{Link, Machine, MachineError, Node, Preset};
pub use run::{ChannelOutcome, Outcome, RunOptions};
pub use shared::Shared;
pub use time::{LogicalLatency, Tick, Ticks};
