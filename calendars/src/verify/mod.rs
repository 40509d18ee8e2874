//! The verifier: proves that calendars execute their application on their machine, or names every entry that does not.
//!
//! Knows the rules of the machine and nothing of schedulers; shares no code with the analyses, engines or oracles. The proof
//! holds for *all* metacycles, the filling of the pipeline included; nothing is simulated.
//!
//! # Why finitely many checks prove all metacycles
//!
//! **Events.** Word k of an entry acts in activations a = 0, 1, … at ticks τ + a·M, where M is the metacycle and
//! τ = first·M + slot (+ k for frames). Its rotation has `count` copies; the activations that use one copy are those with
//! a ≡ copy − phase (mod count). So at any one address every entry's events are an arithmetic progression with period
//! count·M. One address may be used by rotations of one count only (else [`Violation::MixedRotations`]); then all events at
//! this address have one common period, and modulo it they are points of a *ring* of count·M ticks.
//!
//! **Steady state.** Think of activations from −∞ on. A read that starts at tick s finds the write that became visible last
//! at or before s: the write before it on the ring. Both have the same period, so the difference *shift* = activation of the
//! reader − activation of the writer is a constant. The read needs its word up to tick e (e = s for a frame, the last tick of
//! the firing for an input); it gets it if the next write on the ring becomes visible after e. As the ring is at least M
//! ticks long and firings are at most M, looking at that one write is enough.
//!
//! **Identity.** An entry's activation a belongs to iteration a·U + place, and transports belong to the iteration of the
//! firing that produced their word. So along the way from the firing through all hops every shift must be 0 and every place
//! the same; a store must be exactly λ after its frame. Token n of a channel, initial ones first, T per metacycle: consumed
//! token r + a·T is produced token p + b·T exactly if r − D = p − (a − b)·T, D being the number of initial tokens. This fixes,
//! for each input word, the producing firing's output word and the shift σ = a − b ≥ 0.
//!
//! **Start.** Activations below 0 do not exist. Frames are no problem: their shift is 0, so the write that a read finds on the
//! ring exists whenever the read does. A firing's input of shift σ finds a write that exists in activations a ≥ σ. For a < σ
//! the token is an initial one, which lies at that address from the start; between the (not existing) write that the ring shows
//! and the read's end there is no other write, so it is intact if and only if no existing write became visible at that
//! address at all up to the read's end: the earliest first activation decides. And at most one initial token can lie there.
//!
//! **Nothing spurious.** Every write must be found by a read on the ring, every frame be stored, every store have a frame. In
//! activation b it is then read in activation b + σ ≥ 0, so nothing is spurious while the pipeline fills either.
//!
//! **End.** A run of N iterations leaves out entries of later ones. A consumer's iteration is never before its producer's, so
//! what a remaining read needs is still written; leaving out other writes can replace nothing.
//!
//! Cost: O(n log n) for n words of all entries, each counted once per copy.

mod dataflow;
mod frames;
mod memory;
mod names;
mod resources;
mod runs;
mod shape;
mod tokens;
mod violation;

pub use names::{Cell, EntryRef, TokenWord, WordKind, WordRef, with_names};
pub use violation::Violation;

use crate::format::{CalendarSet, ComputeEntry, FrameEntry};
use dataflow::Dataflow;
use runs::Runs;
use sim_core::ids::{LinkId, NodeId};
use sim_core::{App, Csr, Machine};
use std::collections::{BTreeSet, HashSet};
use std::mem::Discriminant;
use tokens::Tokens;

/// Limits on what is checked; calendars beyond them are refused, so that no file exhausts the machine.
pub mod limits {
    /// Words of all entries; words that one node's entries refer to, each counted once per copy. About 4 GiB of tables.
    pub const WORDS: u64 = 1 << 27;
    /// Words that the entries of all nodes refer to, each counted once per copy. About a minute.
    pub const REFERENCES: u64 = 1 << 30;
    /// Firings of all entries.
    pub const FIRINGS: u64 = 1 << 25;
}

/// What the proof yields besides itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Per link and gather entry, the first word that it sends, in activation 0. In activation a its token's number is
    /// higher by a · T. A run may go on with words of other channels.
    pub frames: Csr<LinkId, TokenWord>,
}

