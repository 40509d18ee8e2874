//! Fits the operands of every firing to its actor, and puts initial tokens where they are consumed.

use super::{EntryPlace, LowerError, check_place, rotating};
use crate::format::{CalendarSet, ComputeEntry, Operand};
use sim_core::App;
use sim_core::ids::{ActorId, ChannelId, IdVec, NodeId};
use sim_core::program::{Activity, ConsumedWords, PlannedFiring, ProducedWords, ProgramBuilder, limits};

/// The entries of every actor by their index.
type Firings<'a> = IdVec<ActorId, Vec<(NodeId, &'a ComputeEntry)>>;

/// Adds all firings and initial tokens.
pub(super) fn lower(app: &App, calendars: &CalendarSet, builder: &mut ProgramBuilder) -> Result<(), LowerError> {
    let firings = by_index(app, calendars)?;
    for (actor, entries) in firings.iter() {
        check_home(app, actor, entries)?;
        for &(node, entry) in entries {
            add(app, calendars, node, entry, builder)?;
        }
    }
    for channel in app.channels().ids() {
        place_initial(app, &firings, channel, builder);
    }
    Ok(())
}

fn place_of(node: NodeId, e: &ComputeEntry) -> EntryPlace {
    EntryPlace::Compute { node, slot: e.slot, core: e.core }
}

/// Finds every firing that an actor has in a metacycle, once.
fn by_index<'a>(app: &App, calendars: &'a CalendarSet) -> Result<Firings<'a>, LowerError> {
    let actors = app.actors().len();
    let mut firings: Firings<'a> = IdVec::filled(Vec::new(), actors);
    for (node, calendar) in calendars.nodes.iter() {
        for e in &calendar.compute {
            if app.actors().get(e.actor).is_none() {
                return Err(LowerError::NoSuchActor { entry: place_of(node, e), actor: e.actor, actors });
            }
            firings[e.actor].push((node, e));
        }
    }
    for (actor, entries) in firings.iter_mut() {
        let found = entries.len() as u64;
        let multiple = u64::from(calendars.unroll) * app.actors()[actor].phases();
        if found == 0 || !found.is_multiple_of(multiple) {
            return Err(LowerError::FiringCount { actor, found, multiple });
        }
        entries.sort_by_key(|&(_, e)| e.index);
        for (index, &(node, e)) in (0_u64..).zip(&*entries) {
            let problem = match u64::from(e.index) {
                i if i >= found => "no such number",
                i if i != index => "there are two of this number, or one before it is missing",
                i if u64::from(e.place) != i / (found / u64::from(calendars.unroll)) => "it belongs to another place",
                _ => continue,
            };
            let ComputeEntry { index, place, .. } = *e;
            return Err(LowerError::FiringIndex {
                entry: place_of(node, e),
                actor,
                index,
                firings: found,
                place,
                problem,
            });
        }
    }
    Ok(firings)
}

fn check_home(app: &App, actor: ActorId, entries: &[(NodeId, &ComputeEntry)]) -> Result<(), LowerError> {
    let one = entries[0].0;
    match entries.iter().find(|&&(node, _)| node != one) {
        Some(&(other, _)) if app.actors()[actor].has_state() => Err(LowerError::TwoHomes { actor, one, other }),
        _ => Ok(()),
    }
}

fn add(
    app: &App,
    calendars: &CalendarSet,
    node: NodeId,
    e: &ComputeEntry,
    builder: &mut ProgramBuilder,
) -> Result<(), LowerError> {
    let entry = place_of(node, e);
    if !(0..calendars.metacycle).contains(&e.slot) || !(1..=limits::TICKS).contains(&e.exec) {
        return Err(LowerError::Slot { entry, length: e.exec, metacycle: calendars.metacycle });
    }
    check_place(entry, e.place, calendars.unroll)?;
    let phase = phase_of(app, e);
    let needed = app.input_words(e.actor, phase) as u64;
    check_words(entry, e.actor, "input", &e.inputs, needed)?;
    let spans = output_spans(app, e.actor, phase);
    check_words(entry, e.actor, "output", &e.outputs, spans.iter().map(|&(_, words)| words).sum())?;
    let plan = PlannedFiring {
        node,
        core: e.core,
        actor: e.actor,
        index: e.index,
        phase,
        slot: e.slot,
        exec: e.exec,
        activity: Activity { first: u64::from(e.first), place: e.place },
    };
    let input = |operand: &Operand| {
        let address = rotating(entry, operand.address, 0, u64::from(operand.words))?;
        Ok(ConsumedWords { address, words: operand.words })
    };
    let inputs = e.inputs.iter().map(input).collect::<Result<Vec<_>, _>>()?;
    let outputs = produced(entry, &e.outputs, &spans)?;
    builder.firing(plan, &inputs, &outputs);
    Ok(())
}

