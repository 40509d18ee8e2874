//! Why there is no calendar.

use crate::analysis::{AnalysisError, TooManyFirings};
use sim_core::{ActorId, NodeId};

/// Why there is no calendar.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CompileError {
    /// The application itself cannot run.
    #[error(transparent)]
    Analysis(#[from] AnalysisError),
    /// More words per metacycle than are planned for.
    #[error(
        "channel `{channel}` moves {words} words in a metacycle of {unroll} iterations, allowed are {limit} on all channels together"
    )]
    TooManyWords {
        /// The channel's name.
        channel: String,
        /// Words, with those of the channels before it.
        words: u64,
        /// Iterations.
        unroll: u32,
        /// The most that is allowed.
        limit: u64,
    },
    /// Only switches.
    #[error("no node of machine `{machine}` has a core: all {nodes} are switches")]
    NoCores {
        /// The machine's name.
        machine: String,
        /// How many nodes there are.
        nodes: usize,
    },
    /// Parts without any link between them: they share no logical time.
    #[error(
        "machine `{machine}` is disconnected: no link joins {apart} of its {nodes} nodes, such as `{node}`, to `{start}`"
    )]
    Disconnected {
        /// The machine's name.
        machine: String,
        /// The first node.
        start: String,
        /// A node that is not connected with it.
        node: String,
        /// How many nodes are not.
        apart: usize,
        /// How many nodes there are.
        nodes: usize,
    },
    /// A pin to a node that is not there.
    #[error("actor `{actor}` is pinned to {node}, but the machine has {nodes} nodes")]
    PinnedNowhere {
        /// The actor's name.
        actor: String,
        /// The node asked for.
        node: NodeId,
        /// How many nodes there are.
        nodes: usize,
    },
    /// A pin of an actor that is not there.
    #[error("{actor} is pinned, but there are {actors} actors")]
    NoSuchActor {
        /// The actor asked for.
        actor: ActorId,
        /// How many actors there are.
        actors: usize,
    },
    /// A pin to a node without a core.
    #[error("actor `{actor}` is pinned to `{node}`, which is a switch: it has no core")]
    PinnedToSwitch {
        /// The actor's name.
        actor: String,
        /// The node's name.
        node: String,
    },
    /// No way for a channel's tokens.
    #[error("channel `{channel}` needs a path from `{from}` to `{to}`, but no sequence of links leads there")]
    Unreachable {
        /// The channel's name.
        channel: String,
        /// Name of the producer's node.
        from: String,
        /// Name of the consumer's node.
        to: String,
    },
    /// A node's memory is too small.
    #[error("node `{node}` needs {needed} words of memory and has {available}: {} short", needed - available)]
    MemoryShort {
        /// The node's name.
        node: String,
        /// Words needed.
        needed: u64,
        /// Words that there are.
        available: u64,
    },
    /// A calendar does not fit its table.
    #[error("{calendar} needs {needed} entries, node `{node}` holds {available} per calendar: {} short", needed - available)]
    CalendarShort {
        /// Which calendar.
        calendar: String,
        /// The node's name.
        node: String,
        /// Entries needed.
        needed: usize,
        /// Entries that there are.
        available: usize,
    },
    /// The heuristic found no slots, however long the metacycle: not expected.
    #[error("no slots were found for metacycles up to {metacycle} ticks")]
    NoSlots {
        /// The longest that was tried.
        metacycle: i64,
    },
    /// The verifier objects to what was made: a fault of the compiler.
    #[error("the compiler made calendars that break {} rules; the first: {}", .0.len(), .0[0])]
    Unsound(Vec<calendars::Violation>),
}

impl From<TooManyFirings> for CompileError {
    fn from(error: TooManyFirings) -> Self {
        Self::Analysis(error.into())
    }
}
