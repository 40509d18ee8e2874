//! Digests: what two runs must agree on, to the bit.
//!
//! A *channel digest* chains `mix64` over a channel's produced tokens; the *stream digest* folds all of them and depends
//! on the application alone. The *run digest* also covers the machine: per epoch a BLAKE3 leaf per node, the sum of the
//! leaves as root, and a BLAKE3 chain over the epochs. Within a node every item is hashed together with its place, and
//! the hashes are added up: whoever executes a run (engine or oracle) feeds these types in any order, from any number of
//! threads. The sums guard against faults, not against somebody who looks for collisions.

use crate::ids::{ActorId, LinkId, NodeId};
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

/// Hash of one word with the place that it stands for; never the sum of simpler ones, so that errors do not cancel.
///
/// A product of 64 × 64 bits folded in half, as in wyhash and XXH3; both factors hold the word, and one of them the key.
#[inline]
fn keyed(key: u64, word: u64) -> u64 {
    let mixed = word ^ key;
    fold(mixed, mixed.rotate_left(32) ^ 0xa076_1d64_78bd_642f)
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

/// Sum of the hashes of `words`, each with its position: two words per product.
#[inline]
fn keyed_words(key: u64, words: &[u64]) -> u64 {
    let (mut sum, mut key) = (0_u64, key);
    let (pairs, rest) = words.as_chunks::<2>();
    for [a, b] in pairs {
        sum = sum.wrapping_add(fold(a ^ key, b.wrapping_add(key)));
        key = key.wrapping_add(0xe703_7ed1_a0b4_28db);
    }
    rest.iter().fold(sum, |sum, &word| sum.wrapping_add(keyed(key, word)))
}

/// A node's leaf of one epoch: a cryptographic hash of what the node gathered, zero if that is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leaf([u64; 4]);

impl Leaf {
    fn new(node: NodeId, gathered: u64) -> Self {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&node.0.to_le_bytes());
        bytes[8..].copy_from_slice(&gathered.to_le_bytes());
        let hash = blake3::hash(&bytes);
        let (lanes, _) = hash.as_bytes().as_chunks::<8>();
        Self([0, 1, 2, 3].map(|lane| u64::from_le_bytes(lanes[lane])))
    }
}

/// The sum of the leaves of nodes: whoever holds some of them adds up his own, in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Root([u64; 4]);

impl Root {
    /// Adds a leaf.
    pub fn add(&mut self, leaf: &Leaf) {
        self.merge(&Root(leaf.0));
    }

    /// Adds the leaves of another part of the machine.
    pub fn merge(&mut self, other: &Root) {
        for (lane, &other) in self.0.iter_mut().zip(&other.0) {
            *lane = lane.wrapping_add(other);
        }
    }
}

/// Gathers what a *state* leaf covers: live words, frames in flight on outgoing links, actor states, firing counts, the
/// hash of what actors without outputs consumed. In any order: every item carries its own place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateLeaf(u64);

impl StateLeaf {
    fn item(&mut self, kind: u64, what: u64, position: u64, word: u64) {
        let key = mix64(mix64(kind << 32 ^ what) ^ position);
        self.0 = self.0.wrapping_add(mix64(word ^ key));
    }

    /// A word that is visible and still has a scheduled read.
    #[inline]
    pub fn live_word(&mut self, address: u32, word: u64) {
        self.item(1, 0, u64::from(address), word);
    }

    /// A frame in flight on an outgoing link.
    #[inline]
    pub fn frame(&mut self, link: LinkId, sent: Tick, word: u64) {
        self.item(2, u64::from(link.0), sent.0 as u64, word);
    }

    /// The plain state of an actor whose home is this node.
    pub fn actor_state(&mut self, actor: ActorId, state: &[u64]) {
        for (position, &word) in (0..).zip(state) {
            self.item(3, u64::from(actor.0), position, word);
        }
    }

    /// How many firings of an actor ended on this node so far; zero counts are not reported.
    pub fn firings(&mut self, actor: ActorId, count: u64) {
        self.item(4, u64::from(actor.0), 0, count);
    }

    /// Hash of what actors without outputs consumed on this node; not reported where no such firing ended.
    pub fn consumed(&mut self, hash: ConsumedHash) {
        self.item(5, 0, 0, hash.0);
    }

    /// The leaf of `node`.
    #[must_use]
    pub fn finish(self, node: NodeId) -> Leaf {
        if self == Self::default() { Leaf::default() } else { Leaf::new(node, self.0) }
    }
}

/// Running hash of what actors without outputs consumed on one node: a sum over firings, in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct ConsumedHash(pub u64);

impl ConsumedHash {
    /// Adds one firing with its consumed words.
    pub fn update(&mut self, actor: ActorId, index: u64, inputs: &[u64]) {
        let key = mix64(mix64(u64::from(actor.0)) ^ index);
        self.0 = self.0.wrapping_add(key).wrapping_add(keyed_words(key, inputs));
    }
}

/// Running hash of one node's events: a sum over all of them, each with its tick and place, so that they may come in any
/// order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct EventHash(pub u64);

/// Whose events are hashed: hashed once itself, for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventSource(u64);

impl EventSource {
    /// Firings of an actor.
    #[must_use]
    pub fn actor(actor: ActorId) -> Self {
        Self(mix64(1 << 32 | u64::from(actor.0)))
    }

    /// Frames on a link.
    #[must_use]
    pub fn link(link: LinkId) -> Self {
        Self(mix64(2 << 32 | u64::from(link.0)))
    }
}

/// The key of `tick`.
#[inline]
fn tick_key(tick: Tick) -> u64 {
    (tick.0 as u64).wrapping_mul(0x8bb8_4b93_962e_acc9).wrapping_add(0x2d35_8dcc_aa6c_78a5)
}

impl EventHash {
    /// A firing in its last tick.
    #[inline]
    pub fn firing(&mut self, last: Tick, actor: EventSource, index: u64, inputs: &[u64], outputs: &[u64]) {
        let key = fold(actor.0 ^ index, tick_key(last));
        let read = keyed_words(key, inputs);
        self.0 = self.0.wrapping_add(key).wrapping_add(read).wrapping_add(keyed_words(!key, outputs));
    }

    /// A frame sent.
    #[inline]
    pub fn frame(&mut self, sent: Tick, link: EventSource, word: u64) {
        self.0 = self.0.wrapping_add(fold(link.0 ^ word, tick_key(sent)));
    }

    /// The leaf of `node` at the end of an epoch; the hash goes on.
    #[must_use]
    pub fn leaf(self, node: NodeId) -> Leaf {
        if self == Self::default() { Leaf::default() } else { Leaf::new(node, self.0) }
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

    /// The chain after some epochs, to go on with.
    #[must_use]
    pub const fn resumed(level: DigestLevel, chain: [u8; 32]) -> Self {
        Self { level, chain }
    }

    /// The chain over the epochs that were appended.
    #[must_use]
    pub const fn chain(&self) -> &[u8; 32] {
        &self.chain
    }

    /// What the digest covers.
    #[must_use]
    pub const fn level(&self) -> DigestLevel {
        self.level
    }

    /// Appends an epoch that ends before tick `end`, with the sum of the leaves of all nodes.
    pub fn close_epoch(&mut self, end: Tick, root: &Root) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.chain);
        hasher.update(&end.0.to_le_bytes());
        for lane in root.0 {
            hasher.update(&lane.to_le_bytes());
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
