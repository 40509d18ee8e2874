//! All accesses to memory as one list of runs: consecutive words that one entry reads or writes under one rotation.

use super::names::{EntryRef, WordKind, WordRef};
use super::tokens::{Made, Needed};
use super::violation::Violation;
use super::{Case, Usable, limits};
use crate::format::{ComputeEntry, FrameEntry, Operand, Rotation};
use sim_core::ids::{IdVec, LinkId, NodeId};
use std::ops::Range;

/// Number of a word that is read: of a gather run or an input operand.
pub(super) type ReadId = u32;
/// Number of a word that is written: of a scatter run or an output operand.
pub(super) type WriteId = u32;

/// What a run does with its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Gather,
    Input,
    Scatter,
    Output,
}

/// Consecutive words that one entry reads or writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) entry: EntryRef,
    pub(super) act: Act,
    pub(super) place: u32,
    pub(super) rotation: Rotation,
    pub(super) words: u32,
    /// In activation 0, for its first word: the tick at which it is read, or from which it is visible.
    pub(super) at: i64,
    /// Ticks after `at` for which a word that is read must stay.
    pub(super) hold: i64,
    /// The [`ReadId`] or [`WriteId`] of the first word.
    pub(super) first_id: u32,
    /// Number of the first word among all frames of the entry, or among all inputs or outputs of the firing.
    pub(super) first_word: u32,
    /// Where the firing's words start in [`Runs::needed`] or [`Runs::made`]; unused for frames.
    table: u32,
}

impl Run {
    /// Whether the run writes.
    pub(super) fn writes(&self) -> bool {
        matches!(self.act, Act::Scatter | Act::Output)
    }

    /// Ticks from one word to the next.
    pub(super) fn step(&self) -> i64 {
        i64::from(matches!(self.act, Act::Gather | Act::Scatter))
    }

    /// Names word `word` of the run.
    pub(super) fn word(&self, word: u32) -> WordRef {
        let kind = match self.act {
            Act::Gather | Act::Scatter => WordKind::Frame,
            Act::Input => WordKind::Input,
            Act::Output => WordKind::Output,
        };
        WordRef { entry: self.entry, kind, word: self.first_word + word }
    }
}

/// The runs of all usable entries, grouped by the node whose memory they use.
pub(super) struct Runs {
    pub(super) list: Vec<Run>,
    pub(super) nodes: IdVec<NodeId, Range<usize>>,
    /// Positions in `list` of the runs that are sent, by link, in the order of their entries.
    pub(super) gathers: IdVec<LinkId, Vec<usize>>,
    /// Positions in `list` of the runs that are stored, by link, in the order of their entries.
    pub(super) scatters: IdVec<LinkId, Vec<usize>>,
    /// Positions in `list` of the runs that read.
    readers: Vec<usize>,
    /// Positions in `list` of the runs that write.
    writers: Vec<usize>,
    /// Number of words that are read.
    pub(super) reads: u32,
    /// Number of words that are written.
    pub(super) writes: u32,
    needed: Vec<Needed>,
    made: Vec<Made>,
}

impl Runs {
    /// Lists the accesses of all usable entries.
    ///
    /// # Errors
    /// [`Violation::TooManyWords`] if they are too many to be looked at one by one.
    pub(super) fn collect(case: &Case<'_>, usable: &Usable) -> Result<Self, Violation> {
        let found = references(case, usable);
        if found > limits::WORDS.into() {
            return Err(Violation::TooManyWords { found, limit: limits::WORDS });
        }
        let links = case.machine.links().len();
        let mut runs = Self {
            list: Vec::new(),
            nodes: IdVec::new(),
            gathers: IdVec::filled(Vec::new(), links),
            scatters: IdVec::filled(Vec::new(), links),
            readers: Vec::new(),
            writers: Vec::new(),
            reads: 0,
            writes: 0,
            needed: Vec::new(),
            made: Vec::new(),
        };
        for node in case.machine.nodes().ids() {
            let start = runs.list.len();
            for (entry, data) in usable.firings_of(case, node) {
                runs.add_firing(case, entry, data);
            }
            for &link in case.machine.outgoing(node) {
                for (entry, data) in usable.gathers(case, link) {
                    runs.gathers[link].push(runs.list.len());
                    runs.add_frames(case, entry, data, Act::Gather);
                }
            }
            for &link in case.machine.incoming(node) {
                for (entry, data) in usable.scatters(case, link) {
                    runs.scatters[link].push(runs.list.len());
                    runs.add_frames(case, entry, data, Act::Scatter);
                }
            }
            runs.nodes.push(start..runs.list.len());
        }
        Ok(runs)
    }

