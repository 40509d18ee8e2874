//! What calendars say: when their entries act, for which firing, at which addresses.

use super::error::{LiteralError, Place};
use crate::format::{CalendarSet, Circular, ComputeEntry, FrameEntry, Operand, Rotation};
use sim_core::app::{App, Channel, Firing};
use sim_core::ids::{ActorId, IdVec, NodeId};
use sim_core::machine::Machine;
use sim_core::reference::{RatesError, firings_per_iteration};
use sim_core::time::{Tick, Ticks};

/// All that a run is given.
pub(super) struct Plan<'a> {
    pub(super) app: &'a App,
    pub(super) machine: &'a Machine,
    pub(super) calendars: &'a CalendarSet,
    /// N.
    pub(super) iterations: u64,
    /// P·q by actor.
    firings: IdVec<ActorId, u64>,
}

impl<'a> Plan<'a> {
    /// Checks that numbers are in range, so that nothing below divides by zero, overflows or leaves an array.
    pub(super) fn new(
        app: &'a App,
        machine: &'a Machine,
        calendars: &'a CalendarSet,
        iterations: u64,
    ) -> Result<Self, LiteralError> {
        let plan = Self { app, machine, calendars, iterations, firings: firings_per_iteration(app)? };
        plan.check_set()?;
        for (node, calendar) in calendars.nodes.iter() {
            for (i, entry) in calendar.compute.iter().enumerate() {
                plan.check_compute(Place::Compute(node, i), node, entry)?;
            }
        }
        for (link, wire) in machine.links().iter() {
            for (i, entry) in calendars.links[link].gather.iter().enumerate() {
                plan.check_frames(Place::Gather(link, i), wire.source, entry)?;
            }
            for (i, entry) in calendars.links[link].scatter.iter().enumerate() {
                plan.check_frames(Place::Scatter(link, i), wire.target, entry)?;
            }
        }
        Ok(plan)
    }

    /// M, ticks of a metacycle.
    pub(super) fn metacycle(&self) -> i64 {
        self.calendars.metacycle
    }

    /// U, iterations of a metacycle.
    fn unroll(&self) -> u64 {
        self.calendars.unroll.into()
    }

    /// N·P·q, firings of `actor` in the run.
    pub(super) fn firings(&self, actor: ActorId) -> u64 {
        self.iterations * self.firings[actor]
    }

    /// U·P·q, firings of `actor` in a metacycle.
    fn firings_per_metacycle(&self, actor: ActorId) -> u64 {
        self.unroll() * self.firings[actor]
    }

    /// An entry's activation in the metacycle of `tick`; `None` before its first, and for iterations beyond the run.
    fn activation(&self, tick: Tick, first: u32, place: u32) -> Option<u64> {
        let metacycle = tick.0.div_euclid(self.metacycle());
        let activation = u64::try_from(metacycle - i64::from(first)).ok()?;
        self.acts(activation, place).then_some(activation)
    }

    /// Whether an activation belongs to an iteration of the run: a·U + place < N.
    fn acts(&self, activation: u64, place: u32) -> bool {
        activation * self.unroll() + u64::from(place) < self.iterations
    }

    /// The tick of an entry's slot in its `activation`.
    fn tick(&self, slot: i64, first: u32, activation: u64) -> Tick {
        Tick((i64::from(first) + activation as i64) * self.metacycle() + slot)
    }

    /// The address of the word that `entry` moves at `tick`.
    pub(super) fn frame_due(&self, entry: &FrameEntry, tick: Tick) -> Option<u32> {
        let frame = tick.0.rem_euclid(self.metacycle()) - entry.slot;
        if !(0..i64::from(entry.length)).contains(&frame) {
            return None;
        }
        let activation = self.activation(tick, entry.first, entry.place)?;
        Some(entry.address.address(activation) + frame as u32)
    }

    /// The firing of `entry` whose first tick is `tick`: its number in the entry, and its activation.
    pub(super) fn firings_due(&self, entry: &ComputeEntry, tick: Tick) -> Vec<(u32, u64)> {
        let slot = tick.0.rem_euclid(self.metacycle());
        let starts = (0..entry.repeat.firings).filter(|&k| slot_of(entry, k) == slot);
        starts.filter_map(|k| Some((k, self.activation(tick, entry.first, entry.place)?))).collect()
    }

    /// Every word that `entry` moves in the run, with its tick.
    pub(super) fn all_frames(&self, entry: &FrameEntry) -> impl Iterator<Item = (Tick, u32)> {
        let activations = (0..).take_while(|&activation| self.acts(activation, entry.place));
        activations.flat_map(move |activation| {
            (0..entry.length).map(move |frame| {
                let tick = self.tick(entry.slot + i64::from(frame), entry.first, activation);
                (tick, entry.address.address(activation) + frame)
            })
        })
    }

