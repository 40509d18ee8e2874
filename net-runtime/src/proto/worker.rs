//! What a session executes: a shard of the machine, or anything else that runs ahead of its neighbours by ticks.

use super::{Cause, ShardId};
use sim_core::{Tick, Ticks};
use std::fmt::{Debug, Display};
use std::ops::Range;
use std::sync::Arc;

/// How many words one shard sends another: the calendars of all links between them, seen as numbers.
pub trait Schedule: Debug + Send + Sync {
    /// Words that are sent in `ticks`.
    fn words(&self, ticks: Range<Tick>) -> u64;
}

/// What two shards that exchange words know of each other. Either direction may be idle.
#[derive(Clone, Debug)]
pub struct Neighbour {
    /// The other shard.
    pub id: ShardId,
    /// What it sends here.
    pub inbound: Arc<dyn Schedule>,
    /// What is sent to it.
    pub outbound: Arc<dyn Schedule>,
    /// How far it may execute beyond what was sent to it; `None` if nothing ever is.
    pub lookahead: Option<Ticks>,
    /// How far a shard may execute beyond its neighbour: what bounds the words that wait there. At least a window.
    pub credit: Ticks,
    /// Words are sent when they are all those of so many ticks, at least 1: at once where the neighbour must have them for
    /// this shard to go on.
    pub stride: Ticks,
}

/// A shard that computes: plain data, which never waits and talks to nobody.
pub trait Worker {
    /// Why it cannot go on.
    type Fault: Display;

    /// The class that a fault of [`advance`](Self::advance) belongs to.
    fn cause(_fault: &Self::Fault) -> Cause {
        Cause::CheckFailed
    }

    /// Every tick before it is executed.
    fn position(&self) -> Tick;

    /// The tick at which the run ends.
    fn end(&self) -> Tick;

    /// How far the next step reaches, if it may be done with what was received; none of it is executed in `limit`, which is
    /// an end of windows (see [`Self::boundary`]), or later. At most its position, if nothing is executed in it.
    fn ready(&self, limit: Tick) -> Option<Tick>;

    /// The neighbour whose words allow the least, and the tick before which they allow to execute. For figures only.
    fn bound(&self) -> Option<(ShardId, Tick)> {
        None
    }

    /// Does the next step, which is [`ready`](Self::ready).
    ///
    /// # Errors
    /// What was executed failed, such as by a panic in a user's firing.
    fn advance(&mut self, limit: Tick) -> Result<(), Self::Fault>;

    /// Whether nothing is left to do, and nothing to be sent, before `limit`.
    fn reached(&self, limit: Tick) -> bool;

    /// The first tick from `tick` on at which all shards of a run can stop.
    fn boundary(&self, tick: Tick) -> Tick;

    /// Appends the words for `to` that became known since the last call, in the order of the calendars; all that is sent
    /// before the returned tick is known.
    fn send(&mut self, to: ShardId, words: &mut Vec<u64>) -> Tick;

    /// Takes the words that `from` sends from the last such tick on and before `sent_before`.
    ///
    /// # Errors
    /// They are not those that are due.
    fn receive(&mut self, from: ShardId, sent_before: Tick, words: &[u64]) -> Result<(), Self::Fault>;

    /// Appends the parts of the result that are ready, each in a form that shard 0 understands; all that are left, if these
    /// are the `last`.
    fn parts(&mut self, parts: &mut Vec<Vec<u8>>, last: bool);
}
