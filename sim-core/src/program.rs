//! Programs: what an engine executes, as flat arrays of firings, of the words that they produce, and of the frames that
//! carry these words.
//!
//! Every word that a machine ever holds was produced by one firing (or is an initial token), and is never changed: frames
//! and memories only say where it is. So a program names words by what produced them, a [`Product`]: a firing reads
//! products, and a frame carries a word of one. Where a word is kept until its last use is an engine's own affair. The
//! checks that turn calendars into a program, and prove that addresses mean these words, live in the `calendars` crate.
//!
//! Entries repeat every metacycle of M ticks: activation a of an entry that stands at tick t acts at tick t + a·M. It
//! belongs to iteration a·U + `place`; a run executes the activations of its iterations and no other.

mod order;

use crate::csr::Ranges;
use crate::ids::{ActorId, ChannelId, IdVec, LinkId, NodeId};
use crate::machine::{Link, Machine, Node};
use crate::shared::Shared;
use crate::time::Tick;
use std::ops::Range;

/// Limits on what one program may hold; beyond them lowering is an error.
pub mod limits {
    /// Words of all memories together (16 GiB); also of the words that the firings of one metacycle move.
    pub const MEMORY_WORDS: u64 = 1 << 31;
    /// Frames and firings of one metacycle.
    pub const EVENTS: u64 = 1 << 27;
    /// Ticks of a metacycle, a latency, a firing.
    pub const TICKS: i64 = 1 << 50;
}

crate::ids! {
    /// A firing that happens once per metacycle; numbered by (node, slot of its last tick, core).
    FiringId("firing#");
    /// The words that one firing produces on one channel, or a part of them; numbered by firing.
    ProductId("product#");
    /// A word that is sent and stored once per metacycle; numbered by (link, slot).
    FrameId("frame#");
    /// A rotating address; equal ones have one number, in no order.
    AddressId("address#");
}

/// A rotating address in one node's memory: activation a uses `base + stride · ((a + phase) mod count)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RotatingAddress {
    /// Address of the first copy.
    pub base: u32,
    /// Words from one copy to the next; 0 if there is one copy.
    pub stride: u32,
    /// Number of copies, at least 1.
    pub count: u32,
    /// Which copy activation 0 uses, below `count`.
    pub phase: u32,
}

impl RotatingAddress {
    /// The address that activation `activation` uses; activations before the first are negative.
    #[must_use]
    pub fn at(self, activation: i64) -> u32 {
        if self.count == 1 {
            return self.base;
        }
        let count = i64::from(self.count);
        let copy = (activation.rem_euclid(count) + i64::from(self.phase)) % count;
        self.base + self.stride * copy as u32
    }
}

/// A firing that happens once per metacycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFiring {
    /// Last tick of activation 0: inputs are still visible then, and outputs become visible one tick later.
    pub last: Tick,
    /// Ticks that it takes, at least 1.
    pub exec: i64,
    /// The node that executes it.
    pub node: NodeId,
    /// The actor.
    pub actor: ActorId,
    /// Number of the firing among the actor's firings of a metacycle.
    pub index: u32,
    /// Its phase.
    pub phase: u32,
    /// Place among the U iterations of a metacycle.
    pub place: u32,
    /// What it consumes, in the order of its inputs.
    pub reads: Range<u32>,
    /// What it produces, channel by channel.
    pub products: Range<u32>,
    /// Words that it consumes.
    pub input_words: u32,
    /// Words that it produces, an output that feeds several channels counted once.
    pub output_words: u32,
}

/// Consecutive words that a firing consumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// What they are part of.
    pub product: ProductId,
    /// Activation of the reader minus activation of the product. Activations before the first are initial tokens.
    pub lag: u32,
    /// The first word.
    pub word: u32,
    /// Number of words, at least 1.
    pub words: u32,
}

/// Consecutive words that a firing produces on one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// Who produces them.
    pub firing: FiringId,
    /// The channel.
    pub channel: ChannelId,
    /// Position of the first word among the firing's outputs, laid out by source port.
    pub staged: u32,
    /// Number of words, at least 1.
    pub words: u32,
    /// Position of the first word among those that the channel gets in a metacycle.
    pub position: u32,
    /// Where the firing's node keeps them.
    pub address: AddressId,
}

/// A word that is sent on a link, and stored at its other end one latency later, once per metacycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Tick in which activation 0 is sent.
    pub sent: Tick,
    /// What the word is part of; activation a of the frame carries activation a of the product.
    pub product: ProductId,
    /// The word among those of the product.
    pub word: u32,
    /// The frame that brought the word to the link's source; `None` if it was produced there.
    pub relayed: Option<FrameId>,
    /// Where it is stored at the link's target.
    pub to: AddressId,
    /// Place among the U iterations of a metacycle.
    pub place: u32,
}

