//! The hot loop: visits nodes and executes runs of their firings.
//!
//! Every word is kept once, in a row of its producer's ring, where the producer's behaviour writes it and its consumers
//! read it: a frame costs no copy. Per frame of one word a dense machine moves 8 bytes into the row, 8 out of it, and 8
//! into the consumer's inputs, which stay in the cache: [`RING_BYTES_PER_FRAME`] of them touch rings. Nothing here
//! allocates, idle slots cost nothing, and a run of firings costs one virtual call.

use super::layout::{FiringShape, Layout, NodePlan, Pattern, ReadShape, Turn};
use super::observe::Tap;
use super::trace::Event;
use super::window::Span;
use super::worker::SentFrame;
use crate::app::{Behaviour, Firing, FiringRun, State};
use crate::digest::{ConsumedHash, EventHash, EventSource};
use crate::ids::ActorId;
use crate::time::Tick;
use std::any::Any;
use std::ops::Range;

/// Bytes of rings that a frame of one word touches: written once by its producer, read once by its consumer.
pub const RING_BYTES_PER_FRAME: usize = 16;

/// Everything that ticks change.
pub(super) struct Stage<'a> {
    /// Words of all products.
    pub(super) words: Vec<u64>,
    /// Inputs of one run of firings.
    pub(super) inputs: Vec<u64>,
    /// Outputs of one run of firings that goes over the end of its ring.
    pub(super) outputs: Vec<u64>,
    /// Where entries stand in their rings, in the order of the layout's turns.
    pub(super) stands: Stands,
    /// Indexed like the actors of the layout.
    pub(super) actors: Vec<ActorSlot<'a>>,
    /// Plain states of all actors.
    pub(super) states: Vec<u64>,
    /// Opaque states.
    pub(super) boxes: Vec<Box<dyn Any + Send>>,
    pub(super) watch: Watch,
    /// The run of firings that is being executed.
    pub(super) executing: Option<Executing>,
    /// How many firings of it have started.
    pub(super) started: usize,
}

/// What is observed of the run.
pub(super) struct Watch {
    /// Observed channels by producer.
    pub(super) taps: Vec<Tap>,
    /// What actors without outputs consumed, by node, where the digest covers it.
    pub(super) consumed: Vec<Option<ConsumedHash>>,
    /// Events by node, where they are hashed.
    pub(super) events: Vec<EventHash>,
    /// Events with their words, where they are traced.
    pub(super) trace: Option<Vec<Event>>,
}

/// Where entries stand in the rings that they go round.
pub(super) struct Stands {
    /// In which metacycle.
    metacycle: i64,
    stands: Vec<Stand>,
}

#[derive(Clone, Copy)]
struct Stand {
    rows: u32,
    row: u32,
    /// 2^64 ÷ `rows`, rounded up.
    inverse: u64,
}

impl Stands {
    /// Before metacycle 0.
    pub(super) fn new(turns: &[Turn]) -> Self {
        Self { metacycle: -1, stands: vec![Stand { rows: 1, row: 0, inverse: 0 }; turns.len()] }
    }

    fn go_to(&mut self, metacycle: i64, turns: &[Turn]) {
        if self.metacycle == metacycle {
            return;
        }
        self.metacycle = metacycle;
        for (stand, turn) in self.stands.iter_mut().zip(turns) {
            let row = (metacycle + i64::from(turn.ahead)).rem_euclid(i64::from(turn.rows));
            let inverse = (u64::MAX / u64::from(turn.rows)).wrapping_add(1);
            *stand = Stand { rows: turn.rows, row: row as u32, inverse };
        }
    }

    /// The row that an entry touches `after` metacycles later, and how many there are from it on.
    #[inline]
    fn row(&self, turn: u32, after: u32) -> (u32, u32) {
        let Stand { rows, row, inverse } = self.stands[turn as usize];
        // The remainder after division by `rows`, without one and without a branch that nobody could foresee; source: Lemire,
        // Kaser and Kurz, "Faster remainder by direct computation", 2019.
        let fraction = inverse.wrapping_mul(u64::from(row + after));
        let row = ((u128::from(fraction) * u128::from(rows)) >> 64) as u32;
        (row, rows - row)
    }
}

