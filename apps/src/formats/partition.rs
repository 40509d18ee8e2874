//! Partition files: which shard executes which node, by the names of nodes.

use super::error::did_you_mean;
use super::names::nearest;
use super::ron_text::{Source, Version1};
use super::{FormatError, Spanned};
use ron::value::RawValue;
use sim_core::shard::{Partition, ShardId};
use sim_core::{IdVec, Machine, NodeId};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;

/// The nodes of every shard, as their file names them. Whether they are those of a machine, [`PartitionFile::resolve`] tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionFile {
    /// By shard, each with its place in the text.
    shards: Vec<Spanned<Vec<Spanned<String>>>>,
}

/// Why the nodes of a file are no partition of a machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartitionFileError {
    /// A shard without nodes.
    #[error("shard {shard} has no node")]
    EmptyShard {
        /// Its number.
        shard: usize,
        /// Where its list is.
        span: Range<usize>,
    },
    /// A file without shards.
    #[error("there are no shards")]
    NoShards,
    /// A name that no node has.
    #[error("shard {shard} has node `{node}`, which machine `{machine}` does not have")]
    NoSuchNode {
        /// The shard.
        shard: usize,
        /// The name.
        node: String,
        /// The machine's name.
        machine: String,
        /// A node that exists and is spelt alike.
        nearest: Option<String>,
        /// Where the file names it.
        span: Range<usize>,
    },
    /// A node that several shards have, or one has twice.
    #[error("node `{node}` is in shard {first} and again in shard {second}")]
    Duplicate {
        /// The node.
        node: String,
        /// The shard that has it first.
        first: usize,
        /// The shard that has it again.
        second: usize,
        /// The place of the second.
        span: Range<usize>,
    },
    /// Nodes that no shard has.
    #[error("{missing} of {nodes} nodes are in no shard, the first of them is `{first}`")]
    Missing {
        /// How many.
        missing: usize,
        /// Nodes of the machine.
        nodes: usize,
        /// The first one's name.
        first: String,
    },
}

impl PartitionFileError {
    /// The bytes of the file that the error is about; `None` if it is about what is not there.
    #[must_use]
    pub fn span(&self) -> Option<Range<usize>> {
        match self {
            Self::EmptyShard { span, .. } | Self::NoSuchNode { span, .. } | Self::Duplicate { span, .. } => {
                Some(span.clone())
            }
            Self::NoShards | Self::Missing { .. } => None,
        }
    }

    /// What the user may do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::EmptyShard { .. } => Some("leave the list out, or move nodes into it".to_owned()),
            Self::NoShards => Some("write one list of nodes per shard".to_owned()),
            Self::NoSuchNode { nearest, .. } => did_you_mean(nearest.as_ref()),
            Self::Duplicate { .. } => Some("every node is executed by one shard".to_owned()),
            Self::Missing { .. } => {
                Some("add them to a shard; `tidelock partition … -o FILE` writes all nodes".to_owned())
            }
        }
    }

    /// A name of this kind of error that does not change between releases.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::EmptyShard { .. } => "partition::empty_shard",
            Self::NoShards => "partition::no_shards",
            Self::NoSuchNode { .. } => "partition::no_such_node",
            Self::Duplicate { .. } => "partition::duplicate",
            Self::Missing { .. } => "partition::missing",
        }
    }
}

/// Reads a partition file: a list of nodes for every shard, from shard 0 on.
///
/// ```
/// use sim_core::{Machine, NodeId};
///
/// let file = tidelock::formats::read_partition(r#"Partition(version: 1, shards: [["n0", "n3"], ["n1", "n2"]])"#)?;
/// let partition = file.resolve(&Machine::ring(4)).unwrap();
/// assert_eq!(partition.shard_of(NodeId(3)).0, 0);
/// # Ok::<(), tidelock::formats::FormatError>(())
/// ```
///
/// # Errors
/// [`FormatError::Ron`].
pub fn read_partition(text: &str) -> Result<PartitionFile, FormatError> {
    let source = Source { text };
    let file: PartitionText<'_> = source.read(text.strip_prefix('\u{feff}').unwrap_or(text))?;
    let shard = |value| {
        let Spanned { value: names, span } = source.spanned::<Vec<&RawValue>>(value)?;
        let names = names.into_iter().map(|name| source.spanned(name)).collect::<Result<_, _>>()?;
        Ok(Spanned::new(names, span))
    };
    Ok(PartitionFile { shards: file.shards.into_iter().map(shard).collect::<Result<_, FormatError>>()? })
}

#[derive(serde::Deserialize)]
#[serde(rename = "Partition", deny_unknown_fields)]
struct PartitionText<'a> {
    #[serde(rename = "version")]
    _version: Version1,
    #[serde(borrow)]
    shards: Vec<&'a RawValue>,
}

