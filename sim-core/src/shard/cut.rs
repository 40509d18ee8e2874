//! The frames that cross from one shard to another.

use super::reach::reaches;
use super::slack::{add_reads, relay_slacks};
use super::{Partition, ShardId};
use crate::engine::Extent;
use crate::ids::LinkId;
use crate::program::{FrameId, Program};
use crate::time::{Tick, Ticks};
use std::collections::BTreeMap;
use std::ops::Range;

/// All frames that nodes of one shard send to nodes of another, in canonical order: by tick, and within a tick by link.
#[derive(Clone, Debug)]
pub struct Cut {
    from: ShardId,
    to: ShardId,
    metacycle: i64,
    end: Tick,
    /// By (slot, link).
    frames: Vec<CutFrame>,
    /// The metacycle after the last one in which any of them is sent.
    last: i64,
    /// Metacycles in which all of them are sent.
    steady: Range<i64>,
    lookahead: Ticks,
    relay_lookahead: Ticks,
    reach: Option<Ticks>,
    latency: Ticks,
}

/// What a node sends in a tick it has made before that tick: whoever has executed everything before tick p knows all that it
/// sends before p + this.
pub(crate) const NOTICE: Ticks = Ticks(1);

/// A frame that crosses once per metacycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutFrame {
    /// Slot in which it is sent.
    pub slot: i64,
    /// The link.
    pub link: LinkId,
    /// The frame in the program.
    pub frame: FrameId,
    /// Metacycles in which it is sent.
    first: i64,
    end: i64,
}

impl CutFrame {
    /// Whether it is sent in metacycle `metacycle`.
    #[inline]
    pub(crate) fn acts(&self, metacycle: i64) -> bool {
        (self.first..self.end).contains(&metacycle)
    }
}

/// A place in the order of a cut's frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    metacycle: i64,
    /// Position among the cut's frames.
    position: usize,
}

impl Cursor {
    /// At the start of metacycle `metacycle`.
    pub(crate) const fn at(metacycle: i64) -> Self {
        Self { metacycle, position: 0 }
    }
}

/// Frames that are all sent in each of some metacycles: their words follow each other by metacycle, and by frame in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Positions among the cut's frames.
    pub(crate) frames: Range<usize>,
    pub(crate) metacycles: Range<i64>,
}

impl Block {
    /// How many words it has.
    pub(crate) fn words(&self) -> usize {
        self.frames.len() * (self.metacycles.end - self.metacycles.start) as usize
    }

    /// Which of its words frame number `frame` sends in `metacycle`.
    #[cfg(feature = "planted-fault")]
    pub(crate) fn word(&self, frame: usize, metacycle: i64) -> Option<usize> {
        let here = self.frames.contains(&frame) && self.metacycles.contains(&metacycle);
        let row = (metacycle - self.metacycles.start) as usize;
        here.then(|| row * self.frames.len() + frame - self.frames.start)
    }
}

impl Cut {
    /// All cuts of a run, by (from, to).
    pub(crate) fn all(program: &Program, partition: &Partition, extent: &Extent) -> Vec<Cut> {
        let mut cuts: BTreeMap<(ShardId, ShardId), Cut> = BTreeMap::new();
        let shards_of = |link| {
            let ends = &program.links[link];
            (partition.shard_of(ends.source), partition.shard_of(ends.target))
        };
        let crosses = |link| {
            let (from, to) = shards_of(link);
            from != to
        };
        if !program.links.ids().any(crosses) {
            return Vec::new();
        }
        let mut slacks = relay_slacks(program);
        for (link, ends) in program.links.iter().filter(|(link, _)| crosses(*link)) {
            let (from, to) = shards_of(link);
            for (id, frame) in program.frames_of(link) {
                let first = frame.sent.0.div_euclid(program.metacycle);
                let slot = frame.sent.0.rem_euclid(program.metacycle);
                let cut = cuts.entry((from, to)).or_insert_with(|| Cut {
                    from,
                    to,
                    metacycle: program.metacycle,
                    end: extent.end,
                    frames: Vec::new(),
                    last: 0,
                    steady: i64::MIN..i64::MAX,
                    lookahead: Ticks(i64::MAX),
                    relay_lookahead: Ticks(i64::MAX),
                    reach: None,
                    latency: Ticks(i64::MAX),
                });
                let end = first + extent.activations(frame.place);
                cut.frames.push(CutFrame { slot, link, frame: id, first, end });
                cut.last = cut.last.max(end);
                cut.steady = cut.steady.start.max(first)..cut.steady.end.min(end);
                cut.latency = cut.latency.min(Ticks(ends.latency.0));
                cut.relay_lookahead = cut.relay_lookahead.min(slacks[id]);
            }
        }
        let mut cuts: Vec<Cut> = cuts.into_values().collect();
        add_reads(program, &mut slacks, crosses);
        for cut in &mut cuts {
            cut.lookahead = cut.frames.iter().map(|frame| slacks[frame.frame]).min().expect("a cut has frames");
            cut.frames.sort_unstable_by_key(|frame| (frame.slot, frame.link));
        }
        let waited: Vec<usize> = (0..cuts.len()).filter(|&cut| cuts[cut].lookahead < Ticks(i64::MAX)).collect();
        let edges = waited.iter().map(|&cut| (cuts[cut].from, cuts[cut].to, cuts[cut].lookahead + NOTICE));
        let reaches = reaches(&edges.collect::<Vec<_>>());
        waited.into_iter().zip(reaches).for_each(|(cut, reach)| cuts[cut].reach = reach);
        cuts
    }

