//! Captured UGNs of a real machine, as JSON: the frames that its counters were apart on each link.

use super::clocks::ClockFileError;
use super::error::byte_offset;
use serde::Deserialize;
use sim_core::{IdVec, Link, LinkId, LogicalLatency, Machine, MachineError, Node, NodeId};

#[derive(Deserialize)]
struct UgnsText {
    #[serde(default)]
    name: Option<String>,
    /// Names of nodes, by number.
    node_ids: Vec<String>,
    edges: Vec<EdgeText>,
}

#[derive(Deserialize)]
struct EdgeText {
    src: u32,
    dst: u32,
    /// Captured UGN, or those for elastic buffers of 32 and 64 frames.
    ugn: Option<i64>,
    ugn_eb32: Option<i64>,
    ugn_eb64: Option<i64>,
}

/// UGNs that were captured on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ugns {
    /// What the machine is called.
    pub name: String,
    /// Names of nodes.
    pub nodes: IdVec<NodeId, String>,
    /// Links with their UGNs: logical latencies in the nodes' own counters.
    pub links: IdVec<LinkId, Link>,
}

/// Reads captured UGNs. Files that state them for two depths of buffers are read for `depth`, 32 or 64.
///
/// # Errors
/// [`ClockFileError`], the first that is found.
pub fn read_ugns(text: &str, depth: u32) -> Result<Ugns, ClockFileError> {
    let file: UgnsText = serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
        let at = byte_offset(text, error.line().max(1), error.column().max(1));
        ClockFileError::Json { message: error.to_string(), span: at..at }
    })?;
    let link = |edge: &EdgeText| {
        let ugn = edge.ugn.or(if depth == 64 { edge.ugn_eb64 } else { edge.ugn_eb32 });
        let message = "an edge has no UGN for buffers of this depth";
        let latency = LogicalLatency(ugn.ok_or(ClockFileError::Fields { message })?);
        Ok(Link { source: NodeId(edge.src), target: NodeId(edge.dst), latency })
    };
    Ok(Ugns {
        name: file.name.unwrap_or_else(|| "captured".to_owned()),
        nodes: file.node_ids.into(),
        links: file.edges.iter().map(link).collect::<Result<IdVec<_, _>, ClockFileError>>()?,
    })
}

impl Ugns {
    /// The machine, with one core per node, in normal form.
    ///
    /// # Errors
    /// [`MachineError`].
    pub fn machine(&self) -> Result<Machine, MachineError> {
        let nodes: Vec<Node> = self.nodes.values().map(|name| Node::new(name, 1)).collect();
        Machine::new(&self.name, nodes, self.links.clone())
    }
}
