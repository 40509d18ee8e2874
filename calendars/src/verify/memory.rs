//! Memory: at every address of every node, each read finds one write, and nothing is replaced while it is needed.
//!
//! One address is a ring of count · M ticks, as the header of [`super`] explains; each reference to it is one point of it.

use super::names::Cell;
use super::runs::{Act, NodeRuns, ReadId, Run, Runs, WriteId};
use super::violation::Violation;
use super::{Case, Report};
use crate::format::Rotation;

/// The word that a read finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The word.
    pub(super) write: WriteId,
    /// Activation of the reader minus activation of the writer.
    pub(super) shift: i64,
}

/// What all reads find, indexed by [`ReadId`]. Nothing where a violation is reported.
pub(super) struct FoundWords {
    writes: Vec<WriteId>,
    shifts: Vec<i64>,
}

/// Nothing is found.
const NONE: WriteId = WriteId::MAX;

impl FoundWords {
    /// What `read` finds.
    pub(super) fn of(&self, read: ReadId) -> Option<Found> {
        let (write, shift) = (self.writes[read as usize], self.shifts[read as usize]);
        (write != NONE).then_some(Found { write, shift })
    }

    fn set(&mut self, read: ReadId, found: Found) {
        (self.writes[read as usize], self.shifts[read as usize]) = (found.write, found.shift);
    }
}

/// One copy of one word of a run: an arithmetic progression of events at one address.
#[derive(Clone, Copy)]
struct Reference {
    run: u32,
    word: u32,
    /// The first activation that uses this copy.
    activation: u32,
}

/// A reference as seen at its address.
#[derive(Clone, Copy)]
struct Event<'a> {
    run: &'a Run,
    word: u32,
    activation: i64,
    /// Its tick: of the read, or from which the write is visible.
    tick: i64,
    /// `tick` modulo the ring.
    turn: i64,
}

/// Checks all memories, one after the other.
pub(super) fn check(runs: &Runs<'_>, report: &mut Report) -> FoundWords {
    let case = runs.case;
    let mut found = FoundWords { writes: vec![NONE; runs.reads()], shifts: vec![0; runs.reads()] };
    let mut node_runs = NodeRuns::default();
    let mut references = Vec::new();
    let mut order = Vec::new();
    for node in case.machine.nodes().ids() {
        runs.list(node, &mut node_runs);
        refer(case, &node_runs, &mut references, &mut order);
        order.sort_unstable();
        let mut events = Vec::new();
        for group in order.chunk_by(|a, b| address(*a) == address(*b)) {
            let cell = Cell { node, address: address(group[0]) };
            events.clear();
            events.extend(group.iter().map(|&key| event(case, &node_runs, &references, key)));
            check_cell(runs, &node_runs, cell, &events, &mut found, report);
        }
    }
    found
}

/// Turns are below 2^60, as `shape` checks; above them in a key lies the address.
const TURN_MASK: i64 = (1 << 60) - 1;

/// Lists all references to the memory of a node, and keys that sort them: address, turn, writes before reads, position.
fn refer(case: &Case<'_>, runs: &NodeRuns, references: &mut Vec<Reference>, order: &mut Vec<u128>) {
    references.clear();
    order.clear();
    let metacycle = case.calendars.metacycle;
    for (run, data) in (0..).zip(&runs.list) {
        let Rotation { base, stride, count, phase } = data.rotation;
        let ring = i64::from(count) * metacycle;
        let reads = u128::from(!data.writes()) << 32;
        for word in 0..data.words {
            let start = (data.at + data.step() * i64::from(word)) % ring;
            // Copy 0 is used by the activation that completes the phase to a whole turn.
            let mut activation = (count - phase % count) % count;
            for copy in 0..count {
                let turn = start + i64::from(activation) * metacycle;
                let turn = if turn < ring { turn } else { turn - ring };
                let address = base + word + stride * copy;
                let key = u128::from(address) << 96 | (turn as u128) << 33 | reads;
                order.push(key | references.len() as u128);
                references.push(Reference { run, word, activation });
                activation = if activation + 1 < count { activation + 1 } else { 0 };
            }
        }
    }
}

fn address(key: u128) -> u32 {
    (key >> 96) as u32
}

fn event<'a>(case: &Case<'_>, runs: &'a NodeRuns, references: &[Reference], key: u128) -> Event<'a> {
    let Reference { run, word, activation } = references[key as u32 as usize];
    let (run, activation) = (&runs.list[run as usize], i64::from(activation));
    let tick = run.at + run.step() * i64::from(word) + activation * case.calendars.metacycle;
    let turn = (key >> 33) as i64 & TURN_MASK;
    Event { run, word, activation, tick, turn }
}

