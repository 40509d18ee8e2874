//! Placement: which node every item runs on, so that the busiest core, the busiest link and the slowest cycle are fast.
//!
//! Greedy construction by affinity under a load target, refinement by moves and swaps, and, where the problem is small
//! enough to evaluate exactly, hill climbing on the placed bound itself.

use crate::analysis::{DependencyId, FiringId, max_cycle_ratio};
use crate::distance::UNREACHABLE;
use crate::problem::{LOCAL, Problem};
use crate::routing::{Flow, NoPath, Routes, route};
use crate::together::components;
use num_rational::Ratio;
use sim_core::{Id, IdVec, Machine, NodeId};
use std::collections::{BTreeSet, BinaryHeap};

/// A placement with its routes and what they bound, all per metacycle.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    /// Node of every firing.
    pub(crate) node_of: Vec<NodeId>,
    /// How often the placement that was chosen repeats within a metacycle.
    pub(crate) repeats: u32,
    /// How many parts of the metacycle are placed alike: `repeats`, or a multiple if iterations of the choice are.
    pub(crate) alike: u32,
    pub(crate) routes: Routes,
    /// Flow of every dependency, or [`LOCAL`].
    pub(crate) flow_of: IdVec<DependencyId, u32>,
    pub(crate) compute: Ratio<i64>,
    pub(crate) link: i64,
    pub(crate) recurrence: Ratio<i64>,
    /// Σ words × ticks of distance; 0 if nothing could be moved.
    pub(crate) carried: i64,
}

impl Placed {
    /// The largest of the three bounds.
    pub(crate) fn bound(&self) -> Ratio<i64> {
        self.compute.max(self.recurrence).max(Ratio::from_integer(self.link))
    }
}

/// Evaluates a placement exactly: routes it and finds its slowest cycle.
pub(crate) fn evaluate(problem: &Problem<'_>, node_of: Vec<NodeId>, slots: i64) -> Result<Placed, NoPath> {
    let (flows, flow_of) = problem.flows(&node_of, (slots / 4).max(1));
    let routes = route(problem.distances, &flows, slots)?;
    let compute = fullest(problem.machine, problem.loads(&node_of));
    let recurrence = recurrence(problem, &flow_of, &routes);
    // Only placements are compared by it, and distances between all nodes are quadratic.
    let distance = |flow: &Flow| problem.distances.between(flow.from, flow.to);
    let carried = if problem.is_pinned() { 0 } else { flows.iter().map(|flow| flow.words * distance(flow)).sum() };
    let link = routes.load_max;
    Ok(Placed { node_of, repeats: 1, alike: 1, flow_of, compute, link, recurrence, carried, routes })
}

/// Core ticks per core and metacycle on the fullest node of `machine`, where every firing loads a node.
pub(crate) fn fullest(machine: &Machine, loads: impl Iterator<Item = (NodeId, i64)>) -> Ratio<i64> {
    let mut load: IdVec<NodeId, i64> = IdVec::filled(0, machine.nodes().len());
    loads.for_each(|(node, ticks)| load[node] += ticks);
    let per_core = |(node, &load)| Ratio::new(load, i64::from(machine.nodes()[node].cores.max(1)));
    load.iter().map(per_core).max().unwrap_or_default()
}

/// Ticks from the end of a producing firing until its consumer may start, for every dependency: 0 on one node, else the
/// latency of the path plus a tick for every further word, as words of one dependency follow each other on one path.
pub(crate) fn delays(
    problem: &Problem<'_>,
    flow_of: &IdVec<DependencyId, u32>,
    routes: &Routes,
) -> IdVec<DependencyId, i64> {
    let links = problem.machine.links();
    let latency: Vec<i64> =
        routes.paths().map(|path| path.iter().map(|&link| links[link].latency.hop().0).sum()).collect();
    let delay = |(dependency, &flow): (DependencyId, &u32)| {
        if flow == LOCAL { 0 } else { latency[flow as usize] + problem.words(dependency) - 1 }
    };
    flow_of.iter().map(delay).collect()
}

/// Largest ratio of ticks to metacycles around any cycle, hops included.
fn recurrence(problem: &Problem<'_>, flow_of: &IdVec<DependencyId, u32>, routes: &Routes) -> Ratio<i64> {
    let delays = delays(problem, flow_of, routes);
    let edges = problem.graph.ratio_edges(|id, d| problem.graph.duration(d.from) + delays[id]);
    max_cycle_ratio(problem.graph.len(), &edges).map_or_else(Ratio::default, |critical| narrow(critical.ratio))
}

