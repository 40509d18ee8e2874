//! Memory: a ring of token slots for every channel at every node that it touches, as small as lifetimes allow.
//!
//! In fast schedules a value often lives longer than a metacycle, so addresses rotate. Tokens of a channel arrive and
//! leave roughly in FIFO order, so the n-th token in slot n mod K is close to the least memory, needs one number to describe,
//! and leaves tokens of a firing side by side. K is the smallest divisor or multiple of the tokens per metacycle for which
//! no token is written before the one K places ahead of it was last needed.

use crate::analysis::DependencyId;
use crate::placement::Placed;
use crate::problem::{LOCAL, Problem};
use crate::schedule::{Buffer, Role};
use crate::slotting::Slotted;
use sim_core::{ChannelId, Csr, Id, IdVec, LinkId, NodeId};
use std::collections::BTreeMap;

/// All buffers, and which of them every token uses.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    /// By node, channel and role, which is also by node and address.
    pub(crate) buffers: Vec<Buffer>,
    /// Where the buffers of every node begin, and the end.
    of_node: Vec<usize>,
    /// The tokens of a metacycle that use a buffer, ascending, where not all of the channel do. Keyed by its position.
    some: BTreeMap<usize, Vec<u32>>,
    /// Words used per node.
    pub(crate) used: IdVec<NodeId, u64>,
}

/// A node that would need more words than can be addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressOverflow {
    pub(crate) node: NodeId,
    pub(crate) words: u64,
}

impl Memory {
    /// The buffer that `token` uses and its number among the tokens there. Tokens are numbered as produced from 0 for
    /// producers and relays, and with initial tokens first, modulo the tokens per metacycle, for consumers.
    pub(crate) fn place(&self, node: NodeId, channel: ChannelId, role: Role, token: u32) -> (&Buffer, u32) {
        let start = self.of_node[node.index()];
        let here = &self.buffers[start..self.of_node[node.index() + 1]];
        let found = here.binary_search_by_key(&(channel, role), |buffer| (buffer.channel, buffer.role));
        let position = found.expect("every token has a buffer");
        let local = self.some.get(&(start + position)).map_or(token, |tokens| {
            let local = tokens.binary_search(&token).expect("every token has its place");
            u32::try_from(local).expect("tokens of a metacycle are limited")
        });
        (&here[position], local)
    }
}

/// A token's stay at a node: written in one tick, needed through another, both for activation 0 of the metacycle.
#[derive(Clone, Copy, Debug)]
struct Stay {
    channel: ChannelId,
    role: Role,
    token: u32,
    written: i64,
    needed: i64,
}

/// What a node has to do with a dependency.
#[derive(Clone, Copy, Debug)]
struct Visit {
    dependency: DependencyId,
    /// The hop of its path that starts here; the number of hops at the consumer.
    hop: u32,
}

/// Lays out the memory of all nodes, one after the other. Deterministic.
pub(crate) fn allocate(problem: &Problem<'_>, placed: &Placed, slotted: &Slotted) -> Result<Memory, AddressOverflow> {
    let nodes = problem.machine.nodes().len();
    let mut memory =
        Memory { buffers: Vec::new(), of_node: vec![0], some: BTreeMap::new(), used: IdVec::filled(0, nodes) };
    let visits = visits(problem, placed);
    let mut stays = Vec::new();
    for node in problem.machine.nodes().ids() {
        stays.clear();
        for &visit in visits.row(node) {
            add_stays(problem, placed, slotted, visit, &mut stays);
        }
        stays.sort_unstable_by_key(|stay| (stay.channel, stay.role, stay.token));
        for stays in stays.chunk_by(|a, b| (a.channel, a.role) == (b.channel, b.role)) {
            let words = add_buffer(problem, slotted, node, stays, &mut memory);
            if words > u64::from(u32::MAX >> 1) {
                return Err(AddressOverflow { node, words });
            }
        }
        memory.of_node.push(memory.buffers.len());
    }
    Ok(memory)
}

/// Appends a buffer for `stays`, which are those of one channel and role; the words that `node` now uses.
fn add_buffer(problem: &Problem<'_>, slotted: &Slotted, node: NodeId, stays: &[Stay], memory: &mut Memory) -> u64 {
    let Stay { channel, role, .. } = stays[0];
    let initial = match role {
        Role::Consumer => initial_here(problem, channel, stays),
        Role::Producer | Role::Relay => 0,
    };
    let slots = slots_needed(stays, initial, slotted.metacycle);
    let words = problem.token_words(channel) as u64;
    let base = memory.used[node];
    memory.used[node] += slots * words;
    if stays.len() as u64 != tokens_per_metacycle(problem, channel) {
        memory.some.insert(memory.buffers.len(), stays.iter().map(|stay| stay.token).collect());
    }
    memory.buffers.push(Buffer {
        node,
        channel,
        role,
        base: base as u32,
        words: words as u32,
        tokens: stays.len() as u32,
        slots: slots as u32,
    });
    memory.used[node]
}

