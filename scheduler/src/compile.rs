//! Compilation: from an application and a machine to verified calendars.
//!
//! Bound → placement and routing for a few numbers of unrolled iterations → slots at the shortest metacycle that works →
//! memory → calendars → verifier. Each stage is a module; this one decides what is tried, in which order.

use crate::analysis::{AnalysisError, FiringGraph, Repetition, TooManyFirings, analyse_firings};
use crate::bounds::{Bound, BoundKind, any_placement};
use crate::buffers::{AddressOverflow, Memory, allocate};
use crate::distance::{Distances, Unit};
use crate::emit;
use crate::packing::Jobs;
use crate::placement::{Placed, delays, evaluate, fullest, place};
use crate::problem::Problem;
use crate::routing::NoPath;
use crate::schedule::{Schedule, ScheduledFiring};
use crate::slotting::{Slotted, slot};
use calendars::{CalendarSet, Verified};
use num_rational::Ratio;
use sim_core::{ActorId, App, Id, IdVec, LinkId, Machine, NodeId};
use std::collections::BTreeMap;
use std::fmt;

/// What a compilation may be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Largest number of iterations in a metacycle, U.
    pub max_unroll: u32,
    /// Nodes that actors must run on; they win over the application's own pins.
    pub pins: Vec<(ActorId, NodeId)>,
    /// Whether the schedule is listed beside the calendars. On large machines it is several times as large.
    pub schedule: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_unroll: 8, pins: Vec::new(), schedule: true }
    }
}

/// A compiled application.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Where and when everything happens; `None` if it was not asked for.
    pub schedule: Option<Schedule>,
    /// The same as calendars.
    pub calendars: CalendarSet,
    /// What the verifier found out about them: the words that frames carry.
    pub verified: Verified,
    /// How good it is.
    pub report: Report,
    /// What the user should know although it is no error.
    pub warnings: Vec<Warning>,
}

/// Figures of a compiled application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Ticks per iteration: metacycle ÷ U.
    pub iteration_period: Ratio<i64>,
    /// Ticks of one metacycle.
    pub metacycle: i64,
    /// Iterations per metacycle, U.
    pub unroll: u32,
    /// For any placement that respects the pins.
    pub bound: Bound,
    /// For this placement and routing.
    pub placed_bound: Bound,
    /// Ticks from the first start to the last end of iteration 0.
    pub latency_ticks: i64,
    /// Words of memory used, per node.
    pub memory_words: IdVec<NodeId, u64>,
    /// Run-length entries in all calendars.
    pub calendar_entries: usize,
}

impl Report {
    /// How far the period is above what this placement and routing allow, as a fraction.
    #[must_use]
    pub fn gap(&self) -> f64 {
        self.placed_bound.gap(self.iteration_period)
    }

    /// How far the period is above what any placement allows, as a fraction.
    #[must_use]
    pub fn gap_total(&self) -> f64 {
        self.bound.gap(self.iteration_period)
    }

    /// Words of memory used on the fullest node.
    #[must_use]
    pub fn memory_words_max(&self) -> u64 {
        self.memory_words.values().copied().max().unwrap_or(0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |gap: f64| format!("{:.1} %", gap * 100.0);
        writeln!(
            f,
            "iteration period  {} ticks (metacycle {}, unroll {})",
            self.iteration_period, self.metacycle, self.unroll
        )?;
        writeln!(
            f,
            "bound             {} ticks for this placement, by {} (gap {})",
            self.placed_bound.ticks,
            self.placed_bound.kind.name(),
            percent(self.gap())
        )?;
        writeln!(
            f,
            "                  {} ticks for any placement, by {} (gap {})",
            self.bound.ticks,
            self.bound.kind.name(),
            percent(self.gap_total())
        )?;
        writeln!(f, "latency           {} ticks", self.latency_ticks)?;
        writeln!(f, "memory            {} words on the fullest node", self.memory_words_max())?;
        write!(f, "calendars         {} entries", self.calendar_entries)
    }
}

/// What the user should know although it is no error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// A duration of 0 in the file.
    #[error("actor `{actor}` has an exec of 0 ticks, compiled as 1")]
    ZeroExec {
        /// The actor's name.
        actor: String,
    },
}

