//! The run digest of the literal machine.

use super::plan::{Plan, addresses};
use super::{Kept, Memory, Wire};
use sim_core::digest::{
    ConsumedHash, DigestLevel, EventHash, EventSource, Leaf, Root, RunDigest, StateLeaf, epoch_ticks,
};
use sim_core::ids::{ActorId, IdVec, LinkId, NodeId};
use sim_core::time::{Tick, Ticks};
use std::collections::{BTreeMap, BTreeSet};

/// A unit's access to an address. Reads see what ticks before left, so in one tick they come before the write.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Access {
    Read,
    Write,
}

/// All accesses of a run to the addresses of one node, by time.
type Accesses = BTreeMap<u32, BTreeSet<(Tick, Access)>>;

/// Everything that a digest covers and that is not the machine's own state.
pub(super) struct Observer {
    digest: RunDigest,
    level: DigestLevel,
    epoch: i64,
    /// Known in advance, also beyond the end of the run; only the state level needs them.
    accesses: IdVec<NodeId, Accesses>,
    /// Firings that ended, by the node where they did.
    ended: IdVec<NodeId, BTreeMap<ActorId, u64>>,
    consumed: IdVec<NodeId, Option<ConsumedHash>>,
    events: IdVec<NodeId, EventHash>,
}

/// A firing in its last tick.
pub(super) struct Ended<'a> {
    pub(super) node: NodeId,
    pub(super) actor: ActorId,
    pub(super) index: u64,
    pub(super) last: Tick,
    pub(super) inputs: &'a [u64],
    /// Words per output port.
    pub(super) outputs: &'a [u64],
}

impl Observer {
    pub(super) fn new(plan: &Plan, level: DigestLevel) -> Self {
        let nodes = plan.machine.nodes().len();
        let accesses = match level {
            DigestLevel::State => accesses(plan),
            DigestLevel::Off | DigestLevel::Events => IdVec::filled(Accesses::new(), nodes),
        };
        Self {
            digest: RunDigest::new(level, &plan.calendars.identity(plan.machine)),
            level,
            epoch: epoch_ticks(plan.metacycle()),
            accesses,
            ended: IdVec::filled(BTreeMap::new(), nodes),
            consumed: IdVec::filled(None, nodes),
            events: IdVec::filled(EventHash::default(), nodes),
        }
    }

    /// How many firings of `actor` ended on `node` so far.
    pub(super) fn ended(&self, node: NodeId, actor: ActorId) -> u64 {
        self.ended[node].get(&actor).copied().unwrap_or(0)
    }

    /// Takes note of a firing in its last tick: firings of a tick by node and core, before the frames of that tick.
    pub(super) fn firing_ends(&mut self, plan: &Plan, firing: &Ended) {
        let &Ended { node, actor, index, last, inputs, outputs } = firing;
        *self.ended[node].entry(actor).or_default() += 1;
        if plan.app.outputs(actor).is_empty() {
            self.consumed[node].get_or_insert_default().update(actor, index, inputs);
        }
        self.events[node].firing(last, EventSource::actor(actor), index, inputs, outputs);
    }

    /// Takes note of the frames that are sent in a tick.
    pub(super) fn frames_sent(&mut self, plan: &Plan, sent: &IdVec<LinkId, Option<u64>>, tick: Tick) {
        for (link, wire) in plan.machine.links().iter() {
            if let Some(word) = sent[link] {
                self.events[wire.source].frame(tick, EventSource::link(link), word);
            }
        }
    }

    /// Closes an epoch if one ends before tick `now`, or the run does. The machine is as tick `now` − 1 left it.
    pub(super) fn tick_done(
        &mut self,
        plan: &Plan,
        now: Tick,
        end: Tick,
        memories: &IdVec<NodeId, Memory>,
        wires: &IdVec<LinkId, Wire>,
        kept: &IdVec<ActorId, Kept>,
    ) {
        if now.0 % self.epoch != 0 && now != end {
            return;
        }
        let leaves: Vec<Leaf> = match self.level {
            DigestLevel::Off => return,
            DigestLevel::State => {
                let leaf = |(node, memory)| self.state_leaf(plan, node, now, memory, wires, kept);
                memories.iter().map(leaf).collect()
            }
            DigestLevel::Events => self.events.iter().map(|(node, events)| events.leaf(node)).collect(),
        };
        let mut root = Root::default();
        leaves.iter().for_each(|leaf| root.add(leaf));
        self.digest.close_epoch(now, &root);
    }

    fn state_leaf(
        &self,
        plan: &Plan,
        node: NodeId,
        now: Tick,
        memory: &Memory,
        wires: &IdVec<LinkId, Wire>,
        kept: &IdVec<ActorId, Kept>,
    ) -> Leaf {
        let mut leaf = StateLeaf::default();
        for (&address, word) in memory {
            let accesses = self.accesses[node].get(&address);
            let next = accesses.and_then(|accesses| accesses.range((now, Access::Read)..).next());
            if matches!(next, Some((_, Access::Read))) {
                leaf.live_word(address, word.value);
            }
        }
        for &link in plan.machine.outgoing(node) {
            let oldest = now - Ticks(wires[link].len() as i64);
            for (age, frame) in wires[link].iter().enumerate() {
                if let Some(word) = *frame {
                    leaf.frame(link, oldest + Ticks(age as i64), word);
                }
            }
        }
        let at_home: BTreeSet<ActorId> = plan.calendars.nodes[node].compute.iter().map(|entry| entry.actor).collect();
        for actor in at_home {
            if let Kept::Words(state) = &kept[actor]
                && !state.is_empty()
            {
                leaf.actor_state(actor, state);
            }
            if let Some(&count) = self.ended[node].get(&actor) {
                leaf.firings(actor, count);
            }
        }
        if let Some(hash) = self.consumed[node] {
            leaf.consumed(hash);
        }
        leaf.finish(node)
    }

    pub(super) fn digest(&self) -> RunDigest {
        self.digest
    }
}

/// Every access of the run: a firing reads and writes in its last tick, because it needs its inputs until then.
fn accesses(plan: &Plan) -> IdVec<NodeId, Accesses> {
    let mut all = IdVec::filled(Accesses::new(), plan.machine.nodes().len());
    let mut add = |node: NodeId, address: u32, tick: Tick, access: Access| {
        all[node].entry(address).or_default().insert((tick, access));
    };
    for (link, wire) in plan.machine.links().iter() {
        for entry in &plan.calendars.links[link].gather {
            plan.all_frames(entry).for_each(|(tick, address)| add(wire.source, address, tick, Access::Read));
        }
        for entry in &plan.calendars.links[link].scatter {
            plan.all_frames(entry).for_each(|(tick, address)| add(wire.target, address, tick, Access::Write));
        }
    }
    for (node, calendar) in plan.calendars.nodes.iter() {
        for entry in &calendar.compute {
            for (start, k, activation) in plan.all_firings(entry) {
                let last = start + Ticks(entry.exec - 1);
                for (operands, access) in [(&entry.inputs, Access::Read), (&entry.outputs, Access::Write)] {
                    for address in addresses(operands, k, activation) {
                        add(node, address, last, access);
                    }
                }
            }
        }
    }
    all
}
