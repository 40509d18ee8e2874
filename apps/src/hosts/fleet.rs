//! Fleets as values: checked, and as applications that can be compiled and run.

use super::actor::{HostActor, NodeError, Shared};
use super::clock::{ClockError, NodeClock};
use super::fleet_file::{ExpectText, FleetText, NodeText};
use calendars::CalendarSet;
use shim::{ExitStatus, HostSpec, Nanos, Report, TraceLevel, default_environment, signal_number};
use sim_core::mix;
use sim_core::{Actor, ActorId, ActorState, App, AppError, Channel, InitialTokens, InitialValues, Machine, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A program on a node, with what is to happen to it.
#[derive(Clone, Debug)]
pub struct HostNode {
    /// The program. Its directory is set when a run begins.
    pub spec: HostSpec,
    /// Name of the entry that it comes from.
    pub entry: String,
    /// The node of the machine.
    pub on: NodeId,
    /// When it starts.
    pub start: Nanos,
    /// A signal at some time.
    pub stop: Option<Stop>,
    /// In which state it has to be in the end.
    pub expect: Expectation,
}

/// A signal at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// When.
    pub at: Nanos,
    /// Number of the signal.
    pub signal: i32,
}

/// In which state a program has to be in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// Ended like this.
    Ended(ExitStatus),
    /// Still there.
    Running,
    /// Whatever it is.
    Any,
}

impl Expectation {
    /// Whether a program that ended like this, or has not ended, is as expected.
    #[must_use]
    pub fn holds(self, status: Option<ExitStatus>) -> bool {
        match self {
            Self::Ended(expected) => status == Some(expected),
            Self::Running => status.is_none(),
            Self::Any => true,
        }
    }
}

impl std::fmt::Display for Expectation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ended(status) => status.fmt(f),
            Self::Running => f.write_str("running"),
            Self::Any => f.write_str("anything"),
        }
    }
}

/// Why a file makes no fleet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    /// A format that this program does not know.
    #[error("the fleet file has version {found}, known is {}", FleetText::VERSION)]
    Version {
        /// Its version.
        found: u32,
    },
    /// Nothing to run.
    #[error("the fleet has no nodes")]
    Empty,
    /// A name that cannot be a host name.
    #[error("`{name}` is no name for a node: 1 to 63 letters, digits and hyphens")]
    Name {
        /// The name.
        name: String,
    },
    /// Two nodes of one name.
    #[error("two nodes are called `{name}`")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A node of the machine that does not exist.
    #[error("node `{node}` is to run on `{on}`, which the machine has not")]
    NoSuchNode {
        /// The node.
        node: String,
        /// Where it is to run.
        on: String,
    },
    /// More programs than nodes.
    #[error("the fleet has {needed} nodes, the machine has {found} that compute and are not taken")]
    TooManyNodes {
        /// Nodes of the fleet.
        needed: usize,
        /// Nodes of the machine.
        found: usize,
    },
    /// Two programs on one node.
    #[error("nodes `{first}` and `{second}` are both to run on `{on}`")]
    Shared {
        /// One of them.
        first: String,
        /// The other one.
        second: String,
        /// Where they are to run.
        on: String,
    },
    /// A number that is out of bounds.
    #[error("{what} is {found}, allowed are {least} to {most}")]
    Number {
        /// Which number.
        what: &'static str,
        /// What it is.
        found: u64,
        /// The least allowed.
        least: u64,
        /// The most allowed.
        most: u64,
    },
    /// No such signal.
    #[error("node `{node}`: there is no signal `{name}`")]
    Signal {
        /// The node.
        node: String,
        /// The name.
        name: String,
    },
    /// A connection of an entry that does not exist.
    #[error("a connection names `{name}`, which is no entry of the fleet")]
    Connection {
        /// The name.
        name: String,
    },
    /// A file name that leads out of the working directory.
    #[error("node `{node}`: `{name}` is no place in the working directory")]
    File {
        /// The node.
        node: String,
        /// The name.
        name: String,
    },
    /// Parts that make no application.
    #[error(transparent)]
    App(#[from] AppError),
}

/// Programs on nodes, as an application.
#[derive(Clone, Debug)]
pub struct Fleet {
    app: App,
    nodes: Vec<HostNode>,
    shared: Vec<Arc<Shared>>,
    tick_ns: u64,
    duration: Nanos,
}

/// What became of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostOutcome {
    /// The node.
    pub node: String,
    /// What is left to say of its program; `None` if it never started.
    pub report: Option<Report>,
    /// What was expected of it.
    pub expected: Expectation,
}