/// Why there is no calendar.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CompileError {
    /// The application itself cannot run.
    #[error(transparent)]
    Analysis(#[from] AnalysisError),
    /// More words per metacycle than are planned for.
    #[error(
        "channel `{channel}` moves {words} words in a metacycle of {unroll} iterations, allowed are {limit} on all channels together"
    )]
    TooManyWords {
        /// The channel's name.
        channel: String,
        /// Words, with those of the channels before it.
        words: u64,
        /// Iterations.
        unroll: u32,
        /// The most that is allowed.
        limit: u64,
    },
    /// Only switches.
    #[error("no node of machine `{machine}` has a core: all {nodes} are switches")]
    NoCores {
        /// The machine's name.
        machine: String,
        /// How many nodes there are.
        nodes: usize,
    },
    /// Parts without any link between them: they share no logical time.
    #[error(
        "machine `{machine}` is disconnected: no link joins {apart} of its {nodes} nodes, such as `{node}`, to `{start}`"
    )]
    Disconnected {
        /// The machine's name.
        machine: String,
        /// The first node.
        start: String,
        /// A node that is not connected with it.
        node: String,
        /// How many nodes are not.
        apart: usize,
        /// How many nodes there are.
        nodes: usize,
    },
    /// A pin to a node that is not there.
    #[error("actor `{actor}` is pinned to {node}, but the machine has {nodes} nodes")]
    PinnedNowhere {
        /// The actor's name.
        actor: String,
        /// The node asked for.
        node: NodeId,
        /// How many nodes there are.
        nodes: usize,
    },
    /// A pin of an actor that is not there.
    #[error("{actor} is pinned, but there are {actors} actors")]
    NoSuchActor {
        /// The actor asked for.
        actor: ActorId,
        /// How many actors there are.
        actors: usize,
    },
    /// A pin to a node without a core.
    #[error("actor `{actor}` is pinned to `{node}`, which is a switch: it has no core")]
    PinnedToSwitch {
        /// The actor's name.
        actor: String,
        /// The node's name.
        node: String,
    },
    /// No way for a channel's tokens.
    #[error("channel `{channel}` needs a path from `{from}` to `{to}`, but no sequence of links leads there")]
    Unreachable {
        /// The channel's name.
        channel: String,
        /// Name of the producer's node.
        from: String,
        /// Name of the consumer's node.
        to: String,
    },
    /// A node's memory is too small.
    #[error("node `{node}` needs {needed} words of memory and has {available}: {} short", needed - available)]
    MemoryShort {
        /// The node's name.
        node: String,
        /// Words needed.
        needed: u64,
        /// Words that there are.
        available: u64,
    },
    /// A calendar does not fit its table.
    #[error("{calendar} needs {needed} entries, node `{node}` holds {available} per calendar: {} short", needed - available)]
    CalendarShort {
        /// Which calendar.
        calendar: String,
        /// The node's name.
        node: String,
        /// Entries needed.
        needed: usize,
        /// Entries that there are.
        available: usize,
    },
    /// The heuristic found no slots, however long the metacycle: not expected.
    #[error("no slots were found for metacycles up to {metacycle} ticks")]
    NoSlots {
        /// The longest that was tried.
        metacycle: i64,
    },
    /// The verifier objects to what was made: a fault of the compiler.
    #[error("the compiler made calendars that break {} rules; the first: {}", .0.len(), .0[0])]
    Unsound(Vec<calendars::Violation>),
}

impl From<TooManyFirings> for CompileError {
    fn from(error: TooManyFirings) -> Self {
        Self::Analysis(error.into())
    }
}

