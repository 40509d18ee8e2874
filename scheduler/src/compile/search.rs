//! What is tried, in which order: numbers of iterations, placements, repetitions, metacycles.

use super::CompileError;
use super::routed::{Routed, Solution};
use crate::analysis::{FiringGraph, Repetition};
use crate::bounds::Bound;
use crate::distance::Distances;
use crate::packing::Jobs;
use crate::placement::{Placed, evaluate, fullest, place};
use crate::problem::Problem;
use crate::routing::NoPath;
use crate::slotting::slot;
use num_rational::Ratio;
use sim_core::{ActorId, App, Id, IdVec, Machine, NodeId};
use std::collections::BTreeMap;

/// Words that may move in a metacycle, all channels together.
const WORDS_MAX: u64 = 1 << 26;
/// Firings up to which several numbers of unrolled iterations are tried.
pub(super) const SMALL: u64 = 300;
/// Metacycles below which a tick more is a noticeable part.
const COARSE: i64 = 100;
/// Firings up to which repetitions are tried at the bound itself.
const MANY: i64 = 20_000;
/// Metacycles tried per number of repetitions.
const BETWEEN: usize = 4;

/// Compiles one application for one machine.
pub(super) struct Compiler<'a> {
    pub(super) app: &'a App,
    pub(super) machine: &'a Machine,
    pub(super) repetition: &'a Repetition,
    pub(super) distances: &'a Distances<'a>,
    pub(super) pins: &'a IdVec<ActorId, Option<NodeId>>,
    /// Whether to list the schedule.
    pub(super) list: bool,
}

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

impl<'a> Compiler<'a> {
    pub(super) fn graph(&self, unroll: u32) -> Result<FiringGraph, CompileError> {
        self.check_words(unroll)?;
        Ok(FiringGraph::new(self.app, self.repetition, unroll)?)
    }

    /// Whether the words of `unroll` iterations are few enough to be planned one by one.
    pub(super) fn check_words(&self, unroll: u32) -> Result<(), CompileError> {
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
    pub(super) fn solve(
        &self,
        single: FiringGraph,
        bound: Bound,
        max_unroll: u32,
    ) -> Result<Solution<'a>, CompileError> {
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
        let name = |node: NodeId| self.machine.nodes()[node].name.to_string();
        let channel = self.app.channels()[no.flow.channel].name.to_string();
        CompileError::Unreachable { channel, from: name(no.flow.from), to: name(no.flow.to) }
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
