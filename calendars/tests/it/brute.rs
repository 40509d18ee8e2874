//! A token-level simulation of calendars, tick by tick, as the rules of the machine say it: the oracle for the verifier.
//!
//! It shares nothing with the verifier. It runs long enough to fill the pipeline and to turn every rotation a few times.

use crate::cases::{Case, firings_per_iteration};
use calendars::verify::EntryRef;
use calendars::{ComputeEntry, FrameEntry, Operand, Repeat, Rotation};
use sim_core::ids::{ActorId, ChannelId, IdVec, LinkId, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// A word of a token, with the iteration that produced it (−1 for initial tokens).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    channel: ChannelId,
    token: u64,
    word: u32,
    iteration: i64,
}

/// A word in memory.
#[derive(Clone, Copy, Debug)]
struct Stored {
    word: Option<Word>,
    by: Option<EntryRef>,
    read: bool,
}

/// What happens at a tick, in this order.
enum Event<'a> {
    Gather {
        link: LinkId,
        entry: EntryRef,
        address: (NodeId, u32),
        iteration: u64,
    },
    Scatter {
        link: LinkId,
        entry: EntryRef,
        address: (NodeId, u32),
        iteration: u64,
    },
    /// A firing reads at its start and looks again until its last tick.
    Look {
        entry: EntryRef,
        node: NodeId,
        data: &'a ComputeEntry,
        activation: u64,
        first: bool,
    },
    Finish {
        entry: EntryRef,
        node: NodeId,
        data: &'a ComputeEntry,
        activation: u64,
    },
}

/// What a simulation found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The first few things that are wrong.
    pub(crate) errors: Vec<String>,
    /// The first word that every gather entry sends in activation 0: channel, token, word.
    pub(crate) sent: BTreeMap<EntryRef, (ChannelId, u64, u32)>,
    /// Entries that passed words to each other.
    pub(crate) partners: BTreeSet<(EntryRef, EntryRef)>,
}

impl Findings {
    fn error(&mut self, text: impl FnOnce() -> String) {
        if self.errors.len() < 5 {
            self.errors.push(text());
        }
    }
}

/// Simulates until every rotation has turned a few times after the pipeline is full.
pub(crate) fn simulate(case: &Case) -> Findings {
    let mut findings = Findings::default();
    check_runs(case, &mut findings);
    if !findings.errors.is_empty() {
        return findings;
    }
    let (single, entries) = single_firings(case);
    let case = &single;
    check_numbers(case, &mut findings);
    if !findings.errors.is_empty() {
        return findings;
    }
    let mut sim = Sim::new(case, entries);
    sim.place_initial(&mut findings);
    let mut events = BTreeMap::new();
    sim.list_firings(&mut events, &mut findings);
    sim.list_frames(&mut events, &mut findings);
    for (tick, list) in &events {
        sim.step(*tick, list, &mut findings);
    }
    sim.check_end(&mut findings);
    findings
}

/// Runs that are empty, too long to be listed, or outside of their buffers.
fn check_runs(case: &Case, findings: &mut Findings) {
    for e in case.calendars.nodes.values().flat_map(|node| &node.compute) {
        let inside = |o: &Operand| o.circular.is_none_or(|c| c.start < c.size && o.words <= c.size);
        let operands = e.inputs.iter().chain(&e.outputs).all(inside);
        if !(1..1000).contains(&e.repeat.firings) || !operands {
            findings.error(|| format!("bad run {e:?}"));
        }
    }
}

/// The same case with an entry of its own for every firing and an operand for every word; and the entries that they come from.
fn single_firings(case: &Case) -> (Case, IdVec<NodeId, Vec<EntryRef>>) {
    let mut single = case.clone();
    let mut entries: IdVec<NodeId, Vec<EntryRef>> = IdVec::filled(Vec::new(), case.calendars.nodes.len());
    for (node, calendar) in case.calendars.nodes.iter() {
        single.calendars.nodes[node].compute.clear();
        for (e, index) in calendar.compute.iter().zip(0..) {
            for k in 0..e.repeat.firings {
                let words = |operands: &[Operand]| -> Vec<Operand> {
                    operands.iter().flat_map(|o| (0..o.words).map(|i| word_of(o, k, i))).collect()
                };
                let firing = ComputeEntry {
                    slot: e.slot + i64::from(k) * e.repeat.slots,
                    index: e.index + k * e.repeat.indices,
                    repeat: Repeat::ONCE,
                    inputs: words(&e.inputs).into(),
                    outputs: words(&e.outputs).into(),
                    ..e.clone()
                };
                single.calendars.nodes[node].compute.push(firing);
                entries[node].push(EntryRef::Compute(node, index));
            }
        }
    }
    (single, entries)
}

