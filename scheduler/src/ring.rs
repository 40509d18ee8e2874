//! Rings: which slots of a metacycle a core or a link has given away.
//!
//! Stored as merged runs, so that cost follows the number of bookings and not the length of the metacycle.

use std::collections::BTreeMap;

/// Maximal taken runs, start → end; none wraps, and no two touch.
///
/// Most rings of a large machine hold a run or two. A tree of its own for each would be most of the compiler's memory.
#[derive(Clone, Debug)]
enum Runs {
    /// None.
    None,
    /// A single one.
    One(i64, i64),
    /// Any number.
    Many(Box<BTreeMap<i64, i64>>),
}

impl Runs {
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(..) => 1,
            Self::Many(runs) => runs.len(),
        }
    }

    /// The run that starts last at or before `slot`.
    fn at_or_before(&self, slot: i64) -> Option<(i64, i64)> {
        match self {
            Self::None => None,
            &Self::One(start, end) => (start <= slot).then_some((start, end)),
            Self::Many(runs) => runs.range(..=slot).next_back().map(|(&start, &end)| (start, end)),
        }
    }

    /// The run that starts first at or after `slot`.
    fn at_or_after(&self, slot: i64) -> Option<(i64, i64)> {
        match self {
            Self::None => None,
            &Self::One(start, end) => (start >= slot).then_some((start, end)),
            Self::Many(runs) => runs.range(slot..).next().map(|(&start, &end)| (start, end)),
        }
    }

    /// The runs, ascending.
    fn iter(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        let (one, many) = match self {
            Self::None => (None, None),
            &Self::One(start, end) => (Some((start, end)), None),
            Self::Many(runs) => (None, Some(runs.iter().map(|(&start, &end)| (start, end)))),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// Adds a run, or gives the one that starts at `start` another end.
    fn insert(&mut self, start: i64, end: i64) {
        match self {
            Self::None => *self = Self::One(start, end),
            Self::One(known, _) if *known == start => *self = Self::One(start, end),
            &mut Self::One(known, known_end) => {
                *self = Self::Many(Box::new(BTreeMap::from([(known, known_end), (start, end)])));
            }
            Self::Many(runs) => {
                runs.insert(start, end);
            }
        }
    }

    /// Removes the run that starts at `start`.
    fn remove(&mut self, start: i64) {
        match self {
            Self::None | Self::One(..) => *self = Self::None,
            Self::Many(runs) => {
                runs.remove(&start);
                if let (1, Some((&start, &end))) = (runs.len(), runs.first_key_value()) {
                    *self = Self::One(start, end);
                }
            }
        }
    }
}

/// The slots 0 … length − 1 of one resource, each free or taken. Times are absolute ticks; they count modulo the length.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    length: i64,
    taken: Runs,
    used: i64,
}

impl Ring {
    /// A free ring of `length` ≥ 1 slots.
    pub(crate) fn new(length: i64) -> Self {
        Self { length, taken: Runs::None, used: 0 }
    }

    /// The earliest t ≥ `from` at which `span` slots are free, or `None` if no gap of that size exists. O(log runs + runs passed).
    pub(crate) fn first_free(&self, from: i64, span: i64) -> Option<i64> {
        let mut at = from;
        while at < from + self.length {
            let free = self.free_run(at);
            if free >= span {
                return Some(at);
            }
            at += free + self.taken_run(at + free);
        }
        None
    }

    /// Free slots from time `at` on, at most the length.
    pub(crate) fn free_run(&self, at: i64) -> i64 {
        let slot = at.rem_euclid(self.length);
        if self.taken.at_or_before(slot).is_some_and(|(_, end)| end > slot) {
            return 0;
        }
        match self.taken.at_or_after(slot) {
            Some((start, _)) => start - slot,
            None => self.taken.at_or_after(0).map_or(self.length, |(start, _)| start + self.length - slot),
        }
    }

    /// Taken slots from time `at` on, at most the length.
    pub(crate) fn taken_run(&self, at: i64) -> i64 {
        let slot = at.rem_euclid(self.length);
        let run_at = |slot: i64| match self.taken.at_or_before(slot) {
            Some((_, end)) if end > slot => end - slot,
            _ => 0,
        };
        let run = run_at(slot);
        if slot + run == self.length && run < self.length { run + run_at(0) } else { run }
    }

    /// All maximal gaps as (start slot, length), ascending; one that wraps starts before the metacycle's end.
    pub(crate) fn gaps(&self) -> Vec<(i64, i64)> {
        let Some((first, _)) = self.taken.at_or_after(0) else { return vec![(0, self.length)] };
        let ends = self.taken.iter().map(|(_, end)| end);
        let starts = self.taken.iter().map(|(start, _)| start).skip(1).chain([first + self.length]);
        ends.zip(starts)
            .map(|(end, start)| (end % self.length, start - end))
            .filter(|&(_, length)| length > 0)
            .collect()
    }

    /// Takes [at, at + span).
    pub(crate) fn take(&mut self, at: i64, span: i64) {
        self.pieces(at, span, Self::take_piece);
        self.used += span;
    }