/// Ticks fit 64 bits; only the products of the analysis do not.
pub(crate) fn narrow(ratio: Ratio<i128>) -> Ratio<i64> {
    let part = |x: i128| i64::try_from(x).expect("ticks fit 64 bits");
    Ratio::new(part(*ratio.numer()), part(*ratio.denom()))
}

/// How hard to look for a better placement: a budget of elementary steps of exact evaluation.
const STEPS: usize = 400_000;

/// Firings times nodes up to which the earliest end of one iteration is looked for.
const SWIFT_STEPS: usize = 1 << 20;

/// Places all items in one or several promising ways. `target` is the load per core and metacycle that is good enough.
///
/// Where several actors are on a common cycle, the placed bound says little of what slots will allow: latency, parallelism
/// and hops trade against each other. There a placement that lets one iteration end as early as possible and one on a single
/// node are offered beside the one with the best bound. Deterministic.
pub(crate) fn place(problem: &Problem<'_>, target: Ratio<i64>) -> Result<Vec<Placed>, NoPath> {
    let slots = target.ceil().to_integer();
    if let Some(nodes) = problem.pinned() {
        return evaluate(problem, nodes, slots).map(|placed| vec![placed]);
    }
    let mut draft = Draft::new(problem, target);
    draft.arrange();
    let evaluated = |draft: &Draft<'_>| evaluate(problem, problem.nodes_of_firings(&draft.nodes), slots);
    let mut best = match evaluated(&draft) {
        // Greed may lead into a dead end where links go one way only: then within one region that can reach all of itself.
        Err(no_path) => {
            return regions(problem, target).find_map(|draft| evaluated(&draft).ok()).map(|p| vec![p]).ok_or(no_path);
        }
        Ok(placed) => placed,
    };
    if draft.hosts.len() == 1 {
        return Ok(vec![best]);
    }
    let mut others = Vec::new();
    if problem.traffic.iter().any(|t| t.cyclic) {
        if problem.graph.len() * draft.hosts.len() <= SWIFT_STEPS {
            let mut draft = Draft::new(problem, target);
            draft.rush();
            others.extend(evaluated(&draft));
        }
        if problem.items.iter().all(|item| item.pin.is_none()) {
            let mut draft = Draft::new(problem, target);
            draft.gather();
            others.extend(evaluated(&draft));
        }
    }
    let cost = problem.graph.len() + problem.graph.dependencies().len();
    climb(problem, &mut draft, &mut best, target, STEPS / cost.max(1));
    others.retain(|other| other.node_of != best.node_of);
    others.insert(0, best);
    Ok(others)
}

/// Drafts confined to one strongly connected region of the machine each (pinned items stay where they are), the region with
/// most cores first.
fn regions<'a>(problem: &'a Problem<'a>, target: Ratio<i64>) -> impl Iterator<Item = Draft<'a>> {
    let machine = problem.machine;
    let links = machine.links().values().map(|link| (link.source.0, link.target.0));
    let mut regions = components(machine.nodes().len(), links);
    let cores = |&node: &usize| u64::from(machine.nodes()[NodeId::from_index(node)].cores);
    regions.retain(|region| region.iter().any(|node| cores(node) > 0));
    regions.sort_by_key(|region| (std::cmp::Reverse(region.iter().map(cores).sum::<u64>()), region[0]));
    regions.into_iter().map(move |region| {
        let mut draft = Draft::new(problem, target);
        draft.hosts.retain(|node| region.binary_search(&node.index()).is_ok());
        draft.construct();
        draft
    })
}

/// Lexicographic: the period, not below what is possible anyway; then the load on the network.
fn better(a: &Placed, b: &Placed, target: Ratio<i64>) -> bool {
    let key = |p: &Placed| (p.bound().max(target), p.carried);
    key(a) < key(b)
}

/// First-improvement hill climbing with exact evaluation, on the items that bind first.
fn climb(problem: &Problem<'_>, draft: &mut Draft<'_>, best: &mut Placed, target: Ratio<i64>, mut budget: usize) {
    let slots = target.ceil().to_integer();
    let hosts = draft.hosts.clone();
    let mut improved = true;
    while improved && best.bound() > target {
        improved = false;
        for item in 0..problem.items.len() {
            if problem.items[item].pin.is_some() {
                continue;
            }
            let home = draft.nodes[item];
            for &node in &draft.candidates(item, &hosts) {
                if budget == 0 || best.bound() <= target {
                    return;
                }
                budget -= 1;
                draft.nodes[item] = node;
                if let Ok(placed) = evaluate(problem, problem.nodes_of_firings(&draft.nodes), slots)
                    && better(&placed, best, target)
                {
                    *best = placed;
                    improved = true;
                    break;
                }
                draft.nodes[item] = home;
            }
        }
    }
}

