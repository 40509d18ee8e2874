//! A plan in the making: nodes are visited as they will be later, but nothing is executed.
//!
//! It begins with nodes of which no two are neighbours; from then on whoever can go more than half of its way there and back
//! is visited, the first of them first, so that those who are visited soon after each other are near each other. Where that
//! ends too early, a node *demands* of its neighbours how far they must be, these demand the like of theirs, and whoever has
//! what it needs goes as far as it can.

use super::super::layout::{Numbered, Parts};
use super::waits::{Wait, Waits};
use super::{Part, Plan, Span, Steps, Visit, Window};
use crate::ids::NodeId;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A plan in the making.
///
/// How far a node is, is a number of firings: those of whole metacycles, and those of the next one that it has executed.
pub(super) struct Walk<'n> {
    waits: &'n Waits,
    metacycles: i64,
    /// By node: how far it is.
    done: Vec<i64>,
    /// Ticks of the window beyond which no node at the edge goes yet.
    bound: i64,
    rows: Vec<i64>,
    visits: Vec<Visit>,
    spans: Numbered<Span>,
    /// Nodes, and how far they are demanded to be.
    demands: Vec<(u32, i64)>,
    /// Nodes that may have become ready since they were looked at, and by node whether it is among them.
    candidates: BinaryHeap<Reverse<u32>>,
    candidate: Vec<bool>,
    /// Those before this one are looked at only if they are candidates.
    swept: u32,
    /// Firings that were visited.
    visited: i64,
}

impl<'n> Walk<'n> {
    pub(super) fn new(waits: &'n Waits, metacycles: i64) -> Self {
        Self {
            waits,
            metacycles,
            done: vec![0; waits.len()],
            bound: metacycles * waits.length,
            rows: vec![1; waits.slots.len()],
            visits: Vec::new(),
            spans: Numbered::default(),
            demands: Vec::new(),
            candidates: BinaryHeap::new(),
            candidate: vec![false; waits.len()],
            swept: 0,
            visited: 0,
        }
    }

    pub(super) fn plan(mut self, parts: &Parts<'_, '_>) -> Plan {
        let (waits, steps, ticks) = (self.waits, Steps::of(parts), self.metacycles * self.waits.length);
        let mut list: Vec<Part> = Vec::new();
        let (bounds, mut needed) = (waits.bounds(self.metacycles, parts.pace.step.0), 0);
        let firings = waits.slots.len() as i64 * self.metacycles;
        for (number, &(start, end)) in bounds.iter().enumerate() {
            (self.bound, needed) = (bounds.get(number + 1).map_or(ticks, |next| next.0), end);
            // A shard that sends nothing has one part.
            if waits.exports {
                for &node in &waits.exporters {
                    self.demand(node, waits.steps_before(node, self.bound));
                }
                // Even if there is nothing to visit: this is when what is sent before it leaves, and may be overwritten.
                list.push(self.part(&list, start, end));
                // All parts are of one length.
                self.sweep(firings / bounds.len() as i64 * (number as i64 + 1));
                list.push(self.part(&list, self.bound, end));
                list.pop_if(|others| others.visits.is_empty());
            }
        }
        self.bound = ticks;
        self.finish();
        list.push(self.part(&list, if list.is_empty() { 0 } else { ticks }, needed));
        if list.len() > 1 {
            list.pop_if(|rest| rest.visits.is_empty());
        }
        let words = self.rows.iter().zip(&waits.words).map(|(&rows, &words)| rows as u64 * u64::from(words)).sum();
        let starts = self.starts();
        let spans = self.spans.list;
        self.visits.shrink_to_fit();
        let window =
            Window { metacycles: self.metacycles, steps, runs: waits.runs, parts: list, visits: self.visits, spans };
        Plan { window, rows: self.rows, starts, words }
    }

    /// The part of everything that was visited since the last one.
    fn part(&self, list: &[Part], start: i64, end: i64) -> Part {
        let visited = u32::try_from(self.visits.len()).expect("visits are counted in 32 bits");
        Part { start, end, visits: list.last().map_or(0, |part| part.visits.end)..visited }
    }

