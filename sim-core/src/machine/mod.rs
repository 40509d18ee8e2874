//! Machines: nodes, switches and directed links with signed logical latencies, always in normal form.
//!
//! Machines come from a [`Preset`], from a file's [`MachineSpec`], or from parts by [`Machine::new`]. They hold wires and
//! limits only: how words travel over them is the calendars' affair, how clocks make latencies that of the clock model.

mod cycle_mean;
mod file;
mod normal;
mod preset;
mod wiring;

pub use file::{LinkSpec, MachineSpec, NodeSpec, SpecError};
pub use preset::{Preset, PresetError};

use crate::csr::Csr;
use crate::ids::{IdVec, LinkId, NodeId};
use crate::shared::Shared;
use crate::time::LogicalLatency;
use normal::Wires;
use smol_str::SmolStr;
use std::collections::BTreeMap;

/// Limits on what one machine may hold; beyond them building it is an error, never an exhausted host.
pub mod limits {
    /// Nodes.
    pub const NODES: usize = 1 << 24;
    /// Links.
    pub const LINKS: usize = 1 << 27;
    /// Ticks of one link's latency in normal form.
    pub const LATENCY: i64 = 1 << 40;
    /// Ticks between normal-form and local tick of a node, either way.
    pub const OFFSET: i64 = 1 << 62;
}

/// A clocked machine of the network; with 0 cores a switch, which only relays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Unique name.
    pub name: SmolStr,
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
    pub fn new(name: impl Into<SmolStr>, cores: u32) -> Self {
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
///
/// ```
/// use sim_core::{Link, LogicalLatency, Machine, Node, NodeId};
///
/// // The second node's counter started 1000 ticks late, which its offset tells from now on.
/// let link = |source, target, latency| Link { source, target, latency: LogicalLatency(latency) };
/// let (a, b) = (NodeId(0), NodeId(1));
/// let nodes = vec![Node::new("a", 1), Node::new("b", 1)];
/// let machine = Machine::new("pair", nodes, vec![link(a, b, 3 - 1000), link(b, a, 3 + 1000)])?;
/// assert!(machine.links().values().all(|link| link.latency == LogicalLatency(3)));
/// assert_eq!(machine.nodes()[b].offset, 1000);
/// # Ok::<(), sim_core::MachineError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    name: String,
    /// Programs for the machine have nodes and links too.
    nodes: Shared<IdVec<NodeId, Node>>,
    links: Shared<IdVec<LinkId, Link>>,
    outgoing: Csr<NodeId, LinkId>,
    incoming: Csr<NodeId, LinkId>,
    shape: Option<Preset>,
}

/// Why nodes and links do not make a machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// No node at all.
    #[error("the machine has no nodes")]
    Empty,
    /// More nodes or links than this program is made for.
    #[error("the machine has {found} {what}, allowed are at most {limit}")]
    TooMany {
        /// "nodes" or "links".
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
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
    /// Frames that would be back before they were sent.
    #[error("the latencies around the cycle {} have the sum {sum}, it must not be negative", path(nodes))]
    NegativeCycle {
        /// Links in order, from the lowest-numbered node on.
        cycle: Vec<LinkId>,
        /// Names of the nodes at which they begin.
        nodes: Vec<String>,
        /// The sum of their latencies.
        sum: i128,
    },
    /// A latency beyond what tick arithmetic is made for.
    #[error(
        "{link} from `{from}` to `{to}` has a latency of {latency} ticks in normal form, allowed are at most {}",
        limits::LATENCY
    )]
    LatencyTooLong {
        /// The link.
        link: LinkId,
        /// Name of the sending node.
        from: String,
        /// Name of the receiving node.
        to: String,
        /// Its latency in normal form.
        latency: i128,
    },
    /// A node's counter too far from all others for tick arithmetic.
    #[error(
        "normal form puts node `{name}` {offset} ticks from its local ticks, allowed are at most {}",
        limits::OFFSET
    )]
    OffsetTooLarge {
        /// The node.
        node: NodeId,
        /// Its name.
        name: String,
        /// Normal-form tick minus local tick.
        offset: i128,
    },
}

/// Names joined by arrows and closed to a cycle; the middle of a long one is left out.
fn path(nodes: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text = nodes.iter().take(SHOWN).map(|name| format!("`{name}` → ")).collect::<String>();
    if nodes.len() > SHOWN {
        text += &format!("({} more nodes) → ", nodes.len() - SHOWN);
    }
    text + &nodes.first().map_or(String::new(), |name| format!("`{name}`"))
}