/// The links that a dependency's words take.
fn path_of(placed: &Placed, dependency: DependencyId) -> &[LinkId] {
    match placed.flow_of[dependency] {
        LOCAL => &[],
        flow => placed.routes.path(flow),
    }
}

/// By node, the dependencies whose words are produced, relayed or consumed there.
fn visits(problem: &Problem<'_>, placed: &Placed) -> Csr<NodeId, Visit> {
    let links = problem.machine.links();
    let moved = problem.graph.dependencies().iter().filter(|(_, d)| d.channel.is_some());
    let visits = moved.flat_map(|(dependency, d)| {
        let path = path_of(placed, dependency);
        let consumer = placed.node_of[d.to.index()];
        let nodes = path.iter().map(|&link| links[link].source).chain([consumer]);
        nodes.zip(0..).map(move |(node, hop)| (node, Visit { dependency, hop }))
    });
    Csr::group(problem.machine.nodes().len(), visits)
}

/// Adds the stays of all tokens of one dependency at one node.
fn add_stays(problem: &Problem<'_>, placed: &Placed, slotted: &Slotted, visit: Visit, stays: &mut Vec<Stay>) {
    let Visit { dependency, hop } = visit;
    let d = &problem.graph.dependencies()[dependency];
    let channel = d.channel.expect("only channels move words");
    let last_tick =
        |firing: crate::analysis::FiringId| slotted.starts[firing.index()] + problem.graph.duration(firing) - 1;
    let path = path_of(placed, dependency);
    let words = problem.token_words(channel) as usize;
    for k in 0..d.tokens {
        let token = d.first_token as u32 + k;
        let sends = |hop: usize| {
            let from = k as usize * words * path.len();
            let of_token = &slotted.sends(dependency)[from..from + words * path.len()];
            of_token.iter().skip(hop).step_by(path.len().max(1)).copied()
        };
        let hop = hop as usize;
        let written = match hop.checked_sub(1) {
            None => last_tick(d.from),
            Some(before) => {
                let first = sends(before).min().expect("a token has a word");
                first + problem.machine.links()[path[before]].latency.0
            }
        };
        if hop < path.len() {
            let role = if hop == 0 { Role::Producer } else { Role::Relay };
            let needed = sends(hop).max().expect("a token has a word");
            stays.push(Stay { channel, role, token, written, needed });
            continue;
        }
        // At the consumer tokens count with the initial ones first: activation 0 consumes what is `distance` older.
        let written = written - d.distance * slotted.metacycle;
        let token = consumed_number(problem, channel, token);
        stays.push(Stay { channel, role: Role::Consumer, token, written, needed: last_tick(d.to) });
    }
}

/// Number modulo the tokens per metacycle, initial tokens first, of a token numbered as produced.
pub(crate) fn consumed_number(problem: &Problem<'_>, channel: ChannelId, token: u32) -> u32 {
    let per_metacycle = tokens_per_metacycle(problem, channel);
    ((u64::from(token) + problem.app.channels()[channel].tokens.initial.count) % per_metacycle) as u32
}

/// Tokens of `channel` in U iterations.
pub(crate) fn tokens_per_metacycle(problem: &Problem<'_>, channel: ChannelId) -> u64 {
    let channel = &problem.app.channels()[channel];
    let firings = problem.graph.firings_of(channel.source).len() as u64;
    firings / channel.tokens.produce.len() as u64 * channel.produced_per_cycle()
}

/// How many initial tokens lie in this buffer before tick 0.
fn initial_here(problem: &Problem<'_>, channel: ChannelId, stays: &[Stay]) -> u64 {
    let initial = problem.app.channels()[channel].tokens.initial.count;
    let per_metacycle = tokens_per_metacycle(problem, channel);
    let rest = (initial % per_metacycle) as u32;
    let whole = initial / per_metacycle * stays.len() as u64;
    whole + stays.partition_point(|stay| stay.token < rest) as u64
}

/// The smallest K, a divisor or multiple of the number of stays, for which the n-th and the n+K-th token may share a slot.
fn slots_needed(stays: &[Stay], initial: u64, metacycle: i64) -> u64 {
    let tokens = stays.len() as u64;
    let fits = |slots: u64| {
        (0..tokens).all(|n| {
            let next = n + slots;
            let later = &stays[(next % tokens) as usize];
            later.written + (next / tokens) as i64 * metacycle >= stays[n as usize].needed
        })
    };
    let least = initial.max(1);
    let divisors = (1..=tokens.isqrt()).filter(|d| tokens.is_multiple_of(*d));
    let mut divisors: Vec<u64> = divisors.flat_map(|d| [d, tokens / d]).filter(|&d| d >= least && d < tokens).collect();
    divisors.sort_unstable();
    if let Some(slots) = divisors.into_iter().find(|&slots| fits(slots)) {
        return slots;
    }
    let copies = |stay: &Stay| (stay.needed - stay.written).max(1) as u64;
    let copies = stays.iter().map(|stay| copies(stay).div_ceil(metacycle as u64)).max().unwrap_or(1);
    tokens * copies.max(least.div_ceil(tokens))
}