/// A run of firings.
#[derive(Clone, Copy)]
pub(super) struct Executing {
    /// Position among the shard's nodes.
    pub(super) node: u32,
    /// Position among the firings of all shapes.
    pub(super) firing: u32,
    /// Metacycle of the first one.
    pub(super) metacycle: i64,
    /// How many there are, in consecutive metacycles.
    pub(super) runs: usize,
}

/// What the loop needs of an actor on one node.
pub(super) struct ActorSlot<'a> {
    pub(super) behaviour: &'a dyn Behaviour,
    pub(super) actor: ActorId,
    pub(super) state: StateSlot,
    pub(super) taps: Range<u32>,
    /// Whether the run digest covers what it consumes.
    pub(super) hashed: bool,
}

impl ActorSlot<'_> {
    /// Whether its firings are observed, events apart.
    fn watched(&self) -> bool {
        self.hashed || !self.taps.is_empty()
    }
}

/// Where an actor's state is.
#[derive(Clone)]
pub(super) enum StateSlot {
    /// Range of the plain states, empty for an actor without state.
    Words(Range<u32>),
    /// Position among the opaque states.
    Boxed(u32),
}

/// Calls `$function` with a width that the compiler knows, if it is one of the first few.
macro_rules! by_width {
    ($width:expr, $function:ident($($argument:expr),*), $rest:expr) => {
        match $width {
            1 => $function::<1>($($argument),*),
            2 => $function::<2>($($argument),*),
            3 => $function::<3>($($argument),*),
            4 => $function::<4>($($argument),*),
            5 => $function::<5>($($argument),*),
            6 => $function::<6>($($argument),*),
            7 => $function::<7>($($argument),*),
            8 => $function::<8>($($argument),*),
            _ => $rest,
        }
    };
}

/// Executes what nodes do in `visits`, given by position in the shard, in a window of `metacycles`. `EVENTS`: every event is
/// hashed, or traced.
pub(super) fn run<'w, const EVENTS: bool>(
    layout: &Layout,
    visits: impl Iterator<Item = (u32, &'w Span)>,
    metacycles: Range<i64>,
    length: i64,
    stage: &mut Stage<'_>,
) {
    stage.stands.go_to(metacycles.start, &layout.turns);
    for (number, span) in visits {
        let mut start = metacycles.start + i64::from(span.from);
        let stop = metacycles.end.min(metacycles.start + i64::from(span.to));
        if start >= stop {
            continue;
        }
        let node = &layout.nodes[number as usize];
        let shape = &layout.shapes[node.shape as usize];
        let first = shape.firings.start + span.first;
        let firings = &layout.firings[first as usize..(shape.firings.start + span.end) as usize];
        while start < stop {
            let end = stop.min(start.saturating_add(shape.independent));
            for (firing, position) in firings.iter().zip(first..) {
                let (from, to) = (start.max(firing.first), end.min(firing.end));
                if from < to {
                    let (after, runs) = ((from - metacycles.start) as u32, (to - from) as usize);
                    let executing = Executing { node: number, firing: position, metacycle: from, runs };
                    stage.executing = Some(executing);
                    fire::<EVENTS>(layout, node, firing, executing, after, length, stage);
                }
            }
            start = end;
        }
    }
    stage.executing = None;
}