impl Machine {
    /// Checks nodes and links, and brings latencies to normal form.
    ///
    /// Latencies are given under any labelling: λ and the offsets of the nodes are changed together, so that every
    /// node's local ticks stay what they were. A machine in normal form is left as it is.
    /// O(nodes + links) if some labelling makes latencies equal both ways, else see `normal.rs`.
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
        for (what, found, limit) in [("nodes", nodes.len(), limits::NODES), ("links", links.len(), limits::LINKS)] {
            if found > limit {
                return Err(MachineError::TooMany { what, found, limit });
            }
        }
        let mut names = BTreeMap::new();
        for (id, node) in nodes.iter() {
            if names.insert(node.name.as_str(), id).is_some() {
                return Err(MachineError::DuplicateNode { name: node.name.to_string(), second: id });
            }
        }
        for (id, link) in links.iter() {
            for node in [link.source, link.target] {
                if nodes.get(node).is_none() {
                    return Err(MachineError::NoSuchNode { link: id, node, nodes: nodes.len() });
                }
            }
        }
        let mut machine = Self::assemble(name.into(), nodes, links);
        machine.normalise()?;
        Ok(machine)
    }

    /// A machine of legal parts whose latencies are in normal form, or will be.
    fn assemble(name: String, nodes: IdVec<NodeId, Node>, links: IdVec<LinkId, Link>) -> Self {
        let outgoing = Csr::group(nodes.len(), links.iter().map(|(id, link)| (link.source, id)));
        let incoming = Csr::group(nodes.len(), links.iter().map(|(id, link)| (link.target, id)));
        Self { name, nodes: nodes.into(), links: links.into(), outgoing, incoming, shape: None }
    }

    /// Brings latencies to normal form. If there is an error, part of the machine may not be.
    fn normalise(&mut self) -> Result<(), MachineError> {
        let wires = Wires { links: &self.links, outgoing: &self.outgoing, incoming: &self.incoming };
        let phi = normal::relabelling(wires).map_err(|cycle| {
            let name = |&link: &LinkId| self.nodes[self.links[link].source].name.to_string();
            MachineError::NegativeCycle {
                nodes: cycle.links.iter().map(name).collect(),
                cycle: cycle.links,
                sum: cycle.sum,
            }
        })?;
        for (id, link) in self.links.iter_mut() {
            let latency = normal::relabelled(link, &phi);
            assert!(latency >= 0, "the normal form makes no latency negative");
            if latency > limits::LATENCY.into() {
                let name = |node| self.nodes[node].name.to_string();
                let (from, to) = (name(link.source), name(link.target));
                return Err(MachineError::LatencyTooLong { link: id, from, to, latency });
            }
            link.latency = LogicalLatency(latency as i64);
        }
        for (id, node) in self.nodes.iter_mut() {
            let offset = i128::from(node.offset) - phi[id];
            if offset.abs() > limits::OFFSET.into() {
                return Err(MachineError::OffsetTooLarge { node: id, name: node.name.to_string(), offset });
            }
            node.offset = offset as i64;
        }
        Ok(())
    }

    /// Gives every link a latency of `ticks`, and forgets the nodes' offsets, which belonged to the old latencies.
    ///
    /// # Panics
    /// If normal form then makes a latency longer than [`limits::LATENCY`], which can only happen in a machine without
    /// any cycle: not in a preset, where every link is answered.
    #[must_use]
    pub fn latency(mut self, ticks: u32) -> Self {
        for node in self.nodes.values_mut() {
            node.offset = 0;
        }
        for link in self.links.values_mut() {
            link.latency = LogicalLatency(ticks.into());
        }
        self.normalise().unwrap_or_else(|error| panic!("{error}"));
        self
    }

    /// Gives `cores` cores to every node that is not a switch; 0 makes them all switches.
    #[must_use]
    pub fn cores(mut self, cores: u32) -> Self {
        for node in self.nodes.values_mut().filter(|node| node.cores > 0) {
            node.cores = cores;
        }
        self
    }

    /// Gives every node a memory of `words` words.
    #[must_use]
    pub fn memory(mut self, words: u32) -> Self {
        for node in self.nodes.values_mut() {
            node.memory_words = Some(words);
        }
        self
    }

    /// Limits every calendar of every node to `entries` run-length entries.
    #[must_use]
    pub fn calendar_entries(mut self, entries: u32) -> Self {
        for node in self.nodes.values_mut() {
            node.calendar_entries = Some(entries);
        }
        self
    }

    /// The machine's name: its preset or its file's.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The preset that this machine is or was made from: how pictures lay it out.
    #[must_use]
    pub fn shape(&self) -> Option<&Preset> {
        self.shape.as_ref()
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

    /// All nodes, to be kept by somebody else too.
    pub(crate) fn nodes_shared(&self) -> Shared<IdVec<NodeId, Node>> {
        self.nodes.clone()
    }

    /// All links, likewise.
    pub(crate) fn links_shared(&self) -> Shared<IdVec<LinkId, Link>> {
        self.links.clone()
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
