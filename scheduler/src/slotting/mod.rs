//! Slotting: start ticks of all firings and send ticks of all frames, for a given placement, routing and metacycle.
//!
//! What repeats every metacycle may be moved by whole metacycles without touching any slot. So only firings on a common
//! cycle constrain each other tightly: components of the firing graph with several actors are scheduled first, by iterative
//! modulo scheduling (Rau, MICRO-27, 1994), with their own transports. Everything else follows in topological order: the
//! frames that a firing waits for take the first free slots after their production, relays hold them as long as it takes,
//! and then the firing takes the first slot that leaves room for all others ([`Cores`]). On acyclic graphs that never fails.

mod chain;
mod modulo;
mod torn;

use crate::analysis::{Dependency, DependencyId, FiringId};
use crate::packing::{Packing, pack};
use crate::placement::{Placed, delays};
use crate::problem::{LOCAL, Problem};
use crate::ring::{Cores, Promise, Ring};
use sim_core::{ActorId, Id, IdVec, LinkId, NodeId};
use std::collections::BTreeMap;

/// Ticks of everything in one metacycle; activation a is a metacycles later.
#[derive(Clone, Debug)]
pub(crate) struct Slotted {
    pub(crate) metacycle: i64,
    /// Start of every firing.
    pub(crate) starts: Vec<i64>,
    /// Core of every firing.
    pub(crate) cores: Vec<u32>,
    /// The least metacycle for which these ticks respect all cycles, if slots were no matter.
    pub(crate) needed: i64,
    /// Send ticks; see [`Slotted::sends`].
    sends: Vec<i64>,
    /// Where the send ticks of every dependency begin in `sends`.
    offsets: Vec<usize>,
}

impl Slotted {
    /// Send ticks of a dependency: by token, then word, then hop.
    pub(crate) fn sends(&self, dependency: DependencyId) -> &[i64] {
        &self.sends[self.offsets[dependency.index()]..self.offsets[dependency.index() + 1]]
    }
}

/// Finds slots for everything, or `None` if this metacycle is too short for the heuristic.
pub(crate) fn slot(problem: &Problem<'_>, placed: &Placed, metacycle: i64) -> Option<Slotted> {
    if problem.duration_max > metacycle || placed.bound().ceil().to_integer() > metacycle {
        return None;
    }
    let components = problem.firing_components();
    let mut slotter = Slotter::new(problem, placed, metacycle);
    let torn = slotter.divide_cores(&components, Chains::Torn);
    let found = slotter.place_all(&components);
    if found || !torn {
        return found.then(|| slotter.finish());
    }
    let mut slotter = Slotter::new(problem, placed, metacycle);
    slotter.divide_cores(&components, Chains::Whole);
    slotter.place_all(&components).then(|| slotter.finish())
}

/// Whether the firings of a chain may be divided among cores one by one. That fills cores better, but a chain may then not
/// come out in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chains {
    Torn,
    Whole,
}

/// Start of a firing that has none yet.
const UNPLACED: i64 = i64::MIN;

struct Slotter<'a> {
    problem: &'a Problem<'a>,
    placed: &'a Placed,
    metacycle: i64,
    /// Groups of cores that share their firings, and the group and first core of every firing.
    groups: Vec<Cores>,
    group_of: Vec<(u32, u32)>,
    /// Slot and core of firings whose cores take turns.
    turns: Vec<Option<(i64, u32)>>,
    links: IdVec<LinkId, Ring>,
    starts: Vec<i64>,
    core_of: Vec<u32>,
    component_of: Vec<u32>,
    /// Ticks from the end of the producer to the start of the consumer that every dependency is expected to need.
    delays: IdVec<DependencyId, i64>,
    sends: Vec<i64>,
    offsets: Vec<usize>,
    /// When the last word of a dependency is readable at its consumer, in the producer's activation 0.
    arrivals: IdVec<DependencyId, i64>,
    /// Whether a dependency's transport has its slots.
    carried: IdVec<DependencyId, bool>,
    /// For firings on cycles: the start below which they never come, if slots are no matter, and the last one tried.
    earliest: Vec<i64>,
    last_start: Vec<i64>,
}

