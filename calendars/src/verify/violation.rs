//! What can be wrong with calendars: one variant per rule, with the entry that breaks it and the numbers to mend it.

use super::names::{Cell, EntryRef, TokenWord, WordKind, WordRef};
use sim_core::ids::{ActorId, ChannelId, LinkId, NodeId};
use std::fmt;

/// A broken rule. Rules about words are reported once for the same entries, with the first word that breaks them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The format's version is unknown.
    #[error("the calendars have version {found}, this program knows version {known}")]
    Version {
        /// Version found.
        found: u32,
        /// Version known.
        known: u32,
    },
    /// A metacycle without ticks.
    #[error("a metacycle of {found} ticks is too short, at least 1 is needed")]
    Metacycle {
        /// Ticks found.
        found: i64,
    },
    /// A metacycle without iterations.
    #[error("a metacycle holds no iteration, at least 1 is needed")]
    Unroll,
    /// Calendars for another number of nodes.
    #[error("there are calendars for {found} nodes, the machine has {needed}")]
    NodeCount {
        /// Calendars found.
        found: usize,
        /// Nodes of the machine.
        needed: usize,
    },
    /// Calendars for another number of links.
    #[error("there are calendars for {found} links, the machine has {needed}")]
    LinkCount {
        /// Calendars found.
        found: usize,
        /// Links of the machine.
        needed: usize,
    },
    /// A machine that is not in normal form: frames would arrive before they are sent.
    #[error("{link} has latency {found}, in normal form it is at least 0")]
    NegativeLatency {
        /// The link.
        link: LinkId,
        /// Its latency.
        found: i64,
    },
    /// Rates that no repetition vector balances.
    #[error("{channel}: no numbers of firings per iteration balance the rates of the application here")]
    Inconsistent {
        /// The first channel that the others contradict.
        channel: ChannelId,
    },
    /// More firings per metacycle than a calendar can number.
    #[error("{actor} would fire more than {limit} times per metacycle")]
    TooManyFirings {
        /// The actor.
        actor: ActorId,
        /// What 32-bit indices can count.
        limit: u64,
    },
    /// More accesses to memory than can be checked one by one.
    #[error("{found} words per metacycle, all copies counted, are more than the {limit} that can be checked")]
    TooManyWords {
        /// Words, copies counted.
        found: u128,
        /// The limit.
        limit: u64,
    },
    /// More firings than can be checked one by one.
    #[error("{found} firings per metacycle are more than the {limit} that can be checked")]
    TooManyEntryFirings {
        /// Firings of all entries.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// A run of more firings than its actor has.
    #[error("{entry}: a run of {firings} firings, {actor} has {limit} per metacycle")]
    RunTooLong {
        /// The entry.
        entry: EntryRef,
        /// Firings of the run.
        firings: u32,
        /// The actor.
        actor: ActorId,
        /// Firings of the actor.
        limit: u64,
    },
    /// Words of a firing outside of their circular buffer.
    #[error("{entry}: {words} words from word {start} do not fit a circular buffer of {size} words")]
    CircularOutside {
        /// The entry.
        entry: EntryRef,
        /// Words per firing.
        words: u32,
        /// Where the first firing's words start in the buffer.
        start: u32,
        /// Words of the buffer.
        size: u32,
    },

    /// An entry beyond the depth of a calendar.
    #[error("{entry}: beyond the {limit} entries that one calendar of {node} can hold")]
    CalendarDepth {
        /// The first entry too many.
        entry: EntryRef,
        /// The node.
        node: NodeId,
        /// Entries allowed.
        limit: u32,
    },
    /// An entry that should stand before its predecessor.
    #[error("{entry}: stands after entries that belong behind it")]
    Unsorted {
        /// The entry.
        entry: EntryRef,
    },
    /// A slot outside the metacycle.
    #[error("{entry}: slot {slot} is outside the metacycle of {metacycle} slots")]
    SlotOutside {
        /// The entry.
        entry: EntryRef,
        /// Its slot.
        slot: i64,
        /// Slots of a metacycle.
        metacycle: i64,
    },
    /// A run that passes the metacycle's end.
    #[error("{entry}: {length} frames from slot {slot} do not fit the metacycle of {metacycle} slots")]
    RunWraps {
        /// The entry.
        entry: EntryRef,
        /// Its first slot.
        slot: i64,
        /// Its frames.
        length: u32,
        /// Slots of a metacycle.
        metacycle: i64,
    },
    /// A run or an operand without words.
    #[error("{entry}: a run of 0 words")]
    EmptyRun {
        /// The entry.
        entry: EntryRef,
    },
    /// A place outside the metacycle's iterations.
    #[error("{entry}: place {place} is outside the {unroll} iterations of a metacycle")]
    PlaceOutside {
        /// The entry.
        entry: EntryRef,
        /// Its place.
        place: u32,
        /// Iterations of a metacycle.
        unroll: u32,
    },
    /// A rotation over no copy.
    #[error("{entry}: its address rotates over 0 copies, at least 1 is needed")]
    NoCopies {
        /// The entry.
        entry: EntryRef,
    },
    /// An address that does not exist.
    #[error("{entry}: address {address} is outside the {limit} words of {node}")]
    AddressOutside {
        /// The entry.
        entry: EntryRef,
        /// The node.
        node: NodeId,
        /// The highest address that the entry uses.
        address: u64,
        /// Words of the node's memory.
        limit: u64,
    },
    /// Ticks beyond 64-bit arithmetic.
    #[error("{entry}: its first or its copies lie too far in the future for 64-bit ticks")]
    TooLate {
        /// The entry.
        entry: EntryRef,
    },
    /// An actor that does not exist.
    #[error("{entry}: names {actor}, but there are {actors} actors")]
    NoSuchActor {
        /// The entry.
        entry: EntryRef,
        /// The actor named.
        actor: ActorId,
        /// Actors of the application.
        actors: usize,
    },
    /// A core that does not exist.
    #[error("{entry}: names core {core}, but the node has {cores}")]
    NoSuchCore {
        /// The entry.
        entry: EntryRef,
        /// The core named.
        core: u32,
        /// Cores of the node.
        cores: u32,
    },
    /// A firing number that the actor does not have.
    #[error("{entry}: firing {index} of {actor}, which fires {firings} times per metacycle")]
    IndexOutside {
        /// The entry.
        entry: EntryRef,
        /// The actor.
        actor: ActorId,
        /// Its index.
        index: u32,
        /// Firings per metacycle.
        firings: u64,
    },
    /// A duration that is not the actor's.
    #[error("{entry}: holds its core for {found} ticks, firing {index} of {actor} takes {needed}")]
    WrongExec {
        /// The entry.
        entry: EntryRef,
        /// The actor.
        actor: ActorId,
        /// The index of the firing.
        index: u32,
        /// Ticks found.
        found: i64,
        /// Ticks needed.
        needed: i64,
    },
    /// A firing in the wrong iteration.
    #[error("{entry}: has place {found}, firing {index} of {actor} belongs to place {needed}")]
    WrongPlace {
        /// The entry.
        entry: EntryRef,
        /// The actor.
        actor: ActorId,
        /// The index of the firing.
        index: u32,
        /// Place found.
        found: u32,
        /// Place needed.
        needed: u64,
    },
    /// Operands that hold another number of words than the firing consumes or produces.
    #[error("{entry}: its operands have {found} {kind}s, firing {index} of {actor} has {needed}")]
    WrongWords {
        /// The entry.
        entry: EntryRef,
        /// Inputs or outputs.
        kind: WordKind,
        /// The actor.
        actor: ActorId,
        /// The index of the firing.
        index: u32,
        /// Words found.
        found: u64,
        /// Words needed.
        needed: u64,
    },

    /// One firing in two entries.
    #[error("{entry}: firing {index} of {actor} is already {other}")]
    FiredTwice {
        /// The second entry.
        entry: EntryRef,
        /// The first.
        other: EntryRef,
        /// The actor.
        actor: ActorId,
        /// The index of the firing.
        index: u32,
    },
    /// Firings without an entry.
    #[error("{actor}: of its firings in a metacycle, {from} to {to} are in no calendar")]
    NeverFired {
        /// The actor.
        actor: ActorId,
        /// The first missing index.
        from: u64,
        /// The last missing index.
        to: u64,
    },
    /// Two firings on one core at one time.
    #[error("{entry}: takes core {core} in slot {slot}, which {other} holds")]
    CoreOverlap {
        /// The later entry.
        entry: EntryRef,
        /// The entry that holds the core.
        other: EntryRef,
        /// The core.
        core: u32,
        /// The first common slot.
        slot: i64,
    },
    /// A firing that overlaps its own next activation.
    #[error("{entry}: holds its core for {exec} ticks, a metacycle has {metacycle}")]
    LongerThanMetacycle {
        /// The entry.
        entry: EntryRef,
        /// Its duration.
        exec: i64,
        /// Ticks of a metacycle.
        metacycle: i64,
    },
    /// Two frames in one slot of a link.
    #[error("{entry}: takes slot {slot}, which {other} holds")]
    LinkOverlap {
        /// The later entry.
        entry: EntryRef,
        /// The entry that holds the slot.
        other: EntryRef,
        /// The first common slot.
        slot: i64,
    },
    /// Firings of an actor with state on two nodes.
    #[error("{entry}: {actor} has state, and its firing 0 is {other} on another node")]
    StateMoved {
        /// The entry away from home.
        entry: EntryRef,
        /// The first firing.
        other: EntryRef,
        /// The actor.
        actor: ActorId,
    },
    /// Firings of an actor with state that overlap or swap.
    #[error(
        "{entry}: {actor} has state, and this firing starts at tick {start}, before the firing before it, {other}, ends at {end}"
    )]
    StateOrder {
        /// The entry that starts too early.
        entry: EntryRef,
        /// The firing before it.
        other: EntryRef,
        /// The actor.
        actor: ActorId,
        /// Its start.
        start: i64,
        /// The end of the firing before it.
        end: i64,
    },

    /// A frame that nobody stores.
    #[error("{word}, sent at tick {sent}, is not stored when it arrives at tick {arrives}")]
    FrameDropped {
        /// The frame.
        word: WordRef,
        /// Tick of its first sending.
        sent: i64,
        /// Tick of its first arrival.
        arrives: i64,
    },
    /// A store without a frame.
    #[error("{word}, stored at tick {arrives}, is not sent at tick {sent}")]
    FrameMissing {
        /// The store.
        word: WordRef,
        /// Tick at which the frame would have to be sent.
        sent: i64,
        /// Tick of the first store.
        arrives: i64,
    },
    /// A frame that is sent in one iteration and stored in another.
    #[error("{word} is stored at place {place}, and {sender} sends it at place {sender_place}")]
    FramePlace {
        /// The store.
        word: WordRef,
        /// Its place.
        place: u32,
        /// The sender.
        sender: EntryRef,
        /// The sender's place.
        sender_place: u32,
    },

    /// One address in rotations of different lengths.
    #[error("{word} has {count} copies, but {other}, which uses {cell} too, has {other_count}")]
    MixedRotations {
        /// The word.
        word: WordRef,
        /// Its copies.
        count: u32,
        /// Another entry at this address.
        other: EntryRef,
        /// That entry's copies.
        other_count: u32,
        /// The address.
        cell: Cell,
    },
    /// Two writes to one address in one tick.
    #[error("{word} is written to {cell} in the same tick as a word of {other}")]
    WrittenTwice {
        /// The word.
        word: WordRef,
        /// The entry that writes the other word.
        other: EntryRef,
        /// The address.
        cell: Cell,
    },
    /// A word that is replaced before its last read.
    #[error("{word} at {cell} is needed for {needed} ticks, and {by} replaces it after {kept}")]
    Overwritten {
        /// The word that is read.
        word: WordRef,
        /// The address.
        cell: Cell,
        /// Ticks for which the reader needs it.
        needed: i64,
        /// Ticks for which it stays.
        kept: i64,
        /// The entry that writes another word.
        by: EntryRef,
    },
    /// A read of an address that nobody writes.
    #[error("{word} is read at {cell}, which nothing writes")]
    NeverWritten {
        /// The word.
        word: WordRef,
        /// The address.
        cell: Cell,
    },
    /// A word that nobody reads before it is replaced.
    #[error("{word} is written to {cell} and never read")]
    Unread {
        /// The word.
        word: WordRef,
        /// The address.
        cell: Cell,
    },
    /// A frame whose word belongs to another iteration than the entry that sends it.
    #[error(
        "{word} is at {cell} a word of {writer}: the places {place} and {writer_place} should be equal, and the activations, which differ by {shift}"
    )]
    WrongIteration {
        /// The frame.
        word: WordRef,
        /// The sender's place.
        place: u32,
        /// The address.
        cell: Cell,
        /// The entry that wrote the word.
        writer: EntryRef,
        /// That entry's place.
        writer_place: u32,
        /// Activation of the sender minus activation of the writer.
        shift: i64,
    },
    /// A word that differs from copy to copy.
    #[error(
        "{word} is at {cell} what {writer} wrote {shift} activations before, and at another copy what {other} wrote {other_shift} before"
    )]
    CopiesDiffer {
        /// The word.
        word: WordRef,
        /// One copy's address.
        cell: Cell,
        /// Who wrote it there.
        writer: EntryRef,
        /// Activation of the reader minus activation of that writer.
        shift: i64,
        /// Who wrote it at another copy.
        other: EntryRef,
        /// Activation of the reader minus activation of that other writer.
        other_shift: i64,
    },
    /// Two initial tokens at one address.
    #[error("{word} and {other} both expect a word of an initial token at {cell}")]
    InitialClash {
        /// The word.
        word: WordRef,
        /// The other word.
        other: WordRef,
        /// The address.
        cell: Cell,
    },
    /// A word of an initial token that is replaced before it is read.
    #[error("{word} needs a word of an initial token at {cell} up to tick {until}, and {by} replaces it at {at}")]
    InitialOverwritten {
        /// The word.
        word: WordRef,
        /// The address.
        cell: Cell,
        /// The last tick at which it is needed.
        until: i64,
        /// The tick from which another word is there.
        at: i64,
        /// The entry that writes that word.
        by: EntryRef,
    },
    /// A firing that finds another word than the one it is to consume.
    #[error("{word} has to be {needed} in activation {activation}, found is {found} from {}", Path(.path))]
    WrongToken {
        /// The input word.
        word: WordRef,
        /// The activation that the numbers are for: the first that consumes no initial token.
        activation: i64,
        /// The word that it consumes.
        needed: TokenWord,
        /// The word that it finds.
        found: TokenWord,
        /// The entries through which the found word came: the firing that produced it, then hop by hop.
        path: Vec<EntryRef>,
    },
}

