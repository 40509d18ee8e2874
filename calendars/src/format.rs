//! Calendars as data: periodic, run-length encoded tables of what every unit does.
//!
//! All calendars repeat every metacycle. An entry acts from metacycle `first` on; its activation number in metacycle m is
//! a = m − first, and it then belongs to iteration a·U + `place`. A transport belongs to the iteration of the firing that
//! *produced* its token. Entries of iterations that a run does not execute do nothing.
//!
//! What is equal may be kept once ([`Shared`]): the million nodes of a regular machine have a handful of different calendars.

use crate::shared::Shared;
use sim_core::Machine;
use sim_core::ids::{ActorId, IdVec, LinkId, NodeId};

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

/// A run of consecutive words that a firing reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operand {
    /// Address of the first word.
    pub address: Rotation,
    /// Number of words, at least 1.
    pub words: u32,
}

/// One firing per metacycle.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComputeEntry {
    /// Slot of its first tick in the metacycle; it may wrap past the metacycle's end.
    pub slot: i64,
    /// First metacycle in which it acts.
    pub first: u32,
    /// Place among the U iterations of a metacycle.
    pub place: u32,
    /// The core that it holds.
    pub core: u32,
    /// The actor.
    pub actor: ActorId,
    /// Number of the firing among the actor's U·P·q firings of a metacycle; activation a is firing a·U·P·q + `index`.
    pub index: u32,
    /// Ticks for which it holds the core.
    pub exec: i64,
    /// Consumed words: channels by target port, tokens in FIFO order, words in order.
    pub inputs: Shared<Vec<Operand>>,
    /// Produced words, *per channel* (an output that feeds two channels is written twice): channels by source port, then
    /// id; tokens in order, words in order.
    pub outputs: Shared<Vec<Operand>>,
}

/// The compute calendar of one node, sorted by (slot, core).
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeCalendar {
    /// Firings.
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
    pub const VERSION: u32 = 1;

    /// Number of run-length entries in all calendars.
    #[must_use]
    pub fn entries(&self) -> usize {
        let frames: usize = self.links.values().map(|link| link.gather.len() + link.scatter.len()).sum();
        let firings: usize = self.nodes.values().map(|node| node.compute.len()).sum();
        frames + firings
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
                for operands in [&e.inputs, &e.outputs] {
                    feed(&[operands.len() as i64]);
                    for operand in operands {
                        feed(&rotation(operand.address));
                        feed(&[i64::from(operand.words)]);
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
