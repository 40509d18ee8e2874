//! `run --clocks`: the same run on real oscillators. Logical results do not change unless a buffer fails.

use super::boot::{Booted, start};
use super::clocks::args::{self, ClockFlags, link_name};
use super::clocks::drive::common_depth;
use super::clocks::report::fault_name;
use super::failure::{Exit, Failure};
use super::session::Session;
use crate::formats::ClockSpec;
use crate::pictures::{self, ClocksScene, Curve, Panel};
use serde::Serialize;
use sim_core::clock::{BootOptions, ClockEngine, Control, CoupledRun, CoupledTick, Coupling, EngineOptions, Femtos};
use sim_core::{Link, LinkId, Machine, NodeId, Tick};
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Ticks whose physical times are kept, about.
const TICKS: i64 = 1_000;
/// Values that are kept of all of them, about.
const VALUES: i64 = 1 << 22;

/// Clocks that have booted and wait for a run.
pub(crate) struct Coupled {
    spec: ClockSpec,
    engine: ClockEngine,
    pub(crate) machine: Machine,
    took: Duration,
}

/// How clocks carried a run.
pub(crate) struct Carried {
    pub(crate) run: CoupledRun,
    spec: ClockSpec,
    took: Duration,
}

#[derive(Serialize)]
pub(crate) struct CarriedJson {
    /// Physical seconds at which the first node began and the last one ended.
    begin_seconds: f64,
    end_seconds: f64,
    /// Lowest and highest occupancy of all buffers, in frames.
    occupancy: Option<(i64, i64)>,
    fault: Option<FaultJson>,
    /// How long simulating the clocks took, boot included.
    seconds: f64,
}

#[derive(Serialize)]
struct FaultJson {
    kind: &'static str,
    link: String,
    tick: i64,
    at_seconds: f64,
}

impl Coupled {
    /// Boots the clocks of a specification.
    pub(crate) fn boot(session: &Session, path: &Path) -> Result<Self, Failure> {
        let begin = Instant::now();
        let spec = args::clocks(session, Some(path), &ClockFlags::default())?;
        let options = BootOptions::default();
        let mut engine =
            ClockEngine::<Control>::new(&spec.network, spec.control, EngineOptions::new(spec.network.nominal()));
        let Booted { machine, .. } = start(&mut engine, &spec, options)?;
        Ok(Self { spec, engine, machine, took: begin.elapsed() })
    }

    /// Makes of these clocks those of `machine`, which calendars are for: it has the captured latencies, or larger ones
    /// that `boot --groom` made, for which frames are inserted now.
    pub(crate) fn carry_machine(&mut self, machine: &Machine) -> Result<(), Failure> {
        let (mine, other) = (&self.machine, machine);
        let sizes = |machine: &Machine| (machine.nodes().len(), machine.links().len());
        if sizes(mine) != sizes(other) {
            let ((nodes, links), (theirs, others)) = (sizes(mine), sizes(other));
            return Err(other_machine(format!(
                "the clocks are of {nodes} nodes and {links} links, the machine has {theirs} and {others}"
            )));
        }
        let same = |(id, link): (LinkId, &Link)| link.latency == other.links()[id].latency;
        if mine.links().iter().all(same) && ends(mine) == ends(other) {
            return Ok(());
        }
        let frames = mine.links().ids().map(|id| self.frames_for(id, other)).collect::<Result<Vec<i64>, _>>()?;
        for (id, frames) in self.machine.links().ids().zip(frames) {
            self.engine.insert_frames(id, frames);
        }
        self.machine = other.clone();
        Ok(())
    }

    /// Frames to insert into a link for the latency that `machine` gives it, under the counters that it gives its nodes.
    fn frames_for(&self, id: LinkId, machine: &Machine) -> Result<i64, Failure> {
        let (link, other) = (&self.machine.links()[id], &machine.links()[id]);
        let relabelled = |node: NodeId| machine.nodes()[node].offset - self.machine.nodes()[node].offset;
        let captured = link.latency.0 + relabelled(link.target) - relabelled(link.source);
        let frames = other.latency.0 - captured;
        let inside = self.engine.link_view(id, self.engine.now()).occupancy;
        let room = self.spec.network.links()[id].depth.map_or(i64::MAX, |depth| i64::from(depth) - inside);
        if (link.source, link.target) == (other.source, other.target) && (0..=room).contains(&frames) {
            return Ok(frames);
        }
        let name = |machine: &Machine, link: &Link| {
            [link.source, link.target].map(|end| machine.nodes()[end].name.clone()).join(" → ")
        };
        let (here, there) = (name(&self.machine, link), name(machine, other));
        Err(other_machine(match here == there {
            true if frames > room => format!(
                "the machine has {there} of {} ticks, {frames} more than clocks settle to; the buffer has room for {room}",
                other.latency
            ),
            _ => {
                format!("the clocks settle to {here} of {captured} ticks, the machine has {there} of {}", other.latency)
            }
        }))
    }

    /// Lets clocks carry a run of `ticks` ticks.
    pub(crate) fn carry(self, end: Tick) -> Result<Carried, Failure> {
        let begin = Instant::now();
        // The slowest clock decides how long it takes; twice that is plenty.
        let length = 2 * i128::from(end.0) * 1_000_000_000_000_000_000_000 / i128::from(self.spec.network.nominal().0);
        let most = self.spec.network.time_most();
        if self.engine.now().0 + length > most.0 {
            let message = format!("{end} ticks are too long for a coupled run, clocks can be simulated for {most}");
            return Err(Failure::new(Exit::Invalid, "clocks::too_long", message).help("run fewer iterations"));
        }
        let offsets = self.machine.nodes().values().map(|node| node.offset).collect();
        let per_tick = self.machine.nodes().len() + self.machine.links().len();
        let ticks = (VALUES / per_tick as i64).clamp(2, TICKS);
        let run = Coupling::new(self.engine, &offsets).run(end, (end.0 / ticks).max(1));
        Ok(Carried { run, spec: self.spec, took: self.took + begin.elapsed() })
    }
}

