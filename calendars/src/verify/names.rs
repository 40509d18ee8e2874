//! What violations speak of: entries, words of entries, words of memory, words of tokens.

use sim_core::ids::{ActorId, ChannelId, LinkId, NodeId};
use sim_core::{App, Machine};
use std::fmt;

/// One entry of one calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryRef {
    /// An entry of the transmit side of a link, by position.
    Gather(LinkId, u32),
    /// An entry of the receive side of a link, by position.
    Scatter(LinkId, u32),
    /// A run of firings of a node's compute calendar, by position.
    Compute(NodeId, u32),
}

impl fmt::Display for EntryRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gather(link, index) => write!(f, "{link} gather entry {index}"),
            Self::Scatter(link, index) => write!(f, "{link} scatter entry {index}"),
            Self::Compute(node, index) => write!(f, "{node} compute entry {index}"),
        }
    }
}

/// One word of an entry's frames, or of all inputs or outputs of its firings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WordRef {
    /// The entry.
    pub entry: EntryRef,
    /// What the entry does with the word.
    pub kind: WordKind,
    /// Its number in the entry, from 0.
    pub word: u32,
}

impl fmt::Display for WordRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.entry, self.kind, self.word)
    }
}

/// What an entry does with a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WordKind {
    /// Sends it or stores it.
    Frame,
    /// Consumes it.
    Input,
    /// Produces it.
    Output,
}

impl fmt::Display for WordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Frame => "frame",
            Self::Input => "input word",
            Self::Output => "output word",
        })
    }
}

/// A word of a node's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// The node.
    pub node: NodeId,
    /// The address.
    pub address: u32,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "address {} of {}", self.address, self.node)
    }
}

/// One word of one token of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenWord {
    /// The channel.
    pub channel: ChannelId,
    /// Number of the token, from 0, initial tokens first.
    pub token: i64,
    /// Word of the token.
    pub word: u32,
}

impl fmt::Display for TokenWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "word {} of token {} of {}", self.word, self.token, self.channel)
    }
}

/// A sentence about calendars of `app` on `machine`, such as a [`Violation`](super::Violation), with the name of everything
/// that it gives an id: `actor#2` becomes ``actor#2 `sink` ``. Ids that do not exist stay alone.
#[must_use]
pub fn with_names(sentence: &str, app: &App, machine: &Machine) -> String {
    let mut text = String::with_capacity(2 * sentence.len());
    let mut rest = sentence;
    while let Some(mark) = rest.find('#') {
        let digits = rest[mark + 1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - mark - 1);
        let (before, after) = rest.split_at(mark + 1 + digits);
        text += before;
        if let Some(name) = before[mark + 1..].parse().ok().and_then(|id| name_of(&before[..mark], id, app, machine)) {
            text += &format!(" `{name}`");
        }
        rest = after;
    }
    text + rest
}

/// The name of the entity that an id of the kind with which `before` ends stands for.
fn name_of(before: &str, id: u32, app: &App, machine: &Machine) -> Option<String> {
    let node = |id| machine.nodes().get(id).map(|node| node.name.to_string());
    if before.ends_with("actor") {
        app.actors().get(ActorId(id)).map(|actor| actor.name.to_string())
    } else if before.ends_with("channel") {
        app.channels().get(ChannelId(id)).map(|channel| channel.name.to_string())
    } else if before.ends_with("node") {
        node(NodeId(id))
    } else if before.ends_with("link") {
        let link = machine.links().get(LinkId(id))?;
        Some(format!("{}→{}", node(link.source)?, node(link.target)?))
    } else {
        None
    }
}