/// Word `i` of firing `k` of an operand.
fn word_of(operand: &Operand, k: u32, i: u32) -> Operand {
    let offset = operand.circular.map_or(i, |c| (c.start + k * c.advance + i) % c.size);
    Operand::new(Rotation { base: operand.address.base + offset, ..operand.address }, 1)
}

/// Numbers that no simulation can use.
fn check_numbers(case: &Case, findings: &mut Findings) {
    let (set, per_iteration) = (&case.calendars, firings_per_iteration(&case.app));
    let metacycle = set.metacycle;
    for (node, calendar) in set.nodes.iter() {
        for e in &calendar.compute {
            let known = case.app.actors().get(e.actor).is_some();
            let firings = if known { per_iteration[e.actor] } else { 1 };
            let phase = u64::from(e.index) % if known { case.app.actors()[e.actor].phases() } else { 1 };
            let fine = known
                && (0..metacycle).contains(&e.slot)
                && e.core < case.machine.nodes()[node].cores
                && u64::from(e.index) < firings * u64::from(set.unroll)
                && u64::from(e.place) == u64::from(e.index) / firings
                && e.exec == case.app.actors()[e.actor].duration(phase as u32)
                && e.inputs.iter().chain(&e.outputs).all(|o| o.words > 0 && o.address.count > 0);
            if !fine {
                findings.error(|| format!("bad numbers {e:?}"));
            }
        }
    }
    for calendar in set.links.values() {
        for e in calendar.gather.iter().chain(&calendar.scatter) {
            let fine = (0..metacycle).contains(&e.slot)
                && e.length > 0
                && e.slot + i64::from(e.length) <= metacycle
                && e.place < set.unroll
                && e.address.count > 0;
            if !fine {
                findings.error(|| format!("bad numbers {e:?}"));
            }
        }
    }
}

struct Sim<'a> {
    case: &'a Case,
    /// By node and firing, the entry that it comes from.
    entries: IdVec<NodeId, Vec<EntryRef>>,
    per_iteration: IdVec<ActorId, u64>,
    iterations: u64,
    memory: BTreeMap<(NodeId, u32), Stored>,
    flying: BTreeMap<(LinkId, i64), (EntryRef, Option<Word>, u64)>,
}

impl<'a> Sim<'a> {
    fn new(case: &'a Case, entries: IdVec<NodeId, Vec<EntryRef>>) -> Self {
        let set = &case.calendars;
        let compute = || set.nodes.values().flat_map(|n| &n.compute);
        let frames = || set.links.values().flat_map(|l| l.gather.iter().chain(&l.scatter));
        let firsts = compute().map(|e| e.first).chain(frames().map(|e| e.first));
        let operands = compute().flat_map(|e| e.inputs.iter().chain(&e.outputs)).map(|o| o.address.count);
        let counts = operands.chain(frames().map(|e| e.address.count));
        let per_iteration = firings_per_iteration(&case.app);
        let delays = case.app.channels().values().map(|c| c.tokens.initial.count);
        let metacycles =
            4 + firsts.max().unwrap_or(0) as u64 + 2 * counts.max().unwrap_or(1) as u64 + delays.max().unwrap_or(0);
        let iterations = metacycles * u64::from(set.unroll);
        Self { case, entries, per_iteration, iterations, memory: BTreeMap::new(), flying: BTreeMap::new() }
    }

    fn iteration(&self, activation: u64, place: u32) -> u64 {
        activation * u64::from(self.case.calendars.unroll) + u64::from(place)
    }

    fn firing(&self, data: &ComputeEntry, activation: u64) -> u64 {
        activation * u64::from(self.case.calendars.unroll) * self.per_iteration[data.actor] + u64::from(data.index)
    }

    /// Tokens moved by a firing of an actor with these rates.
    fn tokens(rates: &[u32], firing: u64) -> std::ops::Range<u64> {
        let phases = rates.len() as u64;
        let all: u64 = rates.iter().map(|&r| u64::from(r)).sum();
        let before: u64 = rates[..(firing % phases) as usize].iter().map(|&r| u64::from(r)).sum();
        let start = firing / phases * all + before;
        start..start + u64::from(rates[(firing % phases) as usize])
    }

    /// Words that a firing consumes.
    fn consumed(&self, data: &ComputeEntry, activation: u64) -> Vec<(ChannelId, u64, u32)> {
        let firing = self.firing(data, activation);
        let channels = self.case.app.inputs(data.actor).iter().map(|&id| (id, &self.case.app.channels()[id]));
        channels
            .flat_map(|(id, c)| {
                Self::tokens(&c.tokens.consume, firing).flat_map(move |n| (0..c.token_words()).map(move |w| (id, n, w)))
            })
            .collect()
    }