    /// Every firing of `entry` in the run: its first tick, its number in the entry, and its activation.
    pub(super) fn all_firings(&self, entry: &ComputeEntry) -> impl Iterator<Item = (Tick, u32, u64)> {
        let activations = (0..).take_while(|&activation| self.acts(activation, entry.place));
        activations.flat_map(move |activation| {
            let tick = move |k| self.tick(slot_of(entry, k), entry.first, activation);
            (0..entry.repeat.firings).map(move |k| (tick(k), k, activation))
        })
    }

    /// The last end of a firing of the run, in ticks.
    pub(super) fn end(&self) -> Tick {
        let entries = self.calendars.nodes.values().flat_map(|calendar| &calendar.compute);
        let ends =
            entries.filter_map(|entry| Some(self.all_firings(entry).map(|(tick, ..)| tick).max()? + Ticks(entry.exec)));
        ends.max().unwrap_or_default()
    }

    /// Firing `k` of `entry` in an `activation`.
    pub(super) fn firing(&self, entry: &ComputeEntry, k: u32, activation: u64) -> Firing {
        let index = activation * self.firings_per_metacycle(entry.actor) + u64::from(index_of(entry, k));
        Firing { index, phase: self.phase(entry.actor, index) }
    }

    fn phase(&self, actor: ActorId, index: u64) -> u32 {
        u32::try_from(index % self.app.actors()[actor].phases()).expect("phases are limited")
    }

    /// The entry with firing `index` of `actor` of every metacycle, the firing's number in it, and its node.
    pub(super) fn entry(&self, actor: ActorId, index: u64) -> Option<(NodeId, &'a ComputeEntry, u32)> {
        let number = |entry: &ComputeEntry| {
            let mut numbers = 0..entry.repeat.firings;
            numbers.find(|&k| entry.actor == actor && u64::from(index_of(entry, k)) == index)
        };
        let entries =
            self.calendars.nodes.iter().flat_map(|(node, calendar)| calendar.compute.iter().map(move |e| (node, e)));
        entries.filter_map(|(node, entry)| Some((node, entry, number(entry)?))).next()
    }

    /// Who consumes token `number` of `channel`: activation, number of the firing in the metacycle, and the position of the
    /// token's first word among the firing's input words.
    pub(super) fn consumer(&self, channel: &Channel, number: u64) -> (u64, u64, usize) {
        let per_metacycle: u64 =
            (0..self.firings_per_metacycle(channel.target)).map(|index| self.consumed(channel, index)).sum();
        let (activation, mut token) = (number / per_metacycle, number % per_metacycle);
        let mut index = 0;
        while token >= self.consumed(channel, index) {
            token -= self.consumed(channel, index);
            index += 1;
        }
        let phase = self.phase(channel.target, index) as usize;
        let before = self.app.inputs(channel.target).iter().map(|&input| &self.app.channels()[input]);
        let words_before: usize = before
            .filter(|input| input.target_port < channel.target_port)
            .map(|input| input.tokens.consume[phase] as usize * input.token_words() as usize)
            .sum();
        (activation, index, words_before + token as usize * channel.token_words() as usize)
    }

    /// Tokens that firing `index` of its consumer takes from `channel`.
    fn consumed(&self, channel: &Channel, index: u64) -> u64 {
        channel.tokens.consume[self.phase(channel.target, index) as usize].into()
    }

    fn check_set(&self) -> Result<(), LiteralError> {
        let Self { machine, calendars, .. } = self;
        range(Place::Set, "the metacycle", calendars.metacycle, 1, i64::MAX)?;
        range(Place::Set, "the number of iterations per metacycle", calendars.unroll, 1, u32::MAX)?;
        range(Place::Set, "the number of iterations of the run", self.iterations, 0, i64::MAX as u64)?;
        let nodes = machine.nodes().len() as u64;
        range(Place::Set, "the number of compute calendars", calendars.nodes.len() as u64, nodes, nodes)?;
        let links = machine.links().len() as u64;
        range(Place::Set, "the number of link calendars", calendars.links.len() as u64, links, links)?;
        for (actor, &firings) in self.firings.iter() {
            let iterations = self.iterations + self.unroll();
            firings.checked_mul(iterations).ok_or(RatesError::TooMany { actor })?;
        }
        Ok(())
    }

