//! The protocol between shards, sans IO: bytes and points of virtual time in, bytes and events out.
//!
//! Shards agree on what they are about to run ([`hello`]), then exchange the words of the links between them in
//! [`batch`]es. Both ends know the calendars, so that a batch is bare words: which link and tick a word belongs to, and
//! how many there must be, follows from the ticks that it covers. A [`session`] is one shard's side of a run: it executes
//! its worker as far as is safe, tells its neighbours, and follows shard 0, which gathers results, commits checkpoints and
//! decides when a run that cannot go on ends.
//!
//! Nothing in here knows what a shard computes: see [`Worker`].

pub mod batch;
pub mod control;
pub mod hello;
pub mod rendezvous;
pub mod session;
mod stop;
mod worker;

pub use session::Session;
pub use sim_core::shard::ShardId;
pub use stop::{Cause, Stop};
pub use worker::{Neighbour, Schedule, Worker};

/// A BLAKE3 hash.
pub type Hash = [u8; 32];

/// The first digits of a hash, for people.
#[must_use]
pub fn short(hash: &[u8]) -> String {
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
