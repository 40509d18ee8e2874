//! From single words and firings to the flat arrays of a program.

use super::order::reorder;
use super::{
    Activity, ActorPlan, Consumed, ConsumedWords, FiringEvent, NodeMemory, PlannedFiring, Produced, ProducedWords,
    Program, RotatingAddress, Rotor, Rotors, Sent, Spot, Step, Stored, Transport, limits,
};
use crate::app::App;
use crate::ids::{ActorId, IdVec, LinkId, NodeId};
use crate::machine::{Link, Machine};
use std::ops::Range;

/// Gathers the entries of a program, in any order. Meant for lowering, which has checked what it adds.
#[derive(Clone, Debug)]
pub struct ProgramBuilder {
    identity: [u8; 32],
    metacycle: i64,
    unroll: u32,
    channels: usize,
    names: Vec<String>,
    links: IdVec<LinkId, Link>,
    actors: IdVec<ActorId, ActorPlan>,
    /// Words of memory, indexed by node.
    words: IdVec<NodeId, u64>,
    output_words: u64,
    transports: Vec<Transport>,
    firings: Vec<GatheredFiring>,
    consumed: Vec<ConsumedWords>,
    produced: Vec<ProducedWords>,
    initial: Vec<(NodeId, u32, u64)>,
}

#[derive(Clone, Debug)]
struct GatheredFiring {
    plan: PlannedFiring,
    inputs: Range<usize>,
    outputs: Range<usize>,
    /// Words of the outputs, each port counted once.
    output_words: u32,
}

impl GatheredFiring {
    /// Metacycle and slot of the last tick of activation 0.
    fn last(&self, metacycle: i64) -> (u64, i64) {
        later(self.plan.activity.first, self.plan.slot + self.plan.exec - 1, metacycle)
    }
}

/// Brings an offset in ticks from the start of metacycle `first` to (metacycle, slot).
fn later(first: u64, offset: i64, metacycle: i64) -> (u64, i64) {
    (first + (offset / metacycle) as u64, offset % metacycle)
}

impl ProgramBuilder {
    /// An empty program for `app` on `machine`, with metacycles of `metacycle` ticks and `unroll` iterations.
    ///
    /// # Panics
    /// If `metacycle` or `unroll` is not positive.
    #[must_use]
    pub fn new(app: &App, machine: &Machine, identity: [u8; 32], metacycle: i64, unroll: u32) -> Self {
        assert!(metacycle > 0 && unroll > 0, "lowering refuses empty metacycles");
        Self {
            identity,
            metacycle,
            unroll,
            channels: app.channels().len(),
            names: machine.nodes().values().map(|node| node.name.clone()).collect(),
            links: machine.links().clone(),
            actors: IdVec::filled(ActorPlan::default(), app.actors().len()),
            words: IdVec::filled(0, machine.nodes().len()),
            output_words: 0,
            transports: Vec::new(),
            firings: Vec::new(),
            consumed: Vec::new(),
            produced: Vec::new(),
            initial: Vec::new(),
        }
    }

    /// Adds a word that is sent and stored.
    pub fn transport(&mut self, transport: Transport) {
        let link = self.links[transport.link];
        self.touch(link.source, transport.from, 1);
        self.touch(link.target, transport.to, 1);
        self.transports.push(transport);
    }

    /// Adds a firing with the words that it reads, in the order of its inputs, and those that it writes.
    pub fn firing(&mut self, plan: PlannedFiring, inputs: &[ConsumedWords], outputs: &[ProducedWords]) {
        for input in inputs {
            self.touch(plan.node, input.address, input.words);
        }
        for output in outputs {
            self.touch(plan.node, output.address, output.words);
        }
        let output_words = outputs.iter().map(|output| output.position + output.words).max().unwrap_or(0);
        self.output_words += u64::from(output_words);
        let (from, to) = (self.consumed.len(), self.produced.len());
        self.consumed.extend_from_slice(inputs);
        self.produced.extend_from_slice(outputs);
        let (inputs, outputs) = (from..self.consumed.len(), to..self.produced.len());
        self.firings.push(GatheredFiring { plan, inputs, outputs, output_words });
    }

    /// Puts a word into `node`'s memory before tick 0.
    pub fn initial_word(&mut self, node: NodeId, address: u32, word: u64) {
        self.words[node] = self.words[node].max(u64::from(address) + 1);
        self.initial.push((node, address, word));
    }

