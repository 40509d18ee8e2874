//! Fleets as values: checked, and as applications that can be compiled and run.

use super::actor::{Begin, HostActor, NodeError, Shared};
use super::clock::{ClockError, NodeClock};
use super::entries::{connections, expand, place};
use super::fleet_file::FleetText;
use super::processors::processors;
use calendars::CalendarSet;
use shim::{ExitStatus, HostError, HostSpec, Nanos, Report, TraceLevel};
use sim_core::{
    Actor, ActorId, ActorState, App, AppError, Channel, ChannelTokens, InitialTokens, InitialValues, Machine, NodeId,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

/// A program on a node, with what is to happen to it.
#[derive(Clone, Debug)]
pub struct HostNode {
    /// The program. Its directory, and what else depends on the run, is set when that begins.
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
    #[error(
        "`{name}` is no name for a node: write 1 to 63 letters, digits and hyphens, a letter first and no hyphen last, and \
         not `localhost`"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// Two nodes of one name, in which capitals count as small letters.
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

/// What a fleet has to know before it runs.
pub struct Beginning<'a> {
    /// The calendars that are executed.
    pub calendars: &'a CalendarSet,
    /// Where every node gets a directory, by its name.
    pub directory: &'a Path,
    /// What is written down of every program's system calls.
    pub trace: TraceLevel,
    /// Number of the thread or process that drives a node; `None` for nodes that are driven elsewhere.
    pub worker: &'a dyn Fn(NodeId) -> Option<usize>,
    /// Where a file is that the fleet file names as one for working directories.
    pub files: &'a dyn Fn(&Path) -> PathBuf,
}

/// Why a fleet cannot begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeginError {
    /// The calendars are of another application.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// A program is not there, or a file for it.
    #[error(transparent)]
    Program(#[from] NodeError),
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
    /// A fleet of a file in `folder` on `machine`.
    ///
    /// # Errors
    /// [`FleetError`], the first that is found.
    pub fn new(text: &FleetText, folder: &Path, machine: &Machine) -> Result<Self, FleetError> {
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
        let pairs = connections(text, &nodes)?;
        for (at, node) in nodes.clone().iter().enumerate() {
            let reachable = neighbours(&pairs, at).map(|to| &nodes[to]);
            let names = std::iter::once(node).chain(reachable).map(|node| (node.spec.node.clone(), node.spec.address));
            nodes[at].spec.hosts = names.collect();
        }
        let shared: Vec<Arc<Shared>> = nodes.iter().map(|_| Arc::default()).collect();
        let app = application(text, &nodes, &pairs, &shared)?;
        let duration = Nanos(text.duration_ms.saturating_mul(1_000_000));
        Ok(Self { app, nodes, shared, tick_ns: text.tick_ns, duration })
    }

    /// How long a tick takes, in nanoseconds.
    #[must_use]
    pub fn tick_ns(&self) -> u64 {
        self.tick_ns
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

    /// Files and directories that the fleet file names as ones for working directories, each once.
    #[must_use]
    pub fn files(&self) -> BTreeSet<&Path> {
        self.nodes.iter().flat_map(|node| &node.spec.files).map(|(from, _)| from.as_path()).collect()
    }

    /// Prepares the one run that a fleet is good for. Programs whose nodes one worker drives stay on one processor, with their
    /// supervisors and with the worker itself, which lets them run one after the other.
    ///
    /// # Errors
    /// [`BeginError`]. A program or file that is missing on this host is found now, however late the program starts.
    pub fn begin(&self, run: &Beginning<'_>) -> Result<(), BeginError> {
        let processors = processors();
        let mut missing = None;
        for ((actor, shared), node) in self.app.actors().ids().zip(&self.shared).zip(&self.nodes) {
            let clock = NodeClock::new(run.calendars, actor, self.tick_ns)?;
            let Some(worker) = (run.worker)(node.on) else { continue };
            let mut spec = node.spec.clone();
            spec.directory = run.directory.join(&spec.node);
            spec.trace = run.trace;
            spec.cpu = processors.get(worker % processors.len().max(1)).copied();
            spec.files.iter_mut().for_each(|(from, _)| *from = (run.files)(from));
            if let Err(error) = spec.check() {
                missing.get_or_insert(NodeError::from(HostError::from(error)));
            }
            // A second run of the same value would find the programs of the first.
            let _ = shared.begin.set(Begin { clock, spec });
        }
        missing.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Takes what is left to say of the program of node `index`, which was driven elsewhere.
    pub fn report(&self, index: usize, report: Report) {
        self.shared[index].end.lock().unwrap_or_else(PoisonError::into_inner).report = Some(report);
    }

    /// Why the fleet cannot go on, if a node of it has failed.
    #[must_use]
    pub fn error(&self) -> Option<NodeError> {
        self.shared.iter().find_map(|shared| shared.end.lock().unwrap_or_else(PoisonError::into_inner).error.clone())
    }

    /// What became of it, once the engine is gone.
    #[must_use]
    pub fn outcome(&self) -> FleetRun {
        let node = |(node, shared): (&HostNode, &Arc<Shared>)| HostOutcome {
            node: node.spec.node.clone(),
            report: shared.end.lock().unwrap_or_else(PoisonError::into_inner).report.clone(),
            expected: node.expect,
        };
        FleetRun { nodes: self.nodes.iter().zip(&self.shared).map(node).collect(), error: self.error() }
    }
}

pub(super) fn bounded(what: &'static str, found: u64, least: u64, most: u64) -> Result<(), FleetError> {
    if (least..=most).contains(&found) { Ok(()) } else { Err(FleetError::Number { what, found, least, most }) }
}

/// Whom node `at` can reach.
fn neighbours(pairs: &BTreeSet<(usize, usize)>, at: usize) -> impl Iterator<Item = usize> {
    pairs.range((at, 0)..(at + 1, 0)).map(|pair| pair.1)
}

fn application(
    text: &FleetText,
    nodes: &[HostNode],
    pairs: &BTreeSet<(usize, usize)>,
    shared: &[Arc<Shared>],
) -> Result<App, FleetError> {
    let slot_words = text.slot_words as usize;
    let actor = |(at, node): (usize, &HostNode)| Actor {
        name: node.spec.node.as_str().into(),
        exec: [text.exec].into(),
        state: ActorState::Opaque,
        behaviour: Arc::new(HostActor {
            node: node.clone(),
            neighbours: neighbours(pairs, at).map(|to| (nodes[to].spec.node.clone(), nodes[to].spec.address)).collect(),
            slot_words,
            shared: Arc::clone(&shared[at]),
        }),
        pin: Some(node.on),
        fed: false,
        place: None,
    };
    // Pairs go both ways, so the ports to a neighbour and from it have the same number.
    let port = |from: usize, to: usize| {
        neighbours(pairs, from).position(|other| other == to).expect("pairs go both ways") as u32
    };
    let channel = |&(from, to): &(usize, usize)| Channel {
        name: format!("{}->{}", nodes[from].spec.node, nodes[to].spec.node).into(),
        source: ActorId(from as u32),
        source_port: port(from, to),
        target: ActorId(to as u32),
        target_port: port(to, from),
        tokens: ChannelTokens {
            produce: [1].into(),
            consume: [1].into(),
            bits: slot_words as u64 * 64,
            // Empty slots.
            initial: InitialTokens {
                count: text.slots_in_flight,
                values: InitialValues::Repeat(vec![0; slot_words].into()),
            },
        }
        .into(),
        place: None,
    };
    let actors: Vec<Actor> = nodes.iter().enumerate().map(actor).collect();
    let channels: Vec<Channel> = pairs.iter().map(channel).collect();
    Ok(App::new(text.name.clone(), actors, channels)?)
}