/// Executes a run of firings, `after` metacycles after the start of the window.
#[inline(always)]
fn fire<const EVENTS: bool>(
    layout: &Layout,
    node: &NodePlan,
    firing: &FiringShape,
    executing: Executing,
    after: u32,
    length: i64,
    stage: &mut Stage<'_>,
) {
    let runs = executing.runs;
    let (input_words, output_words) = (firing.input_words as usize, firing.output_words as usize);
    let reads = &layout.reads[firing.reads.start as usize..firing.reads.end as usize];
    let sources = &layout.sources[node.sources as usize..];
    let inputs = &mut stage.inputs[..runs * input_words];
    let arena = Arena { words: &stage.words, stands: &stage.stands, after };
    match firing.pattern {
        Pattern::Even | Pattern::Single if runs == 1 => gather_single(reads, sources, &arena, inputs),
        Pattern::Even => by_width!(input_words, gather_rows(reads, sources, &arena, inputs), {
            gather(reads, sources, &arena, inputs, input_words);
        }),
        Pattern::Single | Pattern::Any => gather(reads, sources, &arena, inputs, input_words),
    }
    let stride = firing.rows.stride as usize;
    let (row, left) = stage.stands.row(firing.rows.turn, after);
    let start = (node.block.wrapping_add(firing.rows.offset)) as usize + row as usize * stride;
    // The outputs of a run lie side by side.
    let wraps = stride > 0 && (left as usize) < runs;
    let rows = match (stride, wraps) {
        (0, _) => &mut [],
        (_, false) => &mut stage.words[start..start + runs * stride],
        (_, true) => &mut stage.outputs[..runs * stride],
    };
    // What an earlier firing left here must not show: outputs depend on nothing but the arguments.
    rows.fill(0);
    let slot = &stage.actors[(node.actors + firing.actor) as usize];
    let state = match &slot.state {
        StateSlot::Words(range) => State::Words(&mut stage.states[range.start as usize..range.end as usize]),
        StateSlot::Boxed(position) => State::Opaque(stage.boxes[*position as usize].as_mut()),
    };
    let step = u64::from(firing.step);
    let index = (executing.metacycle - firing.first) as u64 * step + u64::from(firing.index);
    let next = Firing { index, phase: firing.phase };
    let started = &mut stage.started;
    if runs == 1 {
        *started = 1;
        slot.behaviour.fire(next, state, inputs, &mut rows[..output_words]);
    } else {
        let (outputs, firings) = (&mut *rows, runs);
        let mut run =
            FiringRun { next, step, started, state, inputs, input_words, outputs, output_words, stride, firings };
        slot.behaviour.fire_run(&mut run);
    }
    for copy in &layout.copies[firing.copies.start as usize..firing.copies.end as usize] {
        for row in rows.chunks_mut(stride) {
            row.copy_within(copy.from as usize..(copy.from + copy.words) as usize, copy.to as usize);
        }
    }
    if EVENTS || slot.watched() {
        let seen = Seen { firing: next, inputs, input_words, rows, output_words, stride };
        stage.watch.firings::<EVENTS>(node, executing, firing, slot, length, &seen);
    }
    if wraps {
        let ring = start - row as usize * stride..start + left as usize * stride;
        put_round(&mut stage.words[ring], row as usize * stride, &stage.outputs[..runs * stride]);
    }
}

/// Copies `words` to `ring` from place `at` on, round and round.
fn put_round(ring: &mut [u64], mut at: usize, mut words: &[u64]) {
    while !words.is_empty() {
        let (now, later) = words.split_at(words.len().min(ring.len() - at));
        ring[at..at + now.len()].copy_from_slice(now);
        (at, words) = (0, later);
    }
}

/// A run of firings with its words.
struct Seen<'a> {
    /// The first firing.
    firing: Firing,
    inputs: &'a [u64],
    input_words: usize,
    rows: &'a [u64],
    output_words: usize,
    stride: usize,
}

impl Seen<'_> {
    /// Inputs and outputs of every firing.
    fn words(&self, runs: usize) -> impl Iterator<Item = (&[u64], &[u64])> {
        let read = |run: usize| &self.inputs[run * self.input_words..][..self.input_words];
        let written = |run: usize| &self.rows[run * self.stride..][..self.output_words];
        (0..runs).map(move |run| (read(run), written(run)))
    }
}

impl Watch {
    /// Observes a run of firings.
    #[inline(never)]
    fn firings<const EVENTS: bool>(
        &mut self,
        node: &NodePlan,
        executing: Executing,
        firing: &FiringShape,
        slot: &ActorSlot<'_>,
        length: i64,
        seen: &Seen<'_>,
    ) {
        let number = executing.node as usize;
        let step = u64::from(firing.step);
        if slot.watched() {
            let taps = &mut self.taps[slot.taps.start as usize..slot.taps.end as usize];
            for (run, (read, written)) in (0..).zip(seen.words(executing.runs)) {
                let index = seen.firing.index + run * step;
                taps.iter_mut().for_each(|tap| tap.offer(index, seen.firing.phase, written));
                if slot.hashed {
                    self.consumed[number].get_or_insert_default().update(slot.actor, index, read);
                }
            }
        }
        if !EVENTS {
            return;
        }
        let last = |run: u64| Tick((executing.metacycle + run as i64) * length + firing.slot);
        if let Some(hash) = self.events.get_mut(number) {
            let (source, index) = (EventSource::actor(slot.actor), seen.firing.index);
            let ticks = last(0)..last(executing.runs as u64);
            if (seen.input_words, seen.output_words) == (seen.stride, seen.stride) {
                by_width!(
                    seen.stride,
                    hash_rows(hash, source, ticks, length, (index, step), seen.inputs, seen.rows),
                    {
                        hash_words(hash, source, ticks, length, (index, step), seen);
                    }
                );
            } else {
                hash_words(hash, source, ticks, length, (index, step), seen);
            }
        }
        if let Some(trace) = &mut self.trace {
            for (run, (read, written)) in (0..).zip(seen.words(executing.runs)) {
                let index = seen.firing.index + run * step;
                trace.push(Event::firing(node.node, last(run), slot.actor, index, read, written));
            }
        }
    }
}