    /// Where the longest visits start.
    fn starts(&self) -> Vec<u32> {
        let mut longest = vec![(0, 0); self.waits.len()];
        for visit in &self.visits {
            let span = self.spans.list[visit.span as usize];
            let (length, start) = &mut longest[visit.node as usize];
            if span.to - span.from > *length {
                (*length, *start) = (span.to - span.from, span.from);
            }
        }
        longest.into_iter().map(|(_, start)| start).collect()
    }

    /// Takes all nodes to the end of the window.
    fn finish(&mut self) {
        self.sweep(i64::MAX);
        for node in 0..self.waits.len() as u32 {
            while self.done[node as usize] < self.end_of(node) {
                let target = self.done[node as usize] + self.waits.turns[node as usize];
                self.demand(node, target.min(self.end_of(node)));
                self.visit_candidates();
            }
        }
    }

    /// Visits whoever is ready from where the last sweep has ended, and again those before them who are ready then, until so
    /// many firings were visited.
    fn sweep(&mut self, firings: i64) {
        self.visit_candidates();
        while (self.swept as usize) < self.waits.len() && self.visited < firings {
            self.visit_if_ready(self.swept);
            self.visit_candidates();
            self.swept += 1;
        }
    }

    /// Those of them who are ready.
    fn visit_candidates(&mut self) {
        while let Some(Reverse(node)) = self.candidates.pop() {
            self.candidate[node as usize] = false;
            self.visit_if_ready(node);
        }
    }

    /// Visits `node` if it can go more than half of its way there and back, or to the end of the window, or if it goes first.
    fn visit_if_ready(&mut self, node: u32) {
        let (done, reached) = (self.done[node as usize], self.reachable(node));
        let far = 2 * (reached - done) > self.waits.turns[node as usize] || reached == self.end_of(node);
        let first = done == 0 && self.waits.firsts[node as usize];
        if reached > done && (far || first) {
            self.visit(node, reached);
        }
    }

    /// How far `node` is at the end of the window.
    fn end_of(&self, node: u32) -> i64 {
        self.waits.firings_of(node).1 * self.metacycles
    }

    /// Takes `node` at least to `target`, and others as far as that needs.
    fn demand(&mut self, node: u32, target: i64) {
        self.demands.push((node, target));
        while let Some(&(node, target)) = self.demands.last() {
            let done = self.done[node as usize];
            if done >= target {
                self.demands.pop();
                continue;
            }
            let mut reached = self.reachable(node);
            if reached >= target {
                if reached < done + self.waits.turns[node as usize] {
                    self.raise(node);
                    reached = self.reachable(node);
                }
                self.visit(node, reached);
            } else {
                self.demand_for(node, reached, target);
            }
        }
    }

    /// Visits those whom `node` waits for and who are ready, so that it can go further.
    fn raise(&mut self, node: u32) {
        let (start, count) = self.waits.firings_of(node);
        for firing in start..start + count as u32 {
            for wait in self.waits.waits_of(firing) {
                self.visit_if_ready(wait.node);
            }
        }
    }

    /// How far `node` can go, as far as the others are.
    fn reachable(&self, node: u32) -> i64 {
        let (start, count) = self.waits.firings_of(node);
        let done = self.done[node as usize];
        let edge = self.waits.at_the_edge[node as usize];
        let mut reachable = if edge { self.waits.steps_before(node, self.bound) } else { self.end_of(node) };
        for (position, step) in nexts(done, count) {
            // Neither this firing nor those after it are reached.
            if step >= reachable {
                break;
            }
            for wait in self.waits.waits_of(start + position as u32) {
                let missing = self.made(wait) + wait.ago + 1;
                reachable = reachable.min(missing * count + position);
            }
        }
        reachable
    }

    /// The last metacycle in which the firing that is waited for was executed.
    fn made(&self, wait: &Wait) -> i64 {
        let (start, count) = self.waits.firings_of(wait.node);
        let after = self.done[wait.node as usize] - i64::from(wait.firing - start) - 1;
        if count == 1 { after } else { after.div_euclid(count) }
    }