/// Compiles `app` for `machine`. Pure and deterministic.
///
/// # Errors
/// [`CompileError`]: the application is at fault, or no feasible calendar exists.
pub fn compile(app: &App, machine: &Machine, options: &Options) -> Result<Compiled, CompileError> {
    let (analysis, single) = analyse_firings(app)?;
    let pins = check_machine(app, machine, options)?;
    let unit = Unit::of(app);
    let distances = Distances::new(machine, unit);
    let (repetition, max_unroll) = (&analysis.repetition, options.max_unroll.max(1));
    let list = options.schedule;
    let compiler = Compiler { app, machine, repetition, distances: &distances, pins: &pins, list };
    compiler.check_words(1)?;
    let bound = any_placement(app, machine, &analysis, &single, &pins);
    let mut best = compiler.solve(single, bound, max_unroll)?;
    if best.period() <= bound.ticks {
        return compiler.finish(best, bound, max_unroll);
    }
    let mut machines = with_fewer_cores(machine);
    if repetition.total_firings() <= SMALL
        && let Some(smaller) = without_last_host(machine, &pins)
    {
        let fewer = with_fewer_cores(&smaller);
        machines.push(smaller);
        machines.extend(fewer);
    }
    let distances: Vec<Distances<'_>> = machines.iter().map(|machine| Distances::new(machine, unit)).collect();
    for (machine, distances) in machines.iter().zip(&distances) {
        let fewer = Compiler { app, machine, repetition, distances, pins: &pins, list };
        // Without a node there may be no way from one pinned actor to another.
        let solution = fewer.graph(1).and_then(|graph| fewer.solve(graph, bound, max_unroll));
        if let Ok(solution) = solution
            && solution.period() < best.period()
        {
            best = solution;
        }
        if best.period() <= bound.ticks {
            break;
        }
    }
    compiler.finish(best, bound, max_unroll)
}

/// Machines with fewer cores that are tried too.
const FEWER: usize = 2;

/// The machine with a core less on every node, and so on as long as every node keeps one: what fits on less fits on more,
/// so that cores added to a machine hardly ever make a schedule slower.
fn with_fewer_cores(machine: &Machine) -> Vec<Machine> {
    let mut machines: Vec<Machine> = Vec::new();
    while machines.len() < FEWER {
        let mut nodes = machines.last().unwrap_or(machine).nodes().clone();
        if nodes.values().any(|node| node.cores == 1) {
            break;
        }
        nodes.values_mut().for_each(|node| node.cores = node.cores.saturating_sub(1));
        let fewer = Machine::new(machine.name(), nodes, machine.links().clone());
        machines.push(fewer.expect("a legal machine with fewer cores is legal"));
    }
    machines
}

/// The machine with its last node that has a core made a switch, unless it is the only one or somebody is pinned to it: what
/// fits there fits here, so that a node added to a machine hardly ever makes a schedule slower.
fn without_last_host(machine: &Machine, pins: &IdVec<ActorId, Option<NodeId>>) -> Option<Machine> {
    let mut nodes = machine.nodes().clone();
    let mut hosts = nodes.ids().rev().filter(|&node| nodes[node].cores > 0);
    let (last, _) = (hosts.next()?, hosts.next()?);
    if pins.values().any(|&pin| pin == Some(last)) {
        return None;
    }
    nodes[last].cores = 0;
    let smaller = Machine::new(machine.name(), nodes, machine.links().clone());
    Some(smaller.expect("a legal machine with fewer cores is legal"))
}

/// Words that may move in a metacycle, all channels together.
const WORDS_MAX: u64 = 1 << 26;
/// Firings up to which several numbers of unrolled iterations are tried.
const SMALL: u64 = 300;

struct Compiler<'a> {
    app: &'a App,
    machine: &'a Machine,
    repetition: &'a Repetition,
    distances: &'a Distances<'a>,
    pins: &'a IdVec<ActorId, Option<NodeId>>,
    /// Whether to list the schedule.
    list: bool,
}

/// The part of a known metacycle by which a first schedule may be longer and still promise a shorter one.
const HOPE: i64 = 8;
/// Steps down towards the bound.
const BISECTIONS: usize = 10;
/// Metacycles below which a tick more is a noticeable part.
const COARSE: i64 = 100;
/// Firings up to which repetitions are tried at the bound itself.
const MANY: i64 = 20_000;
/// Metacycles tried per number of repetitions.
const BETWEEN: usize = 4;

