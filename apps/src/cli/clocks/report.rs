//! What `clocks` prints, and how traces are written.

use super::args::{law, link_name, unstable};
use super::drive::{Simulated, Traces};
use crate::cli::failure::{Exit, Failure};
use crate::cli::session::{Session, counted, facts, grouped, scaled};
use crate::formats::ClockSpec;
use serde::Serialize;
use sim_core::LinkId;
use sim_core::clock::{BufferEvent, BufferFault, ClockEvent, Snapshot};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Events that are stated from the beginning.
pub(super) const FIRST_EVENTS: usize = 12;

#[derive(Serialize)]
struct ClocksJson<'a> {
    name: &'a str,
    /// Logical latencies at the end, by link.
    ugn: Vec<i64>,
    first_events: Vec<EventJson>,
    samples: Vec<SampleJson>,
    /// As published cases count them: the event that ends the simulation is one.
    events: u64,
    /// Nanoseconds from which on all clocks were within the tolerance.
    settled: Option<f64>,
    /// The fastest less the slowest clock at the end, in ppm.
    spread_ppm: Option<f64>,
    /// Lowest and highest occupancy that was measured, by link.
    occupancy: Vec<Option<(i64, i64)>>,
    /// How far all clocks were from the nominal frequency in the mean, over all nodes and all time, in ppm.
    mean_ppm: f64,
    /// Σ ∫(ω − nominal)² dt, in frames² per nanosecond.
    l2_frequency: f64,
    /// Σ (counter − set point)² over all readings, in frames².
    l2_readings: f64,
    /// Frames by which logical latencies were changed.
    edits: Vec<EditJson>,
    buffer_events: u64,
    first_buffer_events: Vec<BufferEventJson>,
    saturated: u64,
    warnings: Vec<String>,
}

/// Times in nanoseconds, frequencies in frames per nanosecond.
#[derive(Serialize)]
struct EventJson {
    node: u32,
    k: u64,
    t_k: f64,
    s_k: f64,
    freq: f64,
    meas: i64,
}

impl From<&ClockEvent> for EventJson {
    fn from(event: &ClockEvent) -> Self {
        Self {
            node: event.node.0,
            k: event.number,
            t_k: event.measured_at.as_nanos(),
            s_k: event.acted_at.as_nanos(),
            freq: event.frequency.per_nanosecond(),
            meas: event.reading,
        }
    }
}

#[derive(Serialize)]
struct SampleJson {
    t: f64,
    theta: Vec<f64>,
    freq: Vec<f64>,
    beta: Vec<i64>,
    gamma: Vec<i64>,
}

impl From<&Snapshot> for SampleJson {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            t: snapshot.at.as_nanos(),
            theta: snapshot.nodes.values().map(|node| node.phase.as_frames()).collect(),
            freq: snapshot.nodes.values().map(|node| node.frequency.per_nanosecond()).collect(),
            beta: snapshot.links.values().map(|link| link.occupancy).collect(),
            gamma: snapshot.links.values().map(|link| link.in_flight).collect(),
        }
    }
}

#[derive(Serialize)]
struct EditJson {
    t: f64,
    link: u32,
    kind: String,
    frames: i64,
}

#[derive(Serialize)]
pub(crate) struct BufferEventJson {
    t: f64,
    link: u32,
    tick: i64,
    kind: &'static str,
}

impl From<&BufferEvent> for BufferEventJson {
    fn from(event: &BufferEvent) -> Self {
        Self { t: event.at.as_nanos(), link: event.link.0, tick: event.tick, kind: fault_name(event.fault) }
    }
}

pub(crate) fn fault_name(fault: BufferFault) -> &'static str {
    match fault {
        BufferFault::Overflow => "overflow",
        BufferFault::Underflow => "underflow",
    }
}

/// Edits that are stated, at most.
const EDITS: usize = 1_000;

pub(super) fn print(session: &Session, spec: &ClockSpec, simulated: &Simulated) -> Result<(), Failure> {
    let Simulated { engine, samples, .. } = simulated;
    let summary = engine.summary();
    let json = || ClocksJson {
        name: &spec.name,
        ugn: engine.link_ids().map(|link| engine.logical_latency(link)).collect(),
        first_events: engine.first_events().iter().map(EventJson::from).collect(),
        samples: samples.iter().map(SampleJson::from).collect(),
        events: summary.events + 1,
        settled: summary.settled_at.map(sim_core::clock::Femtos::as_nanos),
        spread_ppm: super::spread_ppm(spec, simulated),
        occupancy: engine.link_ids().map(|link| engine.occupancies(link)).collect(),
        mean_ppm: mean_ppm(spec, summary.deviation),
        l2_frequency: summary.deviation_squared,
        l2_readings: summary.readings_squared,
        edits: engine.edits().iter().take(EDITS).map(edit).collect(),
        buffer_events: engine.buffer_event_count(),
        first_buffer_events: engine.buffer_events().iter().map(BufferEventJson::from).collect(),
        saturated: summary.saturated,
        warnings: unstable(spec).into_iter().collect(),
    };
    session.print(|| text(spec, simulated), &json())
}

/// The mean deviation of all clocks, of which Σ ∫(ω − nominal) dt was `deviation` frames.
fn mean_ppm(spec: &ClockSpec, deviation: f64) -> f64 {
    let frames = spec.network.nominal().per_nanosecond() * spec.until.as_nanos() * spec.nodes.len() as f64;
    deviation / frames * 1e6
}

