//! Rules that one entry can break alone: numbers within range, order, and the facts of the firing that it names.

use super::limits;
use super::names::{EntryRef, WordKind};
use super::violation::Violation;
use super::{Case, Report, Usable};
use crate::format::{CalendarSet, Circular, ComputeEntry, EntryFiring, FrameEntry, Operand, Rotation};
use sim_core::ids::NodeId;
use sim_core::{App, Machine};

/// Ticks up to which sums of a few cannot overflow.
const TICKS_MAX: i128 = i64::MAX as i128 / 8;

/// Checks all that concerns the set as a whole. Nothing else makes sense if this fails.
pub(super) fn check_header(machine: &Machine, calendars: &CalendarSet) -> Vec<Violation> {
    let mut violations = Vec::new();
    if calendars.version != CalendarSet::VERSION {
        violations.push(Violation::Version { found: calendars.version, known: CalendarSet::VERSION });
    }
    if calendars.metacycle < 1 {
        violations.push(Violation::Metacycle { found: calendars.metacycle });
    }
    if calendars.unroll < 1 {
        violations.push(Violation::Unroll);
    }
    let (found, needed) = (calendars.nodes.len(), machine.nodes().len());
    if found != needed {
        violations.push(Violation::NodeCount { found, needed });
    }
    let (found, needed) = (calendars.links.len(), machine.links().len());
    if found != needed {
        violations.push(Violation::LinkCount { found, needed });
    }
    let negative = machine.links().iter().filter(|(_, data)| data.latency.0 < 0);
    violations.extend(negative.map(|(link, data)| Violation::NegativeLatency { link, found: data.latency.0 }));
    violations
}

/// Checks that no run of firings is empty, or longer than its actor fires: only then can the firings be listed one by one.
pub(super) fn check_lengths(case: &Case<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut all = 0;
    for (node, calendar) in case.calendars.nodes.iter() {
        for (entry, data) in named(&calendar.compute, |index| EntryRef::Compute(node, index)) {
            let firings = data.repeat.firings;
            let known = case.app.actors().get(data.actor).is_some();
            let limit = if known { case.tokens.firings(data.actor) } else { 1 };
            if firings == 0 {
                violations.push(Violation::EmptyRun { entry });
            } else if u64::from(firings) > limit {
                violations.push(Violation::RunTooLong { entry, firings, actor: data.actor, limit });
            }
            all += u64::from(firings);
        }
    }
    if violations.is_empty() && all > limits::FIRINGS {
        violations.push(Violation::TooManyEntryFirings { found: all, limit: limits::FIRINGS });
    }
    violations
}

/// Checks every entry, and says which ones are sound enough for the rules that relate entries.
pub(super) fn check_entries(case: &Case<'_>, report: &mut Report) -> Usable {
    let mut usable = Usable::default();
    for (node, calendar) in case.calendars.nodes.iter() {
        let name = |index| EntryRef::Compute(node, index);
        let keys = calendar.compute.iter().map(|entry| (entry.slot, entry.core));
        check_calendar(case, node, keys, name, report);
        let entries = named(&calendar.compute, name);
        let broken = entries.filter(|(name, entry)| !report.is_clean(|r| check_compute(case, node, *name, entry, r)));
        usable.broken.extend(broken.map(|(name, _)| name));
    }
    for (link, calendar) in case.calendars.links.iter() {
        let ends = case.machine.links()[link];
        let mut side = |node: NodeId, entries: &[FrameEntry], name: &dyn Fn(u32) -> EntryRef| {
            check_calendar(case, node, entries.iter().map(|entry| entry.slot), name, report);
            let entries = named(entries, name);
            let broken =
                entries.filter(|(name, entry)| !report.is_clean(|r| check_frames(case, node, *name, entry, r)));
            usable.broken.extend(broken.map(|(name, _)| name));
        };
        side(ends.source, &calendar.gather, &|index| EntryRef::Gather(link, index));
        side(ends.target, &calendar.scatter, &|index| EntryRef::Scatter(link, index));
    }
    usable
}

fn named<T>(entries: &[T], name: impl Fn(u32) -> EntryRef) -> impl Iterator<Item = (EntryRef, &T)> {
    entries.iter().enumerate().map(move |(index, entry)| (name(index as u32), entry))
}

/// Checks the depth and the order of one calendar at `node`; `keys` are what its entries are sorted by.
fn check_calendar<K: Ord>(
    case: &Case<'_>,
    node: NodeId,
    keys: impl ExactSizeIterator<Item = K>,
    name: impl Fn(u32) -> EntryRef,
    report: &mut Report,
) {
    if let Some(limit) = case.machine.nodes()[node].calendar_entries
        && keys.len() > limit as usize
    {
        report.add(Violation::CalendarDepth { entry: name(limit), node, limit });
    }
    let mut highest = None;
    for (index, key) in keys.enumerate() {
        if highest.as_ref().is_some_and(|highest| key < *highest) {
            report.add(Violation::Unsorted { entry: name(index as u32) });
        } else {
            highest = Some(key);
        }
    }
}

fn check_frames(case: &Case<'_>, node: NodeId, entry: EntryRef, data: &FrameEntry, report: &mut Report) {
    let (slot, length, metacycle) = (data.slot, data.length, case.calendars.metacycle);
    check_times(case, entry, slot, data.place, report);
    if length == 0 {
        report.add(Violation::EmptyRun { entry });
    } else if slot >= 0 && slot < metacycle && i64::from(length) > metacycle - slot {
        report.add(Violation::RunWraps { entry, slot, length, metacycle });
    }
    check_address(case, node, entry, data.address, length, report);
    check_reach(case, entry, data.first, data.address.count, 0, report);
}