/// A placement of U iterations that is worth looking for slots.
struct Candidate<'a> {
    /// Ticks per iteration, if slots allow.
    promised: Ratio<i64>,
    unroll: u32,
    /// Node of every firing.
    nodes: Vec<NodeId>,
    /// The problem, if it need not be stated again.
    problem: Option<Problem<'a>>,
}

/// A placed and routed problem without slots.
struct Routed<'a> {
    problem: Problem<'a>,
    placed: Placed,
}

/// Slots for a placement.
struct Solution<'a> {
    problem: Problem<'a>,
    placed: Placed,
    slotted: Slotted,
}

impl<'a> Routed<'a> {
    /// Ticks that a metacycle has at least.
    fn shortest(&self) -> Ratio<i64> {
        self.placed.bound().max(Ratio::from_integer(self.problem.duration_max))
    }

    /// Starts from a schedule without any hurry, whose cycles tell how long a metacycle they need; goes up from there in
    /// steps that double until slots are found, then down towards the bound by bisection.
    ///
    /// `None` if the metacycle `known` seems out of reach.
    fn shortest_metacycle(&self, known: Option<i64>) -> Result<Option<(i64, Slotted)>, CompileError> {
        let bound = self.shortest().ceil().to_integer();
        let leisure = self.leisure();
        let at_leisure = slot(&self.problem, &self.placed, leisure);
        let start = at_leisure.as_ref().map_or(bound, |slotted| slotted.needed.clamp(bound, leisure));
        if known.is_some_and(|known| start > known + known / HOPE) {
            return Ok(None);
        }
        let mut failed = bound;
        let mut found = at_leisure.map(|slotted| (leisure, slotted));
        let mut metacycle = start.max(bound + 1);
        let grain = (bound / 256).max(1);
        let mut step = grain;
        while found.as_ref().is_none_or(|(longest, _)| metacycle < *longest) {
            if let Some(slotted) = slot(&self.problem, &self.placed, metacycle) {
                found = Some((metacycle, slotted));
                break;
            }
            if metacycle > i64::MAX / 8 {
                return Err(CompileError::NoSlots { metacycle });
            }
            failed = metacycle;
            metacycle += step;
            step *= 2;
        }
        let mut found = found.expect("the loop ends with slots");
        for _ in 0..BISECTIONS {
            if found.0 - failed <= grain {
                break;
            }
            let metacycle = failed + (found.0 - failed) / 2;
            match slot(&self.problem, &self.placed, metacycle) {
                Some(slotted) => found = (metacycle, slotted),
                None => failed = metacycle,
            }
        }
        Ok(Some(found))
    }

    /// A metacycle in which everything could happen one after another.
    fn leisure(&self) -> i64 {
        let graph = &self.problem.graph;
        let work: i64 = graph.firings().map(|firing| graph.duration(firing)).sum();
        let delays = delays(&self.problem, &self.placed.flow_of, &self.placed.routes);
        delays.values().fold(work, |sum, &delay| sum.saturating_add(delay)).min(i64::MAX / 64)
    }

    fn solved(self, slotted: Slotted) -> Solution<'a> {
        Solution { problem: self.problem, placed: self.placed, slotted }
    }
}

impl Solution<'_> {
    /// Ticks per iteration.
    fn period(&self) -> Ratio<i64> {
        Ratio::new(self.slotted.metacycle, i64::from(self.problem.graph.unroll()))
    }
}

impl<'a> Compiler<'a> {
    fn graph(&self, unroll: u32) -> Result<FiringGraph, CompileError> {
        self.check_words(unroll)?;
        Ok(FiringGraph::new(self.app, self.repetition, unroll)?)
    }

    /// Whether the words of `unroll` iterations are few enough to be planned one by one.
    fn check_words(&self, unroll: u32) -> Result<(), CompileError> {
        let mut words = 0_u64;
        for channel in self.app.channels().values() {
            let moved =
                self.repetition.tokens(channel).saturating_mul(u64::from(channel.token_words()) * u64::from(unroll));
            words = words.saturating_add(moved);
            if words > WORDS_MAX {
                return Err(CompileError::TooManyWords {
                    channel: channel.name.to_string(),
                    words,
                    unroll,
                    limit: WORDS_MAX,
                });
            }
        }
        Ok(())
    }

