//! Fleets of programs on the command line: from files to applications, and what is to be told of programs.

use super::args::MachineSettings;
use super::explain;
use super::failure::{Exit, Failure, SourceText};
use super::files::{self, NewFolder};
use super::load::{self, LoadedApp, Origin};
use super::session::{Session, table};
use super::spec::FleetFiles;
use crate::formats::read_ron;
use crate::hosts::{BeginError, Beginning, Fleet, FleetError, FleetRun, FleetText, HostOutcome, NodeError};
use calendars::CalendarSet;
use serde::{Deserialize, Serialize};
use shim::{HostError, Refused, SpawnError, TraceLevel};
use sim_core::{Machine, NodeId};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is written down of the system calls of programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
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
    refused: Vec<RefusedJson>,
}

/// A system call that is not supported and was made.
#[derive(Clone, Debug, Serialize)]
struct RefusedJson {
    program: String,
    call: String,
    times: u64,
}

impl From<&Refused> for RefusedJson {
    fn from(Refused { program, call, times }: &Refused) -> Self {
        Self { program: program.clone(), call: call.clone(), times: *times }
    }
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
            refused: report.iter().flat_map(|report| &report.refused).map(Into::into).collect(),
        }
    }
}

/// The file that the arguments name, if it is a fleet.
pub(crate) fn fleet_source(path: Option<&Path>) -> Result<Option<SourceText>, Failure> {
    let Some(path) = path.filter(|path| path.is_file()) else { return Ok(None) };
    let bytes = files::read_bytes(path)?;
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(1 << 16)]);
    let mut lines = start.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with("//"));
    match lines.next().is_some_and(|line| line.trim_start_matches('\u{feff}').starts_with("Fleet")) {
        true => files::read_source(path).map(Some),
        false => Ok(None),
    }
}

fn parse(source: &SourceText) -> Result<FleetText, Failure> {
    read_ron(&source.text).map_err(|error| explain::format(&error, source))
}

/// The folder that the names in a fleet file start from.
pub(crate) fn folder(source: &SourceText) -> PathBuf {
    let folder = Path::new(&source.name).parent().unwrap_or(Path::new(""));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    std::path::absolute(folder).unwrap_or(folder.to_owned())
}

/// The machine that a fleet file names.
pub(crate) fn machine(source: &SourceText, settings: &MachineSettings) -> Result<Machine, Failure> {
    let text = parse(source)?;
    let mut settings = settings.clone();
    if !text.machine.ends_with(".ron") {
        settings.latency.get_or_insert(text.latency);
    }
    let path = folder(source).join(&text.machine);
    let name = if path.is_file() { path.display().to_string() } else { text.machine };
    load::named_machine(&name, &settings)
}

/// A fleet as an application; for the machine that its file names, if no other is given.
pub(crate) fn load(source: SourceText, given: Option<&Machine>) -> Result<LoadedApp, Failure> {
    let own = match given {
        None => Some(machine(&source, &MachineSettings::default())?),
        Some(_) => None,
    };
    let machine = given.or(own.as_ref()).expect("one of them is there");
    let fleet = fleet(&source, &folder(&source), machine)?;
    Ok(LoadedApp { app: fleet.app().clone(), origin: Origin::Fleet(source, Box::new(fleet)) })
}

/// The fleet of a file whose names start from `folder`.
pub(crate) fn fleet(source: &SourceText, folder: &Path, machine: &Machine) -> Result<Fleet, Failure> {
    Fleet::new(&parse(source)?, folder, machine).map_err(|error| {
        let failure = Failure::new(Exit::Invalid, "host::fleet", format!("`{}`: {error}", source.name));
        match error {
            FleetError::TooManyNodes { .. } => {
                failure.help("name a larger machine: `machine` in the file, or --machine")
            }
            FleetError::NoSuchNode { .. } => failure.help("`tidelock machine PRESET` lists the nodes of a preset"),
            _ => failure,
        }
    })
}

/// Where nodes have their directories during a run, and where the files are that they want in there.
pub(crate) struct NodeFolders {
    path: PathBuf,
    /// What need not be kept: programs need directories even if nobody wants them.
    scratch: Option<NewFolder>,
    /// By the names in the fleet; what is not among them is where its name says.
    files: BTreeMap<PathBuf, PathBuf>,
}