    /// The largest of: words of all memories, words that all firings of a metacycle produce.
    #[must_use]
    pub fn words(&self) -> u64 {
        self.words.values().sum::<u64>().max(self.output_words)
    }

    fn touch(&mut self, node: NodeId, address: RotatingAddress, words: u32) {
        let end = u64::from(address.base) + u64::from(address.stride) * u64::from(address.count - 1) + u64::from(words);
        self.words[node] = self.words[node].max(end);
    }

    /// Orders everything by slot. O(n log n) in the number of entries.
    ///
    /// # Panics
    /// If [`ProgramBuilder::words`] or the number of entries is beyond [`limits`].
    #[must_use]
    pub fn finish(mut self) -> Program {
        assert!(self.words() <= limits::MEMORY_WORDS, "lowering refuses larger memories");
        let events = (self.transports.len() + self.firings.len()) as u64;
        assert!(events <= limits::EVENTS, "lowering refuses longer programs");
        let metacycle = self.metacycle;
        self.transports.sort_by_key(|t| (t.slot, self.links[t.link].source, t.link));
        self.firings.sort_by_cached_key(|f| (f.last(metacycle).1, f.plan.node, f.plan.core, f.plan.index));
        let arrivals = self.arrivals();
        let mut program = Program {
            identity: self.identity,
            metacycle,
            unroll: self.unroll,
            channels: self.channels,
            nodes: self.memories(),
            classes: self.classes(&arrivals),
            links: self.links,
            actors: self.actors,
            rotors: Rotors::default(),
            steps: Vec::new(),
            firings: Vec::with_capacity(self.firings.len()),
            consumed: Vec::with_capacity(self.consumed.len()),
            produced: Vec::with_capacity(self.produced.len()),
            send_from: Vec::with_capacity(self.transports.len()),
            send_class: Vec::with_capacity(self.transports.len()),
            sends: Vec::with_capacity(self.transports.len()),
            store_to: Vec::with_capacity(self.transports.len()),
            store_class: Vec::with_capacity(self.transports.len()),
            stores: Vec::with_capacity(self.transports.len()),
            initial: Vec::with_capacity(self.initial.len()),
            staged_words: 0,
            input_words: 0,
        };
        for transport in &self.transports {
            program.add_send(transport);
        }
        for arrival in &arrivals {
            program.add_store(&self.transports[arrival.send as usize], arrival);
        }
        for firing in &self.firings {
            program.add_firing(firing, &self.consumed[firing.inputs.clone()], &self.produced[firing.outputs.clone()]);
        }
        for (node, address, word) in self.initial {
            program.initial.push((program.nodes[node].start + address, word));
        }
        program.group_steps();
        program.stage_outputs();
        program.order_actors();
        program
    }

    /// The storing of every transport, by (slot, target node, link). Transports are sorted already.
    fn arrivals(&self) -> Vec<Arrival> {
        let mut arrivals: Vec<Arrival> = (0..).zip(&self.transports).map(|(send, t)| self.arrival(send, t)).collect();
        arrivals.sort_by_key(|a| (a.slot, a.node, self.transports[a.send as usize].link));
        arrivals
    }

    fn arrival(&self, send: u32, transport: &Transport) -> Arrival {
        let link = self.links[transport.link];
        let Activity { first, place } = transport.activity;
        let (first, slot) = later(first, transport.slot + link.latency.0, self.metacycle);
        Arrival { send, node: link.target, slot, activity: Activity { first, place } }
    }

    fn memories(&self) -> IdVec<NodeId, NodeMemory> {
        let mut start = 0;
        let memory = |(name, &words): (&String, &u64)| {
            let words = u32::try_from(words).expect("memories are limited");
            let memory = NodeMemory { name: name.clone(), start, words };
            start += words;
            memory
        };
        self.names.iter().zip(self.words.values()).map(memory).collect()
    }

    fn classes(&self, arrivals: &[Arrival]) -> Vec<Activity> {
        let ends = self.firings.iter().map(|f| Activity { first: f.last(self.metacycle).0, ..f.plan.activity });
        let transports = self.transports.iter().map(|t| t.activity).chain(arrivals.iter().map(|a| a.activity));
        let mut classes: Vec<Activity> = ends.chain(transports).collect();
        classes.sort_unstable();
        classes.dedup();
        classes
    }
}

/// The storing of a transport.
struct Arrival {
    send: u32,
    node: NodeId,
    slot: i64,
    activity: Activity,
}

