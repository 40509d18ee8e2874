//! What stops the literal machine.

use sim_core::ids::{ActorId, ChannelId, LinkId, NodeId};
use sim_core::reference::RatesError;
use sim_core::time::Tick;
use std::fmt;

/// Why calendars do not run on the literal machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LiteralError {
    /// There is no iteration to repeat.
    #[error(transparent)]
    Rates(#[from] RatesError),
    /// A channel to digest or to record that does not exist.
    #[error("{channel} is to be observed, but there are {channels} channels")]
    NoSuchChannel {
        /// The id that was asked for.
        channel: ChannelId,
        /// How many channels there are.
        channels: usize,
    },
    /// A number that no calendar of this application on this machine can hold.
    #[error("{place}: {what} is {found}, allowed are {min} to {max}")]
    Range {
        /// Where it stands.
        place: Place,
        /// Which figure.
        what: &'static str,
        /// Its value.
        found: i128,
        /// The smallest legal value.
        min: i128,
        /// The largest legal value.
        max: i128,
    },
    /// An initial token has nowhere to lie, because no entry consumes it.
    #[error("no entry is firing {index} of {actor} in a metacycle, which consumes initial tokens of {channel}")]
    NoConsumer {
        /// The channel with the token.
        channel: ChannelId,
        /// Its consumer.
        actor: ActorId,
        /// Number of the missing firing in the metacycle.
        index: u64,
    },
    /// Two words of initial tokens lie at one address.
    #[error("two initial words lie at address {address} of {node}, the second is of token {token} of {channel}")]
    InitialOverlap {
        /// The node.
        node: NodeId,
        /// The address.
        address: u32,
        /// The channel of the second.
        channel: ChannelId,
        /// Its number among the tokens of the channel.
        token: u64,
    },
    /// A firing or a gather reads a word that was never written.
    #[error("address {address} of {node} is read at tick {tick}, but was never written")]
    UnwrittenRead {
        /// The node.
        node: NodeId,
        /// The address.
        address: u32,
        /// When it is read.
        tick: Tick,
    },
    /// Two writes of one address in one tick.
    #[error("address {address} of {node} is written twice in tick {tick}")]
    DoubleWrite {
        /// The node.
        node: NodeId,
        /// The address.
        address: u32,
        /// When both are written.
        tick: Tick,
    },
    /// Two words are to be sent in one tick.
    #[error("two entries send on {link} in tick {tick}")]
    DoubleSend {
        /// The link.
        link: LinkId,
        /// When both are sent.
        tick: Tick,
    },
    /// One frame is to be stored twice.
    #[error("two entries store the frame that arrives on {link} in tick {tick}")]
    DoubleStore {
        /// The link.
        link: LinkId,
        /// When it arrives.
        tick: Tick,
    },
    /// A store whose frame is idle.
    #[error("missing frame: the frame that arrives on {link} in tick {tick} is idle, but is to be stored")]
    MissingFrame {
        /// The link.
        link: LinkId,
        /// When it arrives.
        tick: Tick,
    },
    /// A word arrives that nobody stores.
    #[error("dropped frame: the word that arrives on {link} in tick {tick} is not stored")]
    DroppedFrame {
        /// The link.
        link: LinkId,
        /// When it arrives.
        tick: Tick,
    },
    /// Two firings hold one core.
    #[error("firing {firing} of {actor} starts at tick {tick} on core {core} of {node}, which another firing holds")]
    CoreBusy {
        /// The node.
        node: NodeId,
        /// The core.
        core: u32,
        /// Whose firing starts.
        actor: ActorId,
        /// Its number over the whole run.
        firing: u64,
        /// When it starts.
        tick: Tick,
    },
    /// A firing of an actor with state starts before, or away from where, the firings before it ended.
    #[error(
        "firing {firing} of {actor}, which has state, starts at tick {tick} on {node}, where {ended} firings of it ended"
    )]
    StateElsewhere {
        /// Whose firing.
        actor: ActorId,
        /// Its number over the whole run.
        firing: u64,
        /// Where it starts.
        node: NodeId,
        /// When it starts.
        tick: Tick,
        /// How many firings of the actor ended there so far.
        ended: u64,
    },
    /// An input was written again before the firing's last tick.
    #[error("firing {firing} of {actor} on {node} needs address {address} through tick {tick}, but it was overwritten")]
    InputOverwritten {
        /// Whose firing.
        actor: ActorId,
        /// Its number over the whole run.
        firing: u64,
        /// Where it runs.
        node: NodeId,
        /// The address.
        address: u32,
        /// The firing's last tick.
        tick: Tick,
    },
    /// Two entries stand for one firing.
    #[error("firing {firing} of {actor} ends a second time in tick {tick}, on {node}")]
    FiredTwice {
        /// Whose firing.
        actor: ActorId,
        /// Its number over the whole run.
        firing: u64,
        /// Where it ran the second time.
        node: NodeId,
        /// Its last tick.
        tick: Tick,
    },
    /// No entry stands for a firing of the run.
    #[error("firing {firing} of {actor} never happened")]
    NeverFired {
        /// Whose firing.
        actor: ActorId,
        /// Its number over the whole run.
        firing: u64,
    },
    /// The user's code panicked.
    #[error("firing {firing} of {actor}, started at tick {tick} on {node}, panicked: {message}")]
    Panicked {
        /// Whose firing.
        actor: ActorId,
        /// Its number over the whole run.
        firing: u64,
        /// Where it ran.
        node: NodeId,
        /// When it started.
        tick: Tick,
        /// What the panic said.
        message: String,
    },
}

/// A place in a calendar set; entries are numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The set as a whole.
    Set,
    /// An entry of a node's compute calendar.
    Compute(NodeId, usize),
    /// An entry at the transmit side of a link.
    Gather(LinkId, usize),
    /// An entry at the receive side of a link.
    Scatter(LinkId, usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set => f.write_str("the calendars"),
            Self::Compute(node, entry) => write!(f, "compute entry {entry} of {node}"),
            Self::Gather(link, entry) => write!(f, "gather entry {entry} of {link}"),
            Self::Scatter(link, entry) => write!(f, "scatter entry {entry} of {link}"),
        }
    }
}
