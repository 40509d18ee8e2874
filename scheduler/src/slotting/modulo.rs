//! Iterative modulo scheduling of the firings on common cycles, with their transports.

use super::{Slotter, UNPLACED};
use crate::analysis::{DependencyId, FiringId};
use sim_core::Id;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Firings of a component for which many ejections are affordable.
const THOROUGH: usize = 200;

impl Slotter<'_> {
    /// Places all firings of a component, and sends all words between them in time: by earliest start, each with the
    /// transports to and from those that are placed. Who then stands in the way or starts too early is taken out and
    /// placed again, within a budget.
    pub(super) fn place_cycle(&mut self, members: &[FiringId]) -> bool {
        let inner = self.inner_dependencies(members);
        let Some(earliest) = self.earliest_starts(members, &inner) else { return false };
        let mut open: BTreeSet<(i64, FiringId)> = earliest.iter().map(|(&firing, &start)| (start, firing)).collect();
        let mut last_start: BTreeMap<FiringId, i64> = BTreeMap::new();
        // Thorough where it is cheap: a large component that does not fit at once seldom fits after many ejections.
        let tries = if members.len() <= THOROUGH { 40 } else { 4 };
        for _ in 0..tries * members.len() + 200 {
            let Some((priority, firing)) = open.pop_first() else { return true };
            let from = self.bring_inputs(firing, priority);
            let until = self.latest(firing);
            let again = from + self.metacycle - 1;
            let within = if until >= from { self.find(firing, from, until.min(again)) } else { None };
            let found = within.or_else(|| {
                let from = last_start.get(&firing).map_or(from, |&start| from.max(start + 1));
                self.find(firing, from, from + self.metacycle - 1)
            });
            let Some((start, core)) = found.or_else(|| self.make_room(firing, from, members, &earliest, &mut open))
            else {
                return false;
            };
            self.put(firing, start, core);
            last_start.insert(firing, start);
            for consumer in self.send_outputs(firing) {
                self.take_out(consumer);
                open.insert((earliest[&consumer], consumer));
            }
        }
        false
    }

    /// Transports all words that placed members send to `firing`; the tick from which they are all there.
    fn bring_inputs(&mut self, firing: FiringId, earliest: i64) -> i64 {
        let mut from = earliest;
        for id in self.problem.graph.input_ids(firing) {
            let d = self.problem.graph.dependencies()[id];
            if d.from != firing && self.is_placed_beside(d.from, firing) {
                self.retract(id);
                from = from.max(self.transport(id) - d.distance * self.metacycle);
            }
        }
        from
    }

    /// Transports all words that `firing` sends to placed members; the members that they reach too late.
    fn send_outputs(&mut self, firing: FiringId) -> Vec<FiringId> {
        let problem = self.problem;
        let mut late = Vec::new();
        for &id in problem.graph.outputs(firing) {
            let d = &problem.graph.dependencies()[id];
            if d.to != firing && self.is_placed_beside(d.to, firing) {
                self.retract(id);
                if self.transport(id) > self.starts[d.to.index()] + d.distance * self.metacycle && !late.contains(&d.to)
                {
                    late.push(d.to);
                }
            }
        }
        late
    }

    /// The last tick at which `firing` may start so that no placed member waits, if links are free.
    fn latest(&self, firing: FiringId) -> i64 {
        let graph = &self.problem.graph;
        let mut until = i64::MAX - 1;
        for &id in graph.outputs(firing) {
            let d = &graph.dependencies()[id];
            if d.to != firing && self.is_placed_beside(d.to, firing) {
                let needed = self.starts[d.to.index()] + d.distance * self.metacycle;
                until = until.min(needed - self.delays[id] - graph.duration(firing));
            }
        }
        until
    }

    /// Whether `other` is in the component of `firing` and has a start.
    fn is_placed_beside(&self, other: FiringId, firing: FiringId) -> bool {
        self.starts[other.index()] != UNPLACED && self.component_of[other.index()] == self.component_of[firing.index()]
    }

    /// Takes a member and all its transports out.
    fn take_out(&mut self, firing: FiringId) {
        let problem = self.problem;
        problem.graph.input_ids(firing).for_each(|id| self.retract(id));
        problem.graph.outputs(firing).iter().for_each(|&id| self.retract(id));
        self.unput(firing);
    }

    /// The dependencies between members.
    fn inner_dependencies(&self, members: &[FiringId]) -> Vec<DependencyId> {
        let graph = &self.problem.graph;
        let component = self.component_of[members[0].index()];
        let all = members.iter().flat_map(|&firing| graph.input_ids(firing));
        all.filter(|&id| self.component_of[graph.dependencies()[id].from.index()] == component).collect()
    }

    /// Least s ≥ 0 with s(to) ≥ s(from) + duration + delay − distance · metacycle, by longest paths; `None` if a cycle
    /// needs more time than it has.
    fn earliest_starts(&self, members: &[FiringId], inner: &[DependencyId]) -> Option<BTreeMap<FiringId, i64>> {
        let graph = &self.problem.graph;
        let index: BTreeMap<FiringId, usize> = members.iter().enumerate().map(|(i, &firing)| (firing, i)).collect();
        let mut edges: Vec<Vec<(usize, i64)>> = vec![Vec::new(); members.len()];
        for &dependency in inner {
            let d = &graph.dependencies()[dependency];
            let weight = graph.duration(d.from) + self.delays[dependency] - d.distance * self.metacycle;
            edges[index[&d.from]].push((index[&d.to], weight));
        }
        let mut start = vec![0_i64; members.len()];
        let mut queued = vec![true; members.len()];
        let mut relaxed = vec![0_usize; members.len()];
        let mut queue: VecDeque<usize> = (0..members.len()).collect();
        while let Some(i) = queue.pop_front() {
            queued[i] = false;
            for &(j, weight) in &edges[i] {
                if start[i] + weight > start[j] {
                    start[j] = start[i] + weight;
                    if !queued[j] {
                        relaxed[j] += 1;
                        if relaxed[j] > members.len() {
                            return None;
                        }
                        queued[j] = true;
                        queue.push_back(j);
                    }
                }
            }
        }
        Some(members.iter().copied().zip(start).collect())
    }

    /// Takes members of the component off a core so that `firing` fits there at or after `from`.
    fn make_room(
        &mut self,
        firing: FiringId,
        from: i64,
        members: &[FiringId],
        earliest: &BTreeMap<FiringId, i64>,
        open: &mut BTreeSet<(i64, FiringId)>,
    ) -> Option<(i64, u32)> {
        let node = self.node(firing);
        let duration = self.problem.graph.duration(firing);
        let here: Vec<FiringId> =
            members.iter().copied().filter(|&m| self.node(m) == node && self.starts[m.index()] != UNPLACED).collect();
        let meets = |slotter: &Self, m: FiringId| {
            let offset = (slotter.starts[m.index()] - from).rem_euclid(slotter.metacycle);
            offset < duration || offset + slotter.problem.graph.duration(m) > slotter.metacycle
        };
        for m in here {
            if meets(self, m) {
                self.take_out(m);
                open.insert((earliest[&m], m));
            }
        }
        self.find(firing, from, from + self.metacycle - 1)
    }
}
