//! What hosting costs: a call, a clock read, a start, a hand-over, a node's memory. A loop that only traces is measured
//! beside it, and what it is worth that all who take part in a call stay on one processor.
//!
//! `cargo bench -p tidelock-shim`. Figures of one run belong together; on shared processors only the smallest of several
//! rounds says what the mechanism costs, so that is what is shown, with the median behind it.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::ptrace;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use shim::{Host, HostSpec, Input, capabilities};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const CPU: usize = 0;
const ROUNDS: usize = 15;
const CALLS: u32 = 20_000;
const READS: u32 = 20_000_000;
const NODES: usize = 64;

fn main() {
    let capabilities = capabilities();
    println!("{capabilities}");
    if capabilities.lack.is_some() {
        return;
    }
    let folder = std::env::temp_dir().join(format!("tidelock-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let program = compiled(&folder);
    let hosted = |what: &str, count: u32, place: Place| hosted(&program, &folder, what, count, place);
    let nothing = smallest(|| hosted("calls", 0, Place::Together));
    let hosted_calls = smallest(|| hosted("calls", CALLS, Place::Together));
    let loose_calls = smallest(|| hosted("calls", CALLS, Place::Anywhere));
    let traced_calls = smallest(|| traced(&program));
    let reads = smallest(|| hosted("clock", READS, Place::Together));
    let per = |(least, median): (Duration, Duration), base: Duration, count: u32| {
        let each = |time: Duration| time.saturating_sub(base).as_nanos() as f64 / f64::from(count);
        (each(least), each(median))
    };
    let (call, call_median) = per(hosted_calls, nothing.0, CALLS);
    let (loose, loose_median) = per(loose_calls, nothing.0, CALLS);
    let (trace, trace_median) = per(traced_calls, Duration::ZERO, CALLS);
    let (read, _) = per(reads, nothing.0, READS);
    println!("call, notified       {:6.2} µs (median {:.2})", call / 1e3, call_median / 1e3);
    println!("call, traced only    {:6.2} µs (median {:.2})", trace / 1e3, trace_median / 1e3);
    println!("notified : traced    {:6.2}", call / trace);
    println!("call, not pinned     {:6.2} µs (median {:.2})", loose / 1e3, loose_median / 1e3);
    println!("pinned : not pinned  {:6.2} (medians {:.2})", call / loose, call_median / loose_median);
    println!("clock read           {read:6.2} ns");
    println!("start and end        {:6.2} ms (median {:.2}), static", ms(nothing.0), ms(nothing.1));
    let [(together, together_median), (apart, apart_median)] = idle_advances(&folder);
    println!("hand-over            {together:6.2} µs (median {together_median:.2}), from the program's processor");
    println!("hand-over, not pinned{apart:6.2} µs (median {apart_median:.2}), from any");
    println!("pinned : not pinned  {:6.2} (medians {:.2})", together / apart, together_median / apart_median);
    memory(&folder);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Where those are that take part in a call or a hand-over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On one processor.
    Together,
    /// Wherever the system puts them.
    Anywhere,
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn compiled(folder: &Path) -> PathBuf {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/calls.c");
    let target = folder.join("calls");
    let status = Command::new("cc").args(["-O1", "-static", source, "-o"]).arg(&target).status().unwrap();
    assert!(status.success());
    target
}

/// The smallest and the median time of several rounds.
fn smallest(mut round: impl FnMut() -> Duration) -> (Duration, Duration) {
    let mut times: Vec<Duration> = (0..ROUNDS).map(|_| round()).collect();
    times.sort();
    (times[0], times[ROUNDS / 2])
}

fn spec(program: &Path, folder: &Path, node: &str, arguments: &[String]) -> HostSpec {
    let mut spec = HostSpec::new(node, program, folder.join(node)).arguments(arguments.iter().cloned());
    spec.cpu = Some(CPU);
    spec
}

/// From the order to start to the end of a hosted program.
fn hosted(program: &Path, folder: &Path, what: &str, count: u32, place: Place) -> Duration {
    let start = Instant::now();
    let mut spec = spec(program, folder, "node", &[what.to_owned(), count.to_string()]);
    spec.cpu = spec.cpu.filter(|_| place == Place::Together);
    let mut host = Host::spawn(spec).unwrap();
    let output = host.advance(Input::default()).unwrap();
    assert!(output.status.is_some());
    let time = start.elapsed();
    host.finish().unwrap();
    time
}

/// Does `body` with the calling thread at a place; afterwards it may be where it could be before.
fn placed<T>(place: Place, body: impl FnOnce() -> T) -> T {
    let this = Pid::from_raw(0);
    let before = sched_getaffinity(this).unwrap();
    if place == Place::Together {
        let mut only = CpuSet::new();
        only.set(CPU).unwrap();
        sched_setaffinity(this, &only).unwrap();
    }
    let result = body();
    sched_setaffinity(this, &before).unwrap();
    result
}

/// The same calls under a tracer that emulates every one, without seccomp, on the same processor.
fn traced(program: &Path) -> Duration {
    placed(Place::Together, || traced_here(program))
}

fn traced_here(program: &Path) -> Duration {
    let mut child = Command::new(program).args(["traced", &CALLS.to_string()]).spawn().unwrap();
    let pid = Pid::from_raw(child.id() as i32);
    waitpid(pid, None).unwrap();
    let start = Instant::now();
    for _ in 0..CALLS {
        ptrace::sysemu(pid, None).unwrap();
        waitpid(pid, None).unwrap();
        let mut registers = ptrace::getregs(pid).unwrap();
        registers.rax = 0;
        ptrace::setregs(pid, registers).unwrap();
    }
    let time = start.elapsed();
    ptrace::cont(pid, None).unwrap();
    child.wait().unwrap();
    time
}

/// Microseconds of an advance in which the program has nothing to do, smallest and median: two switches of threads. By
/// where the thread is that advances.
fn idle_advances(folder: &Path) -> [(f64, f64); 2] {
    const TIMES: u32 = 2_000;
    let sleeper = Path::new("/bin/sleep");
    let mut host = Host::spawn(spec(sleeper, folder, "sleeper", &["1000".to_owned()])).unwrap();
    host.advance(Input::default()).unwrap();
    let mut times = [Place::Together, Place::Anywhere].map(|place| (place, Vec::new()));
    for _ in 0..ROUNDS {
        for (place, times) in &mut times {
            let start = Instant::now();
            placed(*place, || (0..TIMES).for_each(|_| drop(host.advance(Input::default()).unwrap())));
            times.push(start.elapsed());
        }
    }
    times.map(|(_, mut times)| {
        times.sort();
        let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(TIMES);
        (each(times[0]), each(times[ROUNDS / 2]))
    })
}

/// Memory of many nodes: what their processes hold for themselves, and what the supervisor grows by.
fn memory(folder: &Path) {
    let before = resident("self");
    let start = Instant::now();
    let sleeper = Path::new("/bin/sleep");
    let mut hosts = Vec::new();
    for node in 0..NODES {
        let spec = spec(sleeper, folder, &format!("node{node}"), &["1000".to_owned()]);
        let mut host = Host::spawn(spec).unwrap();
        host.advance(Input::default()).unwrap();
        hosts.push(host);
    }
    let took = start.elapsed();
    let own = std::process::id().to_string();
    let mut processes = 0;
    let mut shares = 0;
    let mut open = vec![own];
    while let Some(pid) = open.pop() {
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            for child in children.split_ascii_whitespace() {
                processes += 1;
                shares += share(child);
                open.push(child.to_owned());
            }
        }
    }
    let grown = resident("self").saturating_sub(before);
    println!("{NODES} nodes of `sleep`   {processes} processes, started in {:.0} ms", ms(took));
    println!("memory per node      {} KiB in processes, {} KiB in the supervisor", shares / NODES, grown / NODES);
}

/// KiB of a process's own share of memory.
fn share(pid: &str) -> usize {
    field(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

fn resident(pid: &str) -> usize {
    field(&format!("/proc/{pid}/status"), "VmRSS:")
}

fn field(path: &str, name: &str) -> usize {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_ascii_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
