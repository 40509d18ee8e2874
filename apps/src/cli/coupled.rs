//! `run --clocks`: the same run on real oscillators. Logical results do not change unless a buffer fails.

use super::boot::{Booted, start};
use super::clocks::args::{self, ClockFlags, link_name};
use super::clocks::report::fault_name;
use super::failure::{Exit, Failure};
use super::session::Session;
use crate::formats::ClockSpec;
use serde::Serialize;
use sim_core::clock::{BootOptions, ClockEngine, Control, CoupledRun, Coupling, EngineOptions, Femtos};
use sim_core::{Machine, Tick};
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Ticks whose physical times are kept, about.
const TIMES: i64 = 1_000;

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

    /// Whether `machine`, which calendars are for, is the one that these clocks make.
    pub(crate) fn check(&self, machine: &Machine) -> Result<(), Failure> {
        let (mine, other) = (&self.machine, machine);
        let invalid = |message: String| {
            Failure::new(Exit::Invalid, "clocks::other_machine", message)
                .help("`tidelock boot SPEC -o m.ron` writes the machine of these clocks")
        };
        let sizes = |machine: &Machine| (machine.nodes().len(), machine.links().len());
        if sizes(mine) != sizes(other) {
            let ((nodes, links), (theirs, others)) = (sizes(mine), sizes(other));
            return Err(invalid(format!(
                "the clocks are of {nodes} nodes and {links} links, the machine has {theirs} and {others}"
            )));
        }
        for (id, link) in mine.links().iter() {
            let same = &other.links()[id];
            if (link.source, link.target) != (same.source, same.target) || link.latency != same.latency {
                let name = |machine: &Machine| {
                    let link = &machine.links()[id];
                    let ends = [link.source, link.target].map(|end| machine.nodes()[end].name.clone());
                    format!("{} of {} ticks", ends.join(" → "), link.latency)
                };
                return Err(invalid(format!("the clocks settle to {}, the machine has {}", name(mine), name(other))));
            }
        }
        Ok(())
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
        let run = Coupling::new(self.engine, &offsets).run(end, (end.0 / TIMES).max(1));
        Ok(Carried { run, spec: self.spec, took: self.took + begin.elapsed() })
    }
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
    pub(crate) fn times(&self) -> String {
        let mut text = String::from("tick");
        for name in &self.spec.nodes {
            let _ = write!(text, ",{name}");
        }
        text.push('\n');
        for (tick, times) in &self.run.times {
            let _ = write!(text, "{tick}");
            for Femtos(time) in times.values() {
                let _ = write!(text, ",{time}");
            }
            text.push('\n');
        }
        text
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
