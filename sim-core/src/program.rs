//! Programs: what an engine executes, as flat arrays grouped by the slots of a metacycle.
//!
//! A program says what happens in every slot in which anything happens: firings in their *last* tick, words that leave,
//! words that arrive. It holds nothing that depends on the length of a run, and nothing changes while it is executed:
//! where an entry stands in its rotation follows from the number of the metacycle alone. The checks that turn calendars
//! into a program live in the `calendars` crate; here are its parts, their order, and what follows from the order.

mod build;
mod order;

pub use build::ProgramBuilder;

use crate::ids::{ActorId, IdVec, LinkId, NodeId};
use crate::machine::Link;
use std::collections::BTreeMap;
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

/// A rotating address in one node's memory: activation a uses `base + stride · ((a + phase) mod count)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotatingAddress {
    /// Address of the first copy.
    pub base: u32,
    /// Words from one copy to the next.
    pub stride: u32,
    /// Number of copies, at least 1.
    pub count: u32,
    /// Which copy activation 0 uses.
    pub phase: u32,
}

/// When an entry acts: activation a in metacycle `first` + a, for iteration a·U + `place`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Activity {
    /// The metacycle of activation 0.
    pub first: u64,
    /// Place among the U iterations of a metacycle.
    pub place: u32,
}

/// A word that is sent and stored once per metacycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    /// The link that carries it.
    pub link: LinkId,
    /// Slot in which it is sent.
    pub slot: i64,
    /// When it is sent.
    pub activity: Activity,
    /// Where it is read, at the link's source.
    pub from: RotatingAddress,
    /// Where it is stored, at the link's target.
    pub to: RotatingAddress,
}

/// A firing that happens once per metacycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedFiring {
    /// The node that executes it.
    pub node: NodeId,
    /// The core that it holds.
    pub core: u32,
    /// The actor.
    pub actor: ActorId,
    /// Number of the firing among the actor's firings of a metacycle.
    pub index: u32,
    /// Its phase.
    pub phase: u32,
    /// Slot of its first tick.
    pub slot: i64,
    /// Ticks that it takes, at least 1.
    pub exec: i64,
    /// When it starts.
    pub activity: Activity,
}

/// Consecutive words that a firing reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumedWords {
    /// Address of the first word.
    pub address: RotatingAddress,
    /// Number of words, at least 1.
    pub words: u32,
}

/// Consecutive words that a firing writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducedWords {
    /// Address of the first word.
    pub address: RotatingAddress,
    /// Number of words, at least 1.
    pub words: u32,
    /// Position of the first word among the firing's outputs, laid out by source port.
    pub position: u32,
}

/// What an engine executes. Made by a [`ProgramBuilder`].
#[derive(Clone, Debug)]
pub struct Program {
    pub(crate) identity: [u8; 32],
    pub(crate) metacycle: i64,
    pub(crate) unroll: u32,
    pub(crate) channels: usize,
    pub(crate) nodes: IdVec<NodeId, NodeMemory>,
    pub(crate) links: IdVec<LinkId, Link>,
    pub(crate) actors: IdVec<ActorId, ActorPlan>,
    pub(crate) rotors: Rotors,
    /// Distinct activities, ascending; entries name them by position.
    pub(crate) classes: Vec<Activity>,
    /// Slots in which anything happens, ascending.
    pub(crate) steps: Vec<Step>,
    /// Firings in their last tick, by (slot, node, core).
    pub(crate) firings: Vec<FiringEvent>,
    pub(crate) consumed: Vec<Consumed>,
    pub(crate) produced: Vec<Produced>,
    /// Words sent, by (slot, source node, link): where they are read, the class, and the rest.
    pub(crate) send_from: Vec<Spot>,
    pub(crate) send_class: Vec<u32>,
    pub(crate) sends: Vec<Sent>,
    /// Words stored, by (slot, target node, link): where they are written, the class, and the rest.
    pub(crate) store_to: Vec<Spot>,
    pub(crate) store_class: Vec<u32>,
    pub(crate) stores: Vec<Stored>,
    /// Words present before tick 0, as (address in the memory of all nodes, word).
    pub(crate) initial: Vec<(u32, u64)>,
    /// Words of the outputs of the firings that end in one slot, at most.
    pub(crate) staged_words: u32,
    /// Words that one firing consumes, at most.
    pub(crate) input_words: u32,
}

