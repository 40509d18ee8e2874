//! Who holds what: every firing exactly once, cores, slots of links, and the order of actors with state.

use super::names::EntryRef;
use super::violation::Violation;
use super::{Case, Report, Usable};
use crate::format::{ComputeEntry, EntryFiring, FrameEntry};
use sim_core::ids::ActorId;

/// A firing with its entry.
struct Fired {
    entry: EntryRef,
    actor: ActorId,
    index: u32,
    /// Its first tick and the one after its last, in activation 0.
    start: i64,
    end: i64,
}

/// A stretch of slots with its entry.
#[derive(Clone, Copy)]
struct Held {
    entry: EntryRef,
    slot: i64,
    end: i64,
}

/// Checks that each actor fires each of its indices once, even if in an entry that is broken otherwise.
pub(super) fn check_firings(case: &Case<'_>, report: &mut Report) {
    let all = case.calendars.nodes.iter().flat_map(|(node, calendar)| {
        let named = calendar.compute.iter().zip(0..);
        named.map(move |(data, index)| (EntryRef::Compute(node, index), data))
    });
    let all = by_actor(case, all);
    for (actor, list) in of_actors(case, &all) {
        for pair in list.windows(2).filter(|pair| pair[0].index == pair[1].index) {
            let index = pair[0].index;
            report.add(Violation::FiredTwice { entry: pair[1].entry, other: pair[0].entry, actor, index });
        }
        let firings = case.tokens.firings(actor);
        let mut expected = 0;
        for index in list.iter().map(|firing| u64::from(firing.index)).chain([firings]) {
            if index > expected {
                report.add(Violation::NeverFired { actor, from: expected, to: index - 1 });
            }
            expected = index + 1;
        }
    }
}

/// Checks that actors with state fire on one node, in order, without overlap.
pub(super) fn check_states(case: &Case<'_>, usable: &Usable, report: &mut Report) {
    let all = by_actor(case, usable.computes(case));
    for (actor, list) in of_actors(case, &all) {
        if case.app.actors()[actor].has_state() {
            check_state(case, actor, list, report);
        }
    }
}

/// Firings of actors and indices that exist, sorted by actor and index.
fn by_actor<'a>(case: &Case<'_>, entries: impl Iterator<Item = (EntryRef, &'a ComputeEntry)>) -> Vec<Fired> {
    let (actors, metacycle) = (case.app.actors(), case.calendars.metacycle);
    let exists = |fired: &Fired| u64::from(fired.index) < case.tokens.firings(fired.actor);
    let of_entry = |(entry, data): (EntryRef, &'a ComputeEntry)| {
        let fired = move |firing: EntryFiring<'_>| {
            // Entries that are broken otherwise may have any slot; nothing is asked of when they fire.
            let start = i64::from(data.first).saturating_mul(metacycle).saturating_add(firing.slot);
            Fired { entry, actor: data.actor, index: firing.index, start, end: start.saturating_add(data.exec) }
        };
        data.firings().map(fired)
    };
    let known = entries.filter(|(_, data)| actors.get(data.actor).is_some());
    let mut all: Vec<Fired> = known.flat_map(of_entry).filter(exists).collect();
    all.sort_by_key(|firing| (firing.actor, firing.index));
    all
}

/// Every actor with its firings; `all` are sorted by actor.
fn of_actors<'a>(case: &Case<'_>, all: &'a [Fired]) -> impl Iterator<Item = (ActorId, &'a [Fired])> + use<'a> {
    case.app.actors().ids().scan(all, |rest, actor| {
        let (of_actor, others) = rest.split_at(rest.partition_point(|firing| firing.actor <= actor));
        *rest = others;
        Some((actor, of_actor))
    })
}

/// Checks that the firings of `actor`, sorted by index, are on one node, in order, without overlap.
fn check_state(case: &Case<'_>, actor: ActorId, list: &[Fired], report: &mut Report) {
    let Some(first) = list.first() else { return };
    let node = |entry| match entry {
        EntryRef::Compute(node, _) => Some(node),
        EntryRef::Gather(..) | EntryRef::Scatter(..) => None,
    };
    for firing in list.iter().filter(|firing| node(firing.entry) != node(first.entry)) {
        report.add(Violation::StateMoved { entry: firing.entry, other: first.entry, actor });
    }
    let metacycle = case.calendars.metacycle;
    let followers = list.iter().skip(1).map(|firing| (firing.entry, firing.start));
    let next_metacycle = std::iter::once((first.entry, first.start + metacycle));
    for (before, (entry, start)) in list.iter().zip(followers.chain(next_metacycle)) {
        let (other, end) = (before.entry, before.end);
        if start < end {
            report.add(Violation::StateOrder { entry, other, actor, start, end });
        }
    }
}

/// Checks that no core holds two firings at a time.
pub(super) fn check_cores(case: &Case<'_>, usable: &Usable, report: &mut Report) {
    let metacycle = case.calendars.metacycle;
    let mut held: Vec<(_, u32, Held)> = Vec::new();
    for (entry, data) in usable.computes(case) {
        let EntryRef::Compute(node, _) = entry else { continue };
        if data.exec > metacycle {
            report.add(Violation::LongerThanMetacycle { entry, exec: data.exec, metacycle });
        }
        let of_firing = |firing: EntryFiring<'_>| Held { entry, slot: firing.slot, end: firing.slot + data.exec };
        held.extend(data.firings().map(|firing| (node, data.core, of_firing(firing))));
    }
    held.sort_by_key(|&(node, core, held)| (node, core, held.slot, held.entry));
    for group in held.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let core = group[0].1;
        let stretches: Vec<Held> = group.iter().map(|&(_, _, held)| held).collect();
        for (entry, other, slot) in overlaps(&stretches, metacycle) {
            report.add(Violation::CoreOverlap { entry, other, core, slot });
        }
    }
}

/// Checks that no link sends or stores two frames in one slot.
pub(super) fn check_links(case: &Case<'_>, usable: &Usable, report: &mut Report) {
    let metacycle = case.calendars.metacycle;
    for (link, _) in case.calendars.links.iter() {
        let stretch = |(entry, data): (EntryRef, &FrameEntry)| Held {
            entry,
            slot: data.slot,
            end: data.slot + i64::from(data.length),
        };
        let gather: Vec<Held> = usable.gathers(case, link).map(stretch).collect();
        let scatter: Vec<Held> = usable.scatters(case, link).map(stretch).collect();
        for mut stretches in [gather, scatter] {
            stretches.sort_by_key(|held| (held.slot, held.entry));
            for (entry, other, slot) in overlaps(&stretches, metacycle) {
                report.add(Violation::LinkOverlap { entry, other, slot });
            }
        }
    }
}

/// Stretches, sorted by slot, that begin in one that is not over, on a ring of `metacycle` slots: (entry, holder, slot).
fn overlaps(stretches: &[Held], metacycle: i64) -> Vec<(EntryRef, EntryRef, i64)> {
    let Some(&first) = stretches.first() else { return Vec::new() };
    let mut found = Vec::new();
    let mut holder = first;
    for &held in &stretches[1..] {
        if held.slot < holder.end {
            found.push((held.entry, holder.entry, held.slot));
        }
        if held.end > holder.end {
            holder = held;
        }
    }
    // The last one to end may reach into the next turn of the ring.
    let wrapped = stretches.iter().take_while(|held| held.slot < holder.end - metacycle);
    let other = |held: &&Held| (held.entry, held.slot) != (holder.entry, holder.slot);
    found.extend(wrapped.filter(other).map(|held| (held.entry, holder.entry, held.slot)));
    found
}
