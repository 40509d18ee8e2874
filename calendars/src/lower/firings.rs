//! Fits the entries of compute calendars to their actors: every firing once, with the words that it is to write.

use super::tokens::Before;
use super::{Addresses, EntryPlace, LowerError, check_place, rotating, tick};
use crate::format::{CalendarSet, Circular, ComputeEntry, EntryFiring, Operand, Stretch};
use sim_core::ids::{ActorId, ChannelId, Id, IdVec, NodeId};
use sim_core::program::{FiringId, PlannedFiring, Product, ProductId, RotatingAddress, limits};
use sim_core::{App, Machine};

/// All firings of a metacycle, by (node, slot of the last tick, core).
pub(super) struct Firings<'a> {
    /// Without what they read.
    pub(super) firings: IdVec<FiringId, PlannedFiring>,
    pub(super) products: IdVec<ProductId, Product>,
    /// The entry of every firing, and which firing of it.
    pub(super) entries: IdVec<FiringId, EntryFiring<'a>>,
}

/// The firings of every actor by their index.
type ByActor<'a> = IdVec<ActorId, Vec<(NodeId, EntryFiring<'a>)>>;

/// Lowers all firings.
pub(super) fn lower<'a>(
    app: &App,
    machine: &Machine,
    calendars: &'a CalendarSet,
    before: &Before<'_>,
    addresses: &mut Addresses,
) -> Result<Firings<'a>, LowerError> {
    let by_actor = by_index(app, calendars)?;
    for (actor, firings) in by_actor.iter() {
        check_home(app, actor, firings)?;
    }
    drop(by_actor);
    let mut lowered = Firings { firings: IdVec::new(), products: IdVec::new(), entries: IdVec::new() };
    let mut order = Vec::new();
    for node in machine.nodes().ids() {
        order.clear();
        for e in calendars.nodes[node].compute.iter().flat_map(ComputeEntry::firings) {
            let (entry, exec) = (place_of(node, e), e.entry.exec);
            if !(0..calendars.metacycle).contains(&e.slot) || !(1..=limits::TICKS).contains(&exec) {
                return Err(LowerError::Slot { entry, length: exec, metacycle: calendars.metacycle });
            }
            check_place(entry, e.entry.place, calendars.unroll)?;
            order.push((tick(calendars, entry, e.entry.first, e.slot, exec - 1)?, e));
        }
        order.sort_by_key(|&(last, e)| (last.0 % calendars.metacycle, e.entry.core, e.index));
        for &(last, e) in &order {
            let firing = PlannedFiring {
                last,
                exec: e.entry.exec,
                node,
                actor: e.entry.actor,
                index: e.index,
                phase: phase_of(app, e),
                place: e.entry.place,
                reads: 0..0,
                products: 0..0,
                input_words: 0,
                output_words: 0,
            };
            lowered.add(app, before, addresses, firing, e)?;
        }
    }
    Ok(lowered)
}

pub(super) fn place_of(node: NodeId, e: EntryFiring<'_>) -> EntryPlace {
    EntryPlace::Compute { node, slot: e.slot, core: e.entry.core }
}

impl<'a> Firings<'a> {
    fn add(
        &mut self,
        app: &App,
        before: &Before<'_>,
        addresses: &mut Addresses,
        mut firing: PlannedFiring,
        e: EntryFiring<'a>,
    ) -> Result<(), LowerError> {
        let (entry, actor) = (place_of(firing.node, e), e.entry.actor);
        let needed = app.input_words(actor, firing.phase) as u64;
        check_words(entry, actor, "input", &e.entry.inputs, needed)?;
        let spans = output_spans(app, actor, firing.phase);
        check_words(entry, actor, "output", &e.entry.outputs, spans.iter().map(|span| span.words).sum())?;
        let id = FiringId::from_index(self.firings.len());
        let from = self.products.len() as u32;
        for piece in pieces(entry, e.outputs(), &spans)? {
            let Piece { span, skip, words, address } = piece;
            let Span { channel, staged, .. } = spans[span];
            let position = before.produced(channel, e.index) + skip;
            let position = u32::try_from(position).map_err(|_| LowerError::Memory { words: position })?;
            let narrow = |n: u64| u32::try_from(n).expect("words of a firing are limited");
            let (staged, words) = (narrow(staged + skip), narrow(words));
            let address = addresses.number(address);
            self.products.push(Product { firing: id, channel, staged, words, position, address });
        }
        firing.products = from..self.products.len() as u32;
        firing.input_words = needed as u32;
        firing.output_words = app.output_words(actor, firing.phase) as u32;
        self.firings.push(firing);
        self.entries.push(e);
        Ok(())
    }
}

