//! Lowering: from calendars to the flat program that engines execute.
//!
//! A program names words by the firing that produces them, calendars by where they lie. So what a firing consumes follows
//! from the order of tokens on its channels (`tokens`), what a frame carries from the addresses that lead back to a
//! firing (`frames`), and both must agree: every address that a firing reads is shown to hold the very word that its
//! channel owes it (`sites`). The meaning of verified calendars is kept; of broken ones the first fault is reported.

mod firings;
mod frames;
mod sites;
mod tokens;

use crate::format::{CalendarSet, Rotation};
use sim_core::ids::{ActorId, ChannelId, IdVec, LinkId, NodeId};
use sim_core::program::{AddressId, Program, ProgramParts, RotatingAddress, limits};
use sim_core::time::Tick;
use sim_core::{App, Machine};
use std::collections::BTreeMap;
use std::fmt;

/// Metacycles that start later are refused, so that sums of a few ticks cannot overflow.
const LAST_TICK: i64 = 1 << 60;

/// A calendar entry, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryPlace {
    /// In a gather calendar.
    Gather {
        /// The link.
        link: LinkId,
        /// Slot of the entry, or of one frame of it.
        slot: i64,
    },
    /// In a scatter calendar.
    Scatter {
        /// The link.
        link: LinkId,
        /// Slot of the entry, or of one frame of it.
        slot: i64,
    },
    /// In a compute calendar.
    Compute {
        /// The node.
        node: NodeId,
        /// Slot of the firing's first tick.
        slot: i64,
        /// The core.
        core: u32,
    },
}

impl fmt::Display for EntryPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gather { link, slot } => write!(f, "gather of {link} at slot {slot}"),
            Self::Scatter { link, slot } => write!(f, "scatter of {link} at slot {slot}"),
            Self::Compute { node, slot, core } => write!(f, "firing on {node}, core {core}, at slot {slot}"),
        }
    }
}