/// What a program is made of; see [`Program::new`].
#[derive(Clone, Debug)]
pub struct ProgramParts {
    /// Hash of the calendars and the machine: the start of every run digest.
    pub identity: [u8; 32],
    /// Ticks of one metacycle.
    pub metacycle: i64,
    /// Iterations per metacycle, U.
    pub unroll: u32,
    /// Channels of the application.
    pub channels: usize,
    /// Actors of the application.
    pub actors: usize,
    /// Firings by (node, slot of the last tick, core).
    pub firings: IdVec<FiringId, PlannedFiring>,
    /// What firings consume, by firing.
    pub reads: Vec<Read>,
    /// What firings produce, by firing.
    pub products: IdVec<ProductId, Product>,
    /// Frames by (link, slot).
    pub frames: IdVec<FrameId, Frame>,
    /// Link of every frame.
    pub frames_of: Ranges<LinkId>,
    /// All addresses, each once: there are millions of words, and few different addresses where nodes are alike.
    pub addresses: IdVec<AddressId, RotatingAddress>,
}

/// What an engine executes.
#[derive(Clone, Debug)]
pub struct Program {
    pub(crate) identity: [u8; 32],
    pub(crate) metacycle: i64,
    pub(crate) unroll: u32,
    pub(crate) channels: usize,
    pub(crate) nodes: Shared<IdVec<NodeId, Node>>,
    pub(crate) links: Shared<IdVec<LinkId, Link>>,
    pub(crate) actors: IdVec<ActorId, ActorPlan>,
    pub(crate) firings: IdVec<FiringId, PlannedFiring>,
    pub(crate) firings_on: Ranges<NodeId>,
    pub(crate) reads: Vec<Read>,
    pub(crate) products: IdVec<ProductId, Product>,
    pub(crate) frames: IdVec<FrameId, Frame>,
    pub(crate) frames_of: Ranges<LinkId>,
    pub(crate) addresses: IdVec<AddressId, RotatingAddress>,
}

/// What holds for all firings of an actor.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ActorPlan {
    /// Firings per metacycle, U·P·q.
    pub(crate) firings: u64,
    /// 0 if firings end in the order of their indices. Otherwise every firing that has ended has an index below that of
    /// the first that has not, plus this.
    pub(crate) reorder: u64,
}

impl Program {
    /// Freezes what lowering has found.
    ///
    /// # Panics
    /// If the parts are not in the order that [`ProgramParts`] states.
    #[must_use]
    pub fn new(machine: &Machine, parts: ProgramParts) -> Self {
        let ProgramParts { identity, metacycle, unroll, channels, firings, reads, products, frames, .. } = parts;
        let ProgramParts { frames_of, addresses, .. } = parts;
        assert!(metacycle > 0 && unroll > 0, "lowering refuses empty metacycles");
        let order = |firing: &PlannedFiring| (firing.node, firing.last.0 % metacycle);
        assert!(firings.as_slice().is_sorted_by_key(order), "firings are in order");
        assert_eq!(frames_of.rows(), machine.links().len(), "there is a range for every link");
        let mut actors = IdVec::filled(ActorPlan::default(), parts.actors);
        order::order_actors(&mut actors, &firings, metacycle);
        Self {
            identity,
            metacycle,
            unroll,
            channels,
            nodes: machine.nodes_shared(),
            links: machine.links_shared(),
            actors,
            firings_on: Ranges::of_sorted(machine.nodes().len(), firings.values().map(|firing| firing.node)),
            firings,
            reads,
            products,
            frames,
            frames_of,
            addresses,
        }
    }

    /// Hash of the calendars and the machine that this program was made from: the start of every run digest.
    #[must_use]
    pub fn identity(&self) -> &[u8; 32] {
        &self.identity
    }

    /// Ticks of one metacycle.
    #[must_use]
    pub fn metacycle(&self) -> i64 {
        self.metacycle
    }

    /// Iterations per metacycle, U.
    #[must_use]
    pub fn unroll(&self) -> u32 {
        self.unroll
    }

    /// Number of nodes.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.firings_on.rows()
    }

    /// Firings per metacycle, of all actors.
    #[must_use]
    pub fn firings(&self) -> usize {
        self.firings.len()
    }

    /// Frames per metacycle, on all links.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames.len()
    }

    /// Bytes of the program's own arrays: what calendars cost an engine.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(self.firings.as_slice())
            + size_of_val(self.reads.as_slice())
            + size_of_val(self.products.as_slice())
            + size_of_val(self.frames.as_slice())
            + size_of_val(self.addresses.as_slice())
            + size_of_val(self.links.as_slice())
            + size_of_val(self.actors.as_slice())
            + self.firings_on.bytes()
            + self.frames_of.bytes()
    }

    pub(crate) fn firings_on(&self, node: NodeId) -> impl Iterator<Item = (FiringId, &PlannedFiring)> {
        self.firings_on.row(node).map(|firing| (FiringId(firing), &self.firings[FiringId(firing)]))
    }

    pub(crate) fn frames_of(&self, link: LinkId) -> impl Iterator<Item = (FrameId, &Frame)> {
        self.frames_of.row(link).map(|frame| (FrameId(frame), &self.frames[FrameId(frame)]))
    }

    pub(crate) fn reads(&self, firing: &PlannedFiring) -> &[Read] {
        &self.reads[firing.reads.start as usize..firing.reads.end as usize]
    }

    pub(crate) fn products(&self, firing: &PlannedFiring) -> impl Iterator<Item = (ProductId, &Product)> {
        firing.products.clone().map(|product| (ProductId(product), &self.products[ProductId(product)]))
    }

    /// The firing that produces `product`.
    pub(crate) fn producer(&self, product: ProductId) -> &PlannedFiring {
        &self.firings[self.products[product].firing]
    }
}