/// Hashes a run of firings that end in `ticks`, one per `length` of them.
fn hash_words(
    hash: &mut EventHash,
    source: EventSource,
    ticks: Range<Tick>,
    length: i64,
    (index, step): (u64, u64),
    seen: &Seen<'_>,
) {
    let runs = (ticks.end.0 - ticks.start.0) / length;
    for (run, (read, written)) in (0..).zip(seen.words(runs as usize)) {
        hash.firing(Tick(ticks.start.0 + run * length), source, index + run as u64 * step, read, written);
    }
}

/// The same where inputs, outputs and rows have `WIDTH` words.
fn hash_rows<const WIDTH: usize>(
    hash: &mut EventHash,
    source: EventSource,
    ticks: Range<Tick>,
    length: i64,
    (mut index, step): (u64, u64),
    inputs: &[u64],
    rows: &[u64],
) {
    let (mut last, mut sum) = (ticks.start, *hash);
    for (read, written) in inputs.as_chunks::<WIDTH>().0.iter().zip(rows.as_chunks::<WIDTH>().0) {
        sum.firing(last, source, index, read, written);
        (last.0, index) = (last.0 + length, index + step);
    }
    *hash = sum;
}

/// Copies what the firings of a run read into rows of `width` inputs.
fn gather(reads: &[ReadShape], sources: &[u32], arena: &Arena<'_>, inputs: &mut [u64], width: usize) {
    let mut column = 0;
    for read in reads {
        let base = (sources[read.source as usize] + read.ring.offset) as usize;
        let (stride, words) = (read.ring.stride as usize, read.words as usize);
        let (mut row, mut left) = arena.stands.row(read.ring.turn, arena.after);
        for inputs in inputs[column..].chunks_mut(width) {
            let place = base + row as usize * stride;
            // Most frames bring one word, which is not worth a call.
            if words == 1 {
                inputs[0] = arena.words[place];
            } else {
                inputs[..words].copy_from_slice(&arena.words[place..][..words]);
            }
            (row, left) = (row + 1, left - 1);
            if left == 0 {
                (row, left) = (0, row);
            }
        }
        column += words;
    }
}

/// The same where every read is one word, and there is one firing.
#[inline]
fn gather_single(reads: &[ReadShape], sources: &[u32], arena: &Arena<'_>, inputs: &mut [u64]) {
    for (input, read) in inputs.iter_mut().zip(reads) {
        let base = (sources[read.source as usize] + read.ring.offset) as usize;
        let (row, _) = arena.stands.row(read.ring.turn, arena.after);
        *input = arena.words[base + row as usize * read.ring.stride as usize];
    }
}

/// The same where every read is one word of rows of `WIDTH` words, which is what frames of single words are: with a width
/// that the compiler knows, a word costs a load and a store.
#[inline]
fn gather_rows<const WIDTH: usize>(reads: &[ReadShape], sources: &[u32], arena: &Arena<'_>, inputs: &mut [u64]) {
    let Some(reads) = reads.first_chunk::<WIDTH>() else { return };
    let (inputs, _) = inputs.as_chunks_mut::<WIDTH>();
    let count = inputs.len();
    // Where the word of each column is, how many of its ring's rows follow, and how many precede it.
    let mut places = [(0, 0, 0); WIDTH];
    let mut wraps = false;
    for (place, read) in places.iter_mut().zip(reads) {
        let start = (sources[read.source as usize] + read.ring.offset) as usize;
        let (row, left) = arena.stands.row(read.ring.turn, arena.after);
        *place = (start + row as usize * WIDTH, left, row);
        wraps |= (left as usize) < count;
    }
    if wraps {
        // The place where each column goes round, and how far back that is.
        let mut columns = places
            .map(|(place, left, row)| [place, place + left as usize * WIDTH, (row as usize + left as usize) * WIDTH]);
        for inputs in inputs {
            for (input, [place, end, length]) in inputs.iter_mut().zip(&mut columns) {
                *input = arena.words[*place];
                *place += WIDTH;
                // No branch: where columns wrap differs from one to the next.
                *place -= if place == end { *length } else { 0 };
            }
        }
        return;
    }
    let mut columns: [&[[u64; WIDTH]]; WIDTH] = [&[]; WIDTH];
    for (column, (place, ..)) in columns.iter_mut().zip(places) {
        *column = &arena.words[place..].as_chunks().0[..count];
    }
    for (row, inputs) in inputs.iter_mut().enumerate() {
        for (input, column) in inputs.iter_mut().zip(columns) {
            *input = column[row][0];
        }
    }
}

