//! Identity of words: every word that a firing consumes is the one that the token numbers ask for.
//!
//! Identities are resolved, not believed: from the read to the write that it finds, from a store to its sender, and on,
//! until a firing has produced the word.

use super::Report;
use super::memory::Found;
use super::names::{EntryRef, TokenWord};
use super::runs::{Act, ReadId, Runs, WriteId};
use super::tokens::{Made, Tokens};
use super::violation::Violation;
use sim_core::ids::{IdVec, LinkId};

/// How far the origin of a written word is known.
#[derive(Clone, Copy)]
enum Origin {
    Unknown,
    /// Being looked for: seen again, it proves a circle.
    Open,
    /// Nothing produced it, for a reason that is reported where it lies.
    None,
    Firing(Made),
}

/// How words came to where they are, and from which firings.
pub(super) struct Dataflow<'a> {
    runs: &'a Runs,
    /// Who sends what a scatter run stores.
    senders: Vec<Option<ReadId>>,
    /// What every read finds.
    found: Vec<Option<Found>>,
    origins: Vec<Origin>,
}

impl<'a> Dataflow<'a> {
    /// Traces every written word back to its firing.
    pub(super) fn trace(runs: &'a Runs, senders: Vec<Option<ReadId>>, found: Vec<Option<Found>>) -> Self {
        let mut origins = vec![Origin::Unknown; runs.writes as usize];
        for run in runs.list.iter().filter(|run| run.act == Act::Output) {
            for word in 0..run.words {
                origins[(run.first_id + word) as usize] = Origin::Firing(runs.made(run, word));
            }
        }
        let mut this = Self { runs, senders, found, origins };
        let mut path = Vec::new();
        for write in 0..runs.writes {
            this.resolve(write, &mut path);
        }
        this
    }

    /// Walks back from `write` to a word whose origin is known, and notes it for all words on the way.
    fn resolve(&mut self, write: WriteId, path: &mut Vec<WriteId>) {
        let mut at = write;
        let origin = loop {
            match self.origins[at as usize] {
                Origin::Unknown => {}
                Origin::Open => break Origin::None,
                known => break known,
            }
            self.origins[at as usize] = Origin::Open;
            path.push(at);
            match self.stored_from(at) {
                Some(earlier) => at = earlier,
                None => break Origin::None,
            }
        };
        for word in path.drain(..) {
            self.origins[word as usize] = origin;
        }
    }

    /// The word that the sender of a stored word found, if it sent one of its own activation.
    fn stored_from(&self, write: WriteId) -> Option<WriteId> {
        let sender = self.senders[write as usize]?;
        let found = self.found[sender as usize]?;
        (found.shift == 0).then_some(found.write)
    }

    /// Checks that every input word of every firing is the right one.
    pub(super) fn check(&self, tokens: &Tokens<'_>, report: &mut Report) {
        for run in self.runs.list.iter().filter(|run| run.act == Act::Input) {
            for word in 0..run.words {
                let Some(found) = self.found[(run.first_id + word) as usize] else { continue };
                let Origin::Firing(made) = self.origins[found.write as usize] else { continue };
                let needed = self.runs.needed(run, word);
                if made != needed.made || found.shift != needed.shift {
                    report.add_once(Violation::WrongToken {
                        word: run.word(word),
                        activation: needed.shift,
                        needed: tokens.name(needed.made, 0),
                        found: tokens.name(made, needed.shift - found.shift),
                        path: self.path(found.write),
                    });
                }
            }
        }
    }

    /// The entries through which a written word came, its firing first.
    fn path(&self, write: WriteId) -> Vec<EntryRef> {
        let mut path = Vec::new();
        let mut at = Some(write);
        while let Some(word) = at {
            path.push(self.runs.writer(word).entry);
            if let Some(sender) = self.senders[word as usize] {
                path.push(self.runs.reader(sender).entry);
            }
            at = self.stored_from(word);
        }
        path.reverse();
        path
    }

    /// The word that every gather entry sends first, in activation 0, by link. `None` if it could not be resolved.
    pub(super) fn carried(&self, tokens: &Tokens<'_>) -> IdVec<LinkId, Vec<Option<TokenWord>>> {
        let first_word = |&run: &usize| {
            let found = self.found[self.runs.list[run].first_id as usize]?;
            match self.origins[found.write as usize] {
                Origin::Firing(made) => Some(tokens.name(made, 0)),
                Origin::Unknown | Origin::Open | Origin::None => None,
            }
        };
        self.runs.gathers.values().map(|runs| runs.iter().map(first_word).collect()).collect()
    }
}
