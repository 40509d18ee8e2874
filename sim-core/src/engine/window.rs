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
use crate::time::Ticks;
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
    pub(super) steps: Steps,
    /// Metacycles that a visit executes, at most.
    pub(super) runs: i64,
    /// At least one.
    pub(super) parts: Vec<Part>,
    visits: Vec<Visit>,
    spans: Vec<Span>,
}

/// How windows lie to the steps from one exchange to the next (see `shard/pace.rs`).
#[derive(Clone, Copy)]
pub(super) struct Steps {
    /// Metacycles of a step, 1 if shards need not take turns.
    metacycles: i64,
    /// Windows start so many metacycles after multiples of their length.
    pub(super) phase: i64,
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
    /// Where a window ends that starts at `metacycle`, unless something cuts it short. Rings have room for whole windows: those
    /// that start where one does seldom wrap within.
    pub(super) fn end_after(&self, metacycle: i64) -> i64 {
        let Steps { metacycles: step, phase } = self.steps;
        let since = metacycle - phase;
        // Who starts within a step ends it first, so that steps are always the same ones.
        let length = if since % step == 0 { self.metacycles } else { self.metacycles.min(step) };
        (since.div_euclid(length) + 1) * length + phase
    }

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

/// Ticks that a shard executes at once, at most, with metacycles of `length` ticks; `asked` is the most that its user wants.
pub(crate) fn most_ticks(length: i64, frames_observed: bool, asked: Option<Ticks>) -> Ticks {
    let longest = if frames_observed { OBSERVED_METACYCLES } else { i64::from(WINDOW_METACYCLES) };
    let most = Ticks(longest.saturating_mul(length));
    asked.map_or(most, |asked| most.min(asked)).max(Ticks(1))
}

/// The windows with the fewest visits, among those that rings have room for.
pub(super) fn plan(parts: &Parts<'_, '_>) -> Plan {
    let waits = Waits::new(parts);
    let steps = Steps::of(parts);
    let mut best = Walk::new(&waits, 1).plan(parts);
    let least = best.words;
    let mut metacycles = 1;
    while metacycles < parts.longest {
        metacycles = (4 * metacycles).min(parts.longest);
        let whole = steps.whole(metacycles);
        if whole == best.window.metacycles {
            continue;
        }
        let longer = Walk::new(&waits, whole).plan(parts);
        let visits = |plan: &Plan, times: i64| plan.window.visits.len() * times as usize;
        let (old, new) = (visits(&best, whole), visits(&longer, best.window.metacycles));
        if new + old / WORTH > old || longer.words > ROOMY_WORDS.max(ROOMY_TIMES * least) {
            break;
        }
        best = longer;
    }
    // Where most rings go round a whole number of times, every window finds them as the first one did.
    let rows = best.middle_rows();
    let metacycles = best.window.metacycles / rows * rows;
    if metacycles > 0 && metacycles < best.window.metacycles && steps.whole(metacycles) == metacycles {
        // Plans of large machines are large.
        drop(best);
        best = Walk::new(&waits, metacycles).plan(parts);
    }
    best
}

impl Steps {
    fn of(parts: &Parts<'_, '_>) -> Self {
        let length = parts.program.metacycle;
        match parts.pace.phase {
            Some(phase) => Self { metacycles: parts.pace.step.0 / length, phase: phase.0 / length },
            None => Self { metacycles: 1, phase: 0 },
        }
    }

    /// The longest window of at most `metacycles` that is some steps, or of which a step is some.
    fn whole(&self, metacycles: i64) -> i64 {
        let fits = |window: &i64| window % self.metacycles == 0 || self.metacycles % window == 0;
        (1..=metacycles).rev().find(fits).expect("a single one always fits")
    }
}

impl Plan {
    /// How many rows half of the rings have at most.
    fn middle_rows(&self) -> i64 {
        let mut rows = self.rows.clone();
        let middle = rows.len() / 2;
        if rows.is_empty() { 1 } else { *rows.select_nth_unstable(middle).1 }
    }
}