impl HostOutcome {
    /// Whether the program is as expected.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.expected.holds(self.report.as_ref().and_then(|report| report.status))
    }
}

/// What became of a fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetRun {
    /// By node, in the order of the file.
    pub nodes: Vec<HostOutcome>,
    /// Why the run broke off.
    pub error: Option<NodeError>,
}

/// Bounds on what one fleet may ask for.
mod limits {
    pub(super) const NODES: u64 = 4_096;
    pub(super) const SLOT_WORDS: u64 = 4_096;
    pub(super) const TICK_NS: u64 = 1_000_000_000;
    pub(super) const DURATION_MS: u64 = 1 << 40;
}

impl Fleet {
    /// A fleet of a file in `folder` on `machine`; `trace` is what is written down of every program.
    ///
    /// # Errors
    /// [`FleetError`], the first that is found.
    pub fn new(text: &FleetText, folder: &Path, machine: &Machine, trace: TraceLevel) -> Result<Self, FleetError> {
        if text.version != FleetText::VERSION {
            return Err(FleetError::Version { found: text.version });
        }
        bounded("`tick_ns`", text.tick_ns, 1, limits::TICK_NS)?;
        bounded("`duration_ms`", text.duration_ms, 1, limits::DURATION_MS)?;
        bounded("`slot_words`", u64::from(text.slot_words), 2, limits::SLOT_WORDS)?;
        bounded("`slots_in_flight`", text.slots_in_flight, 1, 1 << 16)?;
        let count: u64 = text.nodes.iter().map(|node| u64::from(node.count.unwrap_or(1))).sum();
        bounded("the number of nodes", count, 0, limits::NODES)?;
        let mut nodes = expand(text, folder)?;
        if nodes.is_empty() {
            return Err(FleetError::Empty);
        }
        place(&mut nodes, text, machine)?;
        let cpus = processors();
        for (at, node) in nodes.iter_mut().enumerate() {
            node.spec.trace = trace;
            node.spec.cpu = cpus.get(at % cpus.len().max(1)).copied();
        }
        let pairs = connections(text, &nodes)?;
        for (at, node) in nodes.clone().iter().enumerate() {
            let reachable = pairs.iter().filter(|pair| pair.0 == at).map(|pair| &nodes[pair.1]);
            let names = std::iter::once(node).chain(reachable).map(|node| (node.spec.node.clone(), node.spec.address));
            let names = names.collect();
            nodes[at].spec.hosts = names;
        }
        let shared: Vec<Arc<Shared>> = nodes.iter().map(|_| Arc::default()).collect();
        let app = application(text, &nodes, &pairs, &shared)?;
        let duration = Nanos(text.duration_ms.saturating_mul(1_000_000));
        Ok(Self { app, nodes, shared, tick_ns: text.tick_ns, duration })
    }

    /// The application: actors are nodes, in order.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The nodes in order of the file.
    #[must_use]
    pub fn nodes(&self) -> &[HostNode] {
        &self.nodes
    }

    /// Iterations that the fleet's duration takes with `calendars`.
    #[must_use]
    pub fn iterations(&self, calendars: &CalendarSet) -> u64 {
        let metacycle = u128::from(calendars.metacycle.unsigned_abs()) * u128::from(self.tick_ns);
        let iterations = (u128::from(self.duration.0) * u128::from(calendars.unroll)).div_ceil(metacycle.max(1));
        u64::try_from(iterations).unwrap_or(u64::MAX)
    }

    /// Prepares the one run that a fleet is good for: sets the nodes' clocks, and where their directories are made.
    ///
    /// # Errors
    /// [`ClockError`] for calendars of another application.
    pub fn begin(&self, calendars: &CalendarSet, machine: &Machine, directory: &Path) -> Result<(), ClockError> {
        for (actor, shared) in self.app.actors().ids().zip(&self.shared) {
            let clock = NodeClock::new(calendars, machine, actor, self.tick_ns)?;
            // A second run of the same value would find the programs of the first.
            let _ = shared.begin.set((clock, directory.to_owned()));
        }
        Ok(())
    }

    /// What became of it, once the engine is gone.
    #[must_use]
    pub fn outcome(&self) -> FleetRun {
        let ends = self.shared.iter().map(|shared| {
            let end = shared.end.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            (end.report.clone(), end.error.clone())
        });
        let ends: Vec<_> = ends.collect();
        let error = ends.iter().find_map(|(_, error)| error.clone());
        let node = |(node, (report, _)): (&HostNode, (Option<Report>, _))| HostOutcome {
            node: node.spec.node.clone(),
            report,
            expected: node.expect,
        };
        FleetRun { nodes: self.nodes.iter().zip(ends).map(node).collect(), error }
    }
}

