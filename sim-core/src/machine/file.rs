//! The file form of machines: what their RON and JSON files hold, and the way from there to a [`Machine`] and back.
//!
//! Text is read and written elsewhere; here names become ids and versions are checked.

use super::{Link, Machine, MachineError, Node, Preset, PresetError};
use crate::ids::{Id, IdVec, LinkId, NodeId};
use crate::time::LogicalLatency;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A machine file.
///
/// Latencies and offsets belong together, under any labelling; those of a file that was written are in normal form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "Machine", deny_unknown_fields)]
pub struct MachineSpec {
    /// Version of the format, [`MachineSpec::VERSION`].
    pub version: u32,
    /// The machine's name.
    pub name: String,
    /// The preset that it is or was made from, by which pictures lay it out; the number of nodes must be the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<String>,
    /// All nodes.
    pub nodes: Vec<NodeSpec>,
    /// All links.
    pub links: Vec<LinkSpec>,
}

/// A node in a machine file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "Node", deny_unknown_fields)]
pub struct NodeSpec {
    /// Unique name.
    pub name: String,
    /// Cores; 1 if not given, 0 for a switch.
    #[serde(default = "one")]
    pub cores: u32,
    /// Words of memory; unlimited if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_words: Option<u32>,
    /// Largest number of run-length entries in any one of its calendars; unlimited if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar_entries: Option<u32>,
    /// Tick, as the latencies of its links count ticks, minus local tick; 0 if not given.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub offset: i64,
}

/// A link in a machine file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "Link", deny_unknown_fields)]
pub struct LinkSpec {
    /// Name of the sending node.
    pub source: String,
    /// Name of the receiving node.
    pub target: String,
    /// Receive tick minus send tick of every frame. May be negative.
    pub latency: i64,
}

fn one() -> u32 {
    1
}

// Serde hands fields over by reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(offset: &i64) -> bool {
    *offset == 0
}

/// Why a machine file does not make a machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A format that this program does not know.
    #[error("the machine file has version {found}, known is {}", MachineSpec::VERSION)]
    Version {
        /// Its version.
        found: u32,
    },
    /// A link whose end is not among the nodes.
    #[error("{link} from `{from}` to `{to}` ends at a node that does not exist: `{unknown}`")]
    NoSuchNode {
        /// The link.
        link: LinkId,
        /// Its sending end.
        from: String,
        /// Its receiving end.
        to: String,
        /// The one of them that is no node.
        unknown: String,
    },
    /// A shape that is not a preset.
    #[error("the machine's shape is not a preset")]
    Shape(#[source] PresetError),
    /// A shape of a different size.
    #[error("the machine has {found} nodes, its shape `{shape}` has {expected}")]
    ShapeSize {
        /// The shape.
        shape: Preset,
        /// Nodes of the shape.
        expected: usize,
        /// Nodes of the machine.
        found: usize,
    },
    /// Parts that do not make a machine.
    #[error(transparent)]
    Machine(#[from] MachineError),
}

impl MachineSpec {
    /// The version that this program reads and writes.
    pub const VERSION: u32 = 1;

    /// The file form of `machine`; [`build`](Self::build) makes an equal machine of it.
    #[must_use]
    pub fn of(machine: &Machine) -> Self {
        let node = |node: &Node| NodeSpec {
            name: node.name.to_string(),
            cores: node.cores,
            memory_words: node.memory_words,
            calendar_entries: node.calendar_entries,
            offset: node.offset,
        };
        let name = |node: NodeId| machine.nodes()[node].name.to_string();
        let link =
            |link: &Link| LinkSpec { source: name(link.source), target: name(link.target), latency: link.latency.0 };
        Self {
            version: Self::VERSION,
            name: machine.name().to_owned(),
            shape: machine.shape().map(ToString::to_string),
            nodes: machine.nodes().values().map(node).collect(),
            links: machine.links().values().map(link).collect(),
        }
    }

    /// The machine, in normal form.
    ///
    /// # Errors
    /// [`SpecError`], the first that is found.
    pub fn build(self) -> Result<Machine, SpecError> {
        if self.version != Self::VERSION {
            return Err(SpecError::Version { found: self.version });
        }
        // Of two nodes of one name, which is an error, the last one is found here.
        let ids: BTreeMap<&str, NodeId> =
            self.nodes.iter().enumerate().map(|(i, node)| (node.name.as_str(), NodeId::from_index(i))).collect();
        let mut links = IdVec::new();
        for (i, LinkSpec { source, target, latency }) in self.links.iter().enumerate() {
            let end = |name: &String| {
                ids.get(name.as_str()).copied().ok_or_else(|| SpecError::NoSuchNode {
                    link: LinkId::from_index(i),
                    from: source.clone(),
                    to: target.clone(),
                    unknown: name.clone(),
                })
            };
            links.push(Link { source: end(source)?, target: end(target)?, latency: LogicalLatency(*latency) });
        }
        let shape = self.shape.as_deref().map(str::parse::<Preset>).transpose().map_err(SpecError::Shape)?;
        if let Some(shape) = &shape
            && shape.nodes() != self.nodes.len()
        {
            let (expected, found) = (shape.nodes(), self.nodes.len());
            return Err(SpecError::ShapeSize { shape: shape.clone(), expected, found });
        }
        let nodes = self.nodes.into_iter().map(|node| Node {
            name: node.name.into(),
            cores: node.cores,
            memory_words: node.memory_words,
            calendar_entries: node.calendar_entries,
            offset: node.offset,
        });
        let mut machine = Machine::new(self.name, nodes.collect::<IdVec<_, _>>(), links)?;
        machine.shape = shape;
        Ok(machine)
    }
}

impl TryFrom<MachineSpec> for Machine {
    type Error = SpecError;

    fn try_from(spec: MachineSpec) -> Result<Self, SpecError> {
        spec.build()
    }
}