/// Proves that `calendars` execute `app` on `machine`, for ever, without a missing, spurious or overwritten word.
///
/// O(n log n) for n words of all entries, each counted once per copy.
///
/// # Errors
/// All violations, in a fixed order: header, entries alone, resources, frames, memory, tokens. Rules that relate entries leave
/// out entries that are broken alone; rules about words report the same entries once, with the first word.
pub fn verify(app: &App, machine: &Machine, calendars: &CalendarSet) -> Result<Verified, Vec<Violation>> {
    let mut violations = shape::check_header(machine, calendars);
    if !violations.is_empty() {
        return Err(violations);
    }
    let tokens = Tokens::count(app, calendars.unroll)?;
    let case = Case { app, machine, calendars, tokens };
    violations = shape::check_lengths(&case);
    if !violations.is_empty() {
        return Err(violations);
    }
    let mut report = Report::default();
    let usable = shape::check_entries(&case, &mut report);
    resources::check_firings(&case, &mut report);
    resources::check_states(&case, &usable, &mut report);
    resources::check_cores(&case, &usable, &mut report);
    resources::check_links(&case, &usable, &mut report);
    let runs = match Runs::count(&case, &usable) {
        Ok(runs) => runs,
        Err(violation) => {
            report.add(violation);
            return Err(report.violations);
        }
    };
    let senders = frames::pair(&runs, &mut report);
    let found = memory::check(&runs, &mut report);
    let dataflow = Dataflow::trace(&runs, senders, found);
    dataflow.check(&mut report);
    violations = report.violations;
    if violations.is_empty() { Ok(Verified { frames: dataflow.carried() }) } else { Err(violations) }
}

/// What is verified.
struct Case<'a> {
    app: &'a App,
    machine: &'a Machine,
    calendars: &'a CalendarSet,
    tokens: Tokens<'a>,
}

/// The violations so far.
#[derive(Default)]
struct Report {
    violations: Vec<Violation>,
    /// Word-level rules and the entries that are reported to break them.
    reported: HashSet<(Discriminant<Violation>, Vec<EntryRef>)>,
}

impl Report {
    fn add(&mut self, violation: Violation) {
        self.violations.push(violation);
    }

    /// Adds a violation of a rule about words, unless the same entries already broke the same rule at another word.
    fn add_once(&mut self, violation: Violation) {
        if self.reported.insert((std::mem::discriminant(&violation), violation.entries())) {
            self.violations.push(violation);
        }
    }

    /// Whether `check` adds nothing.
    fn is_clean(&mut self, check: impl FnOnce(&mut Self)) -> bool {
        let before = self.violations.len();
        check(self);
        self.violations.len() == before
    }
}

/// Which entries are sound enough to be related to others: all but the `broken` ones.
#[derive(Default)]
struct Usable {
    broken: BTreeSet<EntryRef>,
}

impl Usable {
    /// All usable runs of firings.
    fn computes<'a>(&'a self, case: &'a Case<'_>) -> impl Iterator<Item = (EntryRef, &'a ComputeEntry)> {
        case.machine.nodes().ids().flat_map(|node| self.computes_of(case, node))
    }

    /// The usable runs of firings of one node.
    fn computes_of<'a>(
        &'a self,
        case: &'a Case<'_>,
        node: NodeId,
    ) -> impl Iterator<Item = (EntryRef, &'a ComputeEntry)> + use<'a> {
        self.sound(&case.calendars.nodes[node].compute, move |index| EntryRef::Compute(node, index))
    }

    /// The usable gather entries of one link.
    fn gathers<'a>(
        &'a self,
        case: &'a Case<'_>,
        link: LinkId,
    ) -> impl Iterator<Item = (EntryRef, &'a FrameEntry)> + use<'a> {
        self.sound(&case.calendars.links[link].gather, move |index| EntryRef::Gather(link, index))
    }

    /// The usable scatter entries of one link.
    fn scatters<'a>(
        &'a self,
        case: &'a Case<'_>,
        link: LinkId,
    ) -> impl Iterator<Item = (EntryRef, &'a FrameEntry)> + use<'a> {
        self.sound(&case.calendars.links[link].scatter, move |index| EntryRef::Scatter(link, index))
    }

    /// The entries that are sound, with the names that `name` makes of their positions.
    fn sound<'a, T>(
        &'a self,
        entries: &'a [T],
        name: impl Fn(u32) -> EntryRef,
    ) -> impl Iterator<Item = (EntryRef, &'a T)> {
        let named = entries.iter().zip(0..).map(move |(entry, index)| (name(index), entry));
        named.filter(|(name, _)| !self.broken.contains(name))
    }
}