    /// The run that reads `read`.
    pub(super) fn reader(&self, read: ReadId) -> &Run {
        self.holder(&self.readers, read)
    }

    /// The run that writes `write`.
    pub(super) fn writer(&self, write: WriteId) -> &Run {
        self.holder(&self.writers, write)
    }

    /// The one of `positions` whose words have `id` among them.
    fn holder(&self, positions: &[usize], id: u32) -> &Run {
        let after = positions.partition_point(|&run| self.list[run].first_id <= id);
        &self.list[positions[after - 1]]
    }

    /// What word `word` of an input run has to be.
    pub(super) fn needed(&self, run: &Run, word: u32) -> Needed {
        self.needed[(run.table + run.first_word + word) as usize]
    }

    /// What word `word` of an output run is.
    pub(super) fn made(&self, run: &Run, word: u32) -> Made {
        self.made[(run.table + run.first_word + word) as usize]
    }

    fn add_frames(&mut self, case: &Case<'_>, entry: EntryRef, data: &FrameEntry, act: Act) {
        let tick = i64::from(data.first) * case.calendars.metacycle + data.slot;
        let at = if act == Act::Scatter { tick + 1 } else { tick };
        self.push(Run {
            entry,
            act,
            place: data.place,
            rotation: data.address,
            words: data.length,
            at,
            hold: 0,
            first_id: 0,
            first_word: 0,
            table: 0,
        });
    }

    fn add_firing(&mut self, case: &Case<'_>, entry: EntryRef, data: &ComputeEntry) {
        let start = i64::from(data.first) * case.calendars.metacycle + data.slot;
        let (inputs, outputs) = (self.needed.len() as u32, self.made.len() as u32);
        self.needed.extend(case.tokens.consumes(data.actor, data.index));
        self.made.extend(case.tokens.produces(data.actor, data.index));
        let (place, hold) = (data.place, data.exec - 1);
        let mut add = |operands: &[Operand], act, at, table| {
            let mut first_word = 0;
            for operand in operands {
                let (rotation, words) = (operand.address, operand.words);
                self.push(Run { entry, act, place, rotation, words, at, hold, first_id: 0, first_word, table });
                first_word += words;
            }
        };
        add(&data.inputs, Act::Input, start, inputs);
        add(&data.outputs, Act::Output, start + data.exec, outputs);
    }

    fn push(&mut self, run: Run) {
        let (next, positions) =
            if run.writes() { (&mut self.writes, &mut self.writers) } else { (&mut self.reads, &mut self.readers) };
        positions.push(self.list.len());
        self.list.push(Run { first_id: *next, ..run });
        *next += run.words;
    }
}

/// Words of all usable entries, each counted once per copy.
fn references(case: &Case<'_>, usable: &Usable) -> u128 {
    let firings = usable.firings(case).flat_map(|(_, data)| data.inputs.iter().chain(&data.outputs));
    let operands = firings.map(|operand| (operand.words, operand.address.count));
    let links = || case.calendars.links.ids();
    let frames = links()
        .flat_map(|link| usable.gathers(case, link).chain(usable.scatters(case, link)))
        .map(|(_, data)| (data.length, data.address.count));
    operands.chain(frames).map(|(words, count)| u128::from(words) * u128::from(count)).sum()
}