/// Checks one address. `events` are sorted by turn, writes before reads.
fn check_cell(
    runs: &Runs<'_>,
    node_runs: &NodeRuns,
    cell: Cell,
    events: &[Event<'_>],
    found: &mut FoundWords,
    report: &mut Report,
) {
    if is_mixed(cell, events, report) {
        return;
    }
    let Some(first_write) = events.iter().position(|event| event.run.writes()) else {
        for event in events {
            report.add_once(Violation::NeverWritten { word: event.run.word(event.word), cell });
        }
        return;
    };
    let metacycle = runs.case.calendars.metacycle;
    let ring = i64::from(events[0].run.rotation.count) * metacycle;
    // From the first write once around: each write with the reads up to the next one.
    let (early, late) = events.split_at(first_write);
    let around: Vec<(i64, &Event<'_>)> = late
        .iter()
        .map(|event| (event.turn, event))
        .chain(early.iter().map(|event| (event.turn + ring, event)))
        .collect();
    let starts: Vec<usize> = (0..around.len()).filter(|&i| around[i].1.run.writes()).collect();
    for (i, &start) in starts.iter().enumerate() {
        let (visible, write) = around[start];
        let end = starts.get(i + 1).copied().unwrap_or(around.len());
        let (replaced, by) = if end < around.len() { around[end] } else { (visible_again(&around, ring), around[0].1) };
        let reads = &around[start + 1..end];
        check_word(cell, write, (replaced, by), visible, reads, report);
        for (_, read) in reads {
            note_found(cell, write, read, ring, runs, found, report);
        }
    }
    check_initial(node_runs, cell, events, metacycle, report);
}

/// The tick at which the first write of the ring is visible one turn later.
fn visible_again(around: &[(i64, &Event<'_>)], ring: i64) -> i64 {
    around[0].0 + ring
}

/// Reports rotations of different lengths at one address; nothing more can be said about it then.
fn is_mixed(cell: Cell, events: &[Event<'_>], report: &mut Report) -> bool {
    let first = events[0].run;
    let mut mixed = false;
    for event in events.iter().filter(|event| event.run.rotation.count != first.rotation.count) {
        mixed = true;
        report.add_once(Violation::MixedRotations {
            word: event.run.word(event.word),
            count: event.run.rotation.count,
            other: first.entry,
            other_count: first.rotation.count,
            cell,
        });
    }
    mixed
}

/// Checks that the word of `write`, visible from `visible` on, is read, and stays until `next` as long as it is needed.
fn check_word(
    cell: Cell,
    write: &Event<'_>,
    next: (i64, &Event<'_>),
    visible: i64,
    reads: &[(i64, &Event<'_>)],
    report: &mut Report,
) {
    let (replaced, by) = next;
    if replaced == visible {
        let word = by.run.word(by.word);
        report.add_once(Violation::WrittenTwice { word, other: write.run.entry, cell });
    }
    if reads.is_empty() {
        report.add_once(Violation::Unread { word: write.run.word(write.word), cell });
    }
    for &(start, read) in reads.iter().filter(|(start, read)| start + read.run.hold >= replaced) {
        report.add_once(Violation::Overwritten {
            word: read.run.word(read.word),
            cell,
            needed: read.run.hold + 1,
            kept: replaced - start,
            by: by.run.entry,
        });
    }
}

/// Notes what `read` finds. A frame must be of the activation and place of its sender; all copies must agree.
fn note_found(
    cell: Cell,
    write: &Event<'_>,
    read: &Event<'_>,
    ring: i64,
    runs: &Runs<'_>,
    found: &mut FoundWords,
    report: &mut Report,
) {
    let turns = (read.tick - write.tick).div_euclid(ring);
    let shift = read.activation - write.activation - i64::from(read.run.rotation.count) * turns;
    let word = read.run.word(read.word);
    if read.run.act == Act::Gather && (shift != 0 || read.run.place != write.run.place) {
        report.add_once(Violation::WrongIteration {
            word,
            place: read.run.place,
            cell,
            writer: write.run.entry,
            writer_place: write.run.place,
            shift,
        });
    }
    let new = Found { write: write.run.first_id + write.word, shift };
    let id = read.run.first_id + read.word;
    match found.of(id) {
        Some(old) if old != new => {
            let (other, other_shift) = (runs.writer(old.write), old.shift);
            report.add_once(Violation::CopiesDiffer { word, cell, writer: write.run.entry, shift, other, other_shift });
        }
        _ => found.set(id, new),
    }
}

/// Checks that at most one initial token has a word here, and that nothing replaces it before it is consumed.
fn check_initial(runs: &NodeRuns, cell: Cell, events: &[Event<'_>], metacycle: i64, report: &mut Report) {
    let mut holder: Option<&Event<'_>> = None;
    let earliest = events.iter().filter(|event| event.run.writes()).min_by_key(|event| event.tick);
    let earliest = earliest.expect("addresses without writes were reported");
    for event in events.iter().filter(|event| event.run.act == Act::Input) {
        let shift = runs.needed(event.run, event.word).shift;
        if event.activation >= shift {
            continue;
        }
        let count = i64::from(event.run.rotation.count);
        let turns = (shift - 1 - event.activation) / count;
        let word = event.run.word(event.word);
        let other = if turns > 0 { Some(event) } else { holder };
        if let Some(other) = other {
            report.add_once(Violation::InitialClash { word, other: other.run.word(other.word), cell });
        }
        holder = Some(event);
        let last = event.tick.saturating_add(turns.saturating_mul(count * metacycle));
        let until = last.saturating_add(event.run.hold);
        if earliest.tick <= until {
            let by = earliest.run.entry;
            report.add_once(Violation::InitialOverwritten { word, cell, until, at: earliest.tick, by });
        }
    }
}