    fn problem(&self, graph: FiringGraph) -> Problem<'a> {
        Problem::new(self.app, self.distances, graph, self.pins)
    }

    /// Places several numbers of iterations and finds slots, most promising first, until no other can be faster.
    fn solve(&self, single: FiringGraph, bound: Bound, max_unroll: u32) -> Result<Solution<'a>, CompileError> {
        let mut best: Option<Solution<'a>> = None;
        for Candidate { promised, unroll, nodes, problem } in self.candidates(single, bound, max_unroll)? {
            let known = best.as_ref().map(Solution::period);
            if known.is_some_and(|known| known <= promised) {
                break;
            }
            if let Some(solution) = self.slot(unroll, &nodes, problem, max_unroll, known)?
                && known.is_none_or(|known| solution.period() < known)
            {
                best = Some(solution);
            }
        }
        Ok(best.expect("at least one number of iterations is tried"))
    }

    /// Placements, the most promising first.
    fn candidates(
        &self,
        single: FiringGraph,
        bound: Bound,
        max_unroll: u32,
    ) -> Result<Vec<Candidate<'a>>, CompileError> {
        // A firing may not be longer than the metacycle: longer firings of consecutive iterations take turns on cores.
        let longest = single.firings().map(|firing| single.duration(firing)).max().unwrap_or(1);
        let least =
            (Ratio::from_integer(longest) / bound.ticks).ceil().to_integer().clamp(1, i64::from(max_unroll)) as u32;
        let affordable = SMALL / self.repetition.total_firings().max(1);
        let most = u32::try_from(affordable).unwrap_or(max_unroll).clamp(least, max_unroll.max(least));
        let mut single = Some(single);
        let mut candidates = Vec::new();
        for unroll in least..=most {
            let graph = match single.take() {
                Some(graph) if unroll == 1 => graph,
                _ => self.graph(unroll)?,
            };
            let problem = self.problem(graph);
            if let Some(nodes) = problem.pinned().filter(|_| least == most) {
                // Nothing to choose between: it is routed once, when it is solved.
                return Ok(vec![Candidate { promised: bound.ticks, unroll, nodes, problem: Some(problem) }]);
            }
            let all = place(&problem, bound.ticks * i64::from(unroll)).map_err(|no| self.unreachable(no))?;
            let period = |placed: &Placed| placed.bound().max(Ratio::from_integer(longest)) / i64::from(unroll);
            let reached = period(&all[0]) <= bound.ticks;
            candidates.extend(all.into_iter().map(|placed| Candidate {
                promised: period(&placed),
                unroll,
                nodes: placed.node_of,
                problem: None,
            }));
            if reached {
                break;
            }
        }
        candidates.sort_by_key(|candidate| (candidate.promised, candidate.unroll));
        Ok(candidates)
    }

    /// Finds slots for `nodes`, a placement of `unroll` iterations, at the shortest period per iteration that works: first
    /// where the bound is met exactly, by repeating the placement if it is a fraction; else one repetition is slowed down
    /// until slots are found, and more repetitions are tried for what lies between.
    ///
    /// `None` if there is no hope to come below the period `known`.
    fn slot(
        &self,
        unroll: u32,
        nodes: &[NodeId],
        problem: Option<Problem<'a>>,
        max_unroll: u32,
        known: Option<Ratio<i64>>,
    ) -> Result<Option<Solution<'a>>, CompileError> {
        let problem = problem.map_or_else(|| self.graph(unroll).map(|graph| self.problem(graph)), Ok)?;
        let once = self.routed(problem, nodes.to_vec(), 1)?;
        let base = once.shortest();
        let repeats = i64::from(max_unroll / unroll);
        let jobs = Jobs::new(&once.problem, self.machine, &once.placed.node_of, 1);
        // Of the numbers of repetitions, those that lose least by rounding up to whole ticks and by packing whole firings.
        let least = |k: i64| jobs.least_metacycle(k as u32, (base * k).ceil().to_integer());
        let least: Vec<i64> = (1..=repeats.max(1)).map(least).collect();
        let least = |k: i64| least[k as usize - 1];
        let best = (1..=repeats.max(1)).map(|k| Ratio::new(least(k), k)).min().expect("one repetition at least");
        let affordable = |k: i64| k == 1 || once.problem.graph.len() as i64 * k <= MANY;
        for k in (1..=repeats.max(1)).filter(|&k| Ratio::new(least(k), k) == best && affordable(k)) {
            let routed = if k == 1 { None } else { Some(self.repeated(unroll, k as u32, nodes)?) };
            let at = routed.as_ref().unwrap_or(&once);
            if let Some(slotted) = slot(&at.problem, &at.placed, least(k).max(at.shortest().ceil().to_integer())) {
                return Ok(Some(routed.unwrap_or(once).solved(slotted)));
            }
        }
        let known = known.map(|period| (period * i64::from(unroll)).ceil().to_integer());
        let Some((metacycle, slotted)) = once.shortest_metacycle(known)? else { return Ok(None) };
        let small = once.problem.graph.len() as u64 * u64::from(max_unroll) <= SMALL;
        let mut between: Vec<(Ratio<i64>, i64, i64)> = (2..=repeats)
            .filter(|_| small && metacycle < COARSE)
            .flat_map(|k| {
                (least(k)..k * metacycle).take(BETWEEN).map(move |between| (Ratio::new(between, k), k, between))
            })
            .collect();
        between.sort_unstable();
        let mut routed: BTreeMap<i64, Routed<'a>> = BTreeMap::new();
        for (_, k, between) in between {
            let more = match routed.remove(&k) {
                Some(more) => more,
                None => self.repeated(unroll, k as u32, nodes)?,
            };
            if let Some(slotted) = slot(&more.problem, &more.placed, between) {
                return Ok(Some(more.solved(slotted)));
            }
            routed.insert(k, more);
        }
        Ok(Some(once.solved(slotted)))
    }

    /// The problem of `unroll · repeats` iterations, placed like `nodes` in every repetition, and routed.
    fn repeated(&self, unroll: u32, repeats: u32, nodes: &[NodeId]) -> Result<Routed<'a>, CompileError> {
        let graph = self.graph(unroll * repeats)?;
        let mut node_of = Vec::with_capacity(graph.len());
        let mut base = 0;
        for actor in self.app.actors().ids() {
            let firings = graph.firings_of(actor).len() / repeats as usize;
            for _ in 0..repeats {
                node_of.extend_from_slice(&nodes[base..base + firings]);
            }
            base += firings;
        }
        self.routed(self.problem(graph), node_of, repeats)
    }

    fn routed(&self, problem: Problem<'a>, node_of: Vec<NodeId>, repeats: u32) -> Result<Routed<'a>, CompileError> {
        let slots = self.slots_aimed_at(&problem, &node_of);
        let placed = evaluate(&problem, node_of, slots).map_err(|no| self.unreachable(no))?;
        let alike = if iterations_are_alike(&problem, &placed.node_of) { problem.graph.unroll() } else { repeats };
        let placed = Placed { repeats, alike, ..placed };
        Ok(Routed { problem, placed })
    }

    /// Link slots per metacycle that routing should make do with: what the fullest core needs anyway.
    fn slots_aimed_at(&self, problem: &Problem<'_>, node_of: &[NodeId]) -> i64 {
        fullest(self.machine, problem.loads(node_of)).to_integer().max(1)
    }

    fn unreachable(&self, no: NoPath) -> CompileError {
        let name = |node: NodeId| self.machine.nodes()[node].name.clone();
        let channel = self.app.channels()[no.flow.channel].name.to_string();
        CompileError::Unreachable { channel, from: name(no.flow.from), to: name(no.flow.to) }
    }

    /// Lays out memory, writes calendars, checks the machine's limits and the machine's rules, and sums up.
    fn finish(&self, solution: Solution<'_>, bound: Bound, max_unroll: u32) -> Result<Compiled, CompileError> {
        let Solution { problem, placed, slotted } = solution;
        let overflow = |AddressOverflow { node, words }| CompileError::MemoryShort {
            node: self.machine.nodes()[node].name.clone(),
            needed: words,
            available: u64::from(u32::MAX >> 1),
        };
        let memory = allocate(&problem, &placed, &slotted).map_err(overflow)?;
        for (node, &needed) in memory.used.iter() {
            let data = &self.machine.nodes()[node];
            if let Some(available) = data.memory_words.map(u64::from).filter(|&available| needed > available) {
                return Err(CompileError::MemoryShort { node: data.name.clone(), needed, available });
            }
        }
        let firings = emit::firings(&problem, &placed, &slotted);
        let calendars = emit::emit(&problem, &placed, &slotted, &memory, &firings);
        self.check_depth(&calendars)?;
        let (metacycle, unroll) = (slotted.metacycle, problem.graph.unroll());
        let latency_ticks = latency(&firings, &problem);
        let Memory { buffers, used, .. } = memory;
        let schedule = self.list.then(|| {
            let (transports, hops) = emit::transports(&problem, &placed, &slotted);
            Schedule { metacycle, unroll, firings, transports, hops, buffers }
        });
        let per_iteration = |ticks: Ratio<i64>| ticks / i64::from(unroll);
        let placed_bound = Bound::largest([
            Bound {
                ticks: per_iteration(fullest(self.machine, problem.loads(&placed.node_of))),
                kind: BoundKind::Compute,
            },
            Bound { ticks: per_iteration(Ratio::from_integer(placed.link)), kind: BoundKind::Link },
            Bound { ticks: per_iteration(placed.recurrence), kind: BoundKind::Recurrence },
        ])
        .expect("three bounds");
        // What holds for any placement holds for this one.
        let placed_bound = Bound::largest([placed_bound, bound]).expect("two bounds");
        let placed_bound = self.rounded(placed_bound, &problem, &placed, max_unroll);
        // On a large machine the stages before take more memory than what they made.
        drop((problem, placed, slotted));
        let verified = calendars::verify(self.app, self.machine, &calendars).map_err(CompileError::Unsound)?;
        let report = Report {
            iteration_period: Ratio::new(metacycle, i64::from(unroll)),
            metacycle,
            unroll,
            bound,
            placed_bound,
            latency_ticks,
            memory_words: used,
            calendar_entries: calendars.entries(),
        };
        let warnings = self.app.actors().values().filter(|actor| actor.exec.contains(&0));
        let warnings = warnings.map(|actor| Warning::ZeroExec { actor: actor.name.clone() }).collect();
        Ok(Compiled { schedule, calendars, verified, report, warnings })
    }

    /// The same bound in whole ticks and whole firings: the least that a metacycle of this placement can have, for any number
    /// of iterations that is allowed.
    fn rounded(&self, bound: Bound, problem: &Problem<'_>, placed: &Placed, max_unroll: u32) -> Bound {
        let once = problem.graph.unroll() / placed.repeats;
        let jobs = Jobs::new(problem, self.machine, &placed.node_of, placed.repeats);
        let length = |k: u32| (bound.ticks * i64::from(once * k)).ceil().to_integer().max(problem.duration_max);
        let period = |k: u32, length: i64| Ratio::new(length, i64::from(once * k));
        let repeats = 1..=(max_unroll / once).max(placed.repeats);
        let whole = repeats.clone().map(|k| period(k, length(k))).min().expect("one repetition at least");
        let packed = repeats.map(|k| period(k, jobs.least_metacycle(k, length(k)))).min().expect("likewise");
        Bound { ticks: packed, kind: if packed > whole { BoundKind::Compute } else { bound.kind } }
    }

    fn check_depth(&self, calendars: &CalendarSet) -> Result<(), CompileError> {
        let check = |node: NodeId, needed: usize, calendar: &dyn Fn() -> String| {
            let data = &self.machine.nodes()[node];
            match data.calendar_entries {
                Some(available) if needed > available as usize => Err(CompileError::CalendarShort {
                    calendar: calendar(),
                    node: data.name.clone(),
                    needed,
                    available: available as usize,
                }),
                _ => Ok(()),
            }
        };
        for (node, calendar) in calendars.nodes.iter() {
            check(node, calendar.compute.len(), &|| "the compute calendar".to_owned())?;
        }
        for (id, calendar) in calendars.links.iter() {
            let link = &self.machine.links()[id];
            check(link.source, calendar.gather.len(), &|| format!("the gather calendar of {}", self.link_name(id)))?;
            check(link.target, calendar.scatter.len(), &|| format!("the scatter calendar of {}", self.link_name(id)))?;
        }
        Ok(())
    }

    fn link_name(&self, id: LinkId) -> String {
        let (link, nodes) = (&self.machine.links()[id], self.machine.nodes());
        format!("{}→{}", nodes[link.source].name, nodes[link.target].name)
    }
}

