//! Iterative modulo scheduling of the firings on common cycles, with their transports.

use super::{Slotter, UNPLACED};
use crate::analysis::FiringId;
use sim_core::{Id, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// Firings of a component for which many ejections are affordable.
const THOROUGH: usize = 200;

impl Slotter<'_> {
    /// Places all firings of a component, and sends all words between them in time: by earliest start, each with the
    /// transports to and from those that are placed. Who then stands in the way or starts too early is taken out and
    /// placed again, within a budget.
    pub(super) fn place_cycle(&mut self, members: &[FiringId]) -> bool {
        if !self.find_earliest_starts(members) {
            return false;
        }
        let mut open: BTreeSet<(i64, FiringId)> = members.iter().map(|&m| (self.earliest[m.index()], m)).collect();
        let mut neighbours = None;
        // Thorough where it is cheap: a large component that does not fit at once seldom fits after many ejections.
        let tries = if members.len() <= THOROUGH { 40 } else { 4 };
        for _ in 0..tries * members.len() + 200 {
            let Some((priority, firing)) = open.pop_first() else { return true };
            let from = self.bring_inputs(firing, priority);
            let until = self.latest(firing);
            let again = from + self.metacycle - 1;
            let within = if until >= from { self.find(firing, from, until.min(again)) } else { None };
            let found = within.or_else(|| {
                let from = from.max(self.last_start[firing.index()].saturating_add(1));
                self.find(firing, from, from + self.metacycle - 1)
            });
            let found = found.or_else(|| {
                let neighbours = neighbours.get_or_insert_with(|| self.by_node(members));
                self.make_room(firing, from, &neighbours[&self.node(firing)], &mut open)
            });
            let Some((start, core)) = found else {
                return false;
            };
            self.put(firing, start, core);
            self.last_start[firing.index()] = start;
            for consumer in self.send_outputs(firing) {
                self.take_out(consumer);
                open.insert((self.earliest[consumer.index()], consumer));
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

    /// Finds the least s ≥ 0 with s(to) ≥ s(from) + duration + delay − distance · metacycle between members, by longest
    /// paths; whether there is one, which there is not if a cycle needs more time than it has.
    ///
    /// Sweeps up and down over the members that were changed: what depends on neighbours of higher or lower numbers, as in
    /// most regular graphs, is then settled in a few sweeps however long its chains are (Yen, "An algorithm for finding
    /// shortest routes from all source nodes to a given destination in general networks", Quart. Appl. Math. 27, 1970).
    fn find_earliest_starts(&mut self, members: &[FiringId]) -> bool {
        for &member in members {
            (self.earliest[member.index()], self.last_start[member.index()]) = (0, UNPLACED);
        }
        let mut changed: BTreeSet<FiringId> = members.iter().copied().collect();
        let (mut upwards, mut at) = (true, members[0]);
        // After as many sweeps as there are members a longest path has come to its end, unless it goes round and round.
        for _ in 0..=members.len() {
            loop {
                let next = if upwards { changed.range(at..).next() } else { changed.range(..=at).next_back() };
                let Some(&firing) = next else { break };
                at = firing;
                changed.remove(&firing);
                self.push_consumers(firing, &mut changed);
            }
            if changed.is_empty() {
                return true;
            }
            upwards = !upwards;
        }
        false
    }

    /// Moves the earliest starts of the consumers of `firing` in its component behind its own, and notes who `changed`.
    fn push_consumers(&mut self, firing: FiringId, changed: &mut BTreeSet<FiringId>) {
        let problem = self.problem;
        let graph = &problem.graph;
        let end = self.earliest[firing.index()] + graph.duration(firing);
        for &id in graph.outputs(firing) {
            let d = &graph.dependencies()[id];
            let bound = end + self.delays[id] - d.distance * self.metacycle;
            let inside = self.component_of[d.to.index()] == self.component_of[firing.index()];
            if inside && bound > self.earliest[d.to.index()] {
                self.earliest[d.to.index()] = bound;
                changed.insert(d.to);
            }
        }
    }

    /// The members by their node.
    fn by_node(&self, members: &[FiringId]) -> BTreeMap<NodeId, Vec<FiringId>> {
        let mut by_node: BTreeMap<NodeId, Vec<FiringId>> = BTreeMap::new();
        for &member in members {
            by_node.entry(self.node(member)).or_default().push(member);
        }
        by_node
    }

    /// Takes members of the component off a core so that `firing` fits there at or after `from`. `neighbours` are the members
    /// on its node.
    fn make_room(
        &mut self,
        firing: FiringId,
        from: i64,
        neighbours: &[FiringId],
        open: &mut BTreeSet<(i64, FiringId)>,
    ) -> Option<(i64, u32)> {
        let duration = self.problem.graph.duration(firing);
        let placed = |slotter: &Self, m: FiringId| slotter.starts[m.index()] != UNPLACED;
        let meets = |slotter: &Self, m: FiringId| {
            let offset = (slotter.starts[m.index()] - from).rem_euclid(slotter.metacycle);
            offset < duration || offset + slotter.problem.graph.duration(m) > slotter.metacycle
        };
        for &m in neighbours {
            if placed(self, m) && meets(self, m) {
                self.take_out(m);
                open.insert((self.earliest[m.index()], m));
            }
        }
        self.find(firing, from, from + self.metacycle - 1)
    }
}