fn phase_of(app: &App, e: &ComputeEntry) -> u32 {
    u32::try_from(u64::from(e.index) % app.actors()[e.actor].phases()).expect("phases are limited")
}

fn check_words(
    entry: EntryPlace,
    actor: ActorId,
    side: &'static str,
    operands: &[Operand],
    needed: u64,
) -> Result<(), LowerError> {
    let found = operands.iter().map(|operand| u64::from(operand.words)).sum();
    if found != needed {
        return Err(LowerError::OperandWords { entry, actor, side, found, needed });
    }
    if found > limits::MEMORY_WORDS {
        return Err(LowerError::Memory { words: found });
    }
    Ok(())
}

/// Per outgoing channel of `actor`, in the order of a calendar's outputs: where its words start among those that a
/// firing of `phase` hands over by port, and how many they are.
fn output_spans(app: &App, actor: ActorId, phase: u32) -> Vec<(u64, u64)> {
    let mut spans: Vec<(u64, u64)> = Vec::new();
    let (mut port, mut end) = (None, 0);
    for &id in app.outputs(actor) {
        let channel = &app.channels()[id];
        let words = u64::from(channel.produce[phase as usize]) * u64::from(channel.token_words());
        if port.replace(channel.source_port) != Some(channel.source_port) {
            end += words;
        }
        spans.push((end - words, words));
    }
    spans
}

/// Cuts output operands where one channel ends and the next begins, and says which words of the firing's outputs each
/// piece takes. The operands have as many words as the spans.
fn produced(entry: EntryPlace, operands: &[Operand], spans: &[(u64, u64)]) -> Result<Vec<ProducedWords>, LowerError> {
    let mut pieces = Vec::with_capacity(operands.len());
    let mut spans = spans.iter().copied();
    let (mut position, mut left) = (0, 0);
    for operand in operands {
        let words = u64::from(operand.words);
        rotating(entry, operand.address, 0, words)?; // also refuses an operand without words
        let mut done = 0;
        while done < words {
            while left == 0 {
                (position, left) = spans.next().expect("operands have as many words as the channels");
            }
            let piece = left.min(words - done);
            let address = rotating(entry, operand.address, done, piece)?;
            let narrow = |n: u64| u32::try_from(n).expect("words of a firing are limited");
            pieces.push(ProducedWords { address, words: narrow(piece), position: narrow(position) });
            (done, position, left) = (done + piece, position + piece, left - piece);
        }
    }
    Ok(pieces)
}

/// Puts the initial tokens of a channel where the firings that consume them will look for them.
fn place_initial(app: &App, firings: &Firings<'_>, id: ChannelId, builder: &mut ProgramBuilder) {
    let channel = &app.channels()[id];
    let mut token = vec![0; channel.token_words() as usize];
    let mut number = 0;
    for activation in 0.. {
        for &(node, e) in &firings[channel.target] {
            let phase = phase_of(app, e);
            let before = app.inputs(channel.target).iter().take_while(|&&other| other != id);
            let before = before.map(|&other| &app.channels()[other]);
            let skip = before.map(|c| u64::from(c.consume[phase as usize]) * u64::from(c.token_words())).sum();
            let mut addresses = addresses(&e.inputs, activation, skip);
            for _ in 0..channel.consume[phase as usize] {
                if number == channel.initial.count {
                    return;
                }
                channel.write_initial(number, &mut token);
                for &word in &token {
                    builder.initial_word(node, addresses.next().expect("operands hold every consumed word"), word);
                }
                number += 1;
            }
        }
    }
}

/// Addresses of the words of `operands` in order, from word number `skip` on.
fn addresses(operands: &[Operand], activation: u64, skip: u64) -> impl Iterator<Item = u32> + '_ {
    let starts = operands.iter().scan(0_u64, |end, operand| {
        *end += u64::from(operand.words);
        Some((*end - u64::from(operand.words), operand))
    });
    starts.filter(move |&(start, operand)| start + u64::from(operand.words) > skip).flat_map(move |(start, operand)| {
        let from = u32::try_from(skip.saturating_sub(start)).expect("it is below the operand's words");
        let base = operand.address.address(activation);
        (from..operand.words).map(move |word| base + word)
    })
}