/// Whether all iterations of a metacycle are placed like the first.
fn iterations_are_alike(problem: &Problem<'_>, node_of: &[NodeId]) -> bool {
    let graph = &problem.graph;
    problem.app.actors().ids().all(|actor| {
        let mut firings = graph.firings_of(actor);
        let per_iteration = firings.len() / graph.unroll() as usize;
        let nodes =
            &node_of[firings.next().expect("every actor fires").index()..][..per_iteration * graph.unroll() as usize];
        nodes.iter().zip(&nodes[per_iteration..]).all(|(node, next)| node == next)
    })
}

/// First start to last end of iteration 0.
fn latency(firings: &[ScheduledFiring], problem: &Problem<'_>) -> i64 {
    let first_iteration = firings.iter().filter(|firing| {
        let firings = problem.graph.firings_of(firing.actor).len() as u32;
        firing.index < firings / problem.graph.unroll()
    });
    let (start, end) =
        first_iteration.fold((i64::MAX, i64::MIN), |(start, end), f| (start.min(f.start), end.max(f.start + f.exec)));
    end - start
}

/// Checks that the machine can host anything at all, and merges the pins.
fn check_machine(
    app: &App,
    machine: &Machine,
    options: &Options,
) -> Result<IdVec<ActorId, Option<NodeId>>, CompileError> {
    let nodes = machine.nodes();
    if nodes.values().all(|node| node.cores == 0) {
        return Err(CompileError::NoCores { machine: machine.name().to_owned(), nodes: nodes.len() });
    }
    let connected = connected_with_first(machine);
    if let Some(node) = nodes.ids().find(|&node| !connected[node]) {
        return Err(CompileError::Disconnected {
            machine: machine.name().to_owned(),
            start: nodes[NodeId(0)].name.clone(),
            node: nodes[node].name.clone(),
            apart: connected.values().filter(|&&c| !c).count(),
            nodes: nodes.len(),
        });
    }
    let mut pins: IdVec<ActorId, Option<NodeId>> = app.actors().values().map(|actor| actor.pin).collect();
    for &(actor, node) in &options.pins {
        if app.actors().get(actor).is_none() {
            return Err(CompileError::NoSuchActor { actor, actors: app.actors().len() });
        }
        pins[actor] = Some(node);
    }
    for (actor, pin) in pins.iter() {
        if let Some(node) = pin.filter(|&node| nodes.get(node).is_none()) {
            let actor = app.actors()[actor].name.clone();
            return Err(CompileError::PinnedNowhere { actor, node, nodes: nodes.len() });
        }
        if let Some(node) = pin.filter(|&node| nodes[node].cores == 0) {
            let actor = app.actors()[actor].name.clone();
            return Err(CompileError::PinnedToSwitch { actor, node: nodes[node].name.clone() });
        }
    }
    Ok(pins)
}

/// Which nodes some chain of links, in any direction, joins to node 0.
fn connected_with_first(machine: &Machine) -> IdVec<NodeId, bool> {
    let mut connected = IdVec::filled(false, machine.nodes().len());
    let mut open = vec![NodeId(0)];
    connected[NodeId(0)] = true;
    while let Some(node) = open.pop() {
        let out = machine.outgoing(node).iter().map(|&link| machine.links()[link].target);
        let into = machine.incoming(node).iter().map(|&link| machine.links()[link].source);
        for next in out.chain(into) {
            if !std::mem::replace(&mut connected[next], true) {
                open.push(next);
            }
        }
    }
    connected
}