    /// Who sends.
    #[must_use]
    pub fn from(&self) -> ShardId {
        self.from
    }

    /// Who receives.
    #[must_use]
    pub fn to(&self) -> ShardId {
        self.to
    }

    /// The frames of one metacycle.
    #[must_use]
    pub fn frames(&self) -> &[CutFrame] {
        &self.frames
    }

    /// L: the receiver that has everything sent before tick B may execute all ticks before B + L. It is the least time from
    /// sending a word to using it, by a firing in its last tick or by sending it on.
    #[must_use]
    pub fn lookahead(&self) -> Ticks {
        self.lookahead
    }

    /// The same for sending on alone: what is relayed before tick B + this is known with everything sent before tick B.
    pub(crate) fn relay_lookahead(&self) -> Ticks {
        self.relay_lookahead
    }

    /// The most ticks that the shards at its ends may execute at once without waiting for each other in a circle, whenever each
    /// of them does; `None` if what is sent across it never comes back. It is the mean lookahead of the circle with the least,
    /// and one tick, because words are sent a tick before their own comes.
    #[must_use]
    pub fn reach(&self) -> Option<Ticks> {
        self.reach
    }

    /// The least latency of a link of the cut: whoever observes *arrival*, as the end of an epoch does, must have everything
    /// sent before tick B − this to know the machine before tick B.
    #[must_use]
    pub fn latency(&self) -> Ticks {
        self.latency
    }

    /// How many words are sent in `ticks`. O(frames of a metacycle).
    #[must_use]
    pub fn words(&self, ticks: Range<Tick>) -> u64 {
        let before = |tick: Tick| {
            let tick = tick.min(self.end);
            let sent = |frame: &CutFrame| {
                let reached = (tick.0 - frame.slot + self.metacycle - 1).div_euclid(self.metacycle);
                (reached.min(frame.end) - frame.first).max(0) as u64
            };
            self.frames.iter().map(sent).sum::<u64>()
        };
        before(ticks.end).saturating_sub(before(ticks.start))
    }

    /// The tick in which the next frame from `cursor` on is sent; the end of the run if there is none.
    pub(crate) fn next_sent(&self, cursor: &mut Cursor) -> Tick {
        // Walking stops at the limit, but passes over frames that do not act.
        loop {
            match self.frames.get(cursor.position) {
                None if cursor.metacycle >= self.last => return self.end,
                None => *cursor = Cursor { metacycle: cursor.metacycle + 1, position: 0 },
                Some(frame) if frame.acts(cursor.metacycle) => {
                    return Tick(cursor.metacycle * self.metacycle + frame.slot).min(self.end);
                }
                Some(_) if cursor.position == 0 => {
                    // Before the first frame that acts, whole metacycles pass at once.
                    let first = self.frames.iter().filter(|frame| frame.end > cursor.metacycle);
                    match first.map(|frame| frame.first.max(cursor.metacycle)).min() {
                        None => return self.end,
                        Some(first) if first > cursor.metacycle => cursor.metacycle = first,
                        Some(_) => cursor.position = 1,
                    }
                }
                Some(_) => cursor.position += 1,
            }
        }
    }

    /// Calls `take` with all frames from `cursor` on that are sent before `limit`, block by block, and moves the cursor.
    #[inline]
    pub(crate) fn walk(&self, cursor: &mut Cursor, limit: Tick, mut take: impl FnMut(Block)) {
        let limit = limit.min(self.end);
        while self.next_sent(cursor) < limit {
            let block = self.block(*cursor, limit);
            *cursor = Cursor { metacycle: block.metacycles.end - 1, position: block.frames.end };
            take(block);
        }
    }

    /// The largest block from `cursor` on, at which a frame acts that is sent before `limit`.
    fn block(&self, Cursor { metacycle, position }: Cursor, limit: Tick) -> Block {
        if !self.steady.contains(&metacycle) {
            return Block { frames: position..position + 1, metacycles: metacycle..metacycle + 1 };
        }
        let last = self.frames.last().map_or(0, |frame| frame.slot);
        let whole = (limit.0 - last + self.metacycle - 1).div_euclid(self.metacycle).min(self.steady.end);
        if position == 0 && metacycle < whole {
            return Block { frames: 0..self.frames.len(), metacycles: metacycle..whole };
        }
        let slots = limit.0 - metacycle * self.metacycle;
        let end = position + self.frames[position..].partition_point(|frame| frame.slot < slots);
        Block { frames: position..end, metacycles: metacycle..metacycle + 1 }
    }
}
