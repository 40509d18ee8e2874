//! The hot loop: visits nodes and executes runs of their firings.
//!
//! Every word is kept once, in a row of its producer's ring, where the producer's behaviour writes it and its consumers
//! read it: a frame costs no copy. Per frame of one word a dense machine moves 8 bytes into the row, 8 out of it, and 8
//! into the consumer's inputs, which stay in the cache: [`RING_BYTES_PER_FRAME`] of them touch rings. Nothing here
//! allocates, idle slots cost nothing, and a run of firings costs one virtual call.

use super::layout::{FiringShape, Layout, NodePlan, RingShape};
use super::observe::Tap;
use super::trace::Event;
use super::window::Visit;
use super::worker::SentFrame;
use crate::app::{Behaviour, Firing, FiringRun, State};
use crate::digest::{ConsumedHash, EventHash};
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
    /// Where the rings stand in the window's first metacycle, by their number of rows.
    pub(super) positions: Vec<u32>,
    /// Indexed like the actors of the layout.
    pub(super) actors: Vec<ActorSlot<'a>>,
    /// Plain states of all actors.
    pub(super) states: Vec<u64>,
    /// Opaque states.
    pub(super) boxes: Vec<Box<dyn Any + Send>>,
    /// Observed channels by producer.
    pub(super) taps: Vec<Tap>,
    /// What actors without outputs consumed, by node, where the digest covers it.
    pub(super) consumed: Vec<Option<ConsumedHash>>,
    /// Events by node, where they are hashed.
    pub(super) events: Vec<EventHash>,
    /// Events with their words, where they are traced.
    pub(super) trace: Option<Vec<Event>>,
    /// The run of firings that is being executed.
    pub(super) executing: Option<Executing>,
    /// How many firings of it have started.
    pub(super) started: usize,
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

/// Where an actor's state is.
#[derive(Clone)]
pub(super) enum StateSlot {
    /// Range of the plain states, empty for an actor without state.
    Words(Range<u32>),
    /// Position among the opaque states.
    Boxed(u32),
}

/// Executes the firings of `visits` in `metacycles`. `EVENTS`: every event is hashed, or traced.
pub(super) fn run<const EVENTS: bool>(
    layout: &Layout,
    visits: &[Visit],
    metacycles: Range<i64>,
    length: i64,
    stage: &mut Stage<'_>,
) {
    for (position, &rows) in stage.positions.iter_mut().zip(&layout.turns) {
        *position = metacycles.start.rem_euclid(i64::from(rows)) as u32;
    }
    for visit in visits {
        let node = &layout.nodes[visit.node as usize];
        let independent = layout.shapes[node.shape as usize].independent;
        let mut start = metacycles.start;
        while start < metacycles.end {
            let end = metacycles.end.min(start.saturating_add(independent));
            for number in visit.first..visit.end {
                let firing = &layout.firings[number as usize];
                let (mut from, to) = (start.max(firing.first), end.min(firing.end));
                while from < to {
                    // The outputs of a run lie side by side: it ends where the ring does.
                    let after = (from - metacycles.start) as usize;
                    let row = row(layout, stage, &firing.rows, after);
                    let left = layout.turns[firing.rows.turn as usize] as usize - row;
                    let runs = if firing.rows.stride == 0 { usize::MAX } else { left }.min((to - from) as usize);
                    stage.executing = Some(Executing { node: visit.node, firing: number, metacycle: from });
                    fire::<EVENTS>(layout, node, firing, Run { metacycle: from, after, row, runs, length }, stage);
                    from += runs as i64;
                }
            }
            start = end;
        }
    }
    stage.executing = None;
}

/// The row that an entry touches `after` metacycles after the start of the window.
#[inline]
fn row(layout: &Layout, stage: &Stage<'_>, ring: &RingShape, after: usize) -> usize {
    let rows = layout.turns[ring.turn as usize] as usize;
    let row = stage.positions[ring.turn as usize] as usize + rows - ring.behind as usize + after;
    // Windows seldom exceed a ring, so that there is next to nothing to divide.
    match row.wrapping_sub(rows) {
        over if row < rows => over.wrapping_add(rows),
        over if over < rows => over,
        over => over % rows,
    }
}

/// Consecutive metacycles in which a firing is executed.
#[derive(Clone, Copy)]
struct Run {
    metacycle: i64,
    /// Metacycles since the start of the window.
    after: usize,
    /// The first row that it writes.
    row: usize,
    runs: usize,
    /// Ticks of a metacycle.
    length: i64,
}

