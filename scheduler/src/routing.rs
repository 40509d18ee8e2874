//! Global routing: a path for every dependency between nodes, before any slot is given away.
//!
//! Negotiated congestion (McMurchie & Ebeling, "PathFinder", FPGA 1995): paths are shortest ones under a price per link that
//! rises where more frames want to pass than a metacycle has slots; flows over full links are torn up and routed again.
//! A flow too heavy for one path may split between its dependencies, never within one.

use crate::distance::{Distances, UNREACHABLE};
use sim_core::{ChannelId, Id, IdVec, LinkId, NodeId};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Frames per metacycle that travel together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) words: i64,
    /// For messages only.
    pub(crate) channel: ChannelId,
}

/// A path per flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Routes {
    paths: Vec<Path>,
    /// Hops of all paths, and of paths that were given up.
    hops: Vec<LinkId>,
    /// Frames per metacycle on the busiest link.
    pub(crate) load_max: i64,
}

/// Where the hops of a path are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Path {
    start: usize,
    length: u32,
}

/// No path between two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoPath {
    pub(crate) flow: Flow,
}

impl Routes {
    /// The links that `flow` takes, in order.
    pub(crate) fn path(&self, flow: u32) -> &[LinkId] {
        let Path { start, length } = self.paths[flow as usize];
        &self.hops[start..start + length as usize]
    }

    /// All paths, by flow.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &[LinkId]> {
        (0..self.paths.len() as u32).map(|flow| self.path(flow))
    }
}

/// Rounds of tearing up and routing again.
const SWEEPS: usize = 12;
/// Price of an average hop, in units that leave room for prices of congestion below it. Counting in average hops, and not in
/// ticks, makes the choice between a detour and a full link independent of how long links are.
const HOP: i64 = 1 << 16;

/// Routes all flows such that, if possible, no link carries more than `slots` frames per metacycle. Deterministic.
pub(crate) fn route(distances: &Distances<'_>, flows: &[Flow], slots: i64) -> Result<Routes, NoPath> {
    let machine = distances.machine();
    let mut search = Search::new(distances, slots);
    // Heavy flows first: they have the least choice.
    let mut order: Vec<u32> = (0..flows.len() as u32).collect();
    order.sort_by_key(|&f| (Reverse(flows[f as usize].words), f));
    let mut paths = vec![Path::default(); flows.len()];
    for &f in &order {
        let flow = &flows[f as usize];
        paths[f as usize] = search.path(flow).ok_or(NoPath { flow: *flow })?;
        search.add(paths[f as usize], flow.words);
    }
    let load_max = |load: &IdVec<LinkId, i64>| load.values().copied().max().unwrap_or(0);
    let mut best: Option<(Vec<Path>, IdVec<LinkId, i64>)> = None;
    for _ in 0..SWEEPS {
        let reached = load_max(&search.load);
        if reached <= slots {
            break;
        }
        if best.as_ref().is_none_or(|(_, load)| reached < load_max(load)) {
            best = Some((paths.clone(), search.load.clone()));
        }
        for link in machine.links().ids() {
            if search.load[link] > slots {
                search.history[link] += HOP / 2;
            }
        }
        for &f in &order {
            let (flow, path) = (&flows[f as usize], paths[f as usize]);
            if search.hops_of(path).iter().any(|&link| search.load[link] > slots) {
                search.add(path, -flow.words);
                paths[f as usize] = search.path(flow).expect("a path was found before");
                search.add(paths[f as usize], flow.words);
            }
        }
    }
    let last = (paths, load_max(&search.load));
    let best = best.map(|(paths, load)| (paths, load_max(&load)));
    let (paths, load_max) = best.into_iter().chain([last]).min_by_key(|&(_, load_max)| load_max).expect("the last");
    Ok(Routes { paths, hops: search.hops, load_max })
}

struct Search<'a> {
    distances: &'a Distances<'a>,
    slots: i64,
    /// Price of one tick of latency, or of a hop, whichever distances are counted in.
    tick: i64,
    hops: Vec<LinkId>,
    load: IdVec<LinkId, i64>,
    history: IdVec<LinkId, i64>,
    /// Best price so far and the link that reached the node; valid where `epoch` is current.
    reached: Vec<(u32, i64, LinkId)>,
    epoch: u32,
}

impl<'a> Search<'a> {
    fn new(distances: &'a Distances<'a>, slots: i64) -> Self {
        let machine = distances.machine();
        let links = machine.links().len();
        let ticks: i128 = machine.links().ids().map(|link| i128::from(distances.length(link))).sum();
        let tick = i128::from(HOP) * links as i128 / ticks.max(1);
        Self {
            distances,
            slots: slots.max(1),
            tick: (tick as i64).max(1),
            hops: Vec::new(),
            load: IdVec::filled(0, links),
            history: IdVec::filled(0, links),
            reached: vec![(0, 0, LinkId(0)); machine.nodes().len()],
            epoch: 0,
        }
    }

    fn hops_of(&self, path: Path) -> &[LinkId] {
        &self.hops[path.start..path.start + path.length as usize]
    }

    fn add(&mut self, path: Path, words: i64) {
        for hop in path.start..path.start + path.length as usize {
            self.load[self.hops[hop]] += words;
        }
    }

    /// What it costs to send `words` more frames over `link`: its length, a little for use, much for more than all slots.
    fn price(&self, link: LinkId, words: i64) -> i64 {
        let length = self.distances.length(link);
        let load = self.load[link] + words;
        let use_share = (load.min(self.slots) * (HOP / 2)) / self.slots;
        let excess = (load - self.slots).max(0);
        let penalty = if excess == 0 { 0 } else { HOP * 4 + (excess.saturating_mul(HOP * 16)) / self.slots };
        length.saturating_mul(self.tick).saturating_add(use_share + penalty + self.history[link])
    }

    /// A*: the distance to the target is a lower bound of the price.
    fn path(&mut self, flow: &Flow) -> Option<Path> {
        let machine = self.distances.machine();
        let distances = self.distances;
        let ahead = distances.ahead(flow.from, flow.to)?;
        let ahead = |node: NodeId| ahead.lower_bound(node);
        self.epoch += 1;
        let epoch = self.epoch;
        self.reached[flow.from.index()] = (epoch, 0, LinkId(u32::MAX));
        let mut heap = BinaryHeap::from([Reverse((ahead(flow.from).saturating_mul(self.tick), 0, flow.from))]);
        while let Some(Reverse((_, price, node))) = heap.pop() {
            if node == flow.to {
                break;
            }
            if self.reached[node.index()].1 < price {
                continue;
            }
            for &link in machine.outgoing(node) {
                let next = machine.links()[link].target;
                if ahead(next) >= UNREACHABLE {
                    continue;
                }
                let through = price.saturating_add(self.price(link, flow.words));
                let (seen, known, _) = self.reached[next.index()];
                if seen != epoch || through < known {
                    self.reached[next.index()] = (epoch, through, link);
                    heap.push(Reverse((through.saturating_add(ahead(next).saturating_mul(self.tick)), through, next)));
                }
            }
        }
        let start = self.hops.len();
        let mut node = flow.to;
        while node != flow.from {
            let link = self.reached[node.index()].2;
            self.hops.push(link);
            node = machine.links()[link].source;
        }
        self.hops[start..].reverse();
        Some(Path { start, length: (self.hops.len() - start) as u32 })
    }
}
