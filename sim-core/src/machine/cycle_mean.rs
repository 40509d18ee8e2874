//! The minimum cycle mean, as far as the normal form needs it: its floor, and a cycle if it is negative.
//!
//! Potentials that make λ − m + potential(source) − potential(target) non-negative on every link prove that no cycle has
//! a mean below m; a cycle proves that m cannot be more than its mean. The search narrows the gap between the two with
//! the algorithm of Bellman, Ford and Moore, begun from the best potentials known.

use super::Link;
use super::normal::Wires;
use crate::ids::{IdVec, LinkId, NodeId};
use std::collections::VecDeque;

/// A cycle of links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cycle {
    /// Each begins where the one before ends; the first begins at the lowest-numbered node.
    pub(super) links: Vec<LinkId>,
    /// Of their latencies.
    pub(super) sum: i128,
}

impl Cycle {
    fn new(mut links: Vec<LinkId>, all: &IdVec<LinkId, Link>) -> Self {
        let sum = links.iter().map(|&link| i128::from(all[link].latency.0)).sum();
        let first = (0..links.len()).min_by_key(|&i| all[links[i]].source).expect("a cycle has links");
        links.rotate_left(first);
        Self { links, sum }
    }

    fn mean_floor(&self) -> i128 {
        self.sum.div_euclid(self.links.len() as i128)
    }
}

/// Finds the floor of the minimum cycle mean, 0 if there is no cycle, with potentials that prove it, starting from
/// `potential`. `component` tells strongly connected components apart: links between them are not looked at.
///
/// O(nodes · links) per step of a bisection, of which bad luck needs as many as latencies have bits. Usually there is
/// one step, and it takes a few passes over the links.
///
/// # Errors
/// A cycle of negative sum.
pub(super) fn minimum_mean(
    wires: Wires<'_>,
    component: &IdVec<NodeId, usize>,
    mut potential: IdVec<NodeId, i128>,
) -> Result<(i128, IdVec<NodeId, i128>), Cycle> {
    let inner = Inner { wires, component };
    inner.relax(0, &mut potential)?;
    // Everything from `high` down to `low` may be the answer; that of the cheapest links mostly is.
    let (mut low, mut high) = (0, inner.cheapest_links(&potential).map_or(0, |cycle| cycle.mean_floor()));
    let mut guess = high;
    while low < high {
        let mut improved = potential.clone();
        match inner.relax(guess, &mut improved) {
            Ok(()) => (low, potential) = (guess, improved),
            Err(cycle) => high = cycle.mean_floor(),
        }
        guess = high - (high - low) / 2;
    }
    Ok((low, potential))
}

/// The links within strongly connected components: those that cycles consist of.
struct Inner<'a> {
    wires: Wires<'a>,
    component: &'a IdVec<NodeId, usize>,
}

impl Inner<'_> {
    fn out_of(&self, node: NodeId) -> impl Iterator<Item = (LinkId, &Link)> {
        let links = self.wires.outgoing.row(node).iter().map(|&link| (link, &self.wires.links[link]));
        links.filter(|(_, link)| self.component[link.source] == self.component[link.target])
    }

    /// Lowers `potential` until λ − `mean` + potential(source) − potential(target) is nowhere negative.
    ///
    /// # Errors
    /// A cycle whose mean is below `mean`.
    fn relax(&self, mean: i128, potential: &mut IdVec<NodeId, i128>) -> Result<(), Cycle> {
        let nodes = potential.len();
        let mut parent = IdVec::filled(None, nodes);
        let mut queued = IdVec::filled(true, nodes);
        let mut queue: VecDeque<NodeId> = potential.ids().collect();
        let mut visits = 0;
        while let Some(node) = queue.pop_front() {
            queued[node] = false;
            for (id, link) in self.out_of(node) {
                let bound = potential[node] + i128::from(link.latency.0) - mean;
                if bound < potential[link.target] {
                    potential[link.target] = bound;
                    parent[link.target] = Some((id, node));
                    if !std::mem::replace(&mut queued[link.target], true) {
                        queue.push_back(link.target);
                    }
                }
            }
            // Parents form a cycle only if its mean is below, and if there is such a cycle, sooner or later they do.
            visits += 1;
            if visits % nodes == 0
                && let Some(mut links) = cycles(&parent).into_iter().next()
            {
                links.reverse(); // parents lead backwards
                return Err(Cycle::new(links, self.wires.links));
            }
        }
        Ok(())
    }

    /// The cycle of lowest mean among those that arise when every node sends along the cheapest link out of it.
    fn cheapest_links(&self, potential: &IdVec<NodeId, i128>) -> Option<Cycle> {
        let cheapest = potential.ids().map(|node| {
            let cost = |link: &Link| i128::from(link.latency.0) - potential[link.target];
            self.out_of(node).min_by_key(|(_, link)| cost(link)).map(|(id, link)| (id, link.target))
        });
        let found = cycles(&cheapest.collect()).into_iter().map(|links| Cycle::new(links, self.wires.links));
        found.min_by_key(Cycle::mean_floor)
    }
}

/// All cycles of a graph in which every node has at most one `step`: a link, and the node that follows. O(nodes).
fn cycles(step: &IdVec<NodeId, Option<(LinkId, NodeId)>>) -> Vec<Vec<LinkId>> {
    let mut visitor = IdVec::filled(None, step.len());
    let mut found = Vec::new();
    for start in step.ids() {
        let mut node = start;
        while visitor[node].is_none() {
            visitor[node] = Some(start);
            node = step[node].map_or(node, |(_, next)| next);
        }
        if visitor[node] == Some(start) && step[node].is_some() {
            let (end, mut links) = (node, Vec::new());
            while let Some((link, next)) = step[node] {
                links.push(link);
                node = next;
                if node == end {
                    break;
                }
            }
            found.push(links);
        }
    }
    found
}
