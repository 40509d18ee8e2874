//! A schedule: where and when everything of one metacycle happens, before it is written as calendars.

use sim_core::{ActorId, ChannelId, LinkId, NodeId};
use std::ops::Range;

/// The schedule of U iterations; activation a of everything is a metacycles later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Ticks of one metacycle.
    pub metacycle: i64,
    /// Iterations per metacycle, U.
    pub unroll: u32,
    /// All firings of the U iterations, by actor and index.
    pub firings: Vec<ScheduledFiring>,
    /// All words that cross links, by channel, token and word.
    pub transports: Vec<Transport>,
    /// The frames of all transports; see [`Schedule::hops()`].
    pub hops: Vec<Hop>,
    /// Memory, by node and address.
    pub buffers: Vec<Buffer>,
}

impl Schedule {
    /// The frames of one of the transports, in order, at least one.
    #[must_use]
    pub fn hops(&self, transport: &Transport) -> &[Hop] {
        &self.hops[transport.hops.clone()]
    }
}

/// One firing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduledFiring {
    /// The actor.
    pub actor: ActorId,
    /// Number among the actor's firings of a metacycle.
    pub index: u32,
    /// The node.
    pub node: NodeId,
    /// The core of that node.
    pub core: u32,
    /// First tick, from the first start of the run; may exceed the metacycle.
    pub start: i64,
    /// Ticks for which the core is held.
    pub exec: i64,
}

/// The way of one word over links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transport {
    /// The channel.
    pub channel: ChannelId,
    /// Number of the token among those produced in a metacycle, from 0.
    pub token: u32,
    /// Number of the word in the token.
    pub word: u32,
    /// Index of the producing firing in `Schedule::firings`.
    pub producer: u32,
    /// Where its frames are in `Schedule::hops`.
    pub hops: Range<usize>,
}

/// One frame of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The link.
    pub link: LinkId,
    /// Tick of sending.
    pub send: i64,
}

/// What a buffer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Words wait to be sent where they were produced.
    Producer,
    /// Words wait to be sent on.
    Relay,
    /// Words wait to be consumed.
    Consumer,
}

impl Role {
    /// The role's name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Relay => "relay",
            Self::Consumer => "consumer",
        }
    }
}

/// A ring of token slots in one node's memory.
///
/// The tokens of the channel that pass here are numbered in FIFO order, initial tokens first, `tokens` per metacycle; the
/// n-th lies in slot n mod `slots`. `slots` divides `tokens` or is a multiple of it, so that every token of a metacycle
/// needs one rotating address at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// The node.
    pub node: NodeId,
    /// The channel.
    pub channel: ChannelId,
    /// What for.
    pub role: Role,
    /// Address of the first word.
    pub base: u32,
    /// Words of one token.
    pub words: u32,
    /// Tokens that pass per metacycle.
    pub tokens: u32,
    /// Tokens that it holds.
    pub slots: u32,
}

impl Buffer {
    /// Copies of a token's place: 1 if `slots` divides `tokens`.
    #[must_use]
    pub fn count(&self) -> u32 {
        (self.slots / self.tokens).max(1)
    }

    /// Words from one copy to the next.
    #[must_use]
    pub fn stride(&self) -> u32 {
        self.tokens.min(self.slots) * self.words
    }

    /// Words of memory: `stride` × `count`.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.slots * self.words
    }

    /// The `local`-th token of a metacycle, whose activation 0 is `phase` metacycles late, as words of the circular buffer
    /// that all tokens of one activation lie in.
    pub(crate) fn operand(&self, local: u32, phase: u64) -> calendars::Operand {
        let slots = self.slots.min(self.tokens);
        let first = self.rotation(local, phase);
        let start = (local % slots) * self.words;
        let circular = calendars::Circular { start, advance: 0, size: slots * self.words };
        let address = calendars::Rotation { base: first.base - start, ..first };
        calendars::Operand { address, words: self.words, circular: Some(circular) }
    }

    /// The rotating address of the `local`-th token of a metacycle, whose activation 0 is `phase` metacycles late.
    pub(crate) fn rotation(&self, local: u32, phase: u64) -> calendars::Rotation {
        if self.count() == 1 {
            return calendars::Rotation::fixed(self.base + (local % self.slots) * self.words);
        }
        calendars::Rotation {
            base: self.base + local * self.words,
            stride: self.stride(),
            count: self.count(),
            phase: (phase % u64::from(self.count())) as u32,
        }
    }
}