fn edit(edit: &sim_core::clock::Edit) -> EditJson {
    use sim_core::clock::EditKind;
    let kind = match edit.kind {
        EditKind::Centred => "centred",
        EditKind::Drained => "drained",
        EditKind::Recaptured => "recaptured",
        EditKind::Groomed => "groomed",
        EditKind::Fault(kind) => fault_name(kind),
    };
    EditJson { t: edit.at.as_nanos(), link: edit.link.0, kind: kind.to_owned(), frames: edit.frames }
}

fn text(spec: &ClockSpec, simulated: &Simulated) -> String {
    const SHOWN: usize = 8;
    let Simulated { engine, took, .. } = simulated;
    let (summary, network) = (engine.summary(), &spec.network);
    let nominal = network.nominal();
    let (nodes, links) = (network.nodes().len() as u64, network.links().len() as u64);
    let mut text = format!(
        "{}: {} near {nominal}, {}, {} control, {} simulated\n\n",
        spec.name,
        counted(nodes, "node"),
        counted(links, "link"),
        law(&spec.control),
        spec.until
    );
    let settled = match summary.settled_at {
        Some(at) => format!("all within the tolerance from {:.6} s on", at.as_seconds()),
        None => "no".to_owned(),
    };
    let spread = super::spread_ppm(spec, simulated).map_or("-".to_owned(), |spread| format!("{spread:.6} ppm"));
    let mean = summary.spread.map_or("-".to_owned(), |(low, high)| {
        let mean = mean_ppm(spec, summary.deviation);
        format!("{:+.6} … {:+.6} ppm, mean of all time {mean:+.6}", low.ppm_of(nominal), high.ppm_of(nominal))
    });
    let measured: Vec<(i64, i64)> = engine.link_ids().filter_map(|link| engine.occupancies(link)).collect();
    let least = measured.iter().map(|&(least, _)| least).min().unwrap_or(0);
    let most = measured.iter().map(|&(_, most)| most).max().unwrap_or(0);
    let rate = scaled(summary.events as f64 / took.as_secs_f64().max(1e-9));
    text += &facts(&[
        ("settled", settled),
        ("spread at the end", spread),
        ("frequencies", mean),
        ("occupancies", format!("{least} … {most} frames")),
        ("events", format!("{} in {:.3} s, {rate}/s", grouped(summary.events), took.as_secs_f64())),
    ]);
    if summary.saturated > 0 {
        let count = counted(summary.saturated, "correction");
        let _ = writeln!(text, "\n{count} went beyond what an actuator reaches: the loop is unstable");
    }
    let faults = engine.buffer_events();
    if engine.buffer_event_count() > 0 {
        let _ = writeln!(text, "\n{}", counted(engine.buffer_event_count(), "buffer event"));
        for event in faults.iter().take(SHOWN) {
            let _ = writeln!(text, "  {}", buffer_event(spec, event));
        }
    }
    text
}

/// An over- or underflow in words.
pub(crate) fn buffer_event(spec: &ClockSpec, event: &BufferEvent) -> String {
    let link = &spec.network.links()[event.link];
    let name = link_name(&spec.nodes, link.source, link.target);
    format!("{} of {name} in tick {} at {}", fault_name(event.fault), event.tick, event.at)
}

/// Finds out before any work that a trace cannot be written.
pub(super) fn check_trace(path: Option<&PathBuf>) -> Result<(), Failure> {
    let extension = path.map(|path| path.extension().and_then(|extension| extension.to_str()));
    match extension {
        None | Some(Some("csv" | "json")) => Ok(()),
        Some(_) => Err(Failure::new(Exit::Invalid, "usage::trace", "the name of a trace must end in .csv or .json")),
    }
}

#[derive(Serialize)]
struct TraceJson {
    nominal: f64,
    nodes: Vec<String>,
    links: Vec<String>,
    /// Nanoseconds.
    t: Vec<f64>,
    /// Per time and node; null while it is stopped.
    ppm: Vec<Vec<Option<f64>>>,
    /// Per time and link; null while it is down.
    occupancy: Vec<Vec<Option<i64>>>,
}

pub(super) fn trace(spec: &ClockSpec, traces: &Traces, path: &Path) -> String {
    let links = spec.network.links();
    let link = |id: &LinkId| link_name(&spec.nodes, links[*id].source, links[*id].target);
    let trace = TraceJson {
        nominal: spec.network.nominal().per_nanosecond(),
        nodes: traces.nodes.iter().map(|id| spec.nodes[id.0 as usize].clone()).collect(),
        links: traces.links.iter().map(link).collect(),
        t: traces.times.iter().map(|time| time.as_nanos()).collect(),
        ppm: traces.ppm.clone(),
        occupancy: traces.occupancy.clone(),
    };
    if path.extension().is_some_and(|extension| extension == "json") {
        return serde_json::to_string(&trace).expect("traces are plain data");
    }
    let mut text = String::from("time_ns");
    for node in &trace.nodes {
        let _ = write!(text, ",{}", field(&format!("ppm {node}")));
    }
    for link in &trace.links {
        let _ = write!(text, ",{}", field(&format!("frames {link}")));
    }
    text.push('\n');
    for (time, (ppm, occupancy)) in trace.t.iter().zip(trace.ppm.iter().zip(&trace.occupancy)) {
        let _ = write!(text, "{time}");
        for value in ppm {
            text.push(',');
            let _ = value.map_or(Ok(()), |value| write!(text, "{value}"));
        }
        for value in occupancy {
            text.push(',');
            let _ = value.map_or(Ok(()), |value| write!(text, "{value}"));
        }
        text.push('\n');
    }
    text
}

/// A heading as CSV holds it.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
