//! Arguments that several commands share.

use clap::Args;
use std::path::PathBuf;

/// Which application.
#[derive(Args, Clone, Debug)]
pub(crate) struct AppArgs {
    /// Graph file: SDF3 XML or RON
    #[arg(value_name = "APP")]
    pub(crate) graph: Option<PathBuf>,
    /// Built-in application, such as `cd2dat` or `life:4x4`; `tidelock apps` lists them
    #[arg(long, value_name = "NAME[:PARAMETERS]", conflicts_with = "graph")]
    pub(crate) app: Option<String>,
    /// Make all tokens of a graph file this many bits wide
    #[arg(long, value_name = "BITS")]
    pub(crate) token_bits: Option<u64>,
}

/// Which machine.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct MachineArgs {
    /// Machine: a preset such as `torus:4x4`, or a RON file
    #[arg(short, long, value_name = "PRESET|FILE")]
    pub(crate) machine: Option<String>,
    #[command(flatten)]
    pub(crate) settings: MachineSettings,
}

/// What may be changed about a machine.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct MachineSettings {
    /// Logical latency of every link of a preset, in ticks [default: 1]
    #[arg(long, value_name = "TICKS")]
    pub(crate) latency: Option<u32>,
    /// Cores of every node that is not a switch [default: 1]
    #[arg(long, value_name = "COUNT")]
    pub(crate) cores: Option<u32>,
    /// Memory of every node, in 64-bit words [default: unlimited]
    #[arg(long, value_name = "WORDS")]
    pub(crate) memory: Option<u32>,
    /// Run-length entries that any one calendar may have [default: unlimited]
    #[arg(long, value_name = "COUNT")]
    pub(crate) calendar_entries: Option<u32>,
}

/// How to compile.
#[derive(Args, Clone, Debug)]
pub(crate) struct CompileArgs {
    /// Pins file (RON): nodes that actors must run on
    #[arg(long, value_name = "FILE")]
    pub(crate) pins: Option<PathBuf>,
    /// Largest number of iterations in a metacycle
    #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) max_unroll: u32,
}
