//! `clocks`: clock dynamics alone, with traces and the picture of how clocks converge.

pub(crate) mod args;
pub(crate) mod drive;
pub(crate) mod report;

use super::failure::{Exit, Failure};
use super::files;
use super::session::Session;
use crate::formats::ClockSpec;
use args::ClockFlags;
use drive::{Simulated, Wanted};
use sim_core::clock::{Femtos, Frequency};
use sim_core::{LinkId, NodeId};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Simulate oscillators, elastic buffers and their control
#[derive(clap::Args, Debug)]
pub(crate) struct Clocks {
    /// Specification: RON, or the JSON of published cases
    #[arg(value_name = "SPEC")]
    spec: Option<PathBuf>,
    #[command(flatten)]
    flags: ClockFlags,
    /// How long to simulate [default: the specification's, or 1s]
    #[arg(long, value_name = "TIME", value_parser = args::span)]
    until: Option<Femtos>,
    /// Distance of the slowest and the fastest clock below which all count as settled
    #[arg(long, value_name = "PPM", default_value = "1")]
    tolerance: sim_core::clock::Decimal,
    /// Threads to use at most; below a thousand nodes for each, meeting takes longer than computing
    #[arg(long, value_name = "COUNT", default_value = "1")]
    threads: NonZeroUsize,
    /// Picture of frequencies and occupancies, .svg or .png
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Trace of frequencies and occupancies, .csv or .json
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Nodes that are traced
    #[arg(long, value_name = "all|none|NAME,…", default_value = "all", requires = "trace")]
    trace_nodes: String,
    /// Links that are traced
    #[arg(long, value_name = "all|none|FROM>TO,…", default_value = "all", requires = "trace")]
    trace_links: String,
    /// Time between two points of a trace [default: a thousandth of the whole]
    #[arg(long, value_name = "TIME", value_parser = args::span, requires = "trace")]
    every: Option<Femtos>,
    /// Centre all buffers at this time, and report every over- and underflow from then on (exit code 4)
    #[arg(long, value_name = "TIME", value_parser = args::span)]
    watch_from: Option<Femtos>,
}

impl Clocks {
    pub(crate) fn run(&self, session: &Session) -> Result<Option<Exit>, Failure> {
        args::check_picture(self.picture.as_ref())?;
        report::check_trace(self.trace.as_ref())?;
        let mut spec = args::clocks(session, self.spec.as_deref(), &self.flags)?;
        spec.until = self.until.unwrap_or(spec.until);
        check_length(&spec)?;
        let wanted = self.wanted(&spec)?;
        let simulated = drive::simulate(&spec, &wanted)?;
        if let (Some(path), Some(traces)) = (&self.picture, &simulated.picture) {
            let scene = drive::scene(&spec, &simulated, traces, wanted.tolerance);
            crate::pictures::clocks(&scene, path).map_err(|error| super::view::picture(&error))?;
            session.talk(format_args!("picture in {}", path.display()));
        }
        if let (Some(path), Some(traces)) = (&self.trace, &simulated.traces) {
            files::write(path, report::trace(&spec, traces, path))?;
            session.talk(format_args!("trace in {}", path.display()));
        }
        report::print(session, &spec, &simulated)?;
        let failed = simulated.engine.buffer_event_count() > 0;
        Ok(failed.then_some(Exit::CheckFailed))
    }

    fn wanted(&self, spec: &ClockSpec) -> Result<Wanted, Failure> {
        let parts = self.tolerance.scaled(6).and_then(|parts| i64::try_from(parts).ok()).filter(|&parts| parts > 0);
        let invalid = |message: String| Failure::new(Exit::Invalid, "usage::clocks", message);
        let parts = parts.ok_or_else(|| invalid("--tolerance must be positive".to_owned()))?;
        let nominal = spec.network.nominal();
        let tolerance = Frequency((nominal.shifted(parts).0 - nominal.0).max(1));
        let traces = match &self.trace {
            None => None,
            Some(_) => {
                let every = self.every.unwrap_or(Femtos((spec.until.0 / 1_000).max(1)));
                Some((self.traced_nodes(spec)?, self.traced_links(spec)?, every))
            }
        };
        Ok(Wanted {
            threads: args::threads(self.threads, &spec.network),
            tolerance,
            first_events: report::FIRST_EVENTS,
            traces,
            picture: self.picture.is_some(),
            watch_from: self.watch_from,
        })
    }

    fn traced_nodes(&self, spec: &ClockSpec) -> Result<Vec<NodeId>, Failure> {
        match self.trace_nodes.as_str() {
            "all" => Ok(spec.network.nodes().ids().collect()),
            "none" => Ok(Vec::new()),
            list => list.split(',').map(|name| node(spec, name)).collect(),
        }
    }

    fn traced_links(&self, spec: &ClockSpec) -> Result<Vec<LinkId>, Failure> {
        let link = |name: &str| {
            let unknown = || Failure::new(Exit::Invalid, "usage::no_such_link", format!("there is no link `{name}`"));
            let (from, to) = name.split_once('>').ok_or_else(|| unknown().help("name links by their ends: `n0>n1`"))?;
            let ends = (node(spec, from)?, node(spec, to)?);
            let found = spec.network.links().iter().find(|(_, link)| (link.source, link.target) == ends);
            found.map(|(id, _)| id).ok_or_else(unknown)
        };
        match self.trace_links.as_str() {
            "all" => Ok(spec.network.links().ids().collect()),
            "none" => Ok(Vec::new()),
            list => list.split(',').map(link).collect(),
        }
    }
}

fn node(spec: &ClockSpec, name: &str) -> Result<NodeId, Failure> {
    let place = spec.nodes.iter().position(|known| known == name.trim());
    place.map(|place| NodeId(place as u32)).ok_or_else(|| {
        let near = crate::formats::nearest(name, spec.nodes.iter().map(String::as_str));
        let failure = Failure::new(Exit::Invalid, "usage::no_such_node", format!("there is no node `{name}`"));
        near.into_iter().fold(failure, |failure, near| failure.help(format!("did you mean `{near}`?")))
    })
}

/// Refuses simulations whose phases 128 bits do not hold.
pub(crate) fn check_length(spec: &ClockSpec) -> Result<(), Failure> {
    let most = spec.network.time_most();
    if spec.until <= most {
        return Ok(());
    }
    let message = format!("{} are too long to be simulated at these frequencies, at most {most}", spec.until);
    Err(Failure::new(Exit::Invalid, "clocks::too_long", message).help("simulate a shorter time: --until"))
}

/// Results of a simulation, for reports.
fn spread_ppm(spec: &ClockSpec, simulated: &Simulated) -> Option<f64> {
    let (low, high) = simulated.engine.summary().spread?;
    let nominal = spec.network.nominal();
    Some(high.ppm_of(nominal) - low.ppm_of(nominal))
}