/// What a run of firings reads from.
struct Arena<'a> {
    words: &'a [u64],
    stands: &'a Stands,
    /// Metacycles since the start of the window.
    after: u32,
}

/// Hashes and traces the frames that are sent in `ticks`.
pub(super) fn sent_frames(
    sends: &[SentFrame],
    layout: &Layout,
    ticks: Range<Tick>,
    length: i64,
    stage: &mut Stage<'_>,
) {
    let metacycles = ticks.start.0 / length..(ticks.end.0 + length - 1) / length;
    // Within one metacycle only the slots of the ticks matter.
    let slots = if metacycles.end - metacycles.start == 1 {
        let slot = |tick: Tick| tick.0 - metacycles.start * length;
        let bound = |slot: i64| sends.partition_point(|send| send.slot < slot);
        bound(slot(ticks.start))..bound(slot(ticks.end))
    } else {
        0..sends.len()
    };
    let (words, watch) = (&stage.words, &mut stage.watch);
    for send in &sends[slots] {
        let at = |metacycle: i64| Tick(metacycle * length + send.slot);
        let early = i64::from(at(metacycles.start) < ticks.start);
        let late = i64::from(at(metacycles.end - 1) >= ticks.end);
        let (from, to) = (send.first.max(metacycles.start + early), send.end.min(metacycles.end - late));
        if from >= to {
            continue;
        }
        // Words of a ring are at equal distances up to where it wraps.
        let (mut row, rows) = (u64::from(send.ring.row(from - send.first)), u64::from(send.ring.rows));
        let (mut metacycle, mut left) = (from, (to - from) as u64);
        while left > 0 {
            let count = left.min(rows - row);
            let (column, stride) = (&words[send.ring.index(row as u32, send.word)..], send.ring.stride as usize);
            if let Some(hash) = watch.events.get_mut(send.node as usize) {
                let ticks = (at(metacycle), length);
                by_width!(stride, hash_column(hash, send.source, ticks, column, count as usize), {
                    hash_frames(hash, send.source, ticks, column.iter().step_by(stride).take(count as usize));
                });
            }
            if let Some(trace) = &mut watch.trace {
                let node = layout.nodes[send.node as usize].node;
                let event = |(metacycle, &word)| Event::frame(node, at(metacycle), send.link, word);
                trace.extend((metacycle..metacycle + count as i64).zip(column.iter().step_by(stride)).map(event));
            }
            (row, metacycle, left) = (0, metacycle + count as i64, left - count);
        }
    }
}

/// Hashes frames of one source, which are sent from a tick on, one every so many ticks.
#[inline]
fn hash_frames<'a>(
    hash: &mut EventHash,
    source: EventSource,
    (mut sent, length): (Tick, i64),
    words: impl Iterator<Item = &'a u64>,
) {
    let mut sum = *hash;
    for &word in words {
        sum.frame(sent, source, word);
        sent.0 += length;
    }
    *hash = sum;
}

/// The same for the first `count` words of a column of rows of `WIDTH` words: with a width that the compiler knows, a word
/// costs little more than its hash.
fn hash_column<const WIDTH: usize>(
    hash: &mut EventHash,
    source: EventSource,
    ticks: (Tick, i64),
    column: &[u64],
    count: usize,
) {
    hash_frames(hash, source, ticks, column.as_chunks::<WIDTH>().0[..count].iter().map(|row| &row[0]));
}