impl<'a> Slotter<'a> {
    fn new(problem: &'a Problem<'a>, placed: &'a Placed, metacycle: i64) -> Self {
        let graph = &problem.graph;
        let mut offsets = vec![0];
        for (dependency, &flow) in placed.flow_of.iter() {
            let hops = if flow == LOCAL { 0 } else { placed.routes.path(flow).len() };
            offsets.push(offsets[dependency.index()] + hops * problem.words(dependency) as usize);
        }
        Self {
            problem,
            placed,
            metacycle,
            groups: Vec::new(),
            group_of: vec![(0, 0); graph.len()],
            turns: vec![None; graph.len()],
            links: IdVec::filled(Ring::new(metacycle), problem.machine.links().len()),
            starts: vec![UNPLACED; graph.len()],
            core_of: vec![0; graph.len()],
            component_of: Vec::new(),
            delays: delays(problem, &placed.flow_of, &placed.routes),
            sends: vec![0; *offsets.last().expect("offsets start with 0")],
            offsets,
            arrivals: IdVec::filled(0, graph.dependencies().len()),
            carried: IdVec::filled(false, graph.dependencies().len()),
            earliest: vec![0; graph.len()],
            last_start: vec![UNPLACED; graph.len()],
        }
    }

    fn node(&self, firing: FiringId) -> NodeId {
        self.placed.node_of[firing.index()]
    }

    /// Where the send ticks of a dependency lie.
    fn range(&self, dependency: DependencyId) -> std::ops::Range<usize> {
        self.offsets[dependency.index()]..self.offsets[dependency.index() + 1]
    }

    fn end(&self, firing: FiringId) -> i64 {
        self.starts[firing.index()] + self.problem.graph.duration(firing)
    }

    /// Whether `members` are firings of one actor on one node that fit behind each other into a metacycle.
    fn is_serial(&self, members: &[FiringId]) -> bool {
        let graph = &self.problem.graph;
        let first = members[0];
        let alike = |&m: &FiringId| graph.actor_of(m) == graph.actor_of(first) && self.node(m) == self.node(first);
        members.iter().all(alike) && members.iter().map(|&m| graph.duration(m)).sum::<i64>() <= self.metacycle
    }

    /// Sends all words of a dependency as early as slots allow, from the end of its producer on; returns their arrival.
    ///
    /// Words that become ready one after another and find free slots one after another are booked at once.
    fn transport(&mut self, dependency: DependencyId) -> i64 {
        let mut arrival = self.end(self.problem.graph.dependencies()[dependency].from);
        let flow = self.placed.flow_of[dependency];
        if flow != LOCAL {
            let path = self.placed.routes.path(flow);
            let words = self.problem.words(dependency) as usize;
            let at = self.offsets[dependency.index()];
            // The send ticks of the hop before plus its latency, in the place where this hop's will stand.
            let mut ready = vec![arrival; words];
            for (hop, &link) in path.iter().enumerate() {
                let mut word = 0;
                let mut from = i64::MIN;
                while word < words {
                    from = from.max(ready[word]);
                    let send =
                        self.links[link].first_free(from, 1).expect("no link carries more frames than there are slots");
                    let free = self.links[link].free_run(send);
                    let run =
                        (word..words).take_while(|&w| ready[w] <= send + (w - word) as i64).take(free as usize).count();
                    self.links[link].take(send, run as i64);
                    for k in 0..run {
                        self.sends[at + (word + k) * path.len() + hop] = send + k as i64;
                        ready[word + k] = send + k as i64 + self.problem.machine.links()[link].latency.hop().0;
                    }
                    word += run;
                    from = send + run as i64;
                }
            }
            arrival = ready.into_iter().max().expect("a dependency that crosses links has words");
        }
        self.arrivals[dependency] = arrival;
        self.carried[dependency] = true;
        arrival
    }

    /// Gives the slots of a dependency's transport back, if it has any.
    fn retract(&mut self, dependency: DependencyId) {
        let flow = self.placed.flow_of[dependency];
        if !std::mem::take(&mut self.carried[dependency]) || flow == LOCAL {
            return;
        }
        let path = self.placed.routes.path(flow);
        let sends = &self.sends[self.range(dependency)];
        for (hop, &link) in path.iter().enumerate() {
            let sends: Vec<i64> = sends.iter().skip(hop).step_by(path.len()).copied().collect();
            for run in sends.chunk_by(|a, b| a + 1 == *b) {
                self.links[link].release(run[0], run.len() as i64);
            }
        }
    }

