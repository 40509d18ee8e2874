//! From slots to what is handed out: memory, calendars, limits of the machine, the verifier, the report.

use super::routed::Solution;
use super::search::Compiler;
use super::{CompileError, Compiled, Report, Warning};
use crate::bounds::{Bound, BoundKind};
use crate::buffers::{AddressOverflow, Memory, allocate};
use crate::emit;
use crate::packing::Jobs;
use crate::placement::{Placed, fullest};
use crate::problem::Problem;
use crate::schedule::{Schedule, ScheduledFiring};
use calendars::CalendarSet;
use num_rational::Ratio;
use sim_core::{LinkId, NodeId};

impl Compiler<'_> {
    /// Lays out memory, writes calendars, checks the machine's limits and the machine's rules, and sums up.
    pub(super) fn finish(
        &self,
        solution: Solution<'_>,
        bound: Bound,
        max_unroll: u32,
    ) -> Result<Compiled, CompileError> {
        let Solution { problem, placed, slotted } = solution;
        let overflow = |AddressOverflow { node, words }| CompileError::MemoryShort {
            node: self.machine.nodes()[node].name.to_string(),
            needed: words,
            available: u64::from(u32::MAX >> 1),
        };
        let memory = allocate(&problem, &placed, &slotted).map_err(overflow)?;
        for (node, &needed) in memory.used.iter() {
            let data = &self.machine.nodes()[node];
            if let Some(available) = data.memory_words.map(u64::from).filter(|&available| needed > available) {
                return Err(CompileError::MemoryShort { node: data.name.to_string(), needed, available });
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
        let warnings = warnings.map(|actor| Warning::ZeroExec { actor: actor.name.to_string() }).collect();
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
                    node: data.name.to_string(),
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
