//! Digests: what two runs must agree on, to the bit.
//!
//! A *channel digest* chains `mix64` over a channel's produced tokens; the *stream digest* folds all of them and depends
//! on the application alone. The *run digest* also covers the machine: per epoch a BLAKE3 leaf per node, a root over the
//! nodes in id order, and a chain over the epochs. Whoever executes a run (engine or oracle) feeds these types in the
//! order that their methods state; nothing here knows how.

use crate::ids::{ActorId, LinkId};
use crate::mix::{fnv, mix64};
use crate::time::Tick;
use std::fmt;

/// How much a run digest covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DigestLevel {
    /// Nothing.
    Off,
    /// The machine's state at the end of every epoch.
    #[default]
    State,
    /// Every firing with its words, every frame.
    Events,
}

impl fmt::Display for DigestLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::State => "state",
            Self::Events => "events",
        })
    }
}

/// Digest of the tokens produced on one channel, initial tokens not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelDigest(pub u64);

impl ChannelDigest {
    /// Nothing produced yet on the channel called `name`.
    #[must_use]
    pub const fn new(name: &str) -> Self {
        Self(fnv(name))
    }

    /// Appends the words of tokens in production order.
    pub fn update(&mut self, words: &[u64]) {
        self.0 = words.iter().fold(self.0, |digest, &word| mix64(digest ^ word));
    }
}

impl fmt::Display for ChannelDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Folds all channel digests, in channel order.
pub fn stream_digest(channels: impl IntoIterator<Item = ChannelDigest>) -> ChannelDigest {
    ChannelDigest(channels.into_iter().fold(fnv("streams"), |digest, channel| mix64(digest ^ channel.0)))
}

/// Ticks per epoch: the smallest multiple of the metacycle with at least 1 024 ticks.
#[must_use]
pub const fn epoch_ticks(metacycle: i64) -> i64 {
    (1024_u64.div_ceil(metacycle as u64) * metacycle as u64) as i64
}

/// A node's leaf of one epoch.
pub type Leaf = [u8; 32];

/// Gathers what a *state* leaf covers, in this order: live words by address, frames by (link, send tick), actor states
/// and firing counts by actor, the hash of what actors without outputs consumed.
#[derive(Clone, Debug, Default)]
pub struct StateLeaf {
    words: Vec<u64>,
}

impl StateLeaf {
    /// A word that is visible and still has a scheduled read.
    pub fn live_word(&mut self, address: u32, word: u64) {
        self.words.extend([1, u64::from(address), word]);
    }

    /// A frame in flight on an outgoing link.
    pub fn frame(&mut self, link: LinkId, sent: Tick, word: u64) {
        self.words.extend([2, u64::from(link.0), sent.0 as u64, word]);
    }

    /// The plain state of an actor whose home is this node; empty states are not reported.
    pub fn actor_state(&mut self, actor: ActorId, state: &[u64]) {
        self.words.extend([3, u64::from(actor.0), state.len() as u64]);
        self.words.extend_from_slice(state);
    }

    /// How many firings of an actor ended on this node so far; zero counts are not reported.
    pub fn firings(&mut self, actor: ActorId, count: u64) {
        self.words.extend([4, u64::from(actor.0), count]);
    }

    /// Running hash of what actors without outputs consumed on this node; not reported where no such firing ended.
    pub fn consumed(&mut self, hash: ConsumedHash) {
        self.words.extend([5, hash.0]);
    }

    /// The leaf; empties the gathered words.
    pub fn finish(&mut self) -> Leaf {
        let mut hasher = blake3::Hasher::new();
        for word in self.words.drain(..) {
            hasher.update(&word.to_le_bytes());
        }
        *hasher.finalize().as_bytes()
    }
}

/// Running hash of what actors without outputs consumed on one node, firings by (end, core).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ConsumedHash(pub u64);

impl ConsumedHash {
    /// Appends one firing with its consumed words.
    pub fn update(&mut self, actor: ActorId, index: u64, inputs: &[u64]) {
        let start = mix64(mix64(self.0 ^ u64::from(actor.0)) ^ index);
        self.0 = inputs.iter().fold(start, |hash, &word| mix64(hash ^ word));
    }
}

/// Running hash of one node's events, which must be fed in this order: by tick; within a tick the firings in their last
/// tick by core, then the frames sent by link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct EventHash(pub u64);

impl EventHash {
    /// A firing in its last tick.
    pub fn firing(&mut self, last: Tick, actor: ActorId, index: u64, inputs: &[u64], outputs: &[u64]) {
        let start = mix64(mix64(mix64(self.0 ^ last.0 as u64) ^ (1 << 32) ^ u64::from(actor.0)) ^ index);
        let read = inputs.iter().fold(start, |hash, &word| mix64(hash ^ word));
        self.0 = outputs.iter().fold(mix64(read ^ inputs.len() as u64), |hash, &word| mix64(hash ^ word));
    }

    /// A frame sent.
    pub fn frame(&mut self, sent: Tick, link: LinkId, word: u64) {
        self.0 = mix64(mix64(mix64(self.0 ^ sent.0 as u64) ^ (2 << 32) ^ u64::from(link.0)) ^ word);
    }

    /// The leaf of an epoch; the hash goes on.
    #[must_use]
    pub fn leaf(self) -> Leaf {
        *blake3::hash(&self.0.to_le_bytes()).as_bytes()
    }
}

/// The digest of a run: a chain over epochs.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunDigest {
    level: DigestLevel,
    chain: [u8; 32],
}

impl RunDigest {
    /// The start of the chain. `identity` is what machine, calendars and application agree on (see `Program::identity`).
    #[must_use]
    pub fn new(level: DigestLevel, identity: &[u8; 32]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(level.to_string().as_bytes());
        hasher.update(identity);
        Self { level, chain: *hasher.finalize().as_bytes() }
    }

    /// Appends an epoch that ends before tick `end`, with one leaf per node in id order.
    pub fn close_epoch<'a>(&mut self, end: Tick, leaves: impl IntoIterator<Item = &'a Leaf>) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.chain);
        hasher.update(&end.0.to_le_bytes());
        for leaf in leaves {
            hasher.update(leaf);
        }
        self.chain = *hasher.finalize().as_bytes();
    }
}

impl fmt::Display for RunDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.level)?;
        if self.level == DigestLevel::Off {
            return f.write_str("-");
        }
        self.chain.iter().take(16).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RunDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