fn fire<const EVENTS: bool>(layout: &Layout, node: &NodePlan, firing: &FiringShape, run: Run, stage: &mut Stage<'_>) {
    let Run { metacycle, after, row: first_row, runs, length } = run;
    let (input_words, output_words) = (firing.input_words as usize, firing.output_words as usize);
    let mut column = 0;
    for read in &layout.reads[firing.reads.start as usize..firing.reads.end as usize] {
        let base = (layout.sources[(node.sources + read.source) as usize] + read.ring.offset) as usize;
        let from = row(layout, stage, &read.ring, after);
        let rows = layout.turns[read.ring.turn as usize] as usize;
        let inputs = &mut stage.inputs[..runs * input_words];
        let ring = &stage.words[base..];
        let stride = read.ring.stride as usize;
        let head = runs.min(rows - from);
        gather(&ring[from * stride..], stride, head, read.words as usize, inputs, input_words, column);
        if head < runs {
            // A window is not longer than a ring, so that it wraps once at most.
            let inputs = &mut inputs[head * input_words..];
            gather(ring, stride, runs - head, read.words as usize, inputs, input_words, column);
        }
        column += read.words as usize;
    }
    let inputs = &stage.inputs[..runs * input_words];
    let stride = firing.rows.stride as usize;
    let start = (node.block.wrapping_add(firing.rows.offset)) as usize + first_row * stride;
    let rows = if stride == 0 { &mut [] } else { &mut stage.words[start..start + runs * stride] };
    // What an earlier firing left here must not show: outputs depend on nothing but the arguments.
    rows.fill(0);
    let slot = &stage.actors[(node.actors + firing.actor) as usize];
    let state = match &slot.state {
        StateSlot::Words(range) => State::Words(&mut stage.states[range.start as usize..range.end as usize]),
        StateSlot::Boxed(position) => State::Opaque(stage.boxes[*position as usize].as_mut()),
    };
    let step = u64::from(firing.step);
    let index = (metacycle - firing.first) as u64 * step + u64::from(firing.index);
    stage.started = 0;
    slot.behaviour.fire_run(&mut FiringRun {
        next: Firing { index, phase: firing.phase },
        step,
        started: &mut stage.started,
        state,
        inputs,
        input_words,
        outputs: rows,
        output_words,
        stride,
        firings: runs,
    });
    for copy in &layout.copies[firing.copies.start as usize..firing.copies.end as usize] {
        for row in rows.chunks_mut(stride) {
            row.copy_within(copy.from as usize..(copy.from + copy.words) as usize, copy.to as usize);
        }
    }
    if slot.taps.is_empty() && !slot.hashed && !EVENTS {
        return;
    }
    let number = stage.executing.map_or(0, |executing| executing.node) as usize;
    for run in 0..runs {
        let (index, read) = (index + run as u64 * step, &inputs[run * input_words..][..input_words]);
        let written = &rows[run * stride..][..output_words];
        for tap in &mut stage.taps[slot.taps.start as usize..slot.taps.end as usize] {
            tap.offer(index, firing.phase, written);
        }
        if slot.hashed {
            stage.consumed[number].get_or_insert_default().update(slot.actor, index, read);
        }
        if EVENTS {
            let last = Tick((metacycle + run as i64) * length + firing.slot);
            if let Some(hash) = stage.events.get_mut(number) {
                hash.firing(last, slot.actor, index, read, written);
            }
            if let Some(trace) = &mut stage.trace {
                trace.push(Event::firing(node.node, last, slot.actor, index, read, written));
            }
        }
    }
}

/// Calls `$function` with a width that the compiler knows, so that a word costs a load and a store.
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

/// Copies `words` words of each of `count` rows of `stride` words to column `column` of rows of `width` words.
#[inline]
fn gather(from: &[u64], stride: usize, count: usize, words: usize, inputs: &mut [u64], width: usize, column: usize) {
    if words == 1 && stride == width {
        fn fixed<const WIDTH: usize>(from: &[u64], count: usize, rows: &mut [u64], column: usize) {
            assert!(column < WIDTH);
            // The first word of the last row may be the last there is.
            let (whole, _) = from.as_chunks::<WIDTH>();
            let (rows, _) = rows.as_chunks_mut::<WIDTH>();
            for (row, from) in rows[..count].iter_mut().zip(whole) {
                row[column] = from[0];
            }
            if whole.len() < count {
                rows[count - 1][column] = from[(count - 1) * WIDTH];
            }
        }
        return by_width!(width, fixed(from, count, inputs, column), {
            (0..count).for_each(|row| inputs[row * width + column] = from[row * stride]);
        });
    }
    for row in 0..count {
        inputs[row * width + column..][..words].copy_from_slice(&from[row * stride..][..words]);
    }
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
    for send in &sends[slots] {
        let (from, to) = (metacycles.start.max(send.first), metacycles.end.min(send.end));
        for metacycle in from..to {
            let tick = Tick(metacycle * length + send.slot);
            if ticks.contains(&tick) {
                let word = stage.words[send.ring.at(metacycle - send.first, send.word)];
                if let Some(hash) = stage.events.get_mut(send.node as usize) {
                    hash.frame(tick, send.link, word);
                }
                if let Some(trace) = &mut stage.trace {
                    trace.push(Event::frame(layout.nodes[send.node as usize].node, tick, send.link, word));
                }
            }
        }
    }
}