impl Program {
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

    /// Firings per metacycle, of all actors.
    #[must_use]
    pub fn firings(&self) -> usize {
        self.firings.len()
    }

    /// Frames per metacycle, on all links.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.sends.len()
    }

    /// Words of memory, of all nodes.
    #[must_use]
    pub fn memory_words(&self) -> u64 {
        self.nodes.values().map(|node| u64::from(node.words)).sum()
    }
}

/// A node's part of the memory that all nodes share.
#[derive(Clone, Debug)]
pub(crate) struct NodeMemory {
    pub(crate) name: String,
    pub(crate) start: u32,
    pub(crate) words: u32,
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

/// All that happens in one slot, as ranges of the program's arrays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) slot: i64,
    pub(crate) firings: Range<usize>,
    pub(crate) sends: Range<usize>,
    pub(crate) stores: Range<usize>,
}

/// A firing in its last tick.
#[derive(Clone, Debug)]
pub(crate) struct FiringEvent {
    /// Metacycle of the last tick of activation 0.
    pub(crate) first: u64,
    /// Slot of its last tick.
    pub(crate) slot: i64,
    pub(crate) exec: i64,
    pub(crate) node: NodeId,
    pub(crate) actor: ActorId,
    pub(crate) index: u32,
    pub(crate) phase: u32,
    pub(crate) class: u32,
    pub(crate) inputs: Range<u32>,
    pub(crate) outputs: Range<u32>,
    /// Where its outputs are staged until the writes of the tick, and how many words they are.
    pub(crate) stage: Range<u32>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Consumed {
    pub(crate) spot: Spot,
    pub(crate) words: u32,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Produced {
    pub(crate) spot: Spot,
    pub(crate) words: u32,
    /// Staged position of its first word.
    pub(crate) staged: u32,
}

/// What the hot loop does not need to know of a word sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) link: LinkId,
    pub(crate) slot: i64,
}

/// What the hot loop does not need to know of a word stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored {
    /// The word's position among those sent.
    pub(crate) send: u32,
    pub(crate) node: NodeId,
    pub(crate) slot: i64,
}

/// A rotating word of a flat memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) base: u32,
    pub(crate) stride: u32,
    pub(crate) rotor: u32,
}

impl Spot {
    /// Index of the word, where `positions` holds the current position of every rotor.
    #[inline]
    pub(crate) fn at(self, positions: &[u32]) -> usize {
        self.copy(positions[self.rotor as usize])
    }

    /// Index of the word in copy number `position`.
    #[inline]
    pub(crate) fn copy(self, position: u32) -> usize {
        (self.base + self.stride * position) as usize
    }
}

/// A counter that stands at (m + `offset`) mod `count` in metacycle m; shared by all entries that rotate alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rotor {
    pub(crate) count: u32,
    pub(crate) offset: u32,
}

impl Rotor {
    /// The rotor of entries whose activation a, in metacycle `first` + a, uses copy (a + `phase`) mod `count`.
    pub(crate) fn new(count: u32, phase: u32, first: u64) -> Self {
        let n = u64::from(count);
        let offset = (u64::from(phase) % n + n - first % n) % n;
        Self { count, offset: u32::try_from(offset).expect("a residue is below its modulus") }
    }

    /// Where it stands in metacycle `metacycle`.
    pub(crate) fn position(self, metacycle: u64) -> u32 {
        let count = u64::from(self.count);
        u32::try_from((metacycle % count + u64::from(self.offset)) % count).expect("a residue is below its modulus")
    }
}

/// Distinct rotors.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rotors {
    list: Vec<Rotor>,
    numbers: BTreeMap<Rotor, u32>,
}

impl Rotors {
    /// The number of `rotor`.
    pub(crate) fn intern(&mut self, rotor: Rotor) -> u32 {
        *self.numbers.entry(rotor).or_insert_with(|| {
            self.list.push(rotor);
            u32::try_from(self.list.len() - 1).expect("rotors are fewer than entries")
        })
    }

    /// All rotors by number.
    pub(crate) fn as_slice(&self) -> &[Rotor] {
        &self.list
    }
}

impl std::ops::Index<Spot> for Rotors {
    type Output = Rotor;
    fn index(&self, spot: Spot) -> &Rotor {
        &self.list[spot.rotor as usize]
    }
}