    /// Frees [at, at + span), which was taken.
    pub(crate) fn release(&mut self, at: i64, span: i64) {
        self.pieces(at, span, Self::release_piece);
        self.used -= span;
    }

    fn pieces(&mut self, at: i64, span: i64, apply: fn(&mut Self, i64, i64)) {
        assert!(span <= self.length, "a booking fits the ring");
        let slot = at.rem_euclid(self.length);
        let end = slot + span;
        apply(self, slot, end.min(self.length));
        if end > self.length {
            apply(self, 0, end - self.length);
        }
    }

    fn take_piece(&mut self, mut start: i64, mut end: i64) {
        if let Some((before, before_end)) = self.taken.at_or_before(start) {
            assert!(before_end <= start, "slot {start} is free");
            if before_end == start {
                start = before;
            }
        }
        if let Some((after, after_end)) = self.taken.at_or_after(start + 1) {
            assert!(after >= end, "slots up to {end} are free");
            if after == end {
                self.taken.remove(after);
                end = after_end;
            }
        }
        self.taken.insert(start, end);
    }

    fn release_piece(&mut self, start: i64, end: i64) {
        let (run, run_end) = self.taken.at_or_before(start).expect("what is released was taken");
        assert!(run_end >= end, "what is released was taken");
        self.taken.remove(run);
        if run < start {
            self.taken.insert(run, start);
        }
        if end < run_end {
            self.taken.insert(end, run_end);
        }
    }
}

/// How cores promise that all firings still to be placed will find room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// One gap holds all that is pending: firings that must follow each other always can. For a single core.
    Contiguous,
    /// The gaps together hold all that is pending, as far as best-fit decreasing can tell; a later firing may still fail.
    Packed,
}

/// Cores that share their firings, and a promise: everything that is still to be placed keeps its room.
///
/// First fit on a ring fragments it until the last firings find no gap. So every booking must leave gaps as promised; then
/// cores whose load equals the metacycle fill up.
#[derive(Clone, Debug)]
pub(crate) struct Cores {
    rings: Vec<Ring>,
    promise: Promise,
    /// Durations not yet placed, ascending, with how many firings have them.
    pending: Vec<(i64, u32)>,
    pending_total: i64,
    /// A known gap (core, start, length) that alone holds all that is pending, if there is one: the quick proof.
    reserve: Option<(usize, i64, i64)>,
}

impl Cores {
    /// `cores` free rings of `length` slots; firings are announced by [`Cores::expect`] before any is placed.
    pub(crate) fn new(cores: u32, length: i64, promise: Promise) -> Self {
        let rings = vec![Ring::new(length); cores as usize];
        Self { rings, promise, pending: Vec::new(), pending_total: 0, reserve: None }
    }

    /// Announces a firing of `span` ticks.
    pub(crate) fn expect(&mut self, span: i64) {
        match self.pending.binary_search_by_key(&span, |&(duration, _)| duration) {
            Ok(at) => self.pending[at].1 += 1,
            Err(at) => self.pending.insert(at, (span, 1)),
        }
        self.pending_total += span;
    }

    /// The earliest (start, core) in [from, last] for a pending firing of `span` ticks that keeps the promise.
    pub(crate) fn find(&mut self, from: i64, last: i64, span: i64) -> Option<(i64, u32)> {
        let mut best: Option<(i64, u32)> = None;
        for core in 0..self.rings.len() {
            let last = best.map_or(last, |(start, _)| start - 1);
            if let Some(start) = self.find_on(core, from, last, span) {
                best = Some((start, core as u32));
            }
        }
        best
    }

    fn find_on(&mut self, core: usize, from: i64, last: i64, span: i64) -> Option<i64> {
        let length = self.rings[core].length;
        let limit = last.min(from + length - 1);
        let mut at = from;
        while at <= limit {
            at = self.rings[core].first_free(at, span)?;
            if at > limit {
                return None;
            }
            let free = self.rings[core].free_run(at);
            // Flush with either end of the gap wastes least; in between only where there is slack.
            for start in [at, at + free - span] {
                if start <= limit && self.keeps_promise(core, start, span) {
                    return Some(start);
                }
            }
            at += free;
        }
        None
    }

    /// Start slots of all gaps of all cores, ascending.
    pub(crate) fn gap_starts(&self) -> Vec<i64> {
        let mut starts: Vec<i64> = self.rings.iter().flat_map(Ring::gaps).map(|(start, _)| start).collect();
        starts.sort_unstable();
        starts.dedup();
        starts
    }

    /// Books a pending firing.
    pub(crate) fn place(&mut self, core: u32, start: i64, span: i64) {
        let ring = &mut self.rings[core as usize];
        ring.take(start, span);
        let at = self.pending.binary_search_by_key(&span, |&(duration, _)| duration);
        let at = at.expect("only pending firings are placed");
        self.pending[at].1 -= 1;
        if self.pending[at].1 == 0 {
            self.pending.remove(at);
        }
        self.pending_total -= span;
        if let Some((reserved, gap, length)) = self.reserve
            && reserved == core as usize
            && overlaps(gap, length, start, span, ring.length)
        {
            self.reserve = None;
        }
    }

