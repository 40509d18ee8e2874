//! Grooming: after latencies were captured anew, frames are inserted until a schedule for older ones fits again.
//!
//! Counters may be relabelled and links delayed, never hastened. So relabellings q are asked for with
//! λ + q_target − q_source ≤ λ_scheduled on every link: difference constraints, which shortest paths solve; a negative
//! cycle proves that there are none. Source: bittide-hardware, "UGN grooming"; Bellman & Ford.

use crate::ids::{Id, IdVec, LinkId, NodeId};

/// A link for grooming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroomLink {
    /// The sending node.
    pub source: NodeId,
    /// The receiving node.
    pub target: NodeId,
    /// The latency that was captured.
    pub captured: i64,
    /// The latency that the schedule counts on.
    pub scheduled: i64,
}

/// How captured latencies become those of the schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grooming {
    /// What is added to each node's counter.
    pub relabelled_by: IdVec<NodeId, i64>,
    /// Frames to insert into each link, none negative.
    pub frames: IdVec<LinkId, i64>,
}

/// Why captured latencies cannot become those of the schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "around the cycle {} the captured latencies have the sum {captured}, but the schedule counts on {scheduled}: frames cannot be made faster",
    path(nodes)
)]
pub struct GroomError {
    /// Links of the cycle, in order.
    pub cycle: Vec<LinkId>,
    /// Nodes at which they begin.
    pub nodes: Vec<NodeId>,
    /// Sum of the captured latencies around it.
    pub captured: i128,
    /// Sum of the scheduled ones, which is smaller.
    pub scheduled: i128,
}

fn path(nodes: &[NodeId]) -> String {
    nodes.iter().chain(nodes.first()).map(ToString::to_string).collect::<Vec<_>>().join(" → ")
}

/// Finds the frames to insert. O(nodes · links) at worst.
///
/// # Errors
/// [`GroomError`], with a cycle that is the reason.
///
/// # Panics
/// If a link ends at a node beyond `nodes`.
pub fn groom(nodes: usize, links: &IdVec<LinkId, GroomLink>) -> Result<Grooming, GroomError> {
    let mut distance: IdVec<NodeId, i128> = IdVec::filled(0, nodes);
    let mut reached_by: IdVec<NodeId, Option<LinkId>> = IdVec::filled(None, nodes);
    for _ in 0..=nodes {
        let mut shortened = None;
        for (id, link) in links.iter() {
            let slack = i128::from(link.scheduled) - i128::from(link.captured);
            if distance[link.source] + slack < distance[link.target] {
                distance[link.target] = distance[link.source] + slack;
                reached_by[link.target] = Some(id);
                shortened = Some(link.target);
            }
        }
        let Some(node) = shortened else {
            return Ok(finish(links, &distance));
        };
        if let Some(cycle) = cycle_before(node, links, &reached_by) {
            return Err(error(cycle, links));
        }
    }
    unreachable!("paths that are shortened more often than there are nodes contain a cycle");
}

fn finish(links: &IdVec<LinkId, GroomLink>, distance: &IdVec<NodeId, i128>) -> Grooming {
    let frames = |link: &GroomLink| {
        let relabelled = i128::from(link.captured) + distance[link.target] - distance[link.source];
        (i128::from(link.scheduled) - relabelled) as i64
    };
    Grooming {
        relabelled_by: distance.values().map(|&by| by as i64).collect(),
        frames: links.values().map(frames).collect(),
    }
}

/// The cycle that one meets by going back from `node`, if any.
fn cycle_before(
    node: NodeId,
    links: &IdVec<LinkId, GroomLink>,
    reached_by: &IdVec<NodeId, Option<LinkId>>,
) -> Option<Vec<LinkId>> {
    let mut seen: IdVec<NodeId, bool> = IdVec::filled(false, reached_by.len());
    let mut at = node;
    while !seen[at] {
        seen[at] = true;
        at = links[reached_by[at]?].source;
    }
    let (first, mut cycle) = (at, Vec::new());
    loop {
        let link = reached_by[at].expect("all nodes of a cycle are reached");
        cycle.push(link);
        at = links[link].source;
        if at == first {
            break;
        }
    }
    cycle.reverse();
    let lowest = (0..cycle.len()).min_by_key(|&place| links[cycle[place]].source.index()).unwrap_or(0);
    cycle.rotate_left(lowest);
    Some(cycle)
}

fn error(cycle: Vec<LinkId>, links: &IdVec<LinkId, GroomLink>) -> GroomError {
    let sum = |latency: fn(&GroomLink) -> i64| cycle.iter().map(|&link| i128::from(latency(&links[link]))).sum();
    GroomError {
        nodes: cycle.iter().map(|&link| links[link].source).collect(),
        captured: sum(|link| link.captured),
        scheduled: sum(|link| link.scheduled),
        cycle,
    }
}
