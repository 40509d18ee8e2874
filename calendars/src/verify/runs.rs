//! All accesses to memory as runs: consecutive words that one entry reads or writes under one rotation.
//!
//! Every word that is read or written has a number, node by node. The runs themselves are listed for one node at a time: for
//! the million nodes of a large machine they would take more room than the calendars.

use super::names::{EntryRef, WordKind, WordRef};
use super::tokens::{Made, Needed};
use super::violation::Violation;
use super::{Case, Usable, limits};
use crate::format::{ComputeEntry, FrameEntry, Operand, Rotation, Stretch};
use sim_core::ids::{Id, IdVec, LinkId, NodeId};

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
    /// Number of the first word among all frames of the entry, or among all inputs or outputs of its firings.
    pub(super) first_word: u32,
    /// Where the words of the entry's firings start in [`NodeRuns::needed`] or [`NodeRuns::made`]; unused for frames.
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

/// The numbers of all words of all usable entries.
pub(super) struct Runs<'a> {
    pub(super) case: &'a Case<'a>,
    pub(super) usable: &'a Usable,
    /// First read and first write of every node, and the end.
    nodes: Vec<(ReadId, WriteId)>,
    /// First read of every link's gather calendar; the words of its usable entries follow each other.
    gathers: IdVec<LinkId, ReadId>,
    /// First write of every link's scatter calendar; likewise.
    scatters: IdVec<LinkId, WriteId>,
}

impl<'a> Runs<'a> {
    /// Numbers the words of all usable entries: at every node those of its firings, then those of its links.
    ///
    /// # Errors
    /// [`Violation::TooManyWords`] if they are too many to be looked at one by one.
    pub(super) fn count(case: &'a Case<'a>, usable: &'a Usable) -> Result<Self, Violation> {
        check_limits(case, usable)?;
        let links = case.machine.links().len();
        let mut runs = Self {
            case,
            usable,
            nodes: Vec::with_capacity(case.machine.nodes().len() + 1),
            gathers: IdVec::filled(0, links),
            scatters: IdVec::filled(0, links),
        };
        let (mut reads, mut writes) = (0, 0);
        let words = |operands: &[Operand]| operands.iter().map(|operand| operand.words).sum::<u32>();
        for node in case.machine.nodes().ids() {
            runs.nodes.push((reads, writes));
            for (_, data) in usable.computes_of(case, node) {
                reads += data.repeat.firings * words(&data.inputs);
                writes += data.repeat.firings * words(&data.outputs);
            }
            for &link in case.machine.outgoing(node) {
                runs.gathers[link] = reads;
                reads += usable.gathers(case, link).map(|(_, frames)| frames.length).sum::<u32>();
            }
            for &link in case.machine.incoming(node) {
                runs.scatters[link] = writes;
                writes += usable.scatters(case, link).map(|(_, frames)| frames.length).sum::<u32>();
            }
        }
        runs.nodes.push((reads, writes));
        Ok(runs)
    }

    /// Number of words that are read.
    pub(super) fn reads(&self) -> usize {
        self.nodes[self.nodes.len() - 1].0 as usize
    }

    /// Number of words that are written.
    pub(super) fn writes(&self) -> usize {
        self.nodes[self.nodes.len() - 1].1 as usize
    }

    /// The usable entries that send on `link`, with the number of each one's first word.
    pub(super) fn gathers(&self, link: LinkId) -> impl Iterator<Item = (EntryRef, &FrameEntry, ReadId)> {
        numbered(self.usable.gathers(self.case, link), self.gathers[link])
    }

    /// The usable entries that store from `link`, with the number of each one's first word.
    pub(super) fn scatters(&self, link: LinkId) -> impl Iterator<Item = (EntryRef, &FrameEntry, WriteId)> {
        numbered(self.usable.scatters(self.case, link), self.scatters[link])
    }

    /// Lists the accesses of all usable entries to the memory of `node`.
    pub(super) fn list(&self, node: NodeId, runs: &mut NodeRuns) {
        runs.list.clear();
        runs.needed.clear();
        runs.made.clear();
        let (mut reads, mut writes) = self.nodes[node.index()];
        for (entry, data) in self.usable.computes_of(self.case, node) {
            runs.add_firings(self.case, entry, data, &mut reads, &mut writes);
        }
        for &link in self.case.machine.outgoing(node) {
            for (entry, frames, id) in self.gathers(link) {
                runs.add_frames(self.case, entry, frames, Act::Gather, id);
            }
        }
        for &link in self.case.machine.incoming(node) {
            for (entry, frames, id) in self.scatters(link) {
                runs.add_frames(self.case, entry, frames, Act::Scatter, id);
            }
        }
    }

    /// The entry that reads `read`. For messages: lists all runs of a node.
    pub(super) fn reader(&self, read: ReadId) -> EntryRef {
        self.holder(self.nodes.partition_point(|&(first, _)| first <= read), read, false)
    }

