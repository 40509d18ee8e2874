//! Compiling a regular application costs as much per node on a large machine as on a small one.
//!
//! A program of its own, because it counts the allocations of the whole process: other tests would be counted too. Nothing is
//! timed unless asked: `cargo test --release -p tidelock --test scale -- --measure` compiles for up to a million nodes, and
//! prints seconds, peak memory, and the exponent by which both grow.

use scheduler::{Options, compile};
use sim_core::Machine;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};
use std::alloc::System;
use std::num::NonZeroU32;
use std::process::{Command, Stdio};
use std::time::Duration;
use tidelock::library::{dense, sparse};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What it takes to build and to compile `dense`, or `sparse` with a `period`, for a torus of `side` x `side` nodes.
fn asked_for(side: u32, period: Option<u32>) -> Stats {
    let region = Region::new(ALLOCATOR);
    let machine = Machine::torus([side, side]).latency(8);
    let app = match period.and_then(NonZeroU32::new) {
        Some(period) => sparse(&machine, period),
        None => dense(&machine),
    };
    let compiled = compile(&app.unwrap(), &machine, &Options::default()).unwrap();
    assert_eq!(compiled.report.iteration_period, i64::from(period.unwrap_or(1)).into());
    region.change()
}

/// Four times the nodes ask for four times the memory, in four times the requests; a table of nodes by nodes would be sixteen
/// times as large, and a search over all nodes for every node shows in the same way, as its queue grows with it.
fn memory_is_linear_in_nodes() {
    for period in [None, Some(100)] {
        let [small, large] = [32, 64].map(|side| asked_for(side, period));
        for (what, small, large) in [
            ("allocations", small.allocations, large.allocations),
            ("bytes", small.bytes_allocated, large.bytes_allocated),
        ] {
            let ratio = large as f64 / small as f64;
            println!("period {period:?}: {what} {small} -> {large}, {ratio:.2} times");
            assert!(ratio < 4.4, "{what} grow by {ratio:.2} for four times the nodes");
        }
    }
}

/// Seconds, and the most memory in MiB, of a command line; memory is known on Linux only.
fn measured(arguments: &[&str]) -> (f64, Option<f64>) {
    let start = std::time::Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidelock")).args(arguments).stdout(Stdio::null()).spawn().unwrap();
    let mut peak = None;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        let text = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        peak = kilobytes.map(|kilobytes| kilobytes / 1024.0).or(peak);
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success(), "{arguments:?}");
    (start.elapsed().as_secs_f64(), peak)
}

fn measure() {
    for app in ["dense", "sparse:0.01"] {
        let mut before: Option<(f64, f64)> = None;
        for machine in ["torus:32x32", "torus:100x100", "torus:316x316", "torus:1024x1024", "torus:100x100x100"] {
            let nodes = machine["torus:".len()..].split('x').map(|side| side.parse::<f64>().unwrap()).product::<f64>();
            let (seconds, peak) = measured(&["compile", "--app", app, "--machine", machine, "--latency", "8"]);
            let exponent = before.filter(|before| before.0 < nodes / 2.0);
            let exponent = exponent.map(|(n, s)| format!(", exponent {:.2}", (seconds / s).ln() / (nodes / n).ln()));
            let peak = peak.map(|peak| format!(", {peak:.0} MiB")).unwrap_or_default();
            println!("{app} on {machine}: {seconds:.2} s{peak}{}", exponent.unwrap_or_default());
            before = Some((nodes, seconds));
        }
    }
}

fn main() {
    if std::env::args().any(|argument| argument == "--measure") {
        measure();
    } else {
        memory_is_linear_in_nodes();
    }
}
