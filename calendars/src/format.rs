//! Calendars as data: periodic, run-length encoded tables of what every unit does.
//!
//! All calendars repeat every metacycle. An entry acts from metacycle `first` on; its activation number in metacycle m is
//! a = m − first, and it then belongs to iteration a·U + `place`. A transport belongs to the iteration of the firing that
//! *produced* its token. Entries of iterations that a run does not execute do nothing.
//!
//! What is equal may be kept once ([`Shared`]): the million nodes of a regular machine have a handful of different calendars.

use sim_core::Machine;
use sim_core::ids::{ActorId, IdVec, LinkId, NodeId};
use sim_core::shared::Shared;

/// A rotating address: activation a uses `base + stride · ((a + phase) mod count)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// Word address of the first copy.
    pub base: u32,
    /// Words from one copy to the next.
    pub stride: u32,
    /// Number of copies, at least 1.
    pub count: u32,
    /// Which copy activation 0 uses.
    pub phase: u32,
}

impl Rotation {
    /// An address that does not rotate.
    #[must_use]
    pub const fn fixed(base: u32) -> Self {
        Self { base, stride: 0, count: 1, phase: 0 }
    }

    /// The address that activation `a` uses. Meant for calendars that were checked: `count` is not 0 and nothing overflows.
    #[must_use]
    pub const fn address(self, activation: u64) -> u32 {
        self.base + self.stride * ((activation + self.phase as u64) % self.count as u64) as u32
    }
}

/// `length` frames in consecutive slots and consecutive words: sent (gather) or stored (scatter).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameEntry {
    /// Slot of the first frame in the metacycle; the run does not wrap.
    pub slot: i64,
    /// Number of frames, at least 1.
    pub length: u32,
    /// First metacycle in which it acts.
    pub first: u32,
    /// Place among the U iterations of a metacycle.
    pub place: u32,
    /// Address of the first word; word k lies k further.
    pub address: Rotation,
}

/// A run of consecutive words that each firing of an entry reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operand {
    /// Address of the first word, or of the circular buffer that the words lie in.
    pub address: Rotation,
    /// Number of words per firing, at least 1.
    pub words: u32,
    /// How the firings of the entry go through a circular buffer; without it all of them use the same words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circular: Option<Circular>,
}

impl Operand {
    /// The same `words` words at `address` for every firing of an entry.
    #[must_use]
    pub const fn new(address: Rotation, words: u32) -> Self {
        Self { address, words, circular: None }
    }

    /// The words of firing `k` of an entry: one stretch of memory, or two where they go past the buffer's end; the buffer has
    /// at least so many words. An address beyond all memory is given as the last one.
    pub fn stretches(self, k: u32) -> impl Iterator<Item = Stretch> {
        let Self { address, words, circular } = self;
        let (start, size) = circular.map_or((0, words), |circular| (circular.start_of(k), circular.size));
        let before_end = words.min(size - start);
        let base = |offset| address.base.saturating_add(offset);
        let at = |offset, words| Stretch { address: Rotation { base: base(offset), ..address }, words };
        [at(start, before_end), at(0, words - before_end)].into_iter().filter(|stretch| stretch.words > 0)
    }
}

/// Modulo addressing: firing k of an entry has word i at `(start + k · advance + i) mod size` of a circular buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Circular {
    /// Words of the buffer before the first word of firing 0; less than `size`.
    pub start: u32,
    /// Words from one firing to the next.
    pub advance: u32,
    /// Words of the buffer, at least as many as a firing uses.
    pub size: u32,
}

impl Circular {
    /// Words of the buffer before the first word of firing `k`.
    #[must_use]
    pub const fn start_of(self, k: u32) -> u32 {
        ((self.start as u64 + k as u64 * self.advance as u64) % self.size as u64) as u32
    }
}

/// Consecutive words of memory, in every activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Address of the first word.
    pub address: Rotation,
    /// Number of words, at least 1.
    pub words: u32,
}

/// How an entry goes on after its first firing: at equal distances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// Number of firings, at least 1.
    pub firings: u32,
    /// Slots from one firing to the next.
    pub slots: i64,
    /// By how much the index grows from one firing to the next.
    pub indices: u32,
}

impl Repeat {
    /// A single firing.
    pub const ONCE: Self = Self { firings: 1, slots: 0, indices: 0 };

    fn is_once(&self) -> bool {
        *self == Self::ONCE
    }
}

impl Default for Repeat {
    fn default() -> Self {
        Self::ONCE
    }
}

/// A run of firings of one actor on one core, each once per metacycle.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComputeEntry {
    /// Slot of the first firing's first tick in the metacycle. All firings start in the metacycle, and may end after it.
    pub slot: i64,
    /// First metacycle in which it acts.
    pub first: u32,
    /// Place among the U iterations of a metacycle.
    pub place: u32,
    /// The core that it holds.
    pub core: u32,
    /// The actor.
    pub actor: ActorId,
    /// Number of the first firing among the actor's U·P·q firings of a metacycle; activation a is firing a·U·P·q + `index`.
    pub index: u32,
    /// Ticks for which each firing holds the core.
    pub exec: i64,
    /// The firings after the first.
    #[serde(default, skip_serializing_if = "Repeat::is_once")]
    pub repeat: Repeat,
    /// Consumed words: channels by target port, tokens in FIFO order, words in order.
    pub inputs: Shared<Vec<Operand>>,
    /// Produced words, *per channel* (an output that feeds two channels is written twice): channels by source port, then
    /// id; tokens in order, words in order.
    pub outputs: Shared<Vec<Operand>>,
}