/// The ends of all links.
fn ends(machine: &Machine) -> Vec<(NodeId, NodeId)> {
    machine.links().values().map(|link| (link.source, link.target)).collect()
}

fn other_machine(message: String) -> Failure {
    Failure::new(Exit::Invalid, "clocks::other_machine", message).help(
        "`tidelock boot SPEC -o m.ron` writes the machine of these clocks, and --groom keeps the latencies of an older one",
    )
}

impl Carried {
    /// The failure of a buffer as that of the command.
    pub(crate) fn failure(&self) -> Option<Failure> {
        let fault = self.run.fault?;
        let (kind, link) = (fault_name(fault.event.fault), self.link(fault.event.link));
        let message = format!("{kind} of the buffer of {link} in tick {} at {}", fault.tick, fault.event.at);
        let help = "deepen the buffers, steady the oscillators, or raise the gain";
        Some(Failure::new(Exit::CheckFailed, "clocks::buffer", message).help(help))
    }

    fn link(&self, link: sim_core::LinkId) -> String {
        let ends = &self.spec.network.links()[link];
        link_name(&self.spec.nodes, ends.source, ends.target)
    }

    pub(crate) fn json(&self) -> CarriedJson {
        let fault = |fault: sim_core::clock::CoupledFault| FaultJson {
            kind: fault_name(fault.event.fault),
            link: self.link(fault.event.link),
            tick: fault.tick.0,
            at_seconds: fault.event.at.as_seconds(),
        };
        let seen = || self.run.occupancies.values().flatten();
        CarriedJson {
            begin_seconds: self.run.begin.as_seconds(),
            end_seconds: self.run.end.as_seconds(),
            occupancy: seen().map(|&(least, _)| least).min().zip(seen().map(|&(_, most)| most).max()),
            fault: self.run.fault.map(fault),
            seconds: self.took.as_secs_f64(),
        }
    }

    /// Physical times of ticks, as CSV: femtoseconds since the start of the first clock.
    fn times(&self) -> String {
        let mut text = String::from("tick");
        for name in &self.spec.nodes {
            let _ = write!(text, ",{name}");
        }
        text.push('\n');
        for CoupledTick { tick, began, .. } in &self.run.ticks {
            let _ = write!(text, "{tick}");
            for Femtos(time) in began.values() {
                let _ = write!(text, ",{time}");
            }
            text.push('\n');
        }
        text
    }
}

impl Carried {
    /// What a run leaves in its results: physical times of ticks, and the picture of them.
    pub(crate) fn files(&self) -> Vec<(&'static str, String)> {
        let picture = (self.run.ticks.len() > 1).then(|| ("clocks.svg", pictures::clocks_svg(&self.scene())));
        [("tick_times.csv", self.times())].into_iter().chain(picture).collect()
    }

    /// The run in physical time: when each node begins a tick, against the mean of all, and what its buffers hold then.
    fn scene(&self) -> ClocksScene {
        let (ticks, links) = (&self.run.ticks, self.spec.network.links());
        let nanos = |from: Femtos, to: Femtos| (to.0 - from.0) as f64 / 1e6;
        let mean = |tick: &CoupledTick| {
            let sum: f64 = tick.began.values().map(|&at| nanos(self.run.begin, at)).sum();
            sum / tick.began.len() as f64
        };
        let means: Vec<f64> = ticks.iter().map(mean).collect();
        let node = |id: NodeId| Curve {
            name: self.spec.nodes[id.0 as usize].clone(),
            values: ticks.iter().zip(&means).map(|(tick, mean)| nanos(self.run.begin, tick.began[id]) - mean).collect(),
        };
        let link = |id: LinkId| Curve {
            name: self.link(id),
            values: ticks.iter().map(|tick| tick.occupancies[id] as f64).collect(),
        };
        let last = ticks.last().map_or(Tick(0), |tick| tick.tick);
        ClocksScene {
            title: format!("A run on the clocks of {}", self.spec.name),
            subtitle: format!(
                "ticks 0 to {last}: the first node begins tick 0 at {:.9} s; time counts from there",
                self.run.begin.as_seconds()
            ),
            times: means.iter().map(|nanos| nanos / 1e9).collect(),
            frequency: Panel::new(
                "A tick begins, against the mean of all nodes (ns)",
                self.spec.network.nodes().ids().map(node).collect(),
            ),
            occupancy: Panel::new("Buffer occupancy (frames)", links.ids().map(link).collect()),
            depth: common_depth(&self.spec),
            settled: None,
        }
    }
}

impl CarriedJson {
    /// Lines for people.
    pub(crate) fn facts(&self, ideal_seconds: f64) -> Vec<(&'static str, String)> {
        let occupancy =
            self.occupancy.map_or("unlimited buffers".to_owned(), |(least, most)| format!("{least} … {most} frames"));
        let ratio = self.seconds / ideal_seconds.max(1e-9);
        vec![
            ("physical time", format!("{:.9} … {:.9} s", self.begin_seconds, self.end_seconds)),
            ("occupancies", occupancy),
            ("clocks cost", format!("{:.3} s, boot included: {ratio:.2} of the run", self.seconds)),
        ]
    }
}
