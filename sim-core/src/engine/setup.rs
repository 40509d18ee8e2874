//! Everything that a shard needs before its first tick.

use super::hot::{ActorSlot, Stage, Stands, StateSlot, Watch};
use super::layout::{Layout, Parts};
use super::observe::{Tap, TapParts};
use super::worker::SentFrame;
use super::{EngineError, zeros};
use crate::app::{ActorState, App};
use crate::digest::{ChannelDigest, DigestLevel, EventHash, EventSource};
use crate::ids::{ActorId, ChannelId, IdVec};
use crate::program::{Program, Read};
use crate::run::RunOptions;
use crate::shard::Partition;
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Checks that options and application fit the program.
pub(super) fn check(app: &App, program: &Program, options: &RunOptions) -> Result<(), EngineError> {
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

/// Which actors produce on an observed channel.
pub(super) fn observed(app: &App, options: &RunOptions) -> IdVec<ActorId, bool> {
    let mut observed = IdVec::filled(false, app.actors().len());
    for &channel in options.channels.iter().chain(&options.record) {
        observed[app.channels()[channel].source] = true;
    }
    observed
}

/// Whether the firings of `actor` are spread over shards.
pub(super) fn spread(program: &Program, partition: &Partition) -> IdVec<ActorId, bool> {
    let mut home = IdVec::filled(None, program.actors.len());
    let mut spread = IdVec::filled(false, program.actors.len());
    for firing in program.firings.values() {
        let shard = partition.shard_of(firing.node);
        spread[firing.actor] |= *home[firing.actor].get_or_insert(shard) != shard;
    }
    spread
}

/// A shard's part of the machine before tick 0.
///
/// # Errors
/// [`EngineError`], if the options or the application do not fit the program, or there is not enough memory.
pub(super) fn stage<'a>(
    parts: &Parts<'_, 'a>,
    options: &RunOptions,
    layout: &Layout,
) -> Result<Stage<'a>, EngineError> {
    let (app, program) = (parts.app, parts.program);
    check(app, program, options)?;
    let mut words = zeros("the words that are kept", layout.words as u64)?;
    initial_tokens(parts, layout, &mut words);
    let spread = spread(program, parts.partition);
    let observed = Observed::new(app, options, layout);
    // An actor that fires on several nodes has one observer.
    let mut homes = BTreeMap::new();
    let (mut states, mut boxes, mut taps) = (Vec::new(), Vec::new(), Vec::new());
    let mut actors = Vec::with_capacity(layout.actors.len());
    for &id in &layout.actors {
        let first = taps.len() as u32;
        let range = match homes.get(&id) {
            Some(range) => Range::clone(range),
            None => {
                for &channel in app.outputs(id) {
                    taps.extend(observed.tap(parts, layout, channel, spread[id])?);
                }
                first..taps.len() as u32
            }
        };
        if observed.nodes[id] > 1 && !range.is_empty() {
            homes.insert(id, range.clone());
        }
        actors.push(ActorSlot {
            behaviour: app.actors()[id].behaviour.as_ref(),
            actor: id,
            state: state(app, id, &mut states, &mut boxes)?,
            taps: range,
            hashed: options.digest == DigestLevel::State && app.outputs(id).is_empty(),
        });
    }
    let runs = layout.window.metacycles.min(layout.window.runs) as u64;
    let most = |words: fn(&super::layout::FiringShape) -> u32| {
        runs * u64::from(layout.firings.iter().map(words).max().unwrap_or(0))
    };
    let nodes = layout.nodes.len();
    let hashed = if actors.iter().any(|slot| slot.hashed) { nodes } else { 0 };
    Ok(Stage {
        words,
        inputs: zeros("the inputs of a run of firings", most(|firing| firing.input_words))?,
        outputs: zeros(
            "the outputs of a run of firings",
            if runs > 1 { most(|firing| firing.rows.stride) } else { 0 },
        )?,
        stands: Stands::new(&layout.turns),
        actors,
        states,
        boxes,
        watch: Watch {
            taps,
            consumed: vec![None; hashed],
            events: vec![EventHash::default(); if options.digest == DigestLevel::Events { nodes } else { 0 }],
            trace: options.trace.then(Vec::new),
        },
        executing: None,
        started: 0,
    })
}

/// Puts initial tokens where the activations before the first of their product would be.
fn initial_tokens(parts: &Parts<'_, '_>, layout: &Layout, words: &mut [u64]) {
    let program = parts.program;
    for plan in &layout.nodes {
        for (_, firing) in program.firings_on(plan.node) {
            for read in program.reads(firing).iter().filter(|read| read.lag > 0) {
                fill(parts, layout, read, words);
            }
        }
    }
}