    /// Words that a firing produces.
    fn produced(&self, data: &ComputeEntry, activation: u64) -> Vec<Word> {
        let firing = self.firing(data, activation);
        let iteration = self.iteration(activation, data.place) as i64;
        let channels = self.case.app.outputs(data.actor).iter().map(|&id| (id, &self.case.app.channels()[id]));
        channels
            .flat_map(|(id, c)| {
                Self::tokens(&c.tokens.produce, firing).flat_map(move |n| {
                    let token = n + c.tokens.initial.count;
                    (0..c.token_words()).map(move |word| Word { channel: id, token, word, iteration })
                })
            })
            .collect()
    }

    fn addresses(operands: &[Operand], activation: u64) -> Vec<u32> {
        operands.iter().flat_map(|o| (0..o.words).map(move |k| o.address.address(activation) + k)).collect()
    }

    fn activations(&self, place: u32) -> impl Iterator<Item = u64> + use<> {
        let (unroll, iterations) = (u64::from(self.case.calendars.unroll), self.iterations);
        (0..).take_while(move |a| a * unroll + u64::from(place) < iterations)
    }

    fn place_initial(&mut self, findings: &mut Findings) {
        for (node, calendar) in self.case.calendars.nodes.iter() {
            for data in &calendar.compute {
                for activation in self.activations(data.place) {
                    let words = self.consumed(data, activation);
                    for ((channel, token, word), address) in
                        words.into_iter().zip(Self::addresses(&data.inputs, activation))
                    {
                        if token < self.case.app.channels()[channel].tokens.initial.count {
                            let word = Some(Word { channel, token, word, iteration: -1 });
                            let old = self.memory.insert((node, address), Stored { word, by: None, read: false });
                            if old.is_some() {
                                findings.error(|| format!("initial tokens clash at {node} {address}"));
                            }
                        }
                    }
                }
            }
        }
    }

    fn list_firings(&self, events: &mut BTreeMap<i64, Vec<Event<'a>>>, findings: &mut Findings) {
        let metacycle = self.case.calendars.metacycle;
        let mut fired: BTreeMap<(ActorId, u64), (i64, i64, NodeId)> = BTreeMap::new();
        let mut busy = BTreeSet::new();
        for (node, calendar) in self.case.calendars.nodes.iter() {
            for (index, data) in calendar.compute.iter().enumerate() {
                let entry = self.entries[node][index];
                for activation in self.activations(data.place) {
                    let start = (i64::from(data.first) + activation as i64) * metacycle + data.slot;
                    let end = start + data.exec;
                    let (ins, outs) = (self.consumed(data, activation).len(), self.produced(data, activation).len());
                    let count = |operands: &[Operand]| operands.iter().map(|o| o.words as usize).sum::<usize>();
                    if (ins, outs) != (count(&data.inputs), count(&data.outputs)) {
                        findings.error(|| format!("{entry}: operands do not fit"));
                    }
                    if fired.insert((data.actor, self.firing(data, activation)), (start, end, node)).is_some() {
                        findings.error(|| format!("{entry}: fired twice"));
                    }
                    for tick in start..end {
                        if !busy.insert((node, data.core, tick)) {
                            findings.error(|| format!("{entry}: core busy at {tick}"));
                        }
                        let first = tick == start;
                        events.entry(tick).or_default().push(Event::Look { entry, node, data, activation, first });
                    }
                    events.entry(end - 1).or_default().push(Event::Finish { entry, node, data, activation });
                }
            }
        }
        for (actor, data) in self.case.app.actors().iter() {
            for n in 0..self.iterations * self.per_iteration[actor] {
                let Some(&(_, end, node)) = fired.get(&(actor, n)) else {
                    findings.error(|| format!("{actor}: firing {n} is missing"));
                    continue;
                };
                if let Some(&(start, _, next)) = fired.get(&(actor, n + 1))
                    && data.has_state()
                    && (start < end || next != node)
                {
                    findings.error(|| format!("{actor}: state of firing {n}"));
                }
            }
        }
    }

    fn list_frames(&self, events: &mut BTreeMap<i64, Vec<Event<'a>>>, findings: &mut Findings) {
        for (link, calendar) in self.case.calendars.links.iter() {
            let ends = self.case.machine.links()[link];
            for (sends, list) in [(true, &calendar.gather), (false, &calendar.scatter)] {
                let mut busy = BTreeSet::new();
                for (index, data) in list.iter().enumerate() {
                    for (tick, address, iteration) in self.frames(data) {
                        if !busy.insert(tick) {
                            findings.error(|| format!("{link}: busy at {tick}"));
                        }
                        let index = index as u32;
                        let event = if sends {
                            let (entry, address) = (EntryRef::Gather(link, index), (ends.source, address));
                            Event::Gather { link, entry, address, iteration }
                        } else {
                            let (entry, address) = (EntryRef::Scatter(link, index), (ends.target, address));
                            Event::Scatter { link, entry, address, iteration }
                        };
                        events.entry(tick).or_default().push(event);
                    }
                }
            }
        }
    }