    fn check_compute(&self, at: Place, node: NodeId, entry: &ComputeEntry) -> Result<(), LiteralError> {
        let Self { app, machine, .. } = self;
        range(at, "the duration", entry.exec, 1, i64::MAX)?;
        self.check_time(at, entry.slot, entry.exec, entry.first, entry.place)?;
        range(at, "the core", entry.core, 0, i64::from(machine.nodes()[node].cores) - 1)?;
        range(at, "the actor", entry.actor.0, 0, app.actors().len() as i64 - 1)?;
        let firings = self.firings_per_metacycle(entry.actor);
        range(at, "the number of firings", entry.repeat.firings, 1, firings)?;
        let last = i128::from(entry.repeat.firings) - 1;
        let last_slot = i128::from(entry.slot) + last * i128::from(entry.repeat.slots);
        range(at, "the last slot", last_slot, 0, self.metacycle() - 1)?;
        range(at, "the number of the firing", entry.index, 0, firings - 1)?;
        let last_index = i128::from(entry.index) + last * i128::from(entry.repeat.indices);
        range(at, "the number of the last firing", last_index, 0, firings - 1)?;
        for k in 0..entry.repeat.firings {
            let phase = self.phase(entry.actor, index_of(entry, k).into());
            let inputs = app.input_words(entry.actor, phase) as u64;
            range(at, "the number of input words", words(&entry.inputs), inputs, inputs)?;
            let outputs = app.outputs(entry.actor).iter().map(|&channel| &app.channels()[channel]);
            let outputs: u64 =
                outputs.map(|c| u64::from(c.tokens.produce[phase as usize]) * u64::from(c.token_words())).sum();
            range(at, "the number of output words", words(&entry.outputs), outputs, outputs)?;
        }
        for operand in entry.inputs.iter().chain(&entry.outputs) {
            let size = operand.circular.map_or(operand.words, |circular| circular.size);
            range(at, "the number of words in the circular buffer", operand.words, 1, size)?;
            if let Some(circular) = operand.circular {
                range(at, "the start in the circular buffer", circular.start, 0, i64::from(size) - 1)?;
            }
            self.check_address(at, node, operand.address, size)?;
        }
        Ok(())
    }

    fn check_frames(&self, at: Place, node: NodeId, entry: &FrameEntry) -> Result<(), LiteralError> {
        self.check_time(at, entry.slot, entry.length.into(), entry.first, entry.place)?;
        let length_max = self.metacycle() - entry.slot;
        range(at, "the number of frames", entry.length, 1, length_max)?;
        self.check_address(at, node, entry.address, entry.length)
    }

    /// The entry's place in the metacycle exists, and its last tick in the run can be counted.
    fn check_time(&self, at: Place, slot: i64, ticks: i64, first: u32, place: u32) -> Result<(), LiteralError> {
        range(at, "the slot", slot, 0, self.metacycle() - 1)?;
        range(at, "the place among the iterations", place, 0, self.unroll() - 1)?;
        let metacycles = i128::from(first) + i128::from(self.iterations / self.unroll()) + 1;
        let end = metacycles * i128::from(self.metacycle()) + i128::from(slot) + i128::from(ticks);
        range(at, "the last end", end, 0, i64::MAX)
    }

    /// Every copy of a run of words lies in the memory of `node`.
    fn check_address(&self, at: Place, node: NodeId, address: Rotation, words: u32) -> Result<(), LiteralError> {
        range(at, "the number of words", words, 1, u32::MAX)?;
        range(at, "the number of copies", address.count, 1, u32::MAX)?;
        let last_copy = u64::from(address.stride) * u64::from(address.count - 1);
        let last = i128::from(address.base) + i128::from(last_copy) + i128::from(words) - 1;
        let memory = self.machine.nodes()[node].memory_words.map_or(1 << 32, i64::from);
        range(at, "the last address", last, 0, memory - 1)
    }
}

/// The addresses of all words of firing `k` of an entry with these `operands`, in an activation, in order.
pub(super) fn addresses(operands: &[Operand], k: u32, activation: u64) -> Vec<u32> {
    let words = |operand: &Operand| {
        let &Operand { address, words, circular } = operand;
        let base = address.address(activation);
        (0..words).map(move |word| match circular {
            None => base + word,
            Some(Circular { start, advance, size }) => {
                let offset = u64::from(start) + u64::from(k) * u64::from(advance) + u64::from(word);
                base + (offset % u64::from(size)) as u32
            }
        })
    };
    operands.iter().flat_map(words).collect()
}

/// The slot in which firing `k` of `entry` starts.
fn slot_of(entry: &ComputeEntry, k: u32) -> i64 {
    entry.slot + i64::from(k) * entry.repeat.slots
}

/// Number of firing `k` of `entry` among its actor's firings of a metacycle.
fn index_of(entry: &ComputeEntry, k: u32) -> u32 {
    entry.index + k * entry.repeat.indices
}

fn words(operands: &[Operand]) -> u64 {
    operands.iter().map(|operand| u64::from(operand.words)).sum()
}

fn range(
    place: Place,
    what: &'static str,
    found: impl Into<i128>,
    min: impl Into<i128>,
    max: impl Into<i128>,
) -> Result<(), LiteralError> {
    let (found, min, max) = (found.into(), min.into(), max.into());
    if found < min || found > max {
        return Err(LiteralError::Range { place, what, found, min, max });
    }
    Ok(())
}