/// Shows entries in the order in which a word passes them.
struct Path<'a>(&'a [EntryRef]);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, entry) in self.0.iter().enumerate() {
            write!(f, "{}{entry}", if i == 0 { "" } else { " → " })?;
        }
        Ok(())
    }
}

impl Violation {
    /// The entries that the violation names, the one to look at first in front. Empty for headers and missing firings.
    #[must_use]
    pub fn entries(&self) -> Vec<EntryRef> {
        match self {
            Self::Version { .. }
            | Self::Metacycle { .. }
            | Self::Unroll
            | Self::NodeCount { .. }
            | Self::LinkCount { .. }
            | Self::NegativeLatency { .. }
            | Self::Inconsistent { .. }
            | Self::TooManyFirings { .. }
            | Self::TooManyWords { .. }
            | Self::TooManyEntryFirings { .. }
            | Self::NeverFired { .. } => Vec::new(),
            Self::CalendarDepth { entry, .. }
            | Self::Unsorted { entry }
            | Self::SlotOutside { entry, .. }
            | Self::RunWraps { entry, .. }
            | Self::EmptyRun { entry }
            | Self::RunTooLong { entry, .. }
            | Self::CircularOutside { entry, .. }
            | Self::PlaceOutside { entry, .. }
            | Self::NoCopies { entry }
            | Self::AddressOutside { entry, .. }
            | Self::TooLate { entry }
            | Self::NoSuchActor { entry, .. }
            | Self::NoSuchCore { entry, .. }
            | Self::IndexOutside { entry, .. }
            | Self::WrongExec { entry, .. }
            | Self::WrongPlace { entry, .. }
            | Self::WrongWords { entry, .. }
            | Self::LongerThanMetacycle { entry, .. } => vec![*entry],
            Self::FiredTwice { entry, other, .. }
            | Self::CoreOverlap { entry, other, .. }
            | Self::LinkOverlap { entry, other, .. }
            | Self::StateMoved { entry, other, .. }
            | Self::StateOrder { entry, other, .. } => vec![*entry, *other],
            Self::FrameDropped { word, .. }
            | Self::FrameMissing { word, .. }
            | Self::NeverWritten { word, .. }
            | Self::Unread { word, .. } => vec![word.entry],
            Self::FramePlace { word, sender: other, .. }
            | Self::MixedRotations { word, other, .. }
            | Self::WrittenTwice { word, other, .. }
            | Self::Overwritten { word, by: other, .. }
            | Self::WrongIteration { word, writer: other, .. }
            | Self::InitialOverwritten { word, by: other, .. } => vec![word.entry, *other],
            Self::CopiesDiffer { word, writer, other, .. } => vec![word.entry, *writer, *other],
            Self::InitialClash { word, other, .. } => vec![word.entry, other.entry],
            Self::WrongToken { word, path, .. } => std::iter::once(word.entry).chain(path.iter().copied()).collect(),
        }
    }
}