    /// The earliest (start, core) in [from, last] for a firing that has none.
    fn find(&mut self, firing: FiringId, from: i64, last: i64) -> Option<(i64, u32)> {
        if let Some((slot, core)) = self.turns[firing.index()] {
            let start = from + (slot - from).rem_euclid(self.metacycle);
            return (start <= last).then_some((start, core));
        }
        let (group, first) = self.group_of[firing.index()];
        let found = self.groups[group as usize].find(from, last, self.problem.graph.duration(firing));
        found.map(|(start, core)| (start, first + core))
    }

    fn put(&mut self, firing: FiringId, start: i64, core: u32) {
        let (group, first) = self.group_of[firing.index()];
        self.groups[group as usize].place(core - first, start, self.problem.graph.duration(firing));
        self.starts[firing.index()] = start;
        self.core_of[firing.index()] = core;
    }

    fn unput(&mut self, firing: FiringId) {
        let ((group, first), start) = (self.group_of[firing.index()], self.starts[firing.index()]);
        let core = self.core_of[firing.index()] - first;
        self.groups[group as usize].remove(core, start, self.problem.graph.duration(firing));
        self.starts[firing.index()] = UNPLACED;
    }

    /// Finds slots for everything.
    fn place_all(&mut self, components: &[Vec<FiringId>]) -> bool {
        let cycles = components.iter().filter(|members| !self.is_serial(members)).collect::<Vec<_>>();
        let placed = cycles.into_iter().all(|members| self.place_cycle(members))
            && components.iter().all(|members| self.place_in_order(members));
        if placed {
            components.iter().rev().for_each(|members| self.delay(members));
        }
        placed
    }

    /// Shares the cores of every node out; whether a chain was torn. Where no firing is on a cycle with other actors, each core gets firings of its
    /// own if they can be divided so (chains whole): then every one of them will find room. Else the
    /// node's firings share its cores.
    fn divide_cores(&mut self, components: &[Vec<FiringId>], chains: Chains) -> bool {
        self.component_of = vec![0; self.problem.graph.len()];
        for (c, members) in components.iter().enumerate() {
            members.iter().for_each(|m| self.component_of[m.index()] = c as u32);
        }
        let mut torn = false;
        let nodes = self.problem.machine.nodes();
        let mut shared = IdVec::filled(false, nodes.len());
        let mut units: IdVec<NodeId, Vec<(i64, &[FiringId])>> = IdVec::filled(Vec::new(), nodes.len());
        for members in components {
            let serial = self.is_serial(members);
            let node = self.node(members[0]);
            if serial {
                let load = members.iter().map(|&m| self.problem.graph.duration(m)).sum();
                units[node].push((load, members));
            } else {
                members.iter().for_each(|&m| shared[self.node(m)] = true);
            }
        }
        let mut group_at: IdVec<NodeId, u32> = IdVec::filled(0, nodes.len());
        for (node, units) in units.iter_mut() {
            group_at[node] = self.groups.len() as u32;
            let cores = nodes[node].cores;
            if !shared[node] {
                self.take_turns(units, cores);
            }
            units.sort_by_key(|&(load, members)| (std::cmp::Reverse(load), members[0]));
            let loads: Vec<i64> = units.iter().map(|&(load, _)| load).collect();
            let divided = if shared[node] { Packing::Unknown } else { pack(&loads, cores, self.metacycle) };
            let Packing::Found(core_of_unit) = divided else {
                let turns = units.first().is_some_and(|(_, members)| self.turns[members[0].index()].is_some());
                if chains == Chains::Torn && !shared[node] && !turns && self.divide_singly(units, cores) {
                    torn = true;
                    continue;
                }
                self.groups.push(Cores::new(cores, self.metacycle, Promise::Packed));
                continue;
            };
            units.iter().flat_map(|(_, members)| *members).for_each(|m| self.turns[m.index()] = None);
            self.groups.extend((0..cores).map(|_| Cores::new(1, self.metacycle, Promise::Contiguous)));
            for (&(_, members), &core) in units.iter().zip(&core_of_unit) {
                members.iter().for_each(|&m| self.group_of[m.index()] = (core, core));
            }
        }
        for firing in self.problem.graph.firings() {
            let group = &mut self.group_of[firing.index()];
            group.0 += group_at[self.placed.node_of[firing.index()]];
            self.groups[group.0 as usize].expect(self.problem.graph.duration(firing));
        }
        torn
    }