/// Puts the initial tokens that `read` sees in place.
fn fill(parts: &Parts<'_, '_>, layout: &Layout, read: &Read, words: &mut [u64]) {
    let product = &parts.program.products[read.product];
    let channel = &parts.app.channels()[product.channel];
    let size = i128::from(channel.token_words());
    let plan = parts.program.actors[channel.source];
    let cycles = plan.firings / parts.app.actors()[channel.source].phases();
    let flow = i128::from(cycles * channel.produced_per_cycle()) * size;
    let initial = i128::from(channel.tokens.initial.count) * size;
    let ring = layout.ring(read.product);
    let mut token = vec![0; size as usize];
    for activation in -i64::from(read.lag)..0 {
        let mut written = None;
        for word in read.word..read.word + read.words {
            // Word n of a channel, initial tokens first, is word n − D·size of those produced.
            let number = i128::from(activation) * flow + i128::from(product.position) + i128::from(word) + initial;
            if number < 0 {
                continue;
            }
            if written != Some(number / size) {
                written = Some(number / size);
                channel.write_initial((number / size) as u64, &mut token);
            }
            words[ring.at(activation, word)] = token[(number % size) as usize];
        }
    }
}

/// Frames that a shard's nodes send, by slot.
pub(super) fn sends(parts: &Parts<'_, '_>, layout: &Layout) -> Vec<SentFrame> {
    let program = parts.program;
    let mut sends = Vec::new();
    for (link, ends) in program.links.iter().filter(|(_, ends)| parts.here(ends.source)) {
        let node = layout.nodes.partition_point(|plan| plan.node < ends.source) as u32;
        for (_, frame) in program.frames_of(link) {
            let first = frame.sent.0 / program.metacycle;
            let end = first + parts.extent.activations(frame.place);
            let (slot, ring, word) = (frame.sent.0 % program.metacycle, layout.ring(frame.product), frame.word);
            sends.push(SentFrame { slot, first, end, node, link, source: EventSource::link(link), ring, word });
        }
    }
    sends.sort_by_key(|send| send.slot);
    sends
}

/// Metacycles in which a firing ends or a frame is sent or arrives, ascending and apart.
pub(super) fn activity(parts: &Parts<'_, '_>, layout: &Layout) -> Vec<Range<i64>> {
    let program = parts.program;
    let mut ranges: Vec<Range<i64>> = layout.firings.iter().map(|firing| firing.first..firing.end).collect();
    for (link, ends) in program.links.iter() {
        let (sends, receives) = (parts.here(ends.source), parts.here(ends.target));
        for (_, frame) in program.frames_of(link).filter(|_| sends || receives) {
            let count = parts.extent.activations(frame.place);
            let range = |tick: i64| tick / program.metacycle..tick / program.metacycle + count;
            ranges.extend(sends.then(|| range(frame.sent.0)));
            // Until it arrives, a frame belongs to the state of its sender.
            ranges.push(range(frame.sent.0 + ends.latency.0));
            if ranges.len() > 1 << 16 {
                merge(&mut ranges);
            }
        }
    }
    merge(&mut ranges);
    ranges
}

fn merge(ranges: &mut Vec<Range<i64>>) {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<i64>> = Vec::new();
    for range in ranges.drain(..) {
        match merged.last_mut().filter(|last| range.start <= last.end) {
            Some(last) => last.end = last.end.max(range.end),
            None => merged.push(range),
        }
    }
    *ranges = merged;
}

fn state(
    app: &App,
    id: ActorId,
    states: &mut Vec<u64>,
    boxes: &mut Vec<Box<dyn Any + Send>>,
) -> Result<StateSlot, EngineError> {
    let actor = &app.actors()[id];
    let start = states.len();
    let narrow = |len: usize| u32::try_from(len).map_err(|_| EngineError::Memory { what: "states", words: len as u64 });
    match &actor.state {
        ActorState::None => {}
        ActorState::Plain(words) => states.extend_from_slice(words),
        ActorState::Opaque => {
            let missing = || EngineError::NoOpaqueState { actor: actor.name.to_string(), id };
            boxes.push(actor.behaviour.opaque_state().ok_or_else(missing)?);
            return Ok(StateSlot::Boxed(narrow(boxes.len() - 1)?));
        }
    }
    Ok(StateSlot::Words(narrow(start)?..narrow(states.len())?))
}

