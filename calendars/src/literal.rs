//! The literal machine: calendars read tick by tick, as the definition of the machine says, with no lowering.
//!
//! Memories are tables of words, a link is a FIFO of λ frames, every calendar is searched in every tick. It is slow, it
//! keeps all that a run produced, and it shares no code with the verifier, the lowering or the engines: it is there to
//! contradict them on small systems. It also refuses whatever the definition of the machine does not allow.

mod error;
mod observe;
mod plan;

pub use error::{LiteralError, Place};

use crate::format::{CalendarSet, ComputeEntry};
use observe::{Ended, Observer};
use plan::{Plan, addresses};
use sim_core::app::{ActorState, App, Firing, State};
use sim_core::digest::ChannelDigest;
use sim_core::ids::{ActorId, ChannelId, IdVec, LinkId, NodeId};
use sim_core::machine::{Link, Machine};
use sim_core::run::{ChannelOutcome, Outcome, RunOptions};
use sim_core::time::{Tick, Ticks};
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Executes `options.iterations` iterations of `app` by `calendars` on `machine`. O(ticks · entries).
///
/// # Errors
/// [`LiteralError`], the first that happens.
///
/// # Panics
/// If an actor with opaque state does not make one, or the machine is not in normal form.
pub fn run(
    app: &App,
    machine: &Machine,
    calendars: &CalendarSet,
    options: &RunOptions,
) -> Result<Outcome, LiteralError> {
    for &channel in options.channels.iter().chain(&options.record) {
        if app.channels().get(channel).is_none() {
            return Err(LiteralError::NoSuchChannel { channel, channels: app.channels().len() });
        }
    }
    let plan = Plan::new(app, machine, calendars, options.iterations)?;
    let end = plan.end();
    let mut literal = Literal::new(plan, options);
    literal.write_initial_tokens()?;
    let mut tick = Tick(0);
    while tick < end {
        literal.tick(tick)?;
        tick += Ticks(1);
        let Literal { observer, plan, memories, wires, kept, .. } = &mut literal;
        observer.tick_done(plan, tick, end, memories, wires, kept);
    }
    literal.outcome(options, end)
}

/// A word of memory.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Word {
    value: u64,
    /// The tick from which it is visible.
    since: Tick,
}

/// A node's memory: the words that were written so far, by address.
type Memory = BTreeMap<u32, Word>;

/// What a link carries between two ticks: the frames of the last λ ticks, the oldest first; `None` is an idle frame.
type Wire = VecDeque<Option<u64>>;

/// What an actor keeps from one firing to the next.
enum Kept {
    Words(Vec<u64>),
    Opaque(Box<dyn Any + Send>),
}

/// A store that becomes visible in the next tick.
struct Write {
    node: NodeId,
    address: u32,
    value: u64,
}

/// A firing that holds a core.
struct Running<'a> {
    node: NodeId,
    entry: &'a ComputeEntry,
    /// Its number in the entry.
    k: u32,
    activation: u64,
    firing: Firing,
    start: Tick,
    /// The input words as they were at its start.
    inputs: Vec<Word>,
}

impl Running<'_> {
    fn last(&self) -> Tick {
        self.start + Ticks(self.entry.exec - 1)
    }
}

/// The state of the machine, and what it did so far.
struct Literal<'a> {
    plan: Plan<'a>,
    memories: IdVec<NodeId, Memory>,
    wires: IdVec<LinkId, Wire>,
    running: Vec<Running<'a>>,
    kept: IdVec<ActorId, Kept>,
    /// What every firing produced, words per output port: firings may end out of order.
    produced: BTreeMap<(ActorId, u64), Vec<u64>>,
    observer: Observer,
}

impl<'a> Literal<'a> {
    fn new(plan: Plan<'a>, options: &RunOptions) -> Self {
        let idle = |link: &Link| {
            let latency = usize::try_from(link.latency.0).expect("latencies in normal form are not negative");
            VecDeque::from(vec![None; latency])
        };
        let kept = plan.app.actors().values().map(|actor| match &actor.state {
            ActorState::None => Kept::Words(Vec::new()),
            ActorState::Plain(initial) => Kept::Words(initial.clone()),
            ActorState::Opaque => {
                Kept::Opaque(actor.behaviour.opaque_state().expect("an actor with opaque state makes one"))
            }
        });
        Self {
            memories: IdVec::filled(Memory::new(), plan.machine.nodes().len()),
            wires: plan.machine.links().values().map(idle).collect(),
            running: Vec::new(),
            kept: kept.collect(),
            produced: BTreeMap::new(),
            observer: Observer::new(&plan, options.digest),
            plan,
        }
    }