/// Checks a run of firings; of what each of them can break, the first firing that does is reported.
fn check_compute(case: &Case<'_>, node: NodeId, entry: EntryRef, data: &ComputeEntry, report: &mut Report) {
    let cores = case.machine.nodes()[node].cores;
    if data.core >= cores {
        report.add(Violation::NoSuchCore { entry, core: data.core, cores });
    }
    let operands = || data.inputs.iter().chain(&data.outputs);
    let legal = report.is_clean(|report| operands().for_each(|operand| check_operand(entry, *operand, report)));
    let copies = operands().map(|operand| operand.address.count).max().unwrap_or(1);
    check_reach(case, entry, data.first, copies, data.exec, report);
    let mut firings = data.firings();
    let broken = firings.find(|firing| !report.is_clean(|r| check_firing(case, entry, firing, r)));
    if legal && broken.is_none() {
        let of_firing = |firing: EntryFiring<'_>| firing.inputs().chain(firing.outputs()).collect::<Vec<_>>();
        let mut stretches = data.firings().flat_map(of_firing);
        stretches.find(|s| !report.is_clean(|r| check_address(case, node, entry, s.address, s.words, r)));
    }
}

/// Checks that an operand has words, and that they fit their circular buffer.
fn check_operand(entry: EntryRef, operand: Operand, report: &mut Report) {
    if operand.words == 0 {
        report.add(Violation::EmptyRun { entry });
    }
    if operand.address.count == 0 {
        report.add(Violation::NoCopies { entry });
    }
    if let Some(Circular { start, size, .. }) = operand.circular
        && (start >= size || operand.words > size)
    {
        report.add(Violation::CircularOutside { entry, words: operand.words, start, size });
    }
}

/// Checks when a firing starts, and that it is one of its actor, with that firing's duration, iteration and numbers of words.
fn check_firing(case: &Case<'_>, entry: EntryRef, firing: &EntryFiring<'_>, report: &mut Report) {
    check_times(case, entry, firing.slot, firing.entry.place, report);
    check_identity(case, entry, firing, report);
}

fn check_identity(case: &Case<'_>, entry: EntryRef, firing: &EntryFiring<'_>, report: &mut Report) {
    let (app, data) = (case.app, firing.entry);
    let (actor, index) = (data.actor, firing.index);
    if app.actors().get(actor).is_none() {
        report.add(Violation::NoSuchActor { entry, actor, actors: app.actors().len() });
        return;
    }
    let firings = case.tokens.firings(actor);
    if u64::from(index) >= firings {
        report.add(Violation::IndexOutside { entry, actor, index, firings });
        return;
    }
    let place = case.tokens.place(actor, index);
    if u64::from(data.place) != place {
        report.add(Violation::WrongPlace { entry, actor, index, found: data.place, needed: place });
    }
    let phase = case.tokens.phase(actor, index);
    let exec = app.actors()[actor].duration(phase);
    if data.exec != exec {
        report.add(Violation::WrongExec { entry, actor, index, found: data.exec, needed: exec });
    }
    let (consumed, produced) = words_moved(app, data, phase);
    for (kind, operands, needed) in
        [(WordKind::Input, &data.inputs, consumed), (WordKind::Output, &data.outputs, produced)]
    {
        let found = operands.iter().map(|operand: &Operand| u64::from(operand.words)).sum();
        if found != needed {
            report.add(Violation::WrongWords { entry, kind, actor, index, found, needed });
        }
    }
}

/// Words that a firing consumes and produces, the latter per channel.
fn words_moved(app: &App, data: &ComputeEntry, phase: u32) -> (u64, u64) {
    let phase = phase as usize;
    let channels = app.channels();
    let consumed = app.inputs(data.actor).iter().map(|&c| &channels[c]);
    let produced = app.outputs(data.actor).iter().map(|&c| &channels[c]);
    (
        consumed.map(|c| u64::from(c.tokens.consume[phase]) * u64::from(c.token_words())).sum(),
        produced.map(|c| u64::from(c.tokens.produce[phase]) * u64::from(c.token_words())).sum(),
    )
}

fn check_times(case: &Case<'_>, entry: EntryRef, slot: i64, place: u32, report: &mut Report) {
    let (metacycle, unroll) = (case.calendars.metacycle, case.calendars.unroll);
    if slot < 0 || slot >= metacycle {
        report.add(Violation::SlotOutside { entry, slot, metacycle });
    }
    if place >= unroll {
        report.add(Violation::PlaceOutside { entry, place, unroll });
    }
}

fn check_address(case: &Case<'_>, node: NodeId, entry: EntryRef, rotation: Rotation, words: u32, report: &mut Report) {
    if rotation.count == 0 {
        report.add(Violation::NoCopies { entry });
        return;
    }
    let last_copy = u64::from(rotation.stride) * u64::from(rotation.count - 1);
    let address = u64::from(rotation.base) + last_copy + u64::from(words.saturating_sub(1));
    let limit = case.machine.nodes()[node].memory_words.map_or(1 << 32, u64::from);
    if address >= limit {
        report.add(Violation::AddressOutside { entry, node, address, limit });
    }
}

/// Checks that the ticks of the first activation at every copy can be computed in 64 bits.
fn check_reach(case: &Case<'_>, entry: EntryRef, first: u32, copies: u32, exec: i64, report: &mut Report) {
    let metacycles = i128::from(first) + i128::from(copies) + 2;
    let exec = i128::from(exec).max(0);
    if metacycles * i128::from(case.calendars.metacycle) + exec > TICKS_MAX {
        report.add(Violation::TooLate { entry });
    }
}
