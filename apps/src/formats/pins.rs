//! Pins files: which actors must run on which nodes.

use super::error::did_you_mean;
use super::names::nearest;
use super::ron_text::{Source, Version1};
use super::{FormatError, Spanned};
use ron::value::RawValue;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use sim_core::{ActorId, App, Machine, NodeId};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// One line of a pins file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Name of the actor.
    pub actor: Spanned<String>,
    /// Name of the node that its firings must run on.
    pub node: Spanned<String>,
}

/// Pins in the order of their file. Every actor is named once; whether the names exist, [`Pins::resolve`] tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins {
    pins: Vec<Pin>,
}

/// Why entries do not make a pins file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinsFileError {
    /// One actor, two nodes.
    #[error("actor `{actor}` is pinned twice, to `{first}` and to `{second}`")]
    Duplicate {
        /// The actor's name.
        actor: String,
        /// The node of the first pin.
        first: String,
        /// The node of the second pin.
        second: String,
        /// The place of the second.
        span: Range<usize>,
    },
}

impl PinsFileError {
    /// The bytes of the text that the error is about.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        let Self::Duplicate { span, .. } = self;
        span.clone()
    }

    /// A name of this kind of error that does not change between releases.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "pins::duplicate"
    }
}

/// Why pins do not fit an application and a machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// A pin of nothing.
    #[error("application `{app}` has no actor `{actor}`")]
    NoSuchActor {
        /// The application's name.
        app: String,
        /// The actor's name.
        actor: String,
        /// An actor that exists and is spelt alike.
        nearest: Option<String>,
        /// Where the pins file names it.
        span: Range<usize>,
    },
    /// A pin to nowhere.
    #[error("actor `{actor}` is pinned to node `{node}`, which machine `{machine}` does not have")]
    NoSuchNode {
        /// The actor's name.
        actor: String,
        /// The node's name.
        node: String,
        /// The machine's name.
        machine: String,
        /// A node that exists and is spelt alike.
        nearest: Option<String>,
        /// Where the pins file names it.
        span: Range<usize>,
    },
    /// A pin to a node that only relays.
    #[error("actor `{actor}` is pinned to node `{node}`, which is a switch: it has 0 cores")]
    Switch {
        /// The actor's name.
        actor: String,
        /// The node's name.
        node: String,
        /// Where the pins file names it.
        span: Range<usize>,
    },
}

impl PinError {
    /// The bytes of the pins file that the error is about.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        match self {
            Self::NoSuchActor { span, .. } | Self::NoSuchNode { span, .. } | Self::Switch { span, .. } => span.clone(),
        }
    }

    /// What the user may do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoSuchActor { nearest, .. } | Self::NoSuchNode { nearest, .. } => did_you_mean(nearest.as_ref()),
            Self::Switch { .. } => Some("pin the actor to a node with cores".to_owned()),
        }
    }

    /// A name of this kind of error that does not change between releases.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSuchActor { .. } => "pins::no_such_actor",
            Self::NoSuchNode { .. } => "pins::no_such_node",
            Self::Switch { .. } => "pins::switch",
        }
    }
}

/// Reads a pins file: a RON map from names of actors to names of nodes.
///
/// ```
/// let pins = tidelock::formats::read_pins(r#"Pins(version: 1, pins: {"fir0": "n1", "fir1": "n2"})"#)?;
/// assert_eq!(pins.pins()[1].node.value, "n2");
/// # Ok::<(), tidelock::formats::FormatError>(())
/// ```
///
/// # Errors
/// [`FormatError::Ron`] for other text, [`FormatError::Pins`] for an actor that is pinned twice.
pub fn read_pins(text: &str) -> Result<Pins, FormatError> {
    let source = Source { text };
    let file: PinsText<'_> = source.read(text.strip_prefix('\u{feff}').unwrap_or(text))?;
    let mut nodes: BTreeMap<String, String> = BTreeMap::new();
    let mut pins = Vec::new();
    for (actor, node) in file.pins.0 {
        let pin = Pin { actor: source.spanned(actor)?, node: source.spanned(node)? };
        let (actor, second) = (pin.actor.value.clone(), pin.node.value.clone());
        if let Some(first) = nodes.insert(actor.clone(), second.clone()) {
            return Err(PinsFileError::Duplicate { actor, first, second, span: pin.actor.span }.into());
        }
        pins.push(pin);
    }
    Ok(Pins { pins })
}

impl Pins {
    /// The pins in the order of their file.
    #[must_use]
    pub fn pins(&self) -> &[Pin] {
        &self.pins
    }

    /// The pins as ids, in the order of their file.
    ///
    /// # Errors
    /// [`PinError`], the first that is found.
    pub fn resolve(&self, app: &App, machine: &Machine) -> Result<Vec<(ActorId, NodeId)>, PinError> {
        let actors: BTreeMap<&str, ActorId> =
            app.actors().iter().map(|(id, actor)| (actor.name.as_str(), id)).collect();
        let nodes: BTreeMap<&str, NodeId> = machine.nodes().iter().map(|(id, node)| (node.name.as_str(), id)).collect();
        let resolve = |pin: &Pin| {
            let (actor, node) = (&pin.actor.value, &pin.node.value);
            let Some(&actor_id) = actors.get(actor.as_str()) else {
                return Err(PinError::NoSuchActor {
                    app: app.name().to_owned(),
                    actor: actor.clone(),
                    nearest: nearest(actor, actors.keys().copied()).map(str::to_owned),
                    span: pin.actor.span.clone(),
                });
            };
            let (actor, span) = (actor.clone(), pin.node.span.clone());
            let Some(&node_id) = nodes.get(node.as_str()) else {
                return Err(PinError::NoSuchNode {
                    actor,
                    node: node.clone(),
                    machine: machine.name().to_owned(),
                    nearest: nearest(node, nodes.keys().copied()).map(str::to_owned),
                    span,
                });
            };
            if machine.nodes()[node_id].cores == 0 {
                return Err(PinError::Switch { actor, node: node.clone(), span });
            }
            Ok((actor_id, node_id))
        };
        self.pins.iter().map(resolve).collect()
    }
}

#[derive(serde::Deserialize)]
#[serde(rename = "Pins", deny_unknown_fields)]
struct PinsText<'a> {
    #[serde(rename = "version")]
    _version: Version1,
    #[serde(borrow)]
    pins: Entries<'a>,
}

/// The entries of a RON map in the order of the text, repeated keys included.
struct Entries<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from actor names to node names")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Entries<'de>, M::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}