/// Observed channels, for quick look-up.
struct Observed<'a> {
    options: &'a RunOptions,
    digested: BTreeSet<ChannelId>,
    recorded: BTreeSet<ChannelId>,
    /// On how many nodes of the shard an actor fires.
    nodes: IdVec<ActorId, u32>,
}

impl<'a> Observed<'a> {
    fn new(app: &App, options: &'a RunOptions, layout: &Layout) -> Self {
        let set = |channels: &[ChannelId]| channels.iter().copied().collect();
        let mut nodes = IdVec::filled(0, app.actors().len());
        layout.actors.iter().for_each(|&actor| nodes[actor] += 1);
        Self { options, digested: set(&options.channels), recorded: set(&options.record), nodes }
    }

    /// The observer of channel `id`, if it is to be observed.
    fn tap(
        &self,
        parts: &Parts<'_, '_>,
        layout: &Layout,
        id: ChannelId,
        spread: bool,
    ) -> Result<Option<Tap>, EngineError> {
        let (app, program) = (parts.app, parts.program);
        let (digested, recorded) = (self.digested.contains(&id), self.recorded.contains(&id));
        if !digested && !recorded {
            return Ok(None);
        }
        let channel = &app.channels()[id];
        if spread {
            return Ok(Some(Tap::spread(id, spans(app, id))));
        }
        let plan = program.actors[channel.source];
        let firings = u128::from(self.options.iterations) * u128::from(plan.firings) / u128::from(program.unroll);
        let spans = spans(app, id);
        let place_words = spans.iter().map(|&(_, words)| words as u64).max().unwrap_or(0);
        // Within a window nodes are visited one after the other, so that firings of several nodes mix.
        let window = if self.nodes[channel.source] > 1 { layout.window.metacycles as u64 * plan.firings } else { 0 };
        let late = plan.reorder.saturating_add(window).min(u64::try_from(firings).unwrap_or(u64::MAX));
        let late_words = zeros("tokens produced out of order", late.saturating_mul(place_words))?;
        ordered_tap(app, program, self.options, id, spans, late as usize, late_words).map(Some)
    }
}

/// An observer of `id` that digests and records what the options ask for, from firings of which `late` may come before an
/// earlier one.
pub(super) fn ordered_tap(
    app: &App,
    program: &Program,
    options: &RunOptions,
    id: ChannelId,
    spans: Vec<(usize, usize)>,
    late: usize,
    late_words: Vec<u64>,
) -> Result<Tap, EngineError> {
    let channel = &app.channels()[id];
    let firings = u128::from(options.iterations) * u128::from(program.actors[channel.source].firings);
    let cycles = firings / u128::from(program.unroll) / u128::from(app.actors()[channel.source].phases());
    let words = cycles * u128::from(channel.produced_per_cycle()) * u128::from(channel.token_words());
    Ok(Tap::new(TapParts {
        channel: id,
        token_words: u64::from(channel.token_words()),
        late_words,
        reorder: late,
        spans,
        digest: options.channels.contains(&id).then(|| ChannelDigest::new(&channel.name)),
        record: options.record.contains(&id).then(|| room(words)).transpose()?,
    }))
}

/// An empty vector with room for `words` recorded words.
pub(super) fn room(words: u128) -> Result<Vec<u64>, EngineError> {
    let words = u64::try_from(words).unwrap_or(u64::MAX);
    let error = EngineError::Memory { what: "recorded tokens", words };
    let mut room = Vec::new();
    match usize::try_from(words).map(|words| room.try_reserve_exact(words)) {
        Ok(Ok(())) => Ok(room),
        Ok(Err(_)) | Err(_) => Err(error),
    }
}

/// Where the words of a channel are among the outputs of its producer's firings: first and number, indexed by phase.
pub(super) fn spans(app: &App, id: ChannelId) -> Vec<(usize, usize)> {
    let channel = &app.channels()[id];
    let words = |port: ChannelId, phase: usize| {
        let port = &app.channels()[port];
        port.tokens.produce[phase] as usize * port.token_words() as usize
    };
    let before = |port: &ChannelId| app.channels()[*port].source_port < channel.source_port;
    let phases = 0..channel.tokens.produce.len();
    phases
        .map(|phase| {
            let start = app.output_ports(channel.source).take_while(before).map(|port| words(port, phase)).sum();
            (start, words(id, phase))
        })
        .collect()
}
