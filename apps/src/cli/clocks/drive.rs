//! Runs a clock simulation and keeps what is asked for: samples, traces, curves.

use crate::cli::failure::{Exit, Failure};
use crate::formats::ClockSpec;
use crate::pictures::{ClocksScene, Curve, Panel};
use sim_core::clock::{ClockEngine, EngineOptions, Femtos, Frequency, Snapshot};
use sim_core::{LinkId, NodeId};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

/// Points of time in a picture.
const POINTS: i128 = 500;
/// Values that a picture is made of, at most: beyond, only some curves are kept.
const VALUES: usize = 1 << 22;

/// Values over time of some nodes and links.
#[derive(Clone, Debug, Default)]
pub(super) struct Traces {
    pub(super) nodes: Vec<NodeId>,
    pub(super) links: Vec<LinkId>,
    pub(super) times: Vec<Femtos>,
    /// Per time and node: deviation from the nominal frequency, in ppm; none of a node that is stopped.
    pub(super) ppm: Vec<Vec<Option<f64>>>,
    /// Per time and link: frames in the buffer; none of a link that is down.
    pub(super) occupancy: Vec<Vec<Option<i64>>>,
}

/// What to keep.
pub(super) struct Wanted {
    pub(super) threads: NonZeroUsize,
    pub(super) tolerance: Frequency,
    pub(super) first_events: usize,
    /// Traces, and the time between their points.
    pub(super) traces: Option<(Vec<NodeId>, Vec<LinkId>, Femtos)>,
    pub(super) picture: bool,
    pub(super) watch_from: Option<Femtos>,
}

/// A simulation that has come to its end.
pub(super) struct Simulated {
    pub(super) engine: ClockEngine,
    pub(super) samples: Vec<Snapshot>,
    pub(super) traces: Option<Traces>,
    pub(super) picture: Option<Traces>,
    pub(super) took: Duration,
}

/// Over- and underflows that are kept.
const BUFFER_EVENTS: usize = 1_000;

pub(super) fn simulate(spec: &ClockSpec, wanted: &Wanted) -> Result<Simulated, Failure> {
    let options =
        EngineOptions { threads: wanted.threads, tolerance: wanted.tolerance, first_events: wanted.first_events };
    let start = Instant::now();
    let mut engine = ClockEngine::new(&spec.network, spec.control, options);
    if spec.drain {
        engine.drain();
    }
    for &(at, fault) in &spec.faults {
        engine.schedule(at, fault).map_err(|error| Failure::new(Exit::Invalid, "clocks::fault", error.to_string()))?;
    }
    let mut recorders: Vec<(Traces, Femtos)> = Vec::new();
    if let Some((nodes, links, every)) = &wanted.traces {
        let traces = Traces { nodes: nodes.clone(), links: links.clone(), ..Traces::default() };
        recorders.push((traces, *every));
    }
    if wanted.picture {
        recorders.push((pictured(spec), Femtos((spec.until.0 / POINTS).max(1))));
    }
    let mut samples = Vec::new();
    let mut due: Vec<Femtos> = spec.samples.iter().copied().filter(|&at| at <= spec.until).collect();
    due.sort_unstable();
    due.dedup();
    let mut due = due.into_iter().peekable();
    let mut watching = wanted.watch_from;
    loop {
        let next = |(traces, every): &(Traces, Femtos)| Femtos(traces.times.len() as i128 * every.0);
        let stop = recorders.iter().map(next).chain(due.peek().copied()).chain(watching).min();
        let Some(stop) = stop.filter(|&stop| stop <= spec.until) else { break };
        // What acts at the very time is seen.
        engine.advance(stop + Femtos(1));
        if watching == Some(stop) {
            engine.centre();
            engine.watch(BUFFER_EVENTS);
            watching = None;
        }
        if due.next_if_eq(&stop).is_some() {
            samples.push(engine.snapshot(stop));
        }
        for recorder in recorders.iter_mut().filter(|recorder| next(recorder) == stop) {
            recorder.0.record(&engine, spec, stop);
        }
    }
    engine.advance(spec.until);
    let picture = if wanted.picture { recorders.pop().map(|(traces, _)| traces) } else { None };
    let traces = recorders.pop().map(|(traces, _)| traces);
    Ok(Simulated { engine, samples, traces, picture, took: start.elapsed() })
}