/// Why calendars do not make a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LowerError {
    /// A metacycle without ticks, or beyond what tick arithmetic is made for.
    #[error("a metacycle has {metacycle} ticks, allowed are 1 to {}", limits::TICKS)]
    Metacycle {
        /// Ticks found.
        metacycle: i64,
    },
    /// No iteration per metacycle.
    #[error("a metacycle holds no iteration")]
    NoIteration,
    /// Calendars of another machine.
    #[error(
        "the calendars are for {nodes} nodes and {links} links, the machine has {machine_nodes} and {machine_links}"
    )]
    OtherMachine {
        /// Nodes with a calendar.
        nodes: usize,
        /// Links with a calendar.
        links: usize,
        /// Nodes of the machine.
        machine_nodes: usize,
        /// Links of the machine.
        machine_links: usize,
    },
    /// A latency that is negative, or beyond what tick arithmetic is made for.
    #[error("{link} has a latency of {latency} ticks, allowed are 0 to {}", limits::TICKS)]
    Latency {
        /// The link.
        link: LinkId,
        /// Ticks found.
        latency: i64,
    },
    /// More entries than a program holds.
    #[error("a metacycle has more than {} frames and firings", limits::EVENTS)]
    TooManyEvents,
    /// More words than a program can address.
    #[error("all memories and the outputs of a metacycle have {words} words, allowed are {}", limits::MEMORY_WORDS)]
    Memory {
        /// Words found.
        words: u64,
    },
    /// An entry outside the metacycle.
    #[error("{entry} takes {length} slots of a metacycle of {metacycle}")]
    Slot {
        /// The entry.
        entry: EntryPlace,
        /// Frames, or ticks of a firing.
        length: i64,
        /// Ticks of a metacycle.
        metacycle: i64,
    },
    /// An entry that acts for the first time later than ticks can count.
    #[error("{entry} acts first in metacycle {first} of {metacycle} ticks, which is later than ticks are counted")]
    Late {
        /// The entry.
        entry: EntryPlace,
        /// First metacycle in which it acts.
        first: u32,
        /// Ticks of a metacycle.
        metacycle: i64,
    },
    /// A place beyond the iterations of a metacycle.
    #[error("{entry} has place {place}, there are {unroll} iterations in a metacycle")]
    Place {
        /// The entry.
        entry: EntryPlace,
        /// Place found.
        place: u32,
        /// Iterations per metacycle.
        unroll: u32,
    },
    /// A rotation without copies.
    #[error("{entry} rotates over 0 copies")]
    NoCopies {
        /// The entry.
        entry: EntryPlace,
    },
    /// An operand without words.
    #[error("{entry} has an operand of 0 words")]
    NoWords {
        /// The entry.
        entry: EntryPlace,
    },
    /// Words of a firing outside of their circular buffer.
    #[error("{entry} has {words} words from word {start} of a circular buffer of {size} words")]
    Circular {
        /// The entry.
        entry: EntryPlace,
        /// Words per firing.
        words: u32,
        /// Where the first firing's words start in the buffer.
        start: u32,
        /// Words of the buffer.
        size: u32,
    },
    /// An address beyond 2³¹ words.
    #[error("{entry} reaches address {address}, addresses are below {}", limits::MEMORY_WORDS)]
    Address {
        /// The entry.
        entry: EntryPlace,
        /// The largest address.
        address: u64,
    },
    /// Two frames in one slot of a link.
    #[error("{entry} is one of two")]
    SlotTaken {
        /// The frame.
        entry: EntryPlace,
    },
    /// A frame that is sent but not stored, or the reverse.
    #[error("{entry} of place {place}, first acting in metacycle {first}, has no counterpart at the other end")]
    Unmatched {
        /// The frame.
        entry: EntryPlace,
        /// First metacycle in which it acts.
        first: u32,
        /// Its place.
        place: u32,
    },
    /// An actor that does not exist.
    #[error("{entry} names {actor}, there are {actors} actors")]
    NoSuchActor {
        /// The entry.
        entry: EntryPlace,
        /// The actor.
        actor: ActorId,
        /// How many actors there are.
        actors: usize,
    },
    /// A number of firings that is no whole number of iterations.
    #[error(
        "{actor} has {found} firings in a metacycle, which is not a positive multiple of {multiple} (iterations × phases)"
    )]
    FiringCount {
        /// The actor.
        actor: ActorId,
        /// Firings found.
        found: u64,
        /// Iterations per metacycle times phases.
        multiple: u64,
    },
    /// A firing with a number that is too large, was there before, or belongs to another iteration.
    #[error("{entry} is firing {index} of {firings} of {actor} with place {place}: {problem}")]
    FiringIndex {
        /// The entry.
        entry: EntryPlace,
        /// The actor.
        actor: ActorId,
        /// Number found.
        index: u32,
        /// Firings of the actor in a metacycle.
        firings: u64,
        /// Place found.
        place: u32,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// More tokens produced on a channel than consumed, or fewer.
    #[error("in a metacycle {produced} words enter {channel} and {consumed} leave it")]
    Unbalanced {
        /// The channel.
        channel: ChannelId,
        /// Words that its producer's firings make.
        produced: u64,
        /// Words that its consumer's firings take.
        consumed: u64,
    },
    /// A frame whose address holds nothing that this activation has written.
    #[error("{entry} sends a word that no firing or store of its iteration has put there")]
    Unwritten {
        /// The frame.
        entry: EntryPlace,
    },
    /// A word that arrives where it is already.
    #[error("{entry} stores a word that the node has already")]
    StoredTwice {
        /// The frame.
        entry: EntryPlace,
    },
    /// A firing whose input is not where it looks, or not yet.
    #[error("{entry} looks for a word of {channel} where it is not, or before it is there")]
    Misread {
        /// The firing.
        entry: EntryPlace,
        /// The channel.
        channel: ChannelId,
    },
    /// Operands that are not what the actor reads or writes.
    #[error("{entry} has {found} {side} words, {actor} needs {needed} in this phase")]
    OperandWords {
        /// The entry.
        entry: EntryPlace,
        /// The actor.
        actor: ActorId,
        /// "input" or "output".
        side: &'static str,
        /// Words found.
        found: u64,
        /// Words needed.
        needed: u64,
    },
    /// An actor with state on two nodes.
    #[error("{actor} has state but fires on {one} and on {other}")]
    TwoHomes {
        /// The actor.
        actor: ActorId,
        /// A node on which it fires.
        one: NodeId,
        /// Another one.
        other: NodeId,
    },
}

