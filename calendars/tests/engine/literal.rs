//! The machine tick by tick, straight from its description: slow, and with nothing prepared.

use calendars::{CalendarSet, ComputeEntry, Rotation};
use sim_core::digest::{
    ChannelDigest, ConsumedHash, DigestLevel, EventHash, EventSource, Leaf, Root, RunDigest, StateLeaf, epoch_ticks,
};
use sim_core::ids::{ActorId, ChannelId, IdVec, LinkId, NodeId};
use sim_core::{ActorState, App, ChannelOutcome, Firing, Machine, Outcome, RunOptions, State, Tick};
use std::collections::BTreeMap;

struct Literal<'a> {
    app: &'a App,
    machine: &'a Machine,
    set: &'a CalendarSet,
    iterations: u64,
    memory: IdVec<NodeId, BTreeMap<u32, u64>>,
    /// By (link, send tick).
    flight: BTreeMap<(LinkId, i64), u64>,
    states: IdVec<ActorId, Vec<u64>>,
    streams: BTreeMap<(ChannelId, u64), Vec<u64>>,
    consumed: IdVec<NodeId, Option<ConsumedHash>>,
    events: IdVec<NodeId, EventHash>,
}

/// Executes everything up to the end of the last firing.
pub(crate) fn run(app: &App, machine: &Machine, set: &CalendarSet, options: &RunOptions) -> Outcome {
    let nodes = machine.nodes().len();
    let state = |actor: &sim_core::Actor| match &actor.state {
        ActorState::Plain(words) => words.clone(),
        _ => Vec::new(),
    };
    let mut literal = Literal {
        app,
        machine,
        set,
        iterations: options.iterations,
        memory: IdVec::filled(BTreeMap::new(), nodes),
        flight: BTreeMap::new(),
        states: app.actors().values().map(state).collect(),
        streams: BTreeMap::new(),
        consumed: IdVec::filled(None, nodes),
        events: IdVec::filled(EventHash::default(), nodes),
    };
    literal.place_initial();
    let entries = || set.nodes.values().flat_map(|node| &node.compute);
    let end = entries().flat_map(|e| literal.times(e.first, e.place, e.slot + e.exec)).max().unwrap_or(0);
    let mut digest = RunDigest::new(options.digest, &set.identity(machine));
    for tick in 0..end {
        literal.tick(tick);
        let row = tick + 1;
        if options.digest != DigestLevel::Off && (row == end || row % epoch_ticks(set.metacycle) == 0) {
            let leaves: Vec<_> = machine.nodes().ids().map(|node| literal.leaf(options.digest, node, row)).collect();
            let mut root = Root::default();
            leaves.iter().for_each(|leaf| root.add(leaf));
            digest.close_epoch(Tick(row), &root);
        }
    }
    literal.outcome(options, Tick(end), digest)
}