    /// Takes a booking back: the firing is pending again.
    pub(crate) fn remove(&mut self, core: u32, start: i64, span: i64) {
        self.rings[core as usize].release(start, span);
        self.expect(span);
        self.reserve = None;
    }

    /// Whether all other pending firings still fit if one of them is placed at `start`.
    fn keeps_promise(&mut self, core: usize, start: i64, span: i64) -> bool {
        let rest = self.pending_total - span;
        let length = self.rings[core].length;
        // Whatever is packed first, a gap is left with less than the longest duration: often that is proof enough.
        let longest = self.pending.last().map_or(0, |&(duration, _)| duration);
        let gaps: i64 = self.rings.iter().map(|ring| ring.taken.len() as i64 + 1).sum::<i64>() + 1;
        let free: i64 = self.rings.iter().map(|ring| ring.length - ring.used).sum::<i64>() - span;
        if self.promise == Promise::Packed && free - gaps.saturating_mul(longest - 1) >= rest {
            return true;
        }
        if let Some((reserved, gap, size)) = self.reserve
            && size >= rest
            && (reserved != core || !overlaps(gap, size, start, span, length))
        {
            return true;
        }
        let mut gaps = Vec::new();
        for (c, ring) in self.rings.iter().enumerate() {
            for (gap, size) in ring.gaps() {
                let inside = (start - gap).rem_euclid(length);
                if c == core && size == length {
                    // An empty ring has no ends: whatever is placed leaves one gap.
                    gaps.push((length - span, c, start + span));
                } else if c == core && inside + span <= size {
                    gaps.push((inside, c, gap));
                    gaps.push((size - inside - span, c, gap + inside + span));
                } else {
                    gaps.push((size, c, gap));
                }
            }
        }
        gaps.sort_unstable();
        let &(largest, c, gap) = gaps.last().expect("a ring with room has gaps");
        if largest >= rest {
            self.reserve = Some((c, gap.rem_euclid(length), largest));
            return true;
        }
        if self.promise == Promise::Contiguous {
            return false;
        }
        // Best fit decreasing, equal durations at once.
        let mut sizes: Vec<i64> = gaps.iter().map(|&(size, ..)| size).filter(|&size| size > 0).collect();
        for &(duration, count) in self.pending.iter().rev() {
            let mut count = i64::from(count) - i64::from(duration == span);
            for size in &mut sizes {
                let fit = (*size / duration).min(count);
                *size -= fit * duration;
                count -= fit;
            }
            if count > 0 {
                return false;
            }
            sizes.sort_unstable();
        }
        true
    }
}

/// Whether [a, a + a_span) and [b, b + b_span) share a slot on a ring of `length`.
fn overlaps(a: i64, a_span: i64, b: i64, b_span: i64, length: i64) -> bool {
    (b - a).rem_euclid(length) < a_span || (a - b).rem_euclid(length) < b_span
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A ring agrees with a plain array of slots.
        #[test]
        fn a_ring_is_an_array_of_slots(
            length in 1_i64..40,
            bookings in proptest::collection::vec((-50_i64..50, 1_i64..9, any::<bool>()), 0..30),
        ) {
            let mut ring = Ring::new(length);
            let mut array = vec![false; length as usize];
            let mut live: Vec<(i64, i64)> = Vec::new();
            for (from, span, release) in bookings {
                let free = |t: i64| (0..span).all(|k| !array[(t + k).rem_euclid(length) as usize]);
                let expected = (from..from + length).find(|&t| span <= length && free(t));
                prop_assert_eq!(ring.first_free(from, span), expected);
                if release && !live.is_empty() {
                    let (at, span) = live.swap_remove(0);
                    ring.release(at, span);
                    (0..span).for_each(|k| array[(at + k).rem_euclid(length) as usize] = false);
                } else if let Some(at) = expected {
                    ring.take(at, span);
                    live.push((at, span));
                    (0..span).for_each(|k| array[(at + k).rem_euclid(length) as usize] = true);
                }
                prop_assert_eq!(ring.used, array.iter().filter(|&&taken| taken).count() as i64);
                let gaps: i64 = ring.gaps().iter().map(|&(_, size)| size).sum();
                prop_assert_eq!(gaps + ring.used, length);
            }
        }

        /// A single core whose load equals the metacycle takes every firing, whatever the order and the wishes.
        #[test]
        fn a_full_core_fills_up(firings in proptest::collection::vec((1_i64..9, 0_i64..100), 1..30), idle in 0_i64..5) {
            let length = firings.iter().map(|&(duration, _)| duration).sum::<i64>() + idle;
            let mut cores = Cores::new(1, length, Promise::Contiguous);
            firings.iter().for_each(|&(duration, _)| cores.expect(duration));
            for (duration, from) in firings {
                let (start, core) = cores.find(from, i64::MAX - 1, duration).expect("the promise is kept");
                prop_assert!(start >= from);
                cores.place(core, start, duration);
            }
        }
    }
}