/// Lowers the calendars of `app` on `machine`. O(n log n) in frames, firings, operands and words of initial tokens.
///
/// # Errors
/// [`LowerError`], the first that is found.
///
/// # Examples
/// An actor without channels, fired on one node every five ticks for two ticks each:
/// ```
/// use calendars::{CalendarSet, ComputeEntry, NodeCalendar, Repeat, Shared, lower};
/// use sim_core::mix::Mix;
/// use sim_core::{Actor, ActorId, ActorState, App, Link, Machine, Node, RunOptions, Tick, engine};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let behaviour = std::sync::Arc::new(Mix::new("a", Vec::new()));
/// let state = ActorState::None;
/// let actor = Actor { name: "a".into(), exec: [2].into(), state, behaviour, pin: None, fed: false, place: None };
/// let app = App::new("one", vec![actor], Vec::new())?;
/// let machine = Machine::new("one", vec![Node::new("n", 1)], Vec::<Link>::new())?;
/// let firing = ComputeEntry {
///     slot: 1, first: 0, place: 0, core: 0, actor: ActorId(0), index: 0, exec: 2, repeat: Repeat::ONCE,
///     inputs: Shared::default(), outputs: Shared::default(),
/// };
/// let calendars = CalendarSet {
///     version: CalendarSet::VERSION,
///     app: "one".into(),
///     machine: "one".into(),
///     metacycle: 5,
///     unroll: 1,
///     nodes: vec![NodeCalendar { compute: vec![firing] }].into(),
///     links: Vec::new().into(),
/// };
/// let program = lower(&app, &machine, &calendars)?;
/// let outcome = engine::run(&app, &program, &RunOptions { iterations: 3, ..RunOptions::default() })?;
/// assert_eq!(outcome.ticks, Some(Tick(2 * 5 + 1 + 2)));
/// # Ok(())
/// # }
/// ```
pub fn lower(app: &App, machine: &Machine, calendars: &CalendarSet) -> Result<Program, LowerError> {
    let CalendarSet { metacycle, unroll, .. } = *calendars;
    if !(1..=limits::TICKS).contains(&metacycle) {
        return Err(LowerError::Metacycle { metacycle });
    }
    if unroll == 0 {
        return Err(LowerError::NoIteration);
    }
    check_counts(machine, calendars)?;
    let before = tokens::Before::new(app);
    let mut addresses = Addresses::default();
    let firings::Firings { firings, products, entries } =
        firings::lower(app, machine, calendars, &before, &mut addresses)?;
    let (firings, reads) = tokens::reads(app, firings, &products, &before)?;
    let frames::Frames { mut frames, frames_of, from } = frames::lower(machine, calendars, &mut addresses)?;
    let addresses = addresses.list;
    let case = sites::Case {
        machine,
        calendars,
        entries: &entries,
        firings: &firings,
        products: &products,
        addresses: &addresses,
    };
    sites::resolve(&case, &mut frames, &frames_of, &from)?;
    sites::check_reads(&case, &reads, &frames, &frames_of)?;
    let parts = ProgramParts {
        identity: calendars.identity(machine),
        metacycle,
        unroll,
        channels: app.channels().len(),
        actors: app.actors().len(),
        firings,
        reads,
        products,
        frames,
        frames_of,
        addresses,
    };
    Ok(Program::new(machine, parts))
}

/// Addresses that were met.
#[derive(Default)]
struct Addresses {
    list: IdVec<AddressId, RotatingAddress>,
    numbers: BTreeMap<RotatingAddress, AddressId>,
}

impl Addresses {
    fn number(&mut self, address: RotatingAddress) -> AddressId {
        *self.numbers.entry(address).or_insert_with(|| self.list.push(address))
    }
}

fn check_counts(machine: &Machine, calendars: &CalendarSet) -> Result<(), LowerError> {
    let (nodes, links) = (calendars.nodes.len(), calendars.links.len());
    let (machine_nodes, machine_links) = (machine.nodes().len(), machine.links().len());
    if (nodes, links) != (machine_nodes, machine_links) {
        return Err(LowerError::OtherMachine { nodes, links, machine_nodes, machine_links });
    }
    let sent = calendars.links.values().flat_map(|link| &link.gather).map(|entry| u64::from(entry.length));
    let stored = calendars.links.values().flat_map(|link| &link.scatter).map(|entry| u64::from(entry.length));
    let firings = calendars.nodes.values().flat_map(|node| &node.compute).map(|entry| u64::from(entry.repeat.firings));
    if sent.chain(firings).fold(0, u64::saturating_add).max(stored.fold(0, u64::saturating_add)) > limits::EVENTS {
        return Err(LowerError::TooManyEvents);
    }
    Ok(())
}

/// The tick of slot `slot` of metacycle `first`, `after` ticks later.
fn tick(calendars: &CalendarSet, entry: EntryPlace, first: u32, slot: i64, after: i64) -> Result<Tick, LowerError> {
    let metacycle = calendars.metacycle;
    let start = i64::from(first).checked_mul(metacycle).filter(|&start| start <= LAST_TICK);
    start.map(|start| Tick(start + slot + after)).ok_or(LowerError::Late { entry, first, metacycle })
}

fn check_place(entry: EntryPlace, place: u32, unroll: u32) -> Result<(), LowerError> {
    if place >= unroll { Err(LowerError::Place { entry, place, unroll }) } else { Ok(()) }
}

/// `words` words from `address`, `skip` words further, in the program's form.
fn rotating(entry: EntryPlace, address: Rotation, skip: u64, words: u64) -> Result<RotatingAddress, LowerError> {
    let Rotation { base, stride, count, phase } = address;
    if count == 0 {
        return Err(LowerError::NoCopies { entry });
    }
    if words == 0 {
        return Err(LowerError::NoWords { entry });
    }
    let base = u64::from(base) + skip;
    let last = base + u64::from(stride) * u64::from(count - 1) + (words - 1);
    if last >= limits::MEMORY_WORDS {
        return Err(LowerError::Address { entry, address: last });
    }
    let base = u32::try_from(base).expect("it is not beyond the last address");
    // An address that never changes is written in many ways, but all of them are equal in a program.
    let (stride, count, phase) = if count == 1 || stride == 0 { (0, 1, 0) } else { (stride, count, phase % count) };
    Ok(RotatingAddress { base, stride, count, phase })
}
