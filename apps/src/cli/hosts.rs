//! Fleets of programs on the command line: `run hosts.ron`.

use super::explain;
use super::failure::{Exit, Failure, SourceText};
use super::files::{self, NewFolder};
use super::load::{self, LoadedApp, Origin};
use super::progress::Display;
use super::results::Results;
use super::run::{Prepared, Run, summary, text};
use super::session::{Session, counted, table};
use crate::formats::read_ron;
use crate::hosts::{Fleet, FleetError, FleetRun, FleetText, HostOutcome};
use crate::pipeline::RunError;
use serde::Serialize;
use shim::{HostError, SpawnError, TraceLevel};
use sim_core::engine::Engine;
use sim_core::shard::Partition;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What is written down of the system calls of programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Trace {
    /// Nothing
    #[default]
    Off,
    /// All, with what differs between runs
    Standard,
    /// All that is the same in every run
    Deterministic,
}

impl From<Trace> for TraceLevel {
    fn from(trace: Trace) -> Self {
        match trace {
            Trace::Off => Self::Off,
            Trace::Standard => Self::Standard,
            Trace::Deterministic => Self::Deterministic,
        }
    }
}

/// A node after a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HostJson {
    node: String,
    state: String,
    expected: String,
    as_expected: bool,
    trace_hash: Option<String>,
    calls: u64,
    refused: std::collections::BTreeMap<&'static str, u64>,
}

impl From<&HostOutcome> for HostJson {
    fn from(outcome: &HostOutcome) -> Self {
        let report = outcome.report.as_ref();
        Self {
            node: outcome.node.clone(),
            state: match report.map(|report| report.status) {
                None => "not started".to_owned(),
                Some(None) => "running".to_owned(),
                Some(Some(status)) => status.to_string(),
            },
            expected: outcome.expected.to_string(),
            as_expected: outcome.holds(),
            trace_hash: report.map(|report| format!("{:016x}", report.trace_hash)),
            calls: report.map_or(0, |report| report.calls),
            refused: report.map(|report| report.refused.clone()).unwrap_or_default(),
        }
    }
}

/// The file that the arguments name, if it is a fleet.
pub(crate) fn fleet_source(path: Option<&PathBuf>) -> Result<Option<SourceText>, Failure> {
    let Some(path) = path.filter(|path| path.is_file()) else { return Ok(None) };
    let bytes = files::read_bytes(path)?;
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(1 << 16)]);
    let mut lines = start.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with("//"));
    match lines.next().is_some_and(|line| line.trim_start_matches('\u{feff}').starts_with("Fleet")) {
        true => files::read_source(path).map(Some),
        false => Ok(None),
    }
}

/// Runs a fleet.
pub(crate) fn run(run: &Run, session: &Session, source: SourceText) -> Result<Option<Exit>, Failure> {
    let place = run.place(session)?;
    let (prepared, fleet) = prepare(run, session, source)?;
    let app = fleet.app();
    let options = run.options(app, place.is_some())?;
    let results = place.map(|place| Results::create(&place, &prepared)).transpose()?;
    // Programs need directories even if nobody wants to keep them.
    let scratch = results.is_none().then(|| NewFolder::create(&scratch())).transpose()?;
    let directory = match (&results, &scratch) {
        (Some(results), _) => results.path().join("nodes"),
        (None, Some(scratch)) => scratch.path().join("nodes"),
        (None, None) => unreachable!("one of them was made"),
    };
    let internal = |error: &dyn std::error::Error| Failure::new(Exit::Internal, "host::clock", error.to_string());
    fleet.begin(&prepared.calendars, &prepared.machine, &directory).map_err(|error| internal(&error))?;
    let iterations = run.iterations.unwrap_or_else(|| fleet.iterations(&prepared.calendars));
    let options = sim_core::RunOptions { iterations, ..options };
    let failed = |error: RunError| explain::run(&error);
    let program =
        calendars::lower(app, &prepared.machine, &prepared.calendars).map_err(|error| failed(error.into()))?;
    // How long programs run is in no calendar: how many threads pay is for the user to say.
    let shards = run.threads.map_or(1, NonZeroU32::get).min(prepared.machine.nodes().len() as u32);
    let partition = Partition::balanced(&prepared.machine, &program, shards);
    let mut engine = Engine::parallel(app, &program, &options, &partition).map_err(|error| failed(error.into()))?;
    let mut display = Display::new(run.quiet || session.is_json(), prepared.machine.nodes().len());
    let driven = display.drive(|metacycles| engine.advance(metacycles));
    let broken = driven.err().map(|error| failed(error.into()));
    let nodes = prepared.machine.nodes().len();
    let size = (engine.threads(), (engine.bytes() + program.bytes()) as f64 / nodes as f64);
    // With the engine go the programs, and tell what is left of them.
    let outcome = engine.finish();
    let fleet_run = fleet.outcome();
    let failure = failure(&fleet_run).or(broken);
    let mut json = summary(&prepared, app, &outcome, display.elapsed(), None);
    let hosts: Vec<HostJson> = fleet_run.nodes.iter().map(HostJson::from).collect();
    for host in &hosts {
        for (call, times) in &host.refused {
            session.talk(format_args!(
                "warning: node `{}` made system call `{call}` {}, which is not supported (ENOSYS)",
                host.node,
                counted(*times, "time")
            ));
        }
    }
    (json.threads, json.engine_bytes_per_node) = size;
    json.hosts = Some(hosts);
    if let Some(results) = results {
        let directory = results.finish(session, run, &prepared, &outcome, &json, failure.as_ref())?;
        if !session.is_json() {
            session.talk(format_args!("results in {}", directory.display()));
        }
        json.directory = Some(directory);
    }
    match failure {
        Some(failure) => Err(failure),
        None => session.print(|| text(&json), &json).map(|()| None),
    }
}