    /// The entry that writes `write`. For messages: lists all runs of a node.
    pub(super) fn writer(&self, write: WriteId) -> EntryRef {
        self.holder(self.nodes.partition_point(|&(_, first)| first <= write), write, true)
    }

    /// The entry that has the word `id`, at the node before the `after`-th.
    fn holder(&self, after: usize, id: u32, writes: bool) -> EntryRef {
        let mut runs = NodeRuns::default();
        self.list(NodeId::from_index(after - 1), &mut runs);
        let holds = |run: &&Run| run.writes() == writes && (run.first_id..run.first_id + run.words).contains(&id);
        runs.list.iter().find(holds).expect("every word has an entry").entry
    }
}

/// Numbers the words of entries from `first` on.
fn numbered<'a>(
    entries: impl Iterator<Item = (EntryRef, &'a FrameEntry)>,
    first: u32,
) -> impl Iterator<Item = (EntryRef, &'a FrameEntry, u32)> {
    entries.scan(first, |next, (entry, frames)| {
        let id = *next;
        *next += frames.length;
        Some((entry, frames, id))
    })
}

/// The runs that use the memory of one node.
#[derive(Default)]
pub(super) struct NodeRuns {
    pub(super) list: Vec<Run>,
    needed: Vec<Needed>,
    made: Vec<Made>,
}

impl NodeRuns {
    /// What word `word` of an input run has to be.
    pub(super) fn needed(&self, run: &Run, word: u32) -> Needed {
        self.needed[(run.table + run.first_word + word) as usize]
    }

    /// What word `word` of an output run is.
    pub(super) fn made(&self, run: &Run, word: u32) -> Made {
        self.made[(run.table + run.first_word + word) as usize]
    }

    fn add_frames(&mut self, case: &Case<'_>, entry: EntryRef, data: &FrameEntry, act: Act, first_id: u32) {
        let tick = i64::from(data.first) * case.calendars.metacycle + data.slot;
        let at = if act == Act::Scatter { tick + 1 } else { tick };
        let (place, rotation, words) = (data.place, data.address, data.length);
        self.list.push(Run { entry, act, place, rotation, words, at, hold: 0, first_id, first_word: 0, table: 0 });
    }

    fn add_firings(
        &mut self,
        case: &Case<'_>,
        entry: EntryRef,
        data: &ComputeEntry,
        reads: &mut ReadId,
        writes: &mut WriteId,
    ) {
        let (inputs, outputs) = (self.needed.len() as u32, self.made.len() as u32);
        let (place, hold) = (data.place, data.exec - 1);
        let (mut consumed, mut produced) = (0, 0);
        for firing in data.firings() {
            self.needed.extend(case.tokens.consumes(data.actor, firing.index));
            self.made.extend(case.tokens.produces(data.actor, firing.index));
            let start = i64::from(data.first) * case.calendars.metacycle + firing.slot;
            let mut add = |stretch: Stretch, act, at, table, first_word: &mut u32, next: &mut u32| {
                let Stretch { address: rotation, words } = stretch;
                let (first_id, first) = (*next, *first_word);
                self.list.push(Run {
                    entry,
                    act,
                    place,
                    rotation,
                    words,
                    at,
                    hold,
                    first_id,
                    first_word: first,
                    table,
                });
                *first_word += words;
                *next += words;
            };
            firing.inputs().for_each(|s| add(s, Act::Input, start, inputs, &mut consumed, reads));
            firing.outputs().for_each(|s| add(s, Act::Output, start + data.exec, outputs, &mut produced, writes));
        }
    }
}

/// Refuses calendars that refer to more words than are looked at.
fn check_limits(case: &Case<'_>, usable: &Usable) -> Result<(), Violation> {
    let (mut all, mut all_copies) = (0_u128, 0_u128);
    for node in case.machine.nodes().ids() {
        let mut copies = 0_u128;
        let mut add = |times: u32, words: u32, count: u32| {
            let words = u128::from(times) * u128::from(words);
            all += words;
            copies += words * u128::from(count);
        };
        for (_, data) in usable.computes_of(case, node) {
            let operands = data.inputs.iter().chain(&data.outputs);
            operands.for_each(|operand| add(data.repeat.firings, operand.words, operand.address.count));
        }
        for &link in case.machine.outgoing(node) {
            usable.gathers(case, link).for_each(|(_, data)| add(1, data.length, data.address.count));
        }
        for &link in case.machine.incoming(node) {
            usable.scatters(case, link).for_each(|(_, data)| add(1, data.length, data.address.count));
        }
        if copies > limits::WORDS.into() {
            return Err(Violation::TooManyWords { found: copies, limit: limits::WORDS });
        }
        all_copies += copies;
    }
    for (found, limit) in [(all, limits::WORDS), (all_copies, limits::REFERENCES)] {
        if found > limit.into() {
            return Err(Violation::TooManyWords { found, limit });
        }
    }
    Ok(())
}