    /// Puts every initial token where the firing that consumes it reads it, visible at tick 0.
    fn write_initial_tokens(&mut self) -> Result<(), LiteralError> {
        for (id, channel) in self.plan.app.channels().iter() {
            for token in 0..channel.tokens.initial.count {
                let (activation, index, position) = self.plan.consumer(channel, token);
                let no_consumer = LiteralError::NoConsumer { channel: id, actor: channel.target, index };
                let (node, entry, k) = self.plan.entry(channel.target, index).ok_or(no_consumer)?;
                let mut words = vec![0; channel.token_words() as usize];
                channel.write_initial(token, &mut words);
                let inputs = addresses(&entry.inputs, k, activation);
                for (&address, value) in inputs[position..].iter().zip(words) {
                    let word = Word { value, since: Tick(0) };
                    if self.memories[node].insert(address, word).is_some() {
                        return Err(LiteralError::InitialOverlap { node, address, channel: id, token });
                    }
                }
            }
        }
        Ok(())
    }

    /// One tick: every unit acts on the state that the tick before left, then everything is written at once.
    fn tick(&mut self, tick: Tick) -> Result<(), LiteralError> {
        let sent = self.gather(tick)?;
        let mut writes = self.scatter(tick, &sent)?;
        writes.extend(self.compute(tick)?);
        self.observer.frames_sent(&self.plan, &sent, tick);
        self.write(tick, writes)
    }

    /// The frame that every link is given.
    fn gather(&self, tick: Tick) -> Result<IdVec<LinkId, Option<u64>>, LiteralError> {
        let mut sent = IdVec::filled(None, self.wires.len());
        for (link, wire) in self.plan.machine.links().iter() {
            for entry in &self.plan.calendars.links[link].gather {
                if let Some(address) = self.plan.frame_due(entry, tick) {
                    let word = self.read(wire.source, address, tick)?;
                    if sent[link].replace(word.value).is_some() {
                        return Err(LiteralError::DoubleSend { link, tick });
                    }
                }
            }
        }
        Ok(sent)
    }

    /// The stores of the frames that arrive, which were sent λ ticks ago (with λ = 0, in this very tick).
    fn scatter(&mut self, tick: Tick, sent: &IdVec<LinkId, Option<u64>>) -> Result<Vec<Write>, LiteralError> {
        let mut writes = Vec::new();
        for (link, wire) in self.plan.machine.links().iter() {
            self.wires[link].push_back(sent[link]);
            let arrived = self.wires[link].pop_front().expect("a frame was just pushed");
            let mut stored_at = None;
            for entry in &self.plan.calendars.links[link].scatter {
                if let Some(address) = self.plan.frame_due(entry, tick)
                    && stored_at.replace(address).is_some()
                {
                    return Err(LiteralError::DoubleStore { link, tick });
                }
            }
            match (arrived, stored_at) {
                (Some(value), Some(address)) => writes.push(Write { node: wire.target, address, value }),
                (None, Some(_)) => return Err(LiteralError::MissingFrame { link, tick }),
                (Some(_), None) => return Err(LiteralError::DroppedFrame { link, tick }),
                (None, None) => {}
            }
        }
        Ok(writes)
    }

    /// Starts the firings that start, and yields what those in their last tick produce.
    fn compute(&mut self, tick: Tick) -> Result<Vec<Write>, LiteralError> {
        let calendars = self.plan.calendars;
        for (node, calendar) in calendars.nodes.iter() {
            for entry in &calendar.compute {
                for due in self.plan.firings_due(entry, tick) {
                    self.start(node, entry, due, tick)?;
                }
            }
        }
        let ends = |running: &mut Running| running.last() == tick;
        let mut ending: Vec<Running> = self.running.extract_if(.., ends).collect();
        ending.sort_by_key(|running| (running.node, running.entry.core));
        let mut writes = Vec::new();
        for running in ending {
            writes.extend(self.end(&running)?);
        }
        Ok(writes)
    }

    fn start(
        &mut self,
        node: NodeId,
        entry: &'a ComputeEntry,
        (k, activation): (u32, u64),
        tick: Tick,
    ) -> Result<(), LiteralError> {
        let (actor, core) = (entry.actor, entry.core);
        let firing = self.plan.firing(entry, k, activation);
        if self.running.iter().any(|other| (other.node, other.entry.core) == (node, core)) {
            return Err(LiteralError::CoreBusy { node, core, actor, firing: firing.index, tick });
        }
        // A state is where the firings before this one left it, so all of them must have ended, and here.
        let ended = self.observer.ended(node, actor);
        if self.plan.app.actors()[actor].has_state() && ended != firing.index {
            return Err(LiteralError::StateElsewhere { actor, firing: firing.index, node, tick, ended });
        }
        let addresses = addresses(&entry.inputs, k, activation).into_iter();
        let inputs = addresses.map(|address| self.read(node, address, tick)).collect::<Result<_, _>>()?;
        self.running.push(Running { node, entry, k, activation, firing, start: tick, inputs });
        Ok(())
    }