impl Traces {
    fn record(&mut self, engine: &ClockEngine, spec: &ClockSpec, at: Femtos) {
        let nominal = spec.network.nominal();
        self.times.push(at);
        let ppm = |&node: &NodeId| {
            let frequency = engine.node_view(node, at).frequency;
            (frequency.0 > 0).then(|| frequency.ppm_of(nominal))
        };
        let frames = |&link: &LinkId| engine.is_up(link).then(|| engine.link_view(link, at).occupancy);
        self.ppm.push(self.nodes.iter().map(ppm).collect());
        self.occupancy.push(self.links.iter().map(frames).collect());
    }
}

/// What a picture shows: everything, or of large networks evenly chosen nodes and links.
fn pictured(spec: &ClockSpec) -> Traces {
    let most = VALUES / POINTS as usize / 2;
    let some = |count: usize| (0..count).step_by(count.div_ceil(most).max(1)).map(|number| number as u32);
    Traces {
        nodes: some(spec.network.nodes().len()).map(NodeId).collect(),
        links: some(spec.network.links().len()).map(LinkId).collect(),
        ..Traces::default()
    }
}

/// The picture of a simulation.
pub(super) fn scene(spec: &ClockSpec, simulated: &Simulated, traces: &Traces, tolerance: Frequency) -> ClocksScene {
    let (nodes, links) = (spec.network.nodes().len(), spec.network.links());
    let nominal = spec.network.nominal();
    let node = |(place, id): (usize, &NodeId)| Curve {
        name: spec.nodes[id.0 as usize].clone(),
        values: traces.ppm.iter().map(|row| row[place].unwrap_or(f64::NAN)).collect(),
    };
    let link = |(place, id): (usize, &LinkId)| Curve {
        name: super::args::link_name(&spec.nodes, links[*id].source, links[*id].target),
        values: traces.occupancy.iter().map(|row| row[place].map_or(f64::NAN, |frames| frames as f64)).collect(),
    };
    let depth = common_depth(spec);
    let settled = simulated.engine.summary().settled_at;
    let within = (tolerance.0 as f64 / nominal.0 as f64 * 1e9).round() / 1e3;
    ClocksScene {
        title: format!("Clocks of {}", spec.name),
        subtitle: format!(
            "{nodes} nodes near {nominal}, {} links, {} control",
            links.len(),
            super::args::law(&spec.control)
        ),
        times: traces.times.iter().map(|time| time.as_seconds()).collect(),
        frequency: Panel::new("Relative frequency (ppm)", traces.nodes.iter().enumerate().map(node).collect()),
        occupancy: Panel::new("Buffer occupancy (frames)", traces.links.iter().enumerate().map(link).collect()),
        // Before buffers are centred they may hold anything: limits would only flatten the curves.
        depth: depth.filter(|_| simulated.engine.buffer_event_count() > 0 || centred(&simulated.engine)),
        settled: settled.map(|at| (at.as_seconds(), format!("all within {within} ppm"))),
    }
}

/// The depth of all buffers, if they have the same.
pub(crate) fn common_depth(spec: &ClockSpec) -> Option<u32> {
    let mut depths = spec.network.links().values().map(|link| link.depth);
    let first = depths.next()??;
    depths.all(|depth| depth == Some(first)).then_some(first)
}

fn centred(engine: &ClockEngine) -> bool {
    engine.edits().iter().any(|edit| edit.kind == sim_core::clock::EditKind::Centred)
}