    /// Demands whatever the firing at `step` of `node` waits for, as it happens last before `target`.
    fn demand_for(&mut self, node: u32, step: i64, target: i64) {
        let (start, count) = self.waits.firings_of(node);
        let position = step % count;
        let last = (target - 1 - position) / count;
        for wait in self.waits.waits_of(start + position as u32) {
            let (start, count) = self.waits.firings_of(wait.node);
            let needed = (last - wait.ago) * count + i64::from(wait.firing - start) + 1;
            if self.done[wait.node as usize] < needed {
                self.demands.push((wait.node, needed));
            }
        }
    }

    /// `node` goes to `end`.
    fn visit(&mut self, node: u32, end: i64) {
        let (start, count) = self.waits.firings_of(node);
        let mut at = self.done[node as usize];
        for (position, step) in nexts(at, count).take_while(|&(_, step)| step < end) {
            // This is when the oldest of the words is needed, while the newest may be made already.
            for wait in self.waits.waits_of(start + position as u32) {
                let rows = self.made(wait) - (step / count - wait.ago) + 1;
                let most = &mut self.rows[wait.firing as usize];
                *most = rows.max(*most);
            }
        }
        self.visited += end - at;
        self.done[node as usize] = end;
        for &reader in self.waits.readers.row(NodeId(node)) {
            // The others come up by themselves.
            if reader < self.swept && !std::mem::replace(&mut self.candidate[reader as usize], true) {
                self.candidates.push(Reverse(reader));
            }
        }
        while at < end {
            let (metacycle, first) = (at / count, at % count);
            let whole = end / count - metacycle;
            let (metacycles, last) = if first == 0 && whole > 0 {
                (whole.min(self.waits.runs), count)
            } else {
                (1, count.min(end - metacycle * count))
            };
            at = (metacycle + metacycles - 1) * count + last;
            let narrow = |number: i64| u32::try_from(number).expect("a window is short");
            let span = Span {
                from: narrow(metacycle),
                to: narrow(metacycle + metacycles),
                first: narrow(first),
                end: narrow(last),
            };
            self.visits.push(Visit { node, span: self.spans.number(span) });
        }
    }
}

/// The firings of a node from step `done` on: each once, with its position among them and the step at which it is next.
fn nexts(done: i64, count: i64) -> impl Iterator<Item = (i64, i64)> {
    (done..done + count).map(move |step| (step % count, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nodes in a circle that fire in every tick, and read what both their neighbours made so many ticks ago.
    fn circle(nodes: u32, ago: i64) -> Waits {
        let wait = |node| Wait { node, firing: node, ago };
        let waits = |node| vec![wait((node + nodes - 1) % nodes), wait((node + 1) % nodes)];
        Waits::of_single_firings(&(0..nodes).map(waits).collect::<Vec<_>>())
    }

    #[test]
    fn neighbours_take_turns() {
        let waits = circle(8, 10);
        let mut walk = Walk::new(&waits, 60);
        walk.finish();
        let length =
            |visit: &Visit| walk.spans.list[visit.span as usize].to - walk.spans.list[visit.span as usize].from;
        let mut lengths: Vec<u32> = walk.visits.iter().map(length).collect();
        lengths.sort_unstable();
        // Every other node begins with 10 ticks, the others end with them; in between all go as far as there and back.
        assert_eq!(lengths, [vec![10; 8], vec![20; 20]].concat());
        assert_eq!(walk.rows, [20; 8]);
    }

    #[test]
    fn nodes_that_nobody_holds_up_go_as_far_as_they_can() {
        let first = Wait { node: 0, firing: 0, ago: 3 };
        let waits = Waits::of_single_firings(&[vec![], vec![first]]);
        let mut walk = Walk::new(&waits, 60);
        walk.finish();
        assert_eq!(walk.visits.len(), 2);
        // All that the first has made, and the three words before it.
        assert_eq!(walk.rows, [63, 1]);
    }
}
