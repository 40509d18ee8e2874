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
use sim_core::{ChannelId, Id, IdVec, NodeId};
use std::collections::BTreeMap;

/// All buffers, and which of them every token uses.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    /// By node and address.
    pub(crate) buffers: Vec<Buffer>,
    /// Per (node, channel, role) the buffer and the tokens of a metacycle that use it, ascending.
    places: BTreeMap<(NodeId, ChannelId, Role), (usize, Vec<u32>)>,
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
        let (buffer, tokens) = &self.places[&(node, channel, role)];
        let local = tokens.binary_search(&token).expect("every token has its place");
        (&self.buffers[*buffer], local as u32)
    }
}

/// A token's stay at a node: written in one tick, needed through another, both for activation 0 of the metacycle.
#[derive(Clone, Copy, Debug)]
struct Stay {
    token: u32,
    written: i64,
    needed: i64,
}

/// Lays out the memory of all nodes. Deterministic.
pub(crate) fn allocate(problem: &Problem<'_>, placed: &Placed, slotted: &Slotted) -> Result<Memory, AddressOverflow> {
    let mut stays: BTreeMap<(NodeId, ChannelId, Role), Vec<Stay>> = BTreeMap::new();
    for (id, d) in problem.graph.dependencies().iter() {
        if d.channel.is_some() {
            collect(problem, placed, slotted, id, &mut stays);
        }
    }
    let mut memory =
        Memory { buffers: Vec::new(), places: BTreeMap::new(), used: IdVec::filled(0, problem.machine.nodes().len()) };
    for ((node, channel, role), mut stays) in stays {
        stays.sort_unstable_by_key(|stay| stay.token);
        let initial = match role {
            Role::Consumer => initial_here(problem, channel, &stays),
            Role::Producer | Role::Relay => 0,
        };
        let slots = slots_needed(&stays, initial, slotted.metacycle);
        let words = problem.token_words(channel) as u64;
        let base = memory.used[node];
        memory.used[node] += slots * words;
        if memory.used[node] > u64::from(u32::MAX >> 1) {
            return Err(AddressOverflow { node, words: memory.used[node] });
        }
        let tokens: Vec<u32> = stays.iter().map(|stay| stay.token).collect();
        memory.places.insert((node, channel, role), (memory.buffers.len(), tokens));
        let tokens = stays.len() as u32;
        memory.buffers.push(Buffer {
            node,
            channel,
            role,
            base: base as u32,
            words: words as u32,
            tokens,
            slots: slots as u32,
        });
    }
    Ok(memory)
}

/// Adds the stays of all tokens of one dependency: at the producer, at relays, at the consumer.
fn collect(
    problem: &Problem<'_>,
    placed: &Placed,
    slotted: &Slotted,
    id: DependencyId,
    stays: &mut BTreeMap<(NodeId, ChannelId, Role), Vec<Stay>>,
) {
    let d = &problem.graph.dependencies()[id];
    let channel = d.channel.expect("only channels move words");
    let last_tick = |firing| slotted.starts[sim_core::Id::index(firing)] + problem.graph.duration(firing) - 1;
    let (produced, consumed) = (last_tick(d.from), last_tick(d.to));
    let path: &[_] = match placed.flow_of[id] {
        LOCAL => &[],
        flow => &placed.routes.paths[flow as usize],
    };
    let links = problem.machine.links();
    let words = problem.token_words(channel) as usize;
    for k in 0..d.tokens {
        let token = d.first_token as u32 + k;
        let sends = |hop: usize| {
            let from = k as usize * words * path.len();
            slotted.sends(id)[from..from + words * path.len()].iter().skip(hop).step_by(path.len().max(1)).copied()
        };
        let mut written = produced;
        for (hop, &link) in path.iter().enumerate() {
            let role = if hop == 0 { Role::Producer } else { Role::Relay };
            let needed = sends(hop).max().expect("a token has a word");
            stays.entry((links[link].source, channel, role)).or_default().push(Stay { token, written, needed });
            written = sends(hop).min().expect("a token has a word") + links[link].latency.0;
        }
        // At the consumer tokens count with the initial ones first: activation 0 consumes what is `distance` older.
        let written = written - d.distance * slotted.metacycle;
        let token = consumed_number(problem, channel, token);
        let node = placed.node_of[d.to.index()];
        stays.entry((node, channel, Role::Consumer)).or_default().push(Stay { token, written, needed: consumed });
    }
}

/// Number modulo the tokens per metacycle, initial tokens first, of a token numbered as produced.
pub(crate) fn consumed_number(problem: &Problem<'_>, channel: ChannelId, token: u32) -> u32 {
    let per_metacycle = tokens_per_metacycle(problem, channel);
    ((u64::from(token) + problem.app.channels()[channel].initial.count) % per_metacycle) as u32
}

/// Tokens of `channel` in U iterations.
pub(crate) fn tokens_per_metacycle(problem: &Problem<'_>, channel: ChannelId) -> u64 {
    let channel = &problem.app.channels()[channel];
    let firings = problem.graph.firings_of(channel.source).len() as u64;
    firings / channel.produce.len() as u64 * channel.produced_per_cycle()
}

/// How many initial tokens lie in this buffer before tick 0.
fn initial_here(problem: &Problem<'_>, channel: ChannelId, stays: &[Stay]) -> u64 {
    let initial = problem.app.channels()[channel].initial.count;
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