impl PartitionFile {
    /// Number of shards.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The partition of `machine`.
    ///
    /// # Errors
    /// [`PartitionFileError`], the first that is found.
    pub fn resolve(&self, machine: &Machine) -> Result<Partition, PartitionFileError> {
        if self.shards.is_empty() {
            return Err(PartitionFileError::NoShards);
        }
        let nodes: BTreeMap<&str, NodeId> = machine.nodes().iter().map(|(id, node)| (node.name.as_str(), id)).collect();
        let mut shard_of: IdVec<NodeId, Option<ShardId>> = IdVec::filled(None, machine.nodes().len());
        for (shard, names) in self.shards.iter().enumerate() {
            if names.value.is_empty() {
                return Err(PartitionFileError::EmptyShard { shard, span: names.span.clone() });
            }
            for Spanned { value: name, span } in &names.value {
                let (node, span) = (name.clone(), span.clone());
                let Some(&id) = nodes.get(name.as_str()) else {
                    let nearest = nearest(name, nodes.keys().copied()).map(str::to_owned);
                    let machine = machine.name().to_owned();
                    return Err(PartitionFileError::NoSuchNode { shard, node, machine, nearest, span });
                };
                // Lists are not longer than texts, which are counted in 32 bits where this matters.
                let own = ShardId(u32::try_from(shard).unwrap_or(u32::MAX));
                if let Some(first) = shard_of[id].replace(own) {
                    let first = first.0 as usize;
                    return Err(PartitionFileError::Duplicate { node, first, second: shard, span });
                }
            }
        }
        let mut missing = shard_of.iter().filter(|(_, shard)| shard.is_none()).map(|(node, _)| node);
        if let Some(first) = missing.next() {
            return Err(PartitionFileError::Missing {
                missing: 1 + missing.count(),
                nodes: machine.nodes().len(),
                first: machine.nodes()[first].name.to_string(),
            });
        }
        let shards = shard_of.values().map(|shard| shard.expect("no node is missing")).collect();
        Ok(Partition::new(shards).expect("a machine has a node, and no shard is empty"))
    }
}

/// The file of a partition of `machine`: one list per shard, some nodes per line.
#[must_use]
pub fn partition_to_ron(machine: &Machine, partition: &Partition) -> String {
    const PER_LINE: usize = 12;
    let mut text =
        "Partition(\n    version: 1,\n    // One list of nodes per shard, from shard 0 on.\n    shards: [\n".to_owned();
    let mut nodes: Vec<Vec<NodeId>> = vec![Vec::new(); partition.shards() as usize];
    machine.nodes().ids().for_each(|node| nodes[partition.shard_of(node).0 as usize].push(node));
    for nodes in nodes {
        text.push_str("        [\n");
        for line in nodes.chunks(PER_LINE) {
            text.push_str("           ");
            for &node in line {
                let name = ron::to_string(machine.nodes()[node].name.as_str()).expect("a name is a string");
                write!(text, " {name},").expect("strings take text");
            }
            text.push('\n');
        }
        text.push_str("        ],\n");
    }
    text + "    ],\n)\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> Result<Partition, PartitionFileError> {
        read_partition(text).unwrap().resolve(&Machine::ring(4))
    }

    #[test]
    fn what_is_written_is_read() {
        let machine = Machine::torus([5, 7]);
        let shards = machine.nodes().ids().map(|node| ShardId(node.0 * 11 % 4)).collect();
        let partition = Partition::new(shards).unwrap();
        let text = partition_to_ron(&machine, &partition);
        assert_eq!(read_partition(&text).unwrap().resolve(&machine), Ok(partition));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, code, marked, message) in [
            (r#"[["n0", "n1"], ["n2", "n4"]]"#, "no_such_node", Some(r#""n4""#), "node `n4`, which machine `ring:4`"),
            (r#"[["n0", "n1"], [], ["n2", "n3"]]"#, "empty_shard", Some("[]"), "shard 1 has no node"),
            (r#"[["n0", "n1"], ["n2", "n1", "n3"]]"#, "duplicate", Some(r#""n1""#), "shard 0 and again in shard 1"),
            (r#"[["n0"], ["n2"]]"#, "missing", None, "2 of 4 nodes are in no shard, the first of them is `n1`"),
            ("[]", "no_shards", None, "there are no shards"),
        ] {
            let text = format!("Partition(version: 1, shards: {text})");
            let error = resolve(&text).unwrap_err();
            assert_eq!(error.code(), format!("partition::{code}"));
            assert_eq!(error.span().map(|span| &text[span]), marked, "{text}");
            assert!(error.to_string().contains(message), "{error}");
            assert!(error.help().is_some());
        }
        // The place is that of the second mention.
        let text = r#"Partition(version: 1, shards: [["n0"], ["n1", "n0"]])"#;
        assert_eq!(resolve(text).unwrap_err().span().unwrap().start, text.rfind("\"n0\"").unwrap());
        assert!(read_partition("Partition(version: 2, shards: [])").is_err());
        assert!(read_partition(r#"Partition(version: 1, shards: [["n0"], 3])"#).is_err());
    }
}
