//! Machines: nodes, switches and directed links with signed logical latencies, always in normal form.

use crate::csr::Csr;
use crate::ids::{IdVec, LinkId, NodeId};
use crate::time::LogicalLatency;
use std::collections::BTreeMap;

/// A clocked machine of the network; with 0 cores a switch, which only relays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Unique name.
    pub name: String,
    /// Cores, each holding one firing at a time.
    pub cores: u32,
    /// Words of memory; `None` is unlimited.
    pub memory_words: Option<u32>,
    /// Largest number of run-length entries in any one of its calendars; `None` is unlimited.
    pub calendar_entries: Option<u32>,
    /// Normal-form tick minus local tick: what relabelling added to this node's counter.
    pub offset: i64,
}

impl Node {
    /// A node with `cores` cores, unlimited memory and calendars, and no offset.
    #[must_use]
    pub fn new(name: impl Into<String>, cores: u32) -> Self {
        Self { name: name.into(), cores, memory_words: None, calendar_entries: None, offset: 0 }
    }
}

/// A directed wire that carries one frame per tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The sending node.
    pub source: NodeId,
    /// The receiving node.
    pub target: NodeId,
    /// Receive tick minus send tick. Not negative in normal form.
    pub latency: LogicalLatency,
}

/// Nodes and links in normal form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    name: String,
    nodes: IdVec<NodeId, Node>,
    links: IdVec<LinkId, Link>,
    outgoing: Csr<NodeId, LinkId>,
    incoming: Csr<NodeId, LinkId>,
}

/// Why nodes and links do not make a machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// No node at all.
    #[error("the machine has no nodes")]
    Empty,
    /// Two nodes of one name.
    #[error("two nodes are called `{name}`")]
    DuplicateNode {
        /// The name.
        name: String,
        /// The second of them.
        second: NodeId,
    },
    /// A link to nowhere.
    #[error("{link} ends at {node}, but there are {nodes} nodes")]
    NoSuchNode {
        /// The link.
        link: LinkId,
        /// The id that it names.
        node: NodeId,
        /// How many nodes there are.
        nodes: usize,
    },
}

impl Machine {
    /// Checks nodes and links, and brings latencies to normal form.
    ///
    /// # Errors
    /// [`MachineError`], the first that is found.
    pub fn new(
        name: impl Into<String>,
        nodes: impl Into<IdVec<NodeId, Node>>,
        links: impl Into<IdVec<LinkId, Link>>,
    ) -> Result<Self, MachineError> {
        let (nodes, links) = (nodes.into(), links.into());
        if nodes.is_empty() {
            return Err(MachineError::Empty);
        }
        let mut names = BTreeMap::new();
        for (id, node) in nodes.iter() {
            if names.insert(node.name.as_str(), id).is_some() {
                return Err(MachineError::DuplicateNode { name: node.name.clone(), second: id });
            }
        }
        for (id, link) in links.iter() {
            for node in [link.source, link.target] {
                if nodes.get(node).is_none() {
                    return Err(MachineError::NoSuchNode { link: id, node, nodes: nodes.len() });
                }
            }
        }
        let outgoing = Csr::group(nodes.len(), links.iter().map(|(id, link)| (link.source, id)));
        let incoming = Csr::group(nodes.len(), links.iter().map(|(id, link)| (link.target, id)));
        Ok(Self { name: name.into(), nodes, links, outgoing, incoming })
    }

    /// The machine's name: its preset or its file's.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All nodes.
    #[must_use]
    pub fn nodes(&self) -> &IdVec<NodeId, Node> {
        &self.nodes
    }

    /// All links.
    #[must_use]
    pub fn links(&self) -> &IdVec<LinkId, Link> {
        &self.links
    }

    /// Links out of `node`, ascending.
    #[must_use]
    pub fn outgoing(&self, node: NodeId) -> &[LinkId] {
        self.outgoing.row(node)
    }

    /// Links into `node`, ascending.
    #[must_use]
    pub fn incoming(&self, node: NodeId) -> &[LinkId] {
        self.incoming.row(node)
    }

    /// The node called `name`.
    #[must_use]
    pub fn node_named(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().find(|(_, node)| node.name == name).map(|(id, _)| id)
    }
}
