//! Everything that a run needs before its first tick.

use super::extent::Extent;
use super::flight::Flight;
use super::observe::{Tap, TapParts};
use super::tick::{ActorSlot, Stage, StateSlot};
use super::{EngineError, zeros};
use crate::app::{ActorState, App};
use crate::digest::{ChannelDigest, DigestLevel, EventHash};
use crate::ids::{ActorId, ChannelId, IdVec};
use crate::program::Program;
use crate::run::RunOptions;
use std::any::Any;

/// The machine before tick 0.
///
/// # Errors
/// [`EngineError`], if the options or the application do not fit the program, or there is not enough memory.
pub(super) fn stage<'a>(
    app: &'a App,
    program: &Program,
    options: &RunOptions,
    extent: &Extent,
) -> Result<Stage<'a>, EngineError> {
    check(app, program, options)?;
    let Flight { rotors, send_to, store_from, words } = Flight::new(program, extent)?;
    let mut memory = zeros("the memories of all nodes", program.memory_words())?;
    for &(address, word) in &program.initial {
        memory[address as usize] = word;
    }
    let mut states = Vec::new();
    let mut boxes = Vec::new();
    let mut taps = Vec::new();
    let mut actors = IdVec::new();
    for (id, actor) in app.actors().iter() {
        let first = taps.len();
        for &channel in app.outputs(id) {
            taps.extend(tap(app, program, options, channel)?);
        }
        actors.push(ActorSlot {
            behaviour: actor.behaviour.as_ref(),
            firings: program.actors[id].firings,
            state: state(app, id, &mut states, &mut boxes)?,
            taps: first..taps.len(),
            hashed: options.digest == DigestLevel::State && app.outputs(id).is_empty(),
        });
    }
    Ok(Stage {
        memory,
        flight: zeros("frames in flight", words)?,
        send_to,
        store_from,
        positions: rotors.as_slice().iter().map(|rotor| rotor.position(0)).collect(),
        rotors,
        active: vec![false; program.classes.len()],
        inputs: zeros("the inputs of a firing", u64::from(program.input_words))?,
        staged: zeros("the outputs of the firings that end in one tick", u64::from(program.staged_words))?,
        actors,
        states,
        boxes,
        taps,
        consumed: IdVec::filled(None, program.nodes.len()),
        events: IdVec::filled(EventHash::default(), program.nodes.len()),
        executing: None,
    })
}

fn check(app: &App, program: &Program, options: &RunOptions) -> Result<(), EngineError> {
    let (actors, channels) = (app.actors().len(), app.channels().len());
    let (program_actors, program_channels) = (program.actors.len(), program.channels);
    if (actors, channels) != (program_actors, program_channels) {
        return Err(EngineError::OtherApp { program_actors, program_channels, actors, channels });
    }
    match options.channels.iter().chain(&options.record).find(|&&channel| app.channels().get(channel).is_none()) {
        Some(&channel) => Err(EngineError::NoSuchChannel { channel, channels }),
        None => Ok(()),
    }
}

fn state(
    app: &App,
    id: ActorId,
    states: &mut Vec<u64>,
    boxes: &mut Vec<Box<dyn Any + Send>>,
) -> Result<StateSlot, EngineError> {
    let actor = &app.actors()[id];
    let start = states.len();
    match &actor.state {
        ActorState::None => {}
        ActorState::Plain(words) => states.extend_from_slice(words),
        ActorState::Opaque => {
            let missing = || EngineError::NoOpaqueState { actor: actor.name.clone(), id };
            boxes.push(actor.behaviour.opaque_state().ok_or_else(missing)?);
            return Ok(StateSlot::Boxed(boxes.len() - 1));
        }
    }
    Ok(StateSlot::Words(start..states.len()))
}

/// The observer of channel `id`, if it is to be observed.
fn tap(app: &App, program: &Program, options: &RunOptions, id: ChannelId) -> Result<Option<Tap>, EngineError> {
    let (digested, recorded) = (options.channels.contains(&id), options.record.contains(&id));
    if !digested && !recorded {
        return Ok(None);
    }
    let channel = &app.channels()[id];
    let plan = program.actors[channel.source];
    let firings = u128::from(options.iterations) * u128::from(plan.firings) / u128::from(program.unroll);
    let cycles = firings / u128::from(app.actors()[channel.source].phases());
    let words = cycles * u128::from(channel.produced_per_cycle()) * u128::from(channel.token_words());
    let spans = spans(app, id);
    let place_words = spans.iter().map(|&(_, words)| words as u64).max().unwrap_or(0);
    let reorder = u64::try_from(firings).unwrap_or(u64::MAX).min(plan.reorder);
    Ok(Some(Tap::new(TapParts {
        channel: id,
        token_words: u64::from(channel.token_words()),
        late_words: zeros("tokens produced out of order", reorder.saturating_mul(place_words))?,
        reorder: reorder as usize,
        spans,
        digest: digested.then(|| ChannelDigest::new(&channel.name)),
        record: recorded.then(|| room(words)).transpose()?,
    })))
}

/// An empty vector with room for `words` recorded words.
fn room(words: u128) -> Result<Vec<u64>, EngineError> {
    let words = u64::try_from(words).unwrap_or(u64::MAX);
    let error = EngineError::Memory { what: "recorded tokens", words };
    let mut room = Vec::new();
    match usize::try_from(words).map(|words| room.try_reserve_exact(words)) {
        Ok(Ok(())) => Ok(room),
        Ok(Err(_)) | Err(_) => Err(error),
    }
}

/// Where the words of a channel are among the outputs of its producer's firings: first and number, indexed by phase.
fn spans(app: &App, id: ChannelId) -> Vec<(usize, usize)> {
    let channel = &app.channels()[id];
    let words = |port: ChannelId, phase: usize| {
        let port = &app.channels()[port];
        port.produce[phase] as usize * port.token_words() as usize
    };
    let before = |port: &ChannelId| app.channels()[*port].source_port < channel.source_port;
    let phases = 0..channel.produce.len();
    phases
        .map(|phase| {
            let start = app.output_ports(channel.source).take_while(before).map(|port| words(port, phase)).sum();
            (start, words(id, phase))
        })
        .collect()
}