/// A placement under construction, with the loads that it makes.
struct Draft<'a> {
    problem: &'a Problem<'a>,
    /// Core ticks that every node should stay below.
    capacity: IdVec<NodeId, i64>,
    load: IdVec<NodeId, i64>,
    /// Nodes that items may be placed on.
    hosts: Vec<NodeId>,
    /// Node of every item; `NOWHERE` before it is placed.
    nodes: Vec<NodeId>,
}

/// An item to move to a node, and one to take back for it.
struct Relief {
    item: usize,
    node: NodeId,
    back: Option<usize>,
}

const NOWHERE: NodeId = NodeId(u32::MAX);
/// Latency on a cycle may cost throughput, elsewhere only time.
const CYCLIC_WEIGHT: i64 = 16;

impl<'a> Draft<'a> {
    fn new(problem: &'a Problem<'a>, target: Ratio<i64>) -> Self {
        let nodes = problem.machine.nodes();
        let capacity = nodes.values().map(|node| (target * i64::from(node.cores)).to_integer()).collect();
        let hosts = nodes.iter().filter(|(_, node)| node.cores > 0).map(|(id, _)| id).collect();
        Self {
            problem,
            capacity,
            load: IdVec::filled(0, nodes.len()),
            hosts,
            nodes: vec![NOWHERE; problem.items.len()],
        }
    }

    /// Everything on the node with most cores: no hop at all.
    fn gather(&mut self) {
        let cores = |&node: &NodeId| (self.problem.machine.nodes()[node].cores, std::cmp::Reverse(node));
        let node = self.hosts.iter().copied().max_by_key(cores).expect("the machine has a core");
        (0..self.nodes.len()).for_each(|item| self.put(item, node));
    }

    /// Every firing, as soon as its inputs of the same metacycle are known, to the node where it ends first: list scheduling
    /// with communication (Hwang et al., "Scheduling precedence graphs in systems with interprocessor communication times",
    /// SIAM J. Computing 18(2), 1989). Links count with their latency, not their load.
    fn rush(&mut self) {
        let graph = &self.problem.graph;
        let mut waiting: Vec<usize> =
            graph.firings().map(|f| graph.inputs(f).iter().filter(|d| d.distance == 0).count()).collect();
        let mut ends = vec![0_i64; graph.len()];
        let nodes = self.problem.machine.nodes();
        let mut idle_from: IdVec<NodeId, Vec<i64>> = nodes.values().map(|node| vec![0; node.cores as usize]).collect();
        let ready = graph.firings().filter(|f| waiting[f.index()] == 0);
        let mut open: BinaryHeap<std::cmp::Reverse<(i64, FiringId)>> =
            ready.map(|f| std::cmp::Reverse((0, f))).collect();
        while let Some(std::cmp::Reverse((_, firing))) = open.pop() {
            let item = self.problem.item_of[firing.index()] as usize;
            let home = Some(self.nodes[item]).filter(|&node| node != NOWHERE).or(self.problem.items[item].pin);
            let hosts = home.map_or_else(|| self.hosts.clone(), |node| vec![node]);
            let start = |node: NodeId| {
                let arrivals = graph.input_ids(firing).filter(|&id| graph.dependencies()[id].distance == 0).map(|id| {
                    let from = graph.dependencies()[id].from;
                    let at = self.nodes[self.problem.item_of[from.index()] as usize];
                    let hops = self.problem.distances.between(at, node);
                    let words = if hops == 0 { 0 } else { (self.problem.words(id) - 1).max(0) };
                    ends[from.index()].saturating_add(hops + words)
                });
                let idle = idle_from[node].iter().copied().min().expect("a host has a core");
                arrivals.max().unwrap_or(0).max(idle)
            };
            let (start, node) =
                hosts.into_iter().map(|node| (start(node), node)).min().expect("the machine has a core");
            if self.nodes[item] == NOWHERE {
                self.put(item, node);
            }
            let end = start.saturating_add(graph.duration(firing));
            ends[firing.index()] = end;
            *idle_from[node].iter_mut().min().expect("a host has a core") = end;
            for &id in graph.outputs(firing).iter().filter(|&&id| graph.dependencies()[id].distance == 0) {
                let to = graph.dependencies()[id].to;
                waiting[to.index()] -= 1;
                if waiting[to.index()] == 0 {
                    open.push(std::cmp::Reverse((end, to)));
                }
            }
        }
    }