    /// Takes the effect of a firing in its last tick.
    fn end(&mut self, running: &Running) -> Result<Vec<Write>, LiteralError> {
        let &Running { node, entry, k, activation, firing: Firing { index, phase }, .. } = running;
        let (actor, last) = (entry.actor, running.last());
        for (address, word) in addresses(&entry.inputs, k, activation).into_iter().zip(&running.inputs) {
            if self.read(node, address, last)? != *word {
                return Err(LiteralError::InputOverwritten { actor, firing: index, node, address, tick: last });
            }
        }
        let inputs: Vec<u64> = running.inputs.iter().map(|word| word.value).collect();
        let outputs = self.fire(running, &inputs)?;
        self.observer.firing_ends(&self.plan, &Ended { node, actor, index, last, inputs: &inputs, outputs: &outputs });
        let channels = self.plan.app.outputs(actor).iter();
        let values = channels.flat_map(|&channel| channel_words(self.plan.app, channel, phase, &outputs));
        let addresses = addresses(&entry.outputs, k, activation).into_iter();
        let writes = addresses.zip(values).map(|(address, &value)| Write { node, address, value }).collect();
        if self.produced.insert((actor, index), outputs).is_some() {
            return Err(LiteralError::FiredTwice { actor, firing: index, node, tick: last });
        }
        Ok(writes)
    }

    /// Calls the user's code; yields the produced words per output port.
    fn fire(&mut self, running: &Running, inputs: &[u64]) -> Result<Vec<u64>, LiteralError> {
        let &Running { node, entry, firing, start, .. } = running;
        let actor = entry.actor;
        let mut outputs = vec![0; self.plan.app.output_words(actor, firing.phase)];
        let state = match &mut self.kept[actor] {
            Kept::Words(words) => State::Words(words),
            Kept::Opaque(value) => State::Opaque(&mut **value),
        };
        let behaviour = &self.plan.app.actors()[actor].behaviour;
        let fired = catch_unwind(AssertUnwindSafe(|| behaviour.fire(firing, state, inputs, &mut outputs)));
        fired.map_err(|panic| {
            let message = panic_message(&*panic);
            LiteralError::Panicked { actor, firing: firing.index, node, tick: start, message }
        })?;
        Ok(outputs)
    }

    fn read(&self, node: NodeId, address: u32, tick: Tick) -> Result<Word, LiteralError> {
        let word = self.memories[node].get(&address).copied();
        word.ok_or(LiteralError::UnwrittenRead { node, address, tick })
    }

    /// Makes all writes of `tick` visible from the next tick on.
    fn write(&mut self, tick: Tick, writes: Vec<Write>) -> Result<(), LiteralError> {
        let since = tick + Ticks(1);
        for Write { node, address, value } in writes {
            let old = self.memories[node].insert(address, Word { value, since });
            if old.is_some_and(|old| old.since == since) {
                return Err(LiteralError::DoubleWrite { node, address, tick });
            }
        }
        Ok(())
    }

    fn outcome(self, options: &RunOptions, end: Tick) -> Result<Outcome, LiteralError> {
        let app = self.plan.app;
        for actor in app.actors().ids() {
            let all = 0..self.plan.firings(actor);
            if let Some(firing) = all.into_iter().find(|&index| !self.produced.contains_key(&(actor, index))) {
                return Err(LiteralError::NeverFired { actor, firing });
            }
        }
        let digest = |channel: ChannelId| {
            let mut digest = ChannelDigest::new(&app.channels()[channel].name);
            let words = self.stream(channel);
            digest.update(&words);
            ChannelOutcome { tokens: words.len() as u64 / u64::from(app.channels()[channel].token_words()), digest }
        };
        let channels = options.channels.iter().map(|&id| (id, digest(id))).collect();
        Ok(Outcome {
            iterations: options.iterations,
            ticks: Some(end),
            channels,
            recorded: options.record.iter().map(|&id| (id, self.stream(id))).collect(),
            digest: Some(self.observer.digest()),
        })
    }

    /// All words produced on `channel`, in token order.
    fn stream(&self, channel: ChannelId) -> Vec<u64> {
        let app = self.plan.app;
        let source = app.channels()[channel].source;
        let phases = app.actors()[source].phases();
        let firings = (0..self.plan.firings(source)).map(|index| (index, &self.produced[&(source, index)]));
        let words = firings.flat_map(|(index, outputs)| {
            channel_words(app, channel, u32::try_from(index % phases).expect("phases are limited"), outputs)
        });
        words.copied().collect()
    }
}

/// The words that a firing of `phase` puts into `channel`, among all that it produces.
fn channel_words<'w>(app: &App, channel: ChannelId, phase: u32, outputs: &'w [u64]) -> &'w [u64] {
    let words = |c: ChannelId| {
        let c = &app.channels()[c];
        c.tokens.produce[phase as usize] as usize * c.token_words() as usize
    };
    let port = app.channels()[channel].source_port;
    let ports = app.output_ports(app.channels()[channel].source);
    let start: usize = ports.filter(|&c| app.channels()[c].source_port < port).map(words).sum();
    &outputs[start..start + words(channel)]
}

/// What a caught panic said.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}