fn bounded(what: &'static str, found: u64, least: u64, most: u64) -> Result<(), FleetError> {
    if (least..=most).contains(&found) { Ok(()) } else { Err(FleetError::Number { what, found, least, most }) }
}

/// The nodes of all entries, without places.
fn expand(text: &FleetText, folder: &Path) -> Result<Vec<HostNode>, FleetError> {
    let mut nodes = Vec::new();
    let mut names = BTreeSet::new();
    for entry in &text.nodes {
        for index in 0..entry.count.unwrap_or(1) {
            let name = match entry.count {
                None => entry.name.clone(),
                Some(_) => format!("{}{index}", entry.name),
            };
            let legal = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if name.is_empty() || name.len() > 63 || !name.chars().all(legal) {
                return Err(FleetError::Name { name });
            }
            if !names.insert(name.clone()) {
                return Err(FleetError::DuplicateName { name });
            }
            nodes.push(node(text, entry, folder, (name, index), nodes.len())?);
        }
    }
    Ok(nodes)
}

/// Node `number` of the fleet, which is node `index` of its entry.
fn node(
    text: &FleetText,
    entry: &NodeText,
    folder: &Path,
    (name, index): (String, u32),
    number: usize,
) -> Result<HostNode, FleetError> {
    let [_, _, high, low] = (number as u32 + 1).to_be_bytes();
    let address = Ipv4Addr::new(10, 0, high, low);
    let port = u32::from(entry.port) + index;
    let key = key(text.seed, &name);
    let fill = |pattern: &str| {
        let values = [
            ("{name}", name.as_str()),
            ("{index}", &index.to_string()),
            ("{address}", &address.to_string()),
            ("{port}", &port.to_string()),
            ("{key}", &key),
        ];
        values.iter().fold(pattern.to_owned(), |text, (what, value)| text.replace(what, value))
    };
    let signal = |signal: &str| {
        signal_number(signal).ok_or_else(|| FleetError::Signal { node: name.clone(), name: signal.to_owned() })
    };
    let mut environment: BTreeMap<String, String> = default_environment().into_iter().collect();
    environment.extend(entry.env.iter().map(|(variable, value)| (variable.clone(), fill(value))));
    let mut files = Vec::new();
    for (to, from) in &entry.files {
        let to = PathBuf::from(fill(to));
        if !to.components().all(|part| matches!(part, std::path::Component::Normal(_))) {
            return Err(FleetError::File { node: name, name: to.display().to_string() });
        }
        files.push((folder.join(fill(from)), to));
    }
    let command = Path::new(&entry.command);
    let command = if command.components().count() > 1 { folder.join(command) } else { command.to_owned() };
    let millis = |ms: u64| Nanos(ms.saturating_mul(1_000_000));
    let stop = match &entry.stop {
        None => None,
        Some(stop) => Some(Stop { at: millis(stop.at_ms), signal: signal(&stop.signal)? }),
    };
    let expect = match &entry.expect {
        ExpectText::Exited(code) => Expectation::Ended(ExitStatus::Exited(*code)),
        ExpectText::Signalled(name) => Expectation::Ended(ExitStatus::Signalled(signal(name)?)),
        ExpectText::Running => Expectation::Running,
        ExpectText::Any => Expectation::Any,
    };
    let mut spec = HostSpec::new(&name, command, PathBuf::new()).arguments(entry.args.iter().map(|text| fill(text)));
    spec.environment = environment.into_iter().collect();
    spec.files = files;
    spec.address = address;
    spec.seed = text.seed;
    spec.call_cost = Duration::from_nanos(entry.call_cost_ns);
    Ok(HostNode { spec, entry: entry.name.clone(), on: NodeId(0), start: millis(entry.start_ms), stop, expect })
}

/// 64 hexadecimal digits that belong to the node `name` alone.
fn key(seed: u64, name: &str) -> String {
    let mut word = mix::mix64(mix::fnv(name) ^ mix::mix64(seed ^ mix::fnv("key")));
    let mut digits = String::new();
    for _ in 0..4 {
        word = mix::mix64(word);
        digits += &format!("{word:016x}");
    }
    digits
}

