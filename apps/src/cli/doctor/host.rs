//! What one host offers.

use super::super::failure::{Exit, Failure};
use super::super::shards::build;
use crate::library::dense;
use crate::pipeline::compile;
use net_runtime::proto::short;
use scheduler::Options;
use serde::{Deserialize, Serialize};
use sim_core::digest::DigestLevel;
use sim_core::engine::Engine;
use sim_core::shard::Partition;
use sim_core::{Machine, RunOptions};
use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

/// What was found on a host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct HostReport {
    /// As the user names it.
    pub(super) host: String,
    /// As it names itself.
    pub(super) name: String,
    pub(super) kernel: String,
    /// Version of this program.
    pub(super) version: String,
    /// Hash of this program: shards must have the same.
    pub(super) build: String,
    /// Cores that this process may use.
    pub(super) cores: usize,
    pub(super) memory_bytes: u64,
    pub(super) memory_available_bytes: u64,
    /// Speed of the engine on one thread, in nodes times ticks per second: a torus with a word on every link in every tick.
    pub(super) engine_node_ticks_per_second: f64,
    /// Bytes per second that one thread copies in memory.
    pub(super) copy_bytes_per_second: f64,
    /// Where the kernel's clock comes from.
    pub(super) clock_source: String,
    /// Bytes that a socket may buffer.
    pub(super) socket_receive_bytes: u64,
    pub(super) socket_send_bytes: u64,
    /// Whether programs can be nodes here.
    pub(super) hosts_programs: bool,
    /// What that lacks.
    pub(super) lack: Option<String>,
}

impl HostReport {
    /// Measures this host.
    pub(super) fn measure(host: &str) -> Result<Self, Failure> {
        let slow = |error: Box<dyn Error>| Failure::new(Exit::Internal, "doctor::engine", error.to_string());
        let capabilities = shim::capabilities();
        Ok(Self {
            host: host.to_owned(),
            name: line("/proc/sys/kernel/hostname"),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build: short(&build()?),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_bytes: memory("MemTotal:"),
            memory_available_bytes: memory("MemAvailable:"),
            engine_node_ticks_per_second: engine_speed().map_err(slow)?,
            copy_bytes_per_second: copy_speed(),
            clock_source: line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            socket_receive_bytes: line("/proc/sys/net/core/rmem_max").parse().unwrap_or(0),
            socket_send_bytes: line("/proc/sys/net/core/wmem_max").parse().unwrap_or(0),
            hosts_programs: capabilities.lack.is_none(),
            lack: capabilities.lack.as_ref().map(ToString::to_string),
            kernel: capabilities.kernel,
        })
    }
}

/// The first line of a file of the kernel's; nothing if there is none.
fn line(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().lines().next().unwrap_or_default().trim().to_owned()
}

/// A figure of `/proc/meminfo`, in bytes.
fn memory(name: &str) -> u64 {
    let table = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let figure = table.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<u64>().ok());
    figure.unwrap_or(0) << 10
}

/// Measurements of one figure; the best counts, because whatever disturbs makes it slower.
const ROUNDS: usize = 7;

fn engine_speed() -> Result<f64, Box<dyn Error>> {
    let machine = Machine::torus([16, 16]).latency(8);
    let app = dense(&machine)?;
    let compiled = compile(&app, &machine, &Options::default())?;
    let program = calendars::lower(&app, &machine, &compiled.result().calendars)?;
    let options = RunOptions { iterations: 4000, digest: DigestLevel::Off, ..RunOptions::default() };
    let partition = Partition::whole(machine.nodes().len());
    let mut best = 0.0_f64;
    for _ in 0..ROUNDS {
        let mut engine = Engine::parallel(&app, &program, &options, &partition)?;
        let begin = Instant::now();
        engine.advance(u64::MAX)?;
        let seconds = begin.elapsed().as_secs_f64();
        let ticks = engine.progress().tick.0 as f64;
        black_box(engine.finish());
        best = best.max(ticks * machine.nodes().len() as f64 / seconds.max(1e-9));
    }
    Ok(best)
}

fn copy_speed() -> f64 {
    const BYTES: usize = 64 << 20;
    let (source, mut target) = (vec![1_u8; BYTES], vec![0_u8; BYTES]);
    let mut best = 0.0_f64;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        target.copy_from_slice(black_box(&source));
        black_box(&mut target);
        best = best.max(BYTES as f64 / begin.elapsed().as_secs_f64().max(1e-9));
    }
    best
}
