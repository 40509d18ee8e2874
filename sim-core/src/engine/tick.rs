//! The hot loop: what happens in the slots of one metacycle.
//!
//! In every tick all reads come before all writes. A firing is executed in its last tick: its inputs are still visible
//! then, and its outputs become visible one tick later, with the other writes of that tick. Nothing here allocates, and
//! a firing costs one virtual call.

use super::observe::Tap;
use crate::app::{Behaviour, Firing, State};
use crate::digest::{ConsumedHash, EventHash};
use crate::ids::{ActorId, IdVec, NodeId};
use crate::program::{FiringEvent, Program, Rotor, Rotors, Spot, Step};
use crate::time::Tick;
use std::any::Any;
use std::ops::Range;

/// Everything that ticks change.
pub(super) struct Stage<'a> {
    /// Words of all nodes.
    pub(super) memory: Vec<u64>,
    /// Words on links.
    pub(super) flight: Vec<u64>,
    /// Where words sent are kept until they arrive, indexed like the program's words sent.
    pub(super) send_to: Vec<Spot>,
    /// Where arriving words are, indexed like the program's words stored.
    pub(super) store_from: Vec<Spot>,
    /// The program's rotors and those of the words in flight.
    pub(super) rotors: Rotors,
    /// Where every rotor stands.
    pub(super) positions: Vec<u32>,
    /// Which classes act in this metacycle; valid only where not all do.
    pub(super) active: Vec<bool>,
    /// Inputs of one firing.
    pub(super) inputs: Vec<u64>,
    /// Outputs of the firings that end in one slot.
    pub(super) staged: Vec<u64>,
    pub(super) actors: IdVec<ActorId, ActorSlot<'a>>,
    /// Plain states of all actors.
    pub(super) states: Vec<u64>,
    /// Opaque states.
    pub(super) boxes: Vec<Box<dyn Any + Send>>,
    /// Observed channels by producer.
    pub(super) taps: Vec<Tap>,
    /// What actors without outputs consumed, where any did.
    pub(super) consumed: IdVec<NodeId, Option<ConsumedHash>>,
    pub(super) events: IdVec<NodeId, EventHash>,
    /// The firing that a behaviour is executing: its position in the program.
    pub(super) executing: Option<usize>,
}

/// What the loop needs of an actor.
pub(super) struct ActorSlot<'a> {
    pub(super) behaviour: &'a dyn Behaviour,
    /// Firings per metacycle.
    pub(super) firings: u64,
    pub(super) state: StateSlot,
    pub(super) taps: Range<usize>,
    /// Whether the run digest covers what it consumes.
    pub(super) hashed: bool,
}

/// Where an actor's state is.
pub(super) enum StateSlot {
    /// Range of the plain states, empty for an actor without state.
    Words(Range<usize>),
    /// Position among the opaque states.
    Boxed(usize),
}

/// Executes `steps` in metacycle number `metacycle`. `CHECKED`: not every class acts. `EVENTS`: every event is hashed.
pub(super) fn run_steps<const CHECKED: bool, const EVENTS: bool>(
    program: &Program,
    steps: &[Step],
    metacycle: u64,
    stage: &mut Stage<'_>,
) {
    for step in steps {
        let tick = Tick(metacycle as i64 * program.metacycle + step.slot);
        if !step.firings.is_empty() {
            fire::<CHECKED, EVENTS>(program, step.firings.clone(), metacycle, tick, stage);
        }
        if EVENTS {
            hash_sends::<CHECKED>(program, step.sends.clone(), tick, stage);
        }
        transfer::<CHECKED>(
            &program.send_from[step.sends.clone()],
            &stage.send_to[step.sends.clone()],
            &program.send_class[step.sends.clone()],
            &stage.active,
            &stage.positions,
            &stage.memory,
            &mut stage.flight,
        );
        transfer::<CHECKED>(
            &stage.store_from[step.stores.clone()],
            &program.store_to[step.stores.clone()],
            &program.store_class[step.stores.clone()],
            &stage.active,
            &stage.positions,
            &stage.flight,
            &mut stage.memory,
        );
        write_outputs::<CHECKED>(program, &program.firings[step.firings.clone()], stage);
    }
}