    fn frames(&self, data: &FrameEntry) -> Vec<(i64, u32, u64)> {
        let start = |a: u64| (i64::from(data.first) + a as i64) * self.case.calendars.metacycle + data.slot;
        let of = |a: u64| {
            (0..data.length)
                .map(move |k| (start(a) + i64::from(k), data.address.address(a) + k, self.iteration(a, data.place)))
        };
        self.activations(data.place).flat_map(of).collect()
    }

    fn step(&mut self, tick: i64, events: &[Event<'_>], findings: &mut Findings) {
        for event in events {
            if let Event::Gather { link, entry, address, iteration } = event {
                let word = self.read(*address, *entry, findings);
                if word.is_none_or(|word| word.iteration != *iteration as i64) {
                    findings.error(|| format!("{entry}: sends {word:?} in iteration {iteration}"));
                }
                if let Some(word) = word {
                    findings.sent.entry(*entry).or_insert((word.channel, word.token, word.word));
                }
                let arrival = tick + self.case.machine.links()[*link].latency.0;
                self.flying.insert((*link, arrival), (*entry, word, *iteration));
            }
        }
        let mut writes: Vec<((NodeId, u32), Option<Word>, EntryRef)> = Vec::new();
        for event in events {
            match event {
                Event::Gather { .. } => {}
                Event::Scatter { link, entry, address, iteration } => {
                    let Some((sender, word, sent)) = self.flying.remove(&(*link, tick)) else {
                        findings.error(|| format!("{entry}: missing frame at {tick}"));
                        continue;
                    };
                    if sent != *iteration {
                        findings.error(|| format!("{entry}: frame of iteration {sent}, not {iteration}"));
                    }
                    findings.partners.insert((sender, *entry));
                    writes.push((*address, word, *entry));
                }
                Event::Look { entry, node, data, activation, first } => {
                    self.look(*entry, *node, data, *activation, *first, findings);
                }
                Event::Finish { entry, node, data, activation } => {
                    let addresses = Self::addresses(&data.outputs, *activation);
                    let words = self.produced(data, *activation).into_iter().map(Some);
                    writes.extend(addresses.into_iter().zip(words).map(|(a, word)| ((*node, a), word, *entry)));
                }
            }
        }
        if self.flying.keys().any(|&(_, arrival)| arrival <= tick) {
            findings.error(|| format!("a frame is dropped at {tick}"));
            self.flying.retain(|&(_, arrival), _| arrival > tick);
        }
        let mut written = BTreeSet::new();
        for (address, word, by) in writes {
            if !written.insert(address) {
                findings.error(|| format!("{by}: second write to {address:?} at {tick}"));
            }
            if let Some(old) = self.memory.insert(address, Stored { word, by: Some(by), read: false }) {
                self.check_read(old, findings);
            }
        }
    }

    fn read(&mut self, address: (NodeId, u32), reader: EntryRef, findings: &mut Findings) -> Option<Word> {
        let stored = self.memory.get_mut(&address)?;
        stored.read = true;
        if let Some(by) = stored.by {
            findings.partners.insert((by, reader));
        }
        stored.word
    }

    fn look(
        &mut self,
        entry: EntryRef,
        node: NodeId,
        data: &ComputeEntry,
        activation: u64,
        first: bool,
        findings: &mut Findings,
    ) {
        let needed = self.consumed(data, activation);
        for ((channel, token, word), address) in needed.into_iter().zip(Self::addresses(&data.inputs, activation)) {
            let found = if first {
                self.read((node, address), entry, findings)
            } else {
                self.memory.get(&(node, address)).and_then(|stored| stored.word)
            };
            if found.is_none_or(|found| (found.channel, found.token, found.word) != (channel, token, word)) {
                findings.error(|| format!("{entry}: needs {channel} {token} {word}, finds {found:?}"));
            }
        }
    }

    /// A word must be read if its consumer is executed in this run.
    fn check_read(&self, stored: Stored, findings: &mut Findings) {
        let Stored { word: Some(word), by, read: false } = stored else { return };
        let c = &self.case.app.channels()[word.channel];
        let firings = self.iterations * self.per_iteration[c.target];
        let consumed = Self::tokens(&c.tokens.consume, firings).start;
        if word.token < consumed {
            findings.error(|| format!("{by:?}: {word:?} is never read"));
        }
    }

    fn check_end(&self, findings: &mut Findings) {
        for &stored in self.memory.values() {
            self.check_read(stored, findings);
        }
        if !self.flying.is_empty() {
            findings.error(|| "frames fly at the end".into());
        }
    }
}