    /// The whole heuristic.
    fn arrange(&mut self) {
        self.construct();
        self.balance();
        self.shorten();
    }

    fn put(&mut self, item: usize, node: NodeId) {
        if self.nodes[item] != NOWHERE {
            self.load[self.nodes[item]] -= self.problem.items[item].load;
        }
        self.load[node] += self.problem.items[item].load;
        self.nodes[item] = node;
    }

    /// Σ words × distance between `item`, if it were on `node`, and its placed neighbours; `None` if one is out of reach.
    fn carried(&self, item: usize, node: NodeId) -> Option<i64> {
        let mut sum = 0_i64;
        for &t in &self.problem.around[item] {
            let t = &self.problem.traffic[t as usize];
            let from = if t.from as usize == item { node } else { self.nodes[t.from as usize] };
            let to = if t.to as usize == item { node } else { self.nodes[t.to as usize] };
            if from == NOWHERE || to == NOWHERE {
                continue;
            }
            let distance = self.problem.distances.between(from, to);
            if distance >= UNREACHABLE {
                return None;
            }
            let weight = if t.cyclic { CYCLIC_WEIGHT } else { 1 };
            sum = sum.saturating_add(t.words.saturating_mul(distance).saturating_mul(weight));
        }
        Some(sum)
    }

    /// Pinned items, then always the item that talks most to those already placed; each to the cheapest node with room.
    fn construct(&mut self) {
        let items = &self.problem.items;
        let mut heap = BinaryHeap::new();
        let mut pull = vec![0_i64; items.len()];
        for (i, item) in items.iter().enumerate() {
            if let Some(node) = item.pin {
                self.put(i, node);
            }
        }
        let rank = |pull: i64, i: usize| (pull, items[i].load, std::cmp::Reverse(i));
        for i in (0..items.len()).filter(|&i| self.nodes[i] == NOWHERE) {
            pull[i] = self.pull(i);
            heap.push(rank(pull[i], i));
        }
        let hosts = self.hosts.clone();
        while let Some((known, _, std::cmp::Reverse(item))) = heap.pop() {
            if self.nodes[item] != NOWHERE || known != pull[item] {
                continue;
            }
            let node = self.cheapest(item, &hosts);
            self.put(item, node);
            for &t in &self.problem.around[item] {
                let t = &self.problem.traffic[t as usize];
                let other = if t.from as usize == item { t.to } else { t.from } as usize;
                if self.nodes[other] == NOWHERE {
                    pull[other] += t.words;
                    heap.push(rank(pull[other], other));
                }
            }
        }
    }

    fn pull(&self, item: usize) -> i64 {
        let ends = |t: u32| &self.problem.traffic[t as usize];
        let placed = |t: &&crate::problem::Traffic| {
            self.nodes[t.from as usize] != NOWHERE || self.nodes[t.to as usize] != NOWHERE
        };
        self.problem.around[item].iter().map(|&t| ends(t)).filter(placed).map(|t| t.words).sum()
    }

    fn cheapest(&self, item: usize, hosts: &[NodeId]) -> NodeId {
        let load = self.problem.items[item].load;
        let cost = |node: NodeId| {
            let excess = (self.load[node] + load - self.capacity[node]).max(0);
            let carried = self.carried(item, node).unwrap_or(UNREACHABLE);
            (carried >= UNREACHABLE, excess, carried, self.load[node], node)
        };
        hosts.iter().copied().min_by_key(|&node| cost(node)).expect("the machine has a core")
    }

    /// Takes items off the most loaded nodes, by move or swap, as long as that lowers the larger of the two loads.
    fn balance(&mut self) {
        let hosts = self.hosts.clone();
        let mut members: IdVec<NodeId, BTreeSet<usize>> = IdVec::filled(BTreeSet::new(), self.load.len());
        for (item, &node) in self.nodes.iter().enumerate() {
            members[node].insert(item);
        }
        let cores = |node: NodeId| i64::from(self.problem.machine.nodes()[node].cores);
        for _ in 0..2 * self.problem.items.len() {
            let filled = |draft: &Self, node: NodeId| Ratio::new(draft.load[node], cores(node));
            let Some(&full) = hosts.iter().max_by_key(|&&node| (filled(self, node), node)) else { return };
            if self.load[full] <= self.capacity[full] {
                return;
            }
            let Some(Relief { item, node, back }) = self.relief(full, &hosts, &members) else { return };
            self.put(item, node);
            members[full].remove(&item);
            members[node].insert(item);
            if let Some(back) = back {
                self.put(back, full);
                members[node].remove(&back);
                members[full].insert(back);
            }
        }
    }