impl Program {
    fn class(&self, activity: Activity) -> u32 {
        let class = self.classes.binary_search(&activity).expect("classes hold every activity");
        u32::try_from(class).expect("classes are fewer than entries")
    }

    fn spot(&mut self, node: NodeId, address: RotatingAddress, first: u64) -> Spot {
        // An address that never changes is written in many ways, but all such share one rotor.
        let RotatingAddress { base, stride, count, phase } = address;
        let (count, stride) = if count == 1 || stride == 0 { (1, 0) } else { (count, stride) };
        let rotor = self.rotors.intern(Rotor::new(count, phase, first));
        Spot { base: self.nodes[node].start + base, stride, rotor }
    }

    fn add_send(&mut self, transport: &Transport) {
        let source = self.links[transport.link].source;
        let spot = self.spot(source, transport.from, transport.activity.first);
        self.send_from.push(spot);
        self.send_class.push(self.class(transport.activity));
        self.sends.push(Sent { link: transport.link, slot: transport.slot });
    }

    fn add_store(&mut self, transport: &Transport, arrival: &Arrival) {
        let spot = self.spot(arrival.node, transport.to, arrival.activity.first);
        self.store_to.push(spot);
        self.store_class.push(self.class(arrival.activity));
        self.stores.push(Stored { send: arrival.send, node: arrival.node, slot: arrival.slot });
    }

    fn add_firing(&mut self, firing: &GatheredFiring, inputs: &[ConsumedWords], outputs: &[ProducedWords]) {
        let PlannedFiring { node, actor, index, phase, exec, activity, .. } = firing.plan;
        let (first, slot) = firing.last(self.metacycle);
        let end = |len: usize| u32::try_from(len).expect("operands are fewer than words");
        let (from, to) = (end(self.consumed.len()), end(self.produced.len()));
        for input in inputs {
            // A rotation counts activations, and those of the firing's end are those of its start.
            let spot = self.spot(node, input.address, first);
            self.consumed.push(Consumed { spot, words: input.words });
        }
        for output in outputs {
            let spot = self.spot(node, output.address, first);
            self.produced.push(Produced { spot, words: output.words, staged: output.position });
        }
        self.input_words = self.input_words.max(inputs.iter().map(|input| input.words).sum());
        self.actors[actor].firings += 1;
        self.firings.push(FiringEvent {
            first,
            slot,
            exec,
            node,
            actor,
            index,
            phase,
            class: self.class(Activity { first, ..activity }),
            inputs: from..end(self.consumed.len()),
            outputs: to..end(self.produced.len()),
            stage: 0..firing.output_words,
        });
    }

    fn group_steps(&mut self) {
        let slots = self.firings.iter().map(|f| f.slot);
        let slots = slots.chain(self.sends.iter().map(|s| s.slot)).chain(self.stores.iter().map(|s| s.slot));
        let mut slots: Vec<i64> = slots.collect();
        slots.sort_unstable();
        slots.dedup();
        let (mut firings, mut sends, mut stores) = (0, 0, 0);
        for slot in slots {
            let step = Step {
                slot,
                firings: following(&mut firings, &self.firings, |f| f.slot == slot),
                sends: following(&mut sends, &self.sends, |s| s.slot == slot),
                stores: following(&mut stores, &self.stores, |s| s.slot == slot),
            };
            self.steps.push(step);
        }
    }

    /// Gives every firing that ends in one slot its own place for outputs.
    fn stage_outputs(&mut self) {
        for step in &self.steps {
            let mut start = 0;
            for firing in &mut self.firings[step.firings.clone()] {
                firing.stage = start..start + firing.stage.end;
                for output in &mut self.produced[firing.outputs.start as usize..firing.outputs.end as usize] {
                    output.staged += start;
                }
                start = firing.stage.end;
            }
            self.staged_words = self.staged_words.max(start);
        }
    }

    fn order_actors(&mut self) {
        let mut by_actor: Vec<&FiringEvent> = self.firings.iter().collect();
        by_actor.sort_by_key(|firing| firing.actor);
        for group in by_actor.chunk_by(|a, b| a.actor == b.actor) {
            self.actors[group[0].actor].reorder = reorder(group);
        }
    }
}

/// The range of items from `*next` on that belong to a step; `*next` moves behind it.
fn following<T>(next: &mut usize, items: &[T], belongs: impl Fn(&T) -> bool) -> Range<usize> {
    let start = *next;
    *next += items[start..].iter().take_while(|item| belongs(item)).count();
    start..*next
}