/// Finds every firing that an actor has in a metacycle, once.
fn by_index<'a>(app: &App, calendars: &'a CalendarSet) -> Result<ByActor<'a>, LowerError> {
    let actors = app.actors().len();
    let mut firings: ByActor<'a> = IdVec::filled(Vec::new(), actors);
    for (node, calendar) in calendars.nodes.iter() {
        for e in &calendar.compute {
            if app.actors().get(e.actor).is_none() {
                return Err(LowerError::NoSuchActor { entry: place_of(node, e.firing(0)), actor: e.actor, actors });
            }
            firings[e.actor].extend(e.firings().map(|firing| (node, firing)));
        }
    }
    for (actor, list) in firings.iter_mut() {
        let found = list.len() as u64;
        let multiple = u64::from(calendars.unroll) * app.actors()[actor].phases();
        if found == 0 || !found.is_multiple_of(multiple) {
            return Err(LowerError::FiringCount { actor, found, multiple });
        }
        list.sort_by_key(|&(_, e)| e.index);
        for (number, &(node, e)) in (0_u64..).zip(&*list) {
            let (index, place) = (e.index, e.entry.place);
            let problem = match u64::from(index) {
                i if i >= found => "no such number",
                i if i != number => "there are two of this number, or one before it is missing",
                i if u64::from(place) != i / (found / u64::from(calendars.unroll)) => "it belongs to another place",
                _ => continue,
            };
            let entry = place_of(node, e);
            return Err(LowerError::FiringIndex { entry, actor, index, firings: found, place, problem });
        }
    }
    Ok(firings)
}

fn check_home(app: &App, actor: ActorId, firings: &[(NodeId, EntryFiring<'_>)]) -> Result<(), LowerError> {
    let one = firings[0].0;
    match firings.iter().find(|&&(node, _)| node != one) {
        Some(&(other, _)) if app.actors()[actor].has_state() => Err(LowerError::TwoHomes { actor, one, other }),
        _ => Ok(()),
    }
}

fn phase_of(app: &App, e: EntryFiring<'_>) -> u32 {
    u32::try_from(u64::from(e.index) % app.actors()[e.entry.actor].phases()).expect("phases are limited")
}

/// Checks that a firing has the words that it needs, and that its operands can be looked at word by word.
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
    for operand in operands {
        let words = operand.words;
        if words == 0 {
            return Err(LowerError::NoWords { entry });
        }
        let size = operand.circular.map_or(words, |circular| circular.size);
        if let Some(Circular { start, .. }) = operand.circular.filter(|c| c.start >= size || words > size) {
            return Err(LowerError::Circular { entry, words, start, size });
        }
        rotating(entry, operand.address, 0, size.into())?;
    }
    Ok(())
}

/// The words of one outgoing channel of a firing.
struct Span {
    channel: ChannelId,
    /// Where they start among those that the firing hands over by port.
    staged: u64,
    words: u64,
}

/// Per outgoing channel of `actor`, in the order of a calendar's outputs, the words of a firing of `phase`.
fn output_spans(app: &App, actor: ActorId, phase: u32) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let (mut port, mut end) = (None, 0);
    for &id in app.outputs(actor) {
        let channel = &app.channels()[id];
        let words = u64::from(channel.tokens.produce[phase as usize]) * u64::from(channel.token_words());
        if port.replace(channel.source_port) != Some(channel.source_port) {
            end += words;
        }
        spans.push(Span { channel: id, staged: end - words, words });
    }
    spans
}

/// Consecutive words of one channel at consecutive addresses.
struct Piece {
    span: usize,
    /// Words of the span before them.
    skip: u64,
    words: u64,
    address: RotatingAddress,
}

/// Cuts output words where one channel ends and the next begins. They have as many words as the spans.
fn pieces(
    entry: EntryPlace,
    stretches: impl Iterator<Item = Stretch>,
    spans: &[Span],
) -> Result<Vec<Piece>, LowerError> {
    let mut pieces = Vec::new();
    let (mut span, mut skip) = (0, 0);
    for stretch in stretches {
        let words = u64::from(stretch.words);
        let mut done = 0;
        while done < words {
            while skip == spans[span].words {
                (span, skip) = (span + 1, 0);
            }
            let words = (spans[span].words - skip).min(words - done);
            pieces.push(Piece { span, skip, words, address: rotating(entry, stretch.address, done, words)? });
            (done, skip) = (done + words, skip + words);
        }
    }
    Ok(pieces)
}