impl NodeFolders {
    /// Directories among the `results`, if there are any; files from `sent`, if they came with the fleet.
    pub(crate) fn new(results: Option<&Path>, fleet: &Fleet, sent: Option<&FleetFiles>) -> Result<Self, Failure> {
        let scratch = std::env::temp_dir().join(format!("tidelock-fleet-{}", std::process::id()));
        let scratch = (results.is_none() || sent.is_some()).then(|| NewFolder::create(&scratch)).transpose()?;
        let aside = scratch.as_ref().map_or(Path::new(""), NewFolder::path);
        let files = sent.map(|sent| sent.unpack(fleet, &aside.join("files"))).transpose()?;
        Ok(Self { path: results.unwrap_or(aside).join("nodes"), files: files.unwrap_or_default(), scratch })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, name: &Path) -> PathBuf {
        self.files.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }

    /// Keeps the directories although they are not among results, and says where they are.
    pub(crate) fn keep(self) -> Result<Option<PathBuf>, Failure> {
        Ok(self.scratch.map(NewFolder::finish).transpose()?.map(|path| path.join("nodes")))
    }
}

/// Lets a fleet begin; `worker` is as in [`Beginning`].
pub(crate) fn begin(
    fleet: &Fleet,
    calendars: &CalendarSet,
    nodes: &NodeFolders,
    trace: Trace,
    worker: &dyn Fn(NodeId) -> Option<usize>,
) -> Result<(), BeginError> {
    let files = |name: &Path| nodes.file(name);
    fleet.begin(&Beginning { calendars, directory: nodes.path(), trace: trace.into(), worker, files: &files })
}

/// A fleet that cannot begin.
pub(crate) fn not_begun(error: BeginError) -> Failure {
    match error {
        BeginError::Clock(error) => Failure::new(Exit::Internal, "host::clock", error.to_string()),
        BeginError::Program(error) => failed(&error),
    }
}

/// What became of the programs once the engine is gone, which is what ends them. Their failure becomes that of the run.
/// Nodes have their directories in `folders`.
pub(crate) fn conclude(
    session: &Session,
    fleet: &Fleet,
    folders: &NodeFolders,
    run: &mut Option<Failure>,
) -> Vec<HostJson> {
    let outcome = fleet.outcome();
    *run = match (&outcome.error, run.take()) {
        (Some(error), _) => Some(failed(error)),
        (None, None) => unexpected(&outcome, folders.path()),
        (None, failure) => failure,
    };
    let hosts: Vec<HostJson> = outcome.nodes.iter().map(HostJson::from).collect();
    let mut rows = vec![["node", "program", "call", "times"].map(str::to_owned).to_vec()];
    for host in &hosts {
        let row = |call: &RefusedJson| {
            vec![host.node.clone(), call.program.clone(), call.call.clone(), super::session::grouped(call.times)]
        };
        rows.extend(host.refused.iter().map(row));
    }
    if rows.len() > 1 {
        let refused = table(&rows, &[3]);
        session
            .talk(format_args!("warning: system calls that are not supported returned ENOSYS\n{}", refused.trim_end()));
    }
    hosts
}

/// A host that failed.
fn failed(error: &NodeError) -> Failure {
    if let NodeError::Host(HostError::Spawn(SpawnError::File { .. })) = error {
        return Failure::new(Exit::Invalid, "host::file", error.to_string())
            .help("names of files start from the fleet file");
    }
    let failure = Failure::new(Exit::HostFailed, "host::failed", error.to_string());
    let spawn = matches!(error, NodeError::Host(HostError::Spawn(SpawnError::Stage { .. } | SpawnError::Trace { .. })));
    match shim::capabilities().lack.filter(|_| spawn) {
        Some(lack) => failure.help(lack.to_string()),
        None => failure,
    }
}

/// Programs whose states are not the expected ones.
fn unexpected(run: &FleetRun, folders: &Path) -> Option<Failure> {
    let wrong: Vec<&HostOutcome> = run.nodes.iter().filter(|node| !node.holds()).collect();
    let first = wrong.first()?;
    let details = wrong.iter().map(|node| {
        let json = HostJson::from(*node);
        let said =
            last_line(&folders.join(&json.node).join("stderr")).map_or(String::new(), |line| format!("; {line}"));
        format!("node `{}`: {}, expected: {}{said}", json.node, json.state, json.expected)
    });
    let details: Vec<String> = details.collect();
    let message = format!("{} of {} programs are not in their expected states", wrong.len(), run.nodes.len());
    let help = format!("see `nodes/{}/stderr` in the results", first.node);
    Some(Failure::new(Exit::HostFailed, "host::state", message).details(details).help(help))
}

/// The last line of a file, or the start of it.
fn last_line(path: &Path) -> Option<String> {
    const LONGEST: usize = 200;
    let text = std::fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    Some(line.chars().take(LONGEST).collect())
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