impl ComputeEntry {
    /// The firings of the entry, in order.
    pub fn firings(&self) -> impl Iterator<Item = EntryFiring<'_>> {
        (0..self.repeat.firings).map(|k| self.firing(k))
    }

    /// Firing `k` of the entry, counted from 0. What does not fit its type is given as the nearest number that does.
    #[must_use]
    pub fn firing(&self, k: u32) -> EntryFiring<'_> {
        let Repeat { slots, indices, .. } = self.repeat;
        let slot = self.slot.saturating_add(slots.saturating_mul(k.into()));
        let index = self.index.saturating_add(indices.saturating_mul(k));
        EntryFiring { entry: self, k, slot, index }
    }
}

/// One firing of a compute entry.
#[derive(Clone, Copy, Debug)]
pub struct EntryFiring<'a> {
    /// The entry.
    pub entry: &'a ComputeEntry,
    /// Its number in the entry, from 0.
    pub k: u32,
    /// Slot of its first tick in the metacycle.
    pub slot: i64,
    /// Its number among the actor's firings of a metacycle.
    pub index: u32,
}

impl EntryFiring<'_> {
    /// The words that it consumes, in the order of [`ComputeEntry::inputs`].
    pub fn inputs(&self) -> impl Iterator<Item = Stretch> {
        stretches(&self.entry.inputs, self.k)
    }

    /// The words that it produces, in the order of [`ComputeEntry::outputs`].
    pub fn outputs(&self) -> impl Iterator<Item = Stretch> {
        stretches(&self.entry.outputs, self.k)
    }
}

fn stretches(operands: &[Operand], k: u32) -> impl Iterator<Item = Stretch> {
    operands.iter().flat_map(move |operand| operand.stretches(k))
}

/// The compute calendar of one node, sorted by (slot, core).
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeCalendar {
    /// Runs of firings.
    pub compute: Vec<ComputeEntry>,
}

/// The two calendars at the ends of one link, each sorted by slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkCalendar {
    /// Transmit side, in ticks of sending: memory of the source node → link.
    pub gather: Vec<FrameEntry>,
    /// Receive side, in ticks of arrival (send tick + λ): link → memory of the target node.
    pub scatter: Vec<FrameEntry>,
}

/// All calendars of one application on one machine.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendarSet {
    /// Version of the format.
    pub version: u32,
    /// Name of the application.
    pub app: String,
    /// Name of the machine.
    pub machine: String,
    /// Ticks of one metacycle.
    pub metacycle: i64,
    /// Iterations per metacycle, U.
    pub unroll: u32,
    /// Compute calendars.
    pub nodes: IdVec<NodeId, NodeCalendar>,
    /// Gather and scatter calendars.
    pub links: IdVec<LinkId, Shared<LinkCalendar>>,
}

impl CalendarSet {
    /// The version that this crate reads and writes.
    pub const VERSION: u32 = 2;

    /// Number of run-length entries in all calendars.
    #[must_use]
    pub fn entries(&self) -> usize {
        let frames: usize = self.links.values().map(|link| link.gather.len() + link.scatter.len()).sum();
        let runs: usize = self.nodes.values().map(|node| node.compute.len()).sum();
        frames + runs
    }

    /// A hash of these calendars and of the machine that they are for: the start of every run digest.
    #[must_use]
    pub fn identity(&self, machine: &Machine) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let mut feed = |numbers: &[i64]| {
            for number in numbers {
                hasher.update(&number.to_le_bytes());
            }
        };
        feed(&[i64::from(self.version), self.metacycle, i64::from(self.unroll)]);
        for node in machine.nodes().values() {
            feed(&[i64::from(node.cores)]);
        }
        for link in machine.links().values() {
            feed(&[i64::from(link.source.0), i64::from(link.target.0), link.latency.0]);
        }
        let rotation = |r: Rotation| [r.base, r.stride, r.count, r.phase].map(i64::from);
        for node in self.nodes.values() {
            feed(&[node.compute.len() as i64]);
            for e in &node.compute {
                feed(&[e.slot, i64::from(e.first), i64::from(e.place), i64::from(e.core)]);
                feed(&[i64::from(e.actor.0), i64::from(e.index), e.exec]);
                feed(&[i64::from(e.repeat.firings), e.repeat.slots, i64::from(e.repeat.indices)]);
                for operands in [&e.inputs, &e.outputs] {
                    feed(&[operands.len() as i64]);
                    for Operand { address, words, circular } in operands {
                        feed(&rotation(*address));
                        let Circular { start, advance, size } =
                            circular.unwrap_or(Circular { start: 0, advance: 0, size: *words });
                        feed(&[*words, start, advance, size].map(i64::from));
                    }
                }
            }
        }
        for link in self.links.values() {
            for calendar in [&link.gather, &link.scatter] {
                feed(&[calendar.len() as i64]);
                for e in calendar {
                    feed(&[e.slot, i64::from(e.length), i64::from(e.first), i64::from(e.place)]);
                    feed(&rotation(e.address));
                }
            }
        }
        *hasher.finalize().as_bytes()
    }
}