/// Moves every rotor on by one metacycle.
pub(super) fn turn(rotors: &[Rotor], positions: &mut [u32]) {
    assert_eq!(rotors.len(), positions.len());
    for (rotor, position) in rotors.iter().zip(positions) {
        let next = *position + 1;
        *position = if next == rotor.count { 0 } else { next };
    }
}

/// Copies one word per pair of spots; `from`, `to` and `classes` have equal lengths.
fn transfer<const CHECKED: bool>(
    from: &[Spot],
    to: &[Spot],
    classes: &[u32],
    active: &[bool],
    positions: &[u32],
    source: &[u64],
    target: &mut [u64],
) {
    assert!(from.len() == to.len() && from.len() == classes.len());
    for ((from, to), &class) in from.iter().zip(to).zip(classes) {
        if CHECKED && !active[class as usize] {
            continue;
        }
        target[to.at(positions)] = source[from.at(positions)];
    }
}

/// Executes the firings `range`, which end in tick `tick`, and stages their outputs.
fn fire<const CHECKED: bool, const EVENTS: bool>(
    program: &Program,
    range: Range<usize>,
    metacycle: u64,
    tick: Tick,
    stage: &mut Stage<'_>,
) {
    for number in range {
        let event = &program.firings[number];
        if CHECKED && !stage.active[event.class as usize] {
            continue;
        }
        let read = gather_inputs(program, event, &stage.positions, &stage.memory, &mut stage.inputs);
        let inputs = &stage.inputs[..read];
        let outputs = &mut stage.staged[event.stage.start as usize..event.stage.end as usize];
        // What an earlier firing left here must not show: outputs depend on nothing but the arguments.
        outputs.fill(0);
        let actor = &stage.actors[event.actor];
        let index = (metacycle - event.first) * actor.firings + u64::from(event.index);
        let state = match &actor.state {
            StateSlot::Words(range) => State::Words(&mut stage.states[range.clone()]),
            StateSlot::Boxed(position) => State::Opaque(stage.boxes[*position].as_mut()),
        };
        stage.executing = Some(number);
        actor.behaviour.fire(Firing { index, phase: event.phase }, state, inputs, outputs);
        stage.executing = None;
        for tap in &mut stage.taps[actor.taps.clone()] {
            tap.offer(index, event.phase, outputs);
        }
        if EVENTS {
            stage.events[event.node].firing(tick, event.actor, index, inputs, outputs);
        }
        if actor.hashed {
            stage.consumed[event.node].get_or_insert_default().update(event.actor, index, inputs);
        }
    }
}

/// Copies what a firing consumes into `inputs`, and returns how many words these are.
fn gather_inputs(
    program: &Program,
    event: &FiringEvent,
    positions: &[u32],
    memory: &[u64],
    inputs: &mut [u64],
) -> usize {
    let mut read = 0;
    for operand in &program.consumed[event.inputs.start as usize..event.inputs.end as usize] {
        copy_run(memory, operand.spot.at(positions), inputs, read, operand.words as usize);
        read += operand.words as usize;
    }
    read
}

/// Writes staged outputs, the last thing that happens in a tick.
fn write_outputs<const CHECKED: bool>(program: &Program, firings: &[FiringEvent], stage: &mut Stage<'_>) {
    for event in firings {
        if CHECKED && !stage.active[event.class as usize] {
            continue;
        }
        for operand in &program.produced[event.outputs.start as usize..event.outputs.end as usize] {
            let to = operand.spot.at(&stage.positions);
            copy_run(&stage.staged, operand.staged as usize, &mut stage.memory, to, operand.words as usize);
        }
    }
}

/// Copies `words` words. Most tokens are one word, for which a call of the general copy costs several times the work.
#[inline]
fn copy_run(source: &[u64], from: usize, target: &mut [u64], to: usize, words: usize) {
    if words == 1 {
        target[to] = source[from];
    } else {
        target[to..to + words].copy_from_slice(&source[from..from + words]);
    }
}

/// Hashes the words sent in one tick. Sending changes no memory, so that this may come before or after it.
fn hash_sends<const CHECKED: bool>(program: &Program, range: Range<usize>, tick: Tick, stage: &mut Stage<'_>) {
    for number in range {
        if CHECKED && !stage.active[program.send_class[number] as usize] {
            continue;
        }
        let link = program.sends[number].link;
        let word = stage.memory[program.send_from[number].at(&stage.positions)];
        stage.events[program.links[link].source].frame(tick, link, word);
    }
}