    /// Gives every core of a node firings of its own, tearing chains; whether they could be divided so. The slots of all are
    /// fixed where that keeps torn chains in order.
    fn divide_singly(&mut self, units: &[(i64, &[FiringId])], cores: u32) -> bool {
        let duration = |firing: FiringId| self.problem.graph.duration(firing);
        let members = units.iter().map(|&(_, members)| members);
        if let Some(fixed) = torn::lay_out(members, duration, cores, self.metacycle) {
            self.groups.extend((0..cores).map(|_| Cores::new(1, self.metacycle, Promise::Contiguous)));
            for torn::Fixed { firing, slot, core } in fixed {
                self.group_of[firing.index()] = (core, core);
                self.turns[firing.index()] = Some((slot, core));
            }
            return true;
        }
        let mut firings: Vec<FiringId> = units.iter().flat_map(|(_, members)| members.iter().copied()).collect();
        firings.sort_by_key(|&firing| (std::cmp::Reverse(duration(firing)), firing));
        let durations: Vec<i64> = firings.iter().map(|&firing| duration(firing)).collect();
        let Packing::Found(core_of) = pack(&durations, cores, self.metacycle) else { return false };
        self.groups.extend((0..cores).map(|_| Cores::new(1, self.metacycle, Promise::Contiguous)));
        firings.iter().zip(core_of).for_each(|(firing, core)| self.group_of[firing.index()] = (core, core));
        true
    }

    /// Brings the words that a component waits for, then places it, or moves it by metacycles if it has its slots already.
    fn place_in_order(&mut self, members: &[FiringId]) -> bool {
        let problem = self.problem;
        let component = self.component_of[members[0].index()];
        let mut earliest = Vec::with_capacity(members.len());
        for &firing in members {
            let mut bound = 0;
            for dependency in problem.graph.input_ids(firing) {
                let d = &problem.graph.dependencies()[dependency];
                if self.component_of[d.from.index()] != component {
                    let arrival = self.transport(dependency);
                    bound = bound.max(arrival - d.distance * self.metacycle);
                }
            }
            earliest.push(bound);
        }
        if self.starts[members[0].index()] != UNPLACED {
            self.wait_for(members, &earliest);
            return true;
        }
        if let [firing] = *members {
            let found = self.find(firing, earliest[0], i64::MAX - 1);
            if let Some((start, core)) = found {
                self.put(firing, start, core);
            }
            return found.is_some();
        }
        self.place_chain(members, &earliest)
    }

    /// Moves a placed component by whole metacycles, to where each member starts at or just after its `earliest` tick.
    fn wait_for(&mut self, members: &[FiringId], earliest: &[i64]) {
        let late = |(&m, &bound): (&FiringId, &i64)| ceil_div(bound - self.starts[m.index()], self.metacycle);
        let stages = members.iter().zip(earliest).map(late).max().expect("a component has members");
        self.shift(members, stages);
    }

    /// Moves a component, its inner transports and those that leave it, by whole metacycles: no slot changes.
    fn shift(&mut self, members: &[FiringId], stages: i64) {
        if stages == 0 {
            return;
        }
        let ticks = stages * self.metacycle;
        for &firing in members {
            self.starts[firing.index()] += ticks;
            for &dependency in self.problem.graph.outputs(firing) {
                self.arrivals[dependency] += ticks;
                let range = self.range(dependency);
                self.sends[range].iter_mut().for_each(|send| *send += ticks);
            }
        }
    }

    /// Starts a component as many metacycles later as its consumers allow, if that shortens more waiting than it lengthens.
    fn delay(&mut self, members: &[FiringId]) {
        let graph = &self.problem.graph;
        let component = self.component_of[members[0].index()];
        let (mut slack, mut out_words, mut in_words) = (i64::MAX, 0, 0);
        for &firing in members {
            for &dependency in graph.outputs(firing) {
                let d = &graph.dependencies()[dependency];
                if self.component_of[d.to.index()] != component {
                    let needed = self.starts[d.to.index()] + d.distance * self.metacycle;
                    slack = slack.min(needed - self.arrivals[dependency]);
                    out_words += self.problem.words(dependency);
                }
            }
            for dependency in graph.input_ids(firing) {
                if self.component_of[graph.dependencies()[dependency].from.index()] != component {
                    in_words += self.problem.words(dependency);
                }
            }
        }
        if slack != i64::MAX && out_words >= in_words {
            self.shift(members, slack.div_euclid(self.metacycle));
        }
    }

