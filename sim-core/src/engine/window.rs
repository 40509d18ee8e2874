//! Windows: how many ticks a shard executes between two moments at which all its nodes stand at the same tick, in which
//! order it visits its nodes meanwhile, and how far each of them goes at a time.
//!
//! A firing may be executed once the words that it reads are made; nothing else orders the firings of different nodes. So
//! two neighbours that exchange words take turns, and each of them goes as far at a time as words take there and back. It
//! comes into the cache, with its calendar, once for all these ticks, and a firing that happens in several metacycles of
//! them is one run.
//!
//! A plan for a whole window holds for any shorter one too: there every visit ends early.
//!
//! Other shards wait for words. The nodes that make these, and whoever they need, go first, as far as the words allow that
//! come in; then, while what they made is on its way, the others. So a window has *parts*: one of each kind in turn, and at the
//! end all that is left.
//!
//! `waits` says who waits for whom, `walk` makes a plan.

mod waits;
mod walk;

use super::layout::Parts;
use std::ops::Range;
use waits::Waits;
use walk::Walk;

/// Metacycles per window, at most.
pub const WINDOW_METACYCLES: u32 = 64;
/// The same where every frame is looked at when the window is over: until then rings keep its words.
const OBSERVED_METACYCLES: i64 = 16;
/// Words that a run of firings reads or writes, at most.
const RUN_WORDS: i64 = 1 << 12;
/// A longer window is worth its plan if it saves one visit in so many.
const WORTH: usize = 8;
/// Up to so many words (32 MiB) rings may be as large as windows like; beyond them, this often what short windows need.
const ROOMY_WORDS: u64 = 1 << 22;
const ROOMY_TIMES: u64 = 2;

/// The windows of one shard.
pub(super) struct Window {
    /// Metacycles of a window.
    pub(super) metacycles: i64,
    /// Metacycles that a visit executes, at most.
    pub(super) runs: i64,
    /// At least one.
    pub(super) parts: Vec<Part>,
    visits: Vec<Visit>,
    spans: Vec<Span>,
}

/// What is executed before anything is sent. Ticks are counted from the start of the window.
pub(super) struct Part {
    /// When it begins, every firing that ends before this tick, and whose words other shards wait for, is executed.
    pub(super) start: i64,
    /// The tick after the last one for which it needs words of others.
    pub(super) end: i64,
    visits: Range<u32>,
}

/// A node executes some of its firings.
#[derive(Clone, Copy)]
pub(super) struct Visit {
    /// Position among the shard's nodes.
    pub(super) node: u32,
    /// Position among the window's spans.
    span: u32,
}

/// Firings of a node: in metacycles `from` to `to` of the window, those at positions `first` to `end` among its firings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) first: u32,
    pub(super) end: u32,
}

/// A window, and what rings must be like for it.
pub(super) struct Plan {
    pub(super) window: Window,
    /// By firing of the shard: activations of it whose words are kept at once.
    pub(super) rows: Vec<i64>,
    /// By node of the shard: the metacycle of the window in which its longest visit starts.
    pub(super) starts: Vec<u32>,
    /// Words of all these rows.
    words: u64,
}

impl Window {
    /// What `parts` visit.
    pub(super) fn visits(&self, parts: Range<usize>) -> impl Iterator<Item = (u32, &Span)> {
        let (start, end) = (self.parts[parts.start].visits.start, self.parts[parts.end - 1].visits.end);
        let visits = &self.visits[start as usize..end as usize];
        visits.iter().map(|visit| (visit.node, &self.spans[visit.span as usize]))
    }

    /// Bytes of the lists.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.parts) + size_of_val(&*self.visits) + size_of_val(&*self.spans)
    }
}

/// The windows with the fewest visits, among those that rings have room for.
pub(super) fn plan(parts: &Parts<'_, '_>) -> Plan {
    let waits = Waits::new(parts);
    let length = parts.program.metacycle;
    let longest = if parts.frames_observed { OBSERVED_METACYCLES } else { i64::from(WINDOW_METACYCLES) };
    let longest = parts.window.map_or(longest, |window| longest.min(window / length));
    let mut best = Walk::new(&waits, 1).plan(parts);
    let least = best.words;
    let mut metacycles = 1;
    while metacycles < longest {
        metacycles = (4 * metacycles).min(longest);
        let longer = Walk::new(&waits, metacycles).plan(parts);
        let visits = |plan: &Plan, times: i64| plan.window.visits.len() * times as usize;
        let (old, new) = (visits(&best, metacycles), visits(&longer, best.window.metacycles));
        if new + old / WORTH > old || longer.words > ROOMY_WORDS.max(ROOMY_TIMES * least) {
            break;
        }
        best = longer;
    }
    // Where most rings go round a whole number of times, every window finds them as the first one did.
    let rows = best.middle_rows();
    let metacycles = best.window.metacycles / rows * rows;
    if metacycles > 0 && metacycles < best.window.metacycles {
        // Plans of large machines are large.
        drop(best);
        best = Walk::new(&waits, metacycles).plan(parts);
    }
    best
}

impl Plan {
    /// How many rows half of the rings have at most.
    fn middle_rows(&self) -> i64 {
        let mut rows = self.rows.clone();
        let middle = rows.len() / 2;
        if rows.is_empty() { 1 } else { *rows.select_nth_unstable(middle).1 }
    }
}