/// Gives every node its place: those that ask for one first, the others in order.
fn place(nodes: &mut [HostNode], text: &FleetText, machine: &Machine) -> Result<(), FleetError> {
    let mut taken: BTreeMap<NodeId, usize> = BTreeMap::new();
    let mut open = Vec::new();
    let mut at = 0;
    for entry in &text.nodes {
        for index in 0..entry.count.unwrap_or(1) {
            match entry.on.as_ref().filter(|_| index == 0) {
                None => open.push(at),
                Some(on) => {
                    let name = nodes[at].spec.node.clone();
                    let node = machine.node_named(on).filter(|&node| machine.nodes()[node].cores > 0);
                    let node = node.ok_or_else(|| FleetError::NoSuchNode { node: name.clone(), on: on.clone() })?;
                    if let Some(first) = taken.insert(node, at) {
                        let first = nodes[first].spec.node.clone();
                        return Err(FleetError::Shared { first, second: name, on: on.clone() });
                    }
                    nodes[at].on = node;
                }
            }
            at += 1;
        }
    }
    let free = machine.nodes().iter().filter(|(id, node)| node.cores > 0 && !taken.contains_key(id));
    let free: Vec<NodeId> = free.map(|(id, _)| id).collect();
    if free.len() < open.len() {
        return Err(FleetError::TooManyNodes { needed: open.len(), found: free.len() });
    }
    for (at, node) in open.into_iter().zip(free) {
        nodes[at].on = node;
    }
    Ok(())
}

/// Ordered pairs of nodes that can reach each other, both ways.
fn connections(text: &FleetText, nodes: &[HostNode]) -> Result<BTreeSet<(usize, usize)>, FleetError> {
    let all = || (0..nodes.len()).flat_map(|a| (0..nodes.len()).map(move |b| (a, b)));
    let Some(entries) = &text.connections else { return Ok(all().filter(|(a, b)| a != b).collect()) };
    let mut wanted = BTreeSet::new();
    for (a, b) in entries {
        for name in [a, b] {
            if !text.nodes.iter().any(|entry| entry.name == *name) {
                return Err(FleetError::Connection { name: name.clone() });
            }
        }
        wanted.insert((a.as_str(), b.as_str()));
        wanted.insert((b.as_str(), a.as_str()));
    }
    let joined =
        |&(a, b): &(usize, usize)| a != b && wanted.contains(&(nodes[a].entry.as_str(), nodes[b].entry.as_str()));
    Ok(all().filter(joined).collect())
}

fn application(
    text: &FleetText,
    nodes: &[HostNode],
    pairs: &BTreeSet<(usize, usize)>,
    shared: &[Arc<Shared>],
) -> Result<App, FleetError> {
    let slot_words = text.slot_words as usize;
    let neighbours = |at: usize| pairs.iter().filter(move |pair| pair.0 == at).map(|pair| pair.1);
    let actor = |(at, node): (usize, &HostNode)| Actor {
        name: node.spec.node.clone(),
        exec: [text.exec].into(),
        state: ActorState::Opaque,
        behaviour: Arc::new(HostActor {
            node: node.clone(),
            neighbours: neighbours(at).map(|to| (nodes[to].spec.node.clone(), nodes[to].spec.address)).collect(),
            slot_words,
            shared: Arc::clone(&shared[at]),
        }),
        pin: Some(node.on),
        fed: false,
        place: None,
    };
    // Pairs go both ways, so the ports to a neighbour and from it have the same number.
    let port =
        |from: usize, to: usize| neighbours(from).position(|other| other == to).expect("pairs go both ways") as u32;
    let channel = |&(from, to): &(usize, usize)| Channel {
        name: format!("{}->{}", nodes[from].spec.node, nodes[to].spec.node).into(),
        source: ActorId(from as u32),
        source_port: port(from, to),
        target: ActorId(to as u32),
        target_port: port(to, from),
        produce: [1].into(),
        consume: [1].into(),
        token_bits: slot_words as u64 * 64,
        // Empty slots.
        initial: InitialTokens {
            count: text.slots_in_flight,
            values: InitialValues::Repeat(vec![0; slot_words].into()),
        },
        place: None,
    };
    let actors: Vec<Actor> = nodes.iter().enumerate().map(actor).collect();
    let channels: Vec<Channel> = pairs.iter().map(channel).collect();
    Ok(App::new(text.name.clone(), actors, channels)?)
}

/// The processors that this process may use.
fn processors() -> Vec<usize> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
    let mut processors = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(first), Ok(last)) = (first.parse(), last.parse::<usize>()) {
            processors.extend(first..=last);
        }
    }
    processors
}
