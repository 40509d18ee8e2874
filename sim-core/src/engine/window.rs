//! How many ticks a shard executes node by node, and which nodes have anything to do in them.
//!
//! Within a window of w ticks the nodes may be visited in any order, and each of them for all w ticks at once, if nothing
//! that a node reads was written by another one less than w ticks before. So a node's calendar and words come into the
//! cache once per window, and a firing that happens in several metacycles of it is one run.

use super::layout::{FiringShape, NodePlan, Parts, Shape};
use std::ops::Range;

/// Metacycles per window, at most: what a visit costs once is spread over so many, and rings grow with them.
pub const WINDOW_METACYCLES: u32 = 16;
/// Words that a run of firings reads or writes, at most.
const RUN_WORDS: i64 = 1 << 12;

/// Windows of one shard.
pub(super) struct Window {
    /// Ticks of a window, at most.
    pub(super) ticks: i64,
    /// Metacycles of a window; 1 if a metacycle takes several windows.
    pub(super) metacycles: i64,
    /// The windows of a metacycle, by slot; a window of several metacycles is one part.
    pub(super) parts: Vec<Part>,
    visits: Vec<Visit>,
}

/// A window within a metacycle.
pub(super) struct Part {
    /// Its first slot in which a firing ends; 0 for the first part.
    pub(super) start: i64,
    /// The slot after the last one in which a firing ends.
    pub(super) end: i64,
    visits: Range<u32>,
}

/// What one node does in a window.
#[derive(Clone, Copy)]
pub(super) struct Visit {
    /// Position among the shard's nodes.
    pub(super) node: u32,
    /// Positions among the firings of all shapes.
    pub(super) first: u32,
    pub(super) end: u32,
}

/// The largest window that the calendars and the limit allow; who does what in it is arranged later.
pub(super) fn choose(parts: &Parts<'_, '_>) -> Window {
    let program = parts.program;
    let mut ticks = parts.limit;
    let mut words = 1;
    for node in parts.nodes() {
        for (_, firing) in program.firings_on(node) {
            words = words.max(i64::from(firing.input_words.max(firing.output_words)));
            for read in program.reads(firing) {
                let producer = program.producer(read.product).node;
                if producer != node && parts.here(producer) {
                    ticks = ticks.min(parts.distance(firing, read.product, read.lag));
                }
            }
        }
    }
    ticks = ticks.max(1);
    let metacycles = (ticks / program.metacycle).min(i64::from(WINDOW_METACYCLES)).min((RUN_WORDS / words).max(1));
    if metacycles > 0 {
        ticks = metacycles * program.metacycle;
    }
    Window { ticks, metacycles: metacycles.max(1), parts: Vec::new(), visits: Vec::new() }
}

impl Window {
    /// What the nodes do in part number `part` of a metacycle.
    pub(super) fn visits(&self, part: usize) -> &[Visit] {
        let visits = &self.parts[part].visits;
        &self.visits[visits.start as usize..visits.end as usize]
    }

    /// Bytes of the lists.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.parts) + size_of_val(&*self.visits)
    }

    /// Divides a metacycle into parts of at most the window's ticks, as few as possible, and lists who acts in them.
    pub(super) fn arrange(&mut self, nodes: &[NodePlan], shapes: &[Shape], firings: &[FiringShape]) {
        let mut slots: Vec<i64> = firings.iter().map(|firing| firing.slot).collect();
        slots.sort_unstable();
        slots.dedup();
        let (mut starts, mut ends) = (vec![0], vec![0]);
        for slot in slots {
            if slot - starts[starts.len() - 1] >= self.ticks {
                starts.push(slot);
                ends.push(slot);
            }
            *ends.last_mut().expect("there is a first part") = slot + 1;
        }
        let part_of = |slot: i64| starts.partition_point(|&start| start <= slot) - 1;
        let mut visits: Vec<(usize, Visit)> = Vec::new();
        for (node, plan) in (0..).zip(nodes) {
            let range = shapes[plan.shape as usize].firings.clone();
            let own = &firings[range.start as usize..range.end as usize];
            let mut first = range.start;
            for group in own.chunk_by(|a, b| part_of(a.slot) == part_of(b.slot)) {
                let end = first + group.len() as u32;
                visits.push((part_of(group[0].slot), Visit { node, first, end }));
                first = end;
            }
        }
        // A stable sort: within a part nodes stay in order.
        visits.sort_by_key(|&(part, _)| part);
        let bound = |part: usize| visits.partition_point(|&(of, _)| of < part) as u32;
        let part = |i: usize| Part { start: starts[i], end: ends[i], visits: bound(i)..bound(i + 1) };
        self.parts = (0..starts.len()).map(part).collect();
        self.visits = visits.into_iter().map(|(_, visit)| visit).collect();
    }
}