/// A directory for programs of a run that keeps nothing.
fn scratch() -> PathBuf {
    std::env::temp_dir().join(format!("tidelock-fleet-{}", std::process::id()))
}

fn prepare(run: &Run, session: &Session, source: SourceText) -> Result<(Prepared, Fleet), Failure> {
    let text: FleetText = read_ron(&source.text).map_err(|error| explain::format(&error, &source))?;
    let invalid = |error: &FleetError| {
        let help = match error {
            FleetError::TooManyNodes { .. } => "name a larger machine: `machine` in the file, or --machine",
            FleetError::NoSuchNode { .. } => "`tidelock machine PRESET` lists the nodes of a preset",
            _ => "",
        };
        let failure = Failure::new(Exit::Invalid, "host::fleet", format!("`{}`: {error}", source.name));
        if help.is_empty() { failure } else { failure.help(help) }
    };
    let folder = Path::new(&source.name).parent().unwrap_or(Path::new("")).to_owned();
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    let machine = match &run.machine.machine {
        Some(_) => load::machine(&run.machine, None)?,
        None => {
            let mut settings = run.machine.settings.clone();
            if !text.machine.ends_with(".ron") {
                settings.latency.get_or_insert(text.latency);
            }
            let path = folder.join(&text.machine);
            let name = if path.is_file() { path.display().to_string() } else { text.machine.clone() };
            load::named_machine(&name, &settings)?
        }
    };
    let fleet = Fleet::new(&text, &folder, &machine, run.trace.into()).map_err(|error| invalid(&error))?;
    let loaded = LoadedApp { app: fleet.app().clone(), origin: Origin::Fleet(source) };
    let start = Instant::now();
    let compiled = load::compile(session, &run.compile, &loaded, &machine, true)?;
    let scheduler::Compiled { schedule, calendars, verified, report, .. } = compiled;
    let (report, took) = (Some(report), start.elapsed());
    let prepared = Prepared { loaded, machine, calendars, verified, report, schedule, took };
    Ok((prepared, fleet))
}

/// What went wrong with the programs: a host that failed, or a state that is not the expected one.
fn failure(run: &FleetRun) -> Option<Failure> {
    if let Some(error) = &run.error {
        let failure = Failure::new(Exit::HostFailed, "host::failed", error.to_string());
        let spawn = matches!(
            error,
            crate::hosts::NodeError::Host(HostError::Spawn(SpawnError::Stage { .. } | SpawnError::Trace { .. }))
        );
        return Some(match shim::capabilities().lack.filter(|_| spawn) {
            Some(lack) => failure.help(lack.to_string()),
            None => failure,
        });
    }
    let wrong: Vec<&HostOutcome> = run.nodes.iter().filter(|node| !node.holds()).collect();
    let first = wrong.first()?;
    let details = wrong.iter().map(|node| {
        let json = HostJson::from(*node);
        format!("node `{}`: {}, expected: {}", json.node, json.state, json.expected)
    });
    let details: Vec<String> = details.collect();
    let message = format!("{} of {} programs are not in their expected states", wrong.len(), run.nodes.len());
    let help = format!("see `nodes/{}/stderr` in the results", first.node);
    Some(Failure::new(Exit::HostFailed, "host::state", message).details(details).help(help))
}

/// The nodes of a fleet as a table.
pub(crate) fn hosts_table(hosts: &[HostJson]) -> String {
    let mut rows = vec![["node", "state", "calls", "trace hash"].map(str::to_owned).to_vec()];
    rows.extend(hosts.iter().map(|host| {
        let hash = host.trace_hash.clone().unwrap_or("-".to_owned());
        vec![host.node.clone(), host.state.clone(), super::session::grouped(host.calls), hash]
    }));
    table(&rows, &[2])
}
