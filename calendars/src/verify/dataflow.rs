//! Identity of words: every word that a firing consumes is the one that the token numbers ask for.
//!
//! Identities are resolved, not believed: from the read to the write that it finds, from a store to its sender, and on,
//! until a firing has produced the word.

use super::Report;
use super::frames::Senders;
use super::memory::FoundWords;
use super::names::{EntryRef, TokenWord};
use super::runs::{Act, NodeRuns, ReadId, Run, Runs, WriteId};
use super::tokens::Made;
use super::violation::Violation;
use sim_core::Csr;
use sim_core::ids::LinkId;

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

/// Origins by [`WriteId`], each as one number: those of words that firings make are below 2³² − 3.
struct Origins(Vec<u32>);

impl Origins {
    fn get(&self, write: WriteId) -> Origin {
        match self.0[write as usize] {
            u32::MAX => Origin::Unknown,
            number if number == u32::MAX - 1 => Origin::Open,
            number if number == u32::MAX - 2 => Origin::None,
            made => Origin::Firing(Made(made)),
        }
    }

    fn set(&mut self, write: WriteId, origin: Origin) {
        self.0[write as usize] = match origin {
            Origin::Unknown => u32::MAX,
            Origin::Open => u32::MAX - 1,
            Origin::None => u32::MAX - 2,
            Origin::Firing(Made(made)) => made,
        };
    }
}

/// How words came to where they are, and from which firings.
pub(super) struct Dataflow<'a> {
    runs: &'a Runs<'a>,
    /// Who sends what a scatter run stores.
    senders: Senders,
    /// What every read finds.
    found: FoundWords,
    origins: Origins,
}

impl<'a> Dataflow<'a> {
    /// Traces every written word back to its firing.
    pub(super) fn trace(runs: &'a Runs<'a>, senders: Senders, found: FoundWords) -> Self {
        let mut origins = Origins(vec![u32::MAX; runs.writes()]);
        for_each_run(runs, Act::Output, |node_runs, run| {
            for word in 0..run.words {
                origins.set(run.first_id + word, Origin::Firing(node_runs.made(run, word)));
            }
        });
        let mut this = Self { runs, senders, found, origins };
        let mut path = Vec::new();
        for write in 0..runs.writes() as WriteId {
            this.resolve(write, &mut path);
        }
        this
    }

    /// Walks back from `write` to a word whose origin is known, and notes it for all words on the way.
    fn resolve(&mut self, write: WriteId, path: &mut Vec<WriteId>) {
        let mut at = write;
        let origin = loop {
            match self.origins.get(at) {
                Origin::Unknown => {}
                Origin::Open => break Origin::None,
                known => break known,
            }
            self.origins.set(at, Origin::Open);
            path.push(at);
            match self.stored_from(at) {
                Some(earlier) => at = earlier,
                None => break Origin::None,
            }
        };
        for word in path.drain(..) {
            self.origins.set(word, origin);
        }
    }

    /// The word that the sender of a stored word found, if it sent one of its own activation.
    fn stored_from(&self, write: WriteId) -> Option<WriteId> {
        let sender = self.senders.of(write)?;
        let found = self.found.of(sender)?;
        (found.shift == 0).then_some(found.write)
    }

    /// Checks that every input word of every firing is the right one.
    pub(super) fn check(&self, report: &mut Report) {
        let tokens = &self.runs.case.tokens;
        for_each_run(self.runs, Act::Input, |node_runs, run| {
            for word in 0..run.words {
                let Some(found) = self.found.of(run.first_id + word) else { continue };
                let Origin::Firing(made) = self.origins.get(found.write) else { continue };
                let needed = node_runs.needed(run, word);
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
        });
    }

    /// The entries through which a written word came, its firing first.
    fn path(&self, write: WriteId) -> Vec<EntryRef> {
        let mut path = Vec::new();
        let mut at = Some(write);
        while let Some(word) = at {
            path.push(self.runs.writer(word));
            if let Some(sender) = self.senders.of(word) {
                path.push(self.runs.reader(sender));
            }
            at = self.stored_from(word);
        }
        path.reverse();
        path
    }

    /// The word that every gather entry sends first, in activation 0, by link.
    ///
    /// # Panics
    /// If an entry sends a word without origin, which is a violation.
    pub(super) fn carried(&self) -> Csr<LinkId, TokenWord> {
        let links = self.runs.case.machine.links().ids();
        Csr::from_rows(links.map(|link| self.runs.gathers(link).map(|(_, _, read)| self.sent_word(read))))
    }

    fn sent_word(&self, read: ReadId) -> TokenWord {
        let found = self.found.of(read).expect("a frame that finds no word is a violation");
        match self.origins.get(found.write) {
            Origin::Firing(made) => self.runs.case.tokens.name(made, 0),
            Origin::Unknown | Origin::Open | Origin::None => panic!("a frame without origin is a violation"),
        }
    }
}

/// Hands all runs that do `act` to `each`, node by node.
fn for_each_run(runs: &Runs<'_>, act: Act, mut each: impl FnMut(&NodeRuns, &Run)) {
    let mut node_runs = NodeRuns::default();
    for node in runs.case.machine.nodes().ids() {
        runs.list(node, &mut node_runs);
        node_runs.list.iter().filter(|run| run.act == act).for_each(|run| each(&node_runs, run));
    }
}