    /// The least metacycle that leaves every firing on a cycle its inputs in time.
    fn needed(&self) -> i64 {
        let around = |(id, d): (DependencyId, &Dependency)| {
            let inner = self.component_of[d.from.index()] == self.component_of[d.to.index()] && d.distance > 0;
            let arrival = if self.carried[id] { self.arrivals[id] } else { self.end(d.from) };
            inner.then(|| ceil_div(arrival - self.starts[d.to.index()], d.distance))
        };
        self.problem.graph.dependencies().iter().filter_map(around).max().unwrap_or(1)
    }

    /// Counts ticks from the first start.
    fn finish(mut self) -> Slotted {
        let needed = self.needed();
        let origin = self.starts.iter().copied().min().unwrap_or(0);
        self.starts.iter_mut().for_each(|start| *start -= origin);
        self.sends.iter_mut().for_each(|send| *send -= origin);
        Slotted {
            metacycle: self.metacycle,
            starts: self.starts,
            cores: self.core_of,
            needed,
            sends: self.sends,
            offsets: self.offsets,
        }
    }
}

impl Slotter<'_> {
    /// Fixes slots such that cores take turns with whole repetitions of the placement, each the same part of the metacycle
    /// later: then firings of a chain follow each other although consecutive ones are on different cores, and every core is
    /// as full as the others. It costs latency, so it serves only where firings cannot be divided among cores. `units` are
    /// in topological order.
    fn take_turns(&mut self, units: &[(i64, &[FiringId])], cores: u32) {
        let repeats = self.placed.alike;
        if cores < 2 || !repeats.is_multiple_of(cores) {
            return;
        }
        let graph = &self.problem.graph;
        let repetition = |firing: FiringId| {
            let firings = graph.firings_of(graph.actor_of(firing)).len() as u32 / repeats;
            (graph.index_of(firing) / firings, graph.index_of(firing) % firings)
        };
        // All repetitions run the firings in the order of the first, those of one actor by index.
        let members = || units.iter().flat_map(|&(_, members)| members.iter().copied());
        let mut indices: BTreeMap<ActorId, BTreeMap<u32, i64>> = BTreeMap::new();
        for firing in members().filter(|&firing| repetition(firing).0 == 0) {
            indices.entry(graph.actor_of(firing)).or_default().insert(repetition(firing).1, graph.duration(firing));
        }
        let mut offsets = BTreeMap::new();
        let mut next = 0;
        for actor in members().filter(|&firing| repetition(firing).0 == 0).map(|firing| graph.actor_of(firing)) {
            let of_actor = indices.get_mut(&actor).expect("the actor has a firing here");
            let (index, duration) = of_actor.pop_first().expect("every firing is met once");
            offsets.insert((actor, index), next);
            next += duration;
        }
        for &firing in units.iter().flat_map(|&(_, members)| members) {
            let (r, index) = repetition(firing);
            let slot = i64::from(r) * self.metacycle / i64::from(repeats) + offsets[&(graph.actor_of(firing), index)];
            self.turns[firing.index()] = Some((slot, r % cores));
        }
        // A chain whose links skip repetitions may come out of order.
        let slot = |firing: FiringId| self.turns[firing.index()].expect("just set").0;
        let follows = |a: FiringId, b: FiringId, later: i64| slot(a) + graph.duration(a) <= slot(b) + later;
        let in_order = |&(_, chain): &(i64, &[FiringId])| {
            let wraps = follows(chain[chain.len() - 1], chain[0], self.metacycle);
            wraps && chain.windows(2).all(|pair| follows(pair[0], pair[1], 0))
        };
        if !units.iter().all(in_order) {
            members().for_each(|firing| self.turns[firing.index()] = None);
        }
    }
}

/// ⌈a / b⌉ for b > 0.
fn ceil_div(a: i64, b: i64) -> i64 {
    -(-a).div_euclid(b)
}