    /// The move or swap that lowers the load of `full` most without making another node as full.
    fn relief(&self, full: NodeId, hosts: &[NodeId], members: &IdVec<NodeId, BTreeSet<usize>>) -> Option<Relief> {
        let cores = |node: NodeId| i64::from(self.problem.machine.nodes()[node].cores);
        let before = Ratio::new(self.load[full], cores(full));
        let mut emptiest: Vec<NodeId> = hosts.iter().copied().filter(|&node| node != full).collect();
        emptiest.sort_by_key(|&node| (Ratio::new(self.load[node], cores(node)), node));
        emptiest.truncate(8);
        let mut best: Option<((Ratio<i64>, i64), Relief)> = None;
        let movable = |item: &&usize| self.problem.items[**item].pin.is_none();
        for &item in members[full].iter().filter(movable) {
            let load = self.problem.items[item].load;
            for &node in &emptiest {
                let backs =
                    std::iter::once(None).chain(members[node].iter().filter(movable).take(32).copied().map(Some));
                for back in backs {
                    let returned = back.map_or(0, |b| self.problem.items[b].load);
                    let after = Ratio::new(self.load[full] - load + returned, cores(full))
                        .max(Ratio::new(self.load[node] + load - returned, cores(node)));
                    if after >= before || best.as_ref().is_some_and(|(key, _)| after > key.0) {
                        continue;
                    }
                    let Some(mut carried) = self.carried(item, node) else { continue };
                    if let Some(back) = back {
                        let Some(other) = self.carried(back, full) else { continue };
                        carried = carried.saturating_add(other);
                    }
                    if best.as_ref().is_none_or(|&(key, _)| (after, carried) < key) {
                        best = Some(((after, carried), Relief { item, node, back }));
                    }
                }
            }
        }
        best.map(|(_, change)| change)
    }

    /// Moves items next to those they talk to, where that needs no more load than the fullest node already has.
    fn shorten(&mut self) {
        let allowed = |draft: &Self, node: NodeId| {
            let cores = i64::from(draft.problem.machine.nodes()[node].cores);
            draft.capacity[node].max(draft.fullest() * cores)
        };
        for _ in 0..3 {
            let mut moved = false;
            for item in 0..self.problem.items.len() {
                if self.problem.items[item].pin.is_some() {
                    continue;
                }
                let home = self.nodes[item];
                let load = self.problem.items[item].load;
                let Some(now) = self.carried(item, home) else { continue };
                let nodes = self.neighbourhood(item);
                let fits = |node: NodeId| self.load[node] + load <= allowed(self, node);
                let cost = |node: NodeId| self.carried(item, node).filter(|&c| c < now).map(|c| (c, node));
                if let Some((_, node)) = nodes.into_iter().filter(|&n| n != home && fits(n)).filter_map(cost).min() {
                    self.put(item, node);
                    moved = true;
                }
            }
            if !moved {
                break;
            }
        }
    }

    /// Load per core of the fullest node, rounded down.
    fn fullest(&self) -> i64 {
        let nodes = self.problem.machine.nodes();
        self.load.iter().map(|(node, &load)| load / i64::from(nodes[node].cores.max(1))).max().unwrap_or(0)
    }

    /// Nodes of the items that `item` talks to, and the neighbours of those nodes.
    fn neighbourhood(&self, item: usize) -> BTreeSet<NodeId> {
        let machine = self.problem.machine;
        let mut nodes = BTreeSet::new();
        for &t in &self.problem.around[item] {
            let t = &self.problem.traffic[t as usize];
            let other = if t.from as usize == item { t.to } else { t.from };
            let node = self.nodes[other as usize];
            nodes.insert(node);
            nodes.extend(machine.outgoing(node).iter().map(|&link| machine.links()[link].target));
        }
        nodes.retain(|&node| machine.nodes()[node].cores > 0);
        nodes
    }

    /// Where exact search tries to put `item`: near its neighbours first, then anywhere.
    fn candidates(&self, item: usize, hosts: &[NodeId]) -> Vec<NodeId> {
        let near = self.neighbourhood(item);
        let far = hosts.iter().copied().filter(|node| !near.contains(node)).take(32);
        let all = near.iter().copied().chain(far);
        all.filter(|&node| node != self.nodes[item] && self.carried(item, node).is_some()).collect()
    }
}