impl Literal<'_> {
    /// All ticks `offset` after the starts of the metacycles in which an entry acts.
    fn times(&self, first: u32, place: u32, offset: i64) -> impl Iterator<Item = i64> + use<> {
        let (metacycle, unroll, iterations) = (self.set.metacycle, u64::from(self.set.unroll), self.iterations);
        (0..)
            .take_while(move |a| a * unroll + u64::from(place) < iterations)
            .map(move |a| (i64::from(first) + a as i64) * metacycle + offset)
    }

    /// The activation of an entry whose event number `offset` after the metacycle's start falls on `tick`.
    fn activation(&self, first: u32, place: u32, offset: i64, tick: i64) -> Option<u64> {
        self.times(first, place, offset).position(|time| time == tick).map(|a| a as u64)
    }

    fn firings_per_metacycle(&self, actor: ActorId) -> u64 {
        let entries = self.set.nodes.values().flat_map(|node| &node.compute);
        entries.filter(|e| e.actor == actor).count() as u64
    }

    fn place_initial(&mut self) {
        for (id, channel) in self.app.channels().iter() {
            let per_metacycle = self.firings_per_metacycle(channel.target);
            for token in 0..channel.tokens.initial.count {
                let mut words = vec![0; channel.token_words() as usize];
                channel.write_initial(token, &mut words);
                for (node, calendar) in self.set.nodes.iter() {
                    let index = (token % per_metacycle) as u32;
                    for e in calendar.compute.iter().filter(|e| e.actor == channel.target && e.index == index) {
                        let inputs = self.app.inputs(channel.target);
                        let before = inputs.iter().take_while(|&&c| c != id);
                        let skip: u32 = before.map(|&c| self.app.channels()[c].token_words()).sum();
                        let all: Vec<u32> = addresses(&e.inputs, token / per_metacycle).collect();
                        for (j, &word) in words.iter().enumerate() {
                            self.memory[node].insert(all[skip as usize + j], word);
                        }
                    }
                }
            }
        }
    }

    fn read(&self, node: NodeId, address: u32) -> u64 {
        self.memory[node].get(&address).copied().unwrap_or(0)
    }

    fn tick(&mut self, tick: i64) {
        let mut writes: Vec<(NodeId, u32, u64)> = Vec::new();
        for (node, calendar) in self.set.nodes.iter() {
            let mut ending: Vec<(&ComputeEntry, u64)> = calendar
                .compute
                .iter()
                .filter_map(|e| Some((e, self.activation(e.first, e.place, e.slot + e.exec - 1, tick)?)))
                .collect();
            ending.sort_by_key(|(e, _)| e.core);
            for (e, activation) in ending {
                self.fire(node, e, activation, tick, &mut writes);
            }
        }
        for (link, calendar) in self.set.links.iter() {
            let ends = self.machine.links()[link];
            for e in &calendar.gather {
                for k in 0..e.length {
                    if let Some(a) = self.activation(e.first, e.place, e.slot + i64::from(k), tick) {
                        let word = self.read(ends.source, e.address.address(a) + k);
                        self.flight.insert((link, tick), word);
                        self.events[ends.source].frame(Tick(tick), EventSource::link(link), word);
                    }
                }
            }
        }
        for (link, calendar) in self.set.links.iter() {
            let ends = self.machine.links()[link];
            for e in &calendar.scatter {
                for k in 0..e.length {
                    if let Some(a) = self.activation(e.first, e.place, e.slot + i64::from(k), tick) {
                        let word = self.flight.remove(&(link, tick - ends.latency.0)).expect("a frame arrives");
                        writes.push((ends.target, e.address.address(a) + k, word));
                    }
                }
            }
        }
        for (node, address, word) in writes {
            self.memory[node].insert(address, word);
        }
    }

    fn fire(
        &mut self,
        node: NodeId,
        e: &ComputeEntry,
        activation: u64,
        tick: i64,
        writes: &mut Vec<(NodeId, u32, u64)>,
    ) {
        let index = activation * self.firings_per_metacycle(e.actor) + u64::from(e.index);
        let inputs: Vec<u64> = addresses(&e.inputs, activation).map(|address| self.read(node, address)).collect();
        let mut outputs = vec![0; self.app.output_words(e.actor, 0)];
        let state = State::Words(&mut self.states[e.actor]);
        self.app.actors()[e.actor].behaviour.fire(Firing { index, phase: 0 }, state, &inputs, &mut outputs);
        let mut targets = addresses(&e.outputs, activation);
        let (mut end, mut port) = (0, None);
        for &c in self.app.outputs(e.actor) {
            let channel = &self.app.channels()[c];
            let words = channel.token_words() as usize;
            end += if port.replace(channel.source_port) == Some(channel.source_port) { 0 } else { words };
            let token = outputs[end - words..end].to_vec();
            writes.extend(token.iter().map(|&word| (node, targets.next().unwrap(), word)));
            self.streams.insert((c, index), token);
        }
        self.events[node].firing(Tick(tick), EventSource::actor(e.actor), index, &inputs, &outputs);
        if self.app.outputs(e.actor).is_empty() {
            self.consumed[node].get_or_insert_default().update(e.actor, index, &inputs);
        }
    }

    /// Every event on `node`'s memory at or after `row`: (address, tick, whether it is a write).
    fn coming(&self, node: NodeId, row: i64) -> Vec<(u32, i64, bool)> {
        let mut coming = Vec::new();
        let mut add = |first, place, offset, address: Rotation, words: u32, write| {
            for (a, tick) in (0..).zip(self.times(first, place, offset)).filter(|&(_, tick)| tick >= row) {
                coming.extend((0..words).map(|k| (address.address(a) + k, tick, write)));
            }
        };
        for e in &self.set.nodes[node].compute {
            for (operands, write) in [(&e.inputs, false), (&e.outputs, true)] {
                for operand in operands {
                    add(e.first, e.place, e.slot + e.exec - 1, operand.address, operand.words, write);
                }
            }
        }
        for (link, calendar) in self.set.links.iter() {
            let ends = self.machine.links()[link];
            for (entries, end, write) in
                [(&calendar.gather, ends.source, false), (&calendar.scatter, ends.target, true)]
            {
                for e in entries.iter().filter(|_| end == node) {
                    for k in 0..e.length {
                        let word = Rotation { base: e.address.base + k, ..e.address };
                        add(e.first, e.place, e.slot + i64::from(k), word, 1, write);
                    }
                }
            }
        }
        coming.sort_unstable();
        coming
    }

    fn leaf(&self, level: DigestLevel, node: NodeId, row: i64) -> Leaf {
        if level == DigestLevel::Events {
            return self.events[node].leaf(node);
        }
        let mut leaf = StateLeaf::default();
        for events in self.coming(node, row).chunk_by(|a, b| a.0 == b.0) {
            let (address, _, write) = events[0];
            if !write {
                leaf.live_word(address, self.read(node, address));
            }
        }
        for (&(link, sent), &word) in &self.flight {
            if self.machine.links()[link].source == node {
                leaf.frame(link, Tick(sent), word);
            }
        }
        let entries = &self.set.nodes[node].compute;
        for actor in self.app.actors().ids().filter(|&actor| entries.iter().any(|e| e.actor == actor)) {
            if !self.states[actor].is_empty() {
                leaf.actor_state(actor, &self.states[actor]);
            }
            let ends = entries.iter().filter(|e| e.actor == actor);
            let ends = ends.flat_map(|e| self.times(e.first, e.place, e.slot + e.exec));
            match ends.filter(|&end| end <= row).count() {
                0 => {}
                count => leaf.firings(actor, count as u64),
            }
        }
        if let Some(hash) = self.consumed[node] {
            leaf.consumed(hash);
        }
        leaf.finish(node)
    }

    fn outcome(&self, options: &RunOptions, ticks: Tick, digest: RunDigest) -> Outcome {
        let mut outcome = Outcome {
            iterations: options.iterations,
            ticks: Some(ticks),
            channels: BTreeMap::new(),
            recorded: BTreeMap::new(),
            digest: Some(digest),
        };
        for (id, channel) in self.app.channels().iter() {
            let tokens: Vec<&Vec<u64>> = self.streams.range((id, 0)..=(id, u64::MAX)).map(|(_, words)| words).collect();
            let words: Vec<u64> = tokens.iter().copied().flatten().copied().collect();
            let mut digest = ChannelDigest::new(&channel.name);
            digest.update(&words);
            if options.channels.contains(&id) {
                outcome.channels.insert(id, ChannelOutcome { tokens: tokens.len() as u64, digest });
            }
            if options.record.contains(&id) {
                outcome.recorded.insert(id, words);
            }
        }
        outcome
    }
}

fn addresses(operands: &[calendars::Operand], activation: u64) -> impl Iterator<Item = u32> + '_ {
    operands.iter().flat_map(move |operand| {
        let start = operand.address.address(activation);
        start..start + operand.words
    })
}
