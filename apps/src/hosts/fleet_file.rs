//! The text form of fleets.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A fleet file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "Fleet", deny_unknown_fields)]
pub struct FleetText {
    /// Version of the format, [`FleetText::VERSION`].
    pub version: u32,
    /// The fleet's name.
    pub name: String,
    /// Machine: a preset or a file.
    pub machine: String,
    /// Logical latency of every link of a preset, in ticks.
    #[serde(default = "one_u32")]
    pub latency: u32,
    /// Nanoseconds of a tick.
    #[serde(default = "microsecond")]
    pub tick_ns: u64,
    /// Simulated time, in milliseconds.
    pub duration_ms: u64,
    /// Words that a node sends to each neighbour per iteration; one of them says how many bytes are in the others.
    #[serde(default = "slot_words")]
    pub slot_words: u32,
    /// Ticks that a firing holds its core.
    #[serde(default = "one_u64")]
    pub exec: u64,
    /// Slots between two nodes that are under way at any time: more of them let iterations follow faster than words travel.
    #[serde(default = "one_u64")]
    pub slots_in_flight: u64,
    /// What all randomness of the programs derives from.
    #[serde(default = "one_u64")]
    pub seed: u64,
    /// Pairs of entries whose nodes can reach each other; all if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<Vec<(String, String)>>,
    /// Nodes, or templates of several.
    pub nodes: Vec<NodeText>,
}

/// An entry of a fleet file: a node, or `count` of them.
///
/// In arguments, values of the environment, and names of files, `{name}`, `{index}`, `{address}`, `{port}` and `{key}` stand
/// for the node's name, its number within the entry (from 0), its address, `port` plus that number, and 64 hexadecimal
/// digits that belong to it alone. Anything else in braces stays as it is: shells and others have a use for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "Node", deny_unknown_fields)]
pub struct NodeText {
    /// Name of the node; if there are several, their number within the entry follows.
    pub name: String,
    /// How many nodes; one, without a number in its name, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Node of the machine; if not given, nodes of the machine are taken in order. Entries of several nodes take them in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// The program: a name that is looked for in `PATH`, or a path, which is relative to the fleet file.
    pub command: String,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Variables beside the usual ones.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Files and directories for the working directory: names there, and where they are, relative to the fleet file.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// What `{port}` counts from.
    #[serde(default)]
    pub port: u16,
    /// When the program starts, in milliseconds.
    #[serde(default)]
    pub start_ms: u64,
    /// What every system call costs of the program's time, in nanoseconds.
    #[serde(default)]
    pub call_cost_ns: u64,
    /// A signal at some time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopText>,
    /// In which state the program has to be in the end.
    #[serde(default)]
    pub expect: ExpectText,
}

/// A signal at some time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "Stop", deny_unknown_fields)]
pub struct StopText {
    /// When, in milliseconds.
    pub at_ms: u64,
    /// Name of the signal.
    #[serde(default = "terminate")]
    pub signal: String,
}

/// In which state a program has to be in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExpectText {
    /// Ended by itself, with this code.
    Exited(i32),
    /// Ended by this signal.
    Signalled(String),
    /// Still there.
    Running,
    /// Whatever it is.
    #[default]
    Any,
}

impl FleetText {
    /// The version that this program reads and writes.
    pub const VERSION: u32 = 1;
}

fn one_u32() -> u32 {
    1
}

fn one_u64() -> u64 {
    1
}

fn microsecond() -> u64 {
    1_000
}

fn slot_words() -> u32 {
    32
}

fn terminate() -> String {
    "SIGTERM".to_owned()
}
