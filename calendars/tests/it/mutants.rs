//! Calendars with exactly one thing changed in one entry.

use crate::cases::{Case, sort};
use calendars::verify::EntryRef;
use calendars::{CalendarSet, Circular, ComputeEntry, FrameEntry, Operand, Rotation};
use sim_core::ids::{ActorId, Id, NodeId};

/// Changed calendars and what was changed.
pub(crate) struct Mutant {
    /// What was done.
    pub(crate) name: String,
    /// The entries that may be blamed, as they are numbered now: the changed one, or for a swap both.
    pub(crate) changed: Vec<EntryRef>,
    /// The entry that is gone or lost a word, as it was numbered before: those that it exchanged words with may be blamed.
    pub(crate) lost: Option<Lost>,
    /// The result.
    pub(crate) calendars: CalendarSet,
}

/// What an entry lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The entry is gone.
    Entry(EntryRef),
    /// It has a frame or a firing less.
    Part(EntryRef),
}

type Edit<T> = (String, Box<dyn Fn(&mut T)>);

fn edit<T>(name: impl Into<String>, change: impl Fn(&mut T) + 'static) -> Edit<T> {
    (name.into(), Box::new(change))
}

fn rotation_edits() -> Vec<Edit<Rotation>> {
    vec![
        edit("base + 1", |r: &mut Rotation| r.base += 1),
        edit("base - 1", |r: &mut Rotation| r.base = r.base.saturating_sub(1)),
        edit("stride + 1", |r: &mut Rotation| r.stride += 1),
        edit("stride - 1", |r: &mut Rotation| r.stride = r.stride.saturating_sub(1)),
        edit("count + 1", |r: &mut Rotation| r.count += 1),
        edit("count - 1", |r: &mut Rotation| r.count = r.count.saturating_sub(1)),
        edit("phase + 1", |r: &mut Rotation| r.phase += 1),
        edit("phase - 1", |r: &mut Rotation| r.phase = r.phase.saturating_sub(1)),
    ]
}

fn circular_edits() -> Vec<Edit<Circular>> {
    vec![
        edit("start + 1", |c: &mut Circular| c.start += 1),
        edit("start - 1", |c: &mut Circular| c.start = c.start.saturating_sub(1)),
        edit("advance + 1", |c: &mut Circular| c.advance += 1),
        edit("advance - 1", |c: &mut Circular| c.advance = c.advance.saturating_sub(1)),
        edit("size + 1", |c: &mut Circular| c.size += 1),
        edit("size - 1", |c: &mut Circular| c.size = c.size.saturating_sub(1)),
    ]
}

fn frame_edits() -> Vec<Edit<FrameEntry>> {
    let mut edits = vec![
        edit("slot + 1", |e: &mut FrameEntry| e.slot += 1),
        edit("slot - 1", |e: &mut FrameEntry| e.slot -= 1),
        edit("length + 1", |e: &mut FrameEntry| e.length += 1),
        edit("length - 1", |e: &mut FrameEntry| e.length = e.length.saturating_sub(1)),
        edit("first + 1", |e: &mut FrameEntry| e.first += 1),
        edit("first - 1", |e: &mut FrameEntry| e.first = e.first.saturating_sub(1)),
        edit("place + 1", |e: &mut FrameEntry| e.place += 1),
        edit("place - 1", |e: &mut FrameEntry| e.place = e.place.saturating_sub(1)),
    ];
    for (name, change) in rotation_edits() {
        edits.push(edit(name, move |e: &mut FrameEntry| change(&mut e.address)));
    }
    edits
}

fn compute_edits(entry: &ComputeEntry) -> Vec<Edit<ComputeEntry>> {
    let mut edits = vec![
        edit("slot + 1", |e: &mut ComputeEntry| e.slot += 1),
        edit("slot - 1", |e: &mut ComputeEntry| e.slot -= 1),
        edit("first + 1", |e: &mut ComputeEntry| e.first += 1),
        edit("first - 1", |e: &mut ComputeEntry| e.first = e.first.saturating_sub(1)),
        edit("place + 1", |e: &mut ComputeEntry| e.place += 1),
        edit("place - 1", |e: &mut ComputeEntry| e.place = e.place.saturating_sub(1)),
        edit("core + 1", |e: &mut ComputeEntry| e.core += 1),
        edit("core - 1", |e: &mut ComputeEntry| e.core = e.core.saturating_sub(1)),
        edit("actor + 1", |e: &mut ComputeEntry| e.actor = ActorId(e.actor.0 + 1)),
        edit("actor - 1", |e: &mut ComputeEntry| e.actor = ActorId(e.actor.0.saturating_sub(1))),
        edit("index + 1", |e: &mut ComputeEntry| e.index += 1),
        edit("index - 1", |e: &mut ComputeEntry| e.index = e.index.saturating_sub(1)),
        edit("exec + 1", |e: &mut ComputeEntry| e.exec += 1),
        edit("exec - 1", |e: &mut ComputeEntry| e.exec -= 1),
        edit("firings + 1", |e: &mut ComputeEntry| e.repeat.firings += 1),
        edit("firings - 1", |e: &mut ComputeEntry| e.repeat.firings = e.repeat.firings.saturating_sub(1)),
    ];
    if entry.repeat.firings > 1 {
        edits.extend([
            edit("slots + 1", |e: &mut ComputeEntry| e.repeat.slots += 1),
            edit("slots - 1", |e: &mut ComputeEntry| e.repeat.slots -= 1),
            edit("indices + 1", |e: &mut ComputeEntry| e.repeat.indices += 1),
            edit("indices - 1", |e: &mut ComputeEntry| e.repeat.indices = e.repeat.indices.saturating_sub(1)),
        ]);
    }
    type Side = fn(&mut ComputeEntry) -> &mut Vec<Operand>;
    let sides: [(&str, Side, usize); 2] =
        [("input", |e| &mut e.inputs, entry.inputs.len()), ("output", |e| &mut e.outputs, entry.outputs.len())];
    for (name, side, operands) in sides {
        for i in 0..operands {
            edits.push(edit(format!("{name} {i} words + 1"), move |e: &mut ComputeEntry| side(e)[i].words += 1));
            edits.push(edit(format!("{name} {i} words - 1"), move |e: &mut ComputeEntry| {
                side(e)[i].words = side(e)[i].words.saturating_sub(1);
            }));
            edits.push(edit(format!("{name} {i} removed"), move |e: &mut ComputeEntry| {
                side(e).remove(i);
            }));
            edits.push(edit(format!("{name} {i} swapped"), move |e: &mut ComputeEntry| side(e).swap(i, 0)));
            for (what, change) in rotation_edits() {
                edits.push(edit(format!("{name} {i} {what}"), move |e: &mut ComputeEntry| {
                    change(&mut side(e)[i].address);
                }));
            }
            for (what, change) in circular_edits() {
                edits.push(edit(format!("{name} {i} {what}"), move |e: &mut ComputeEntry| {
                    if let Some(circular) = &mut side(e)[i].circular {
                        change(circular);
                    }
                }));
            }
        }
    }
    edits
}

/// One calendar of a set, to be changed like any other.
#[derive(Clone, Copy)]
enum Table {
    Gather(usize),
    Scatter(usize),
}

/// All mutants of a case.
pub(crate) fn mutants(case: &Case) -> Vec<Mutant> {
    let mut all = Vec::new();
    for (node, calendar) in case.calendars.nodes.iter() {
        for i in 0..calendar.compute.len() {
            firing_mutants(case, node, i, &mut all);
        }
    }
    for link in 0..case.calendars.links.len() {
        for table in [Table::Gather(link), Table::Scatter(link)] {
            let entries = frames(&mut case.calendars.clone(), table).len();
            for i in 0..entries {
                frame_mutants(case, table, i, &mut all);
            }
        }
    }
    all.retain(|mutant| mutant.calendars != case.calendars);
    all
}

fn frames(set: &mut CalendarSet, table: Table) -> &mut Vec<FrameEntry> {
    match table {
        Table::Gather(link) => &mut set.links[Id::from_index(link)].gather,
        Table::Scatter(link) => &mut set.links[Id::from_index(link)].scatter,
    }
}

fn frame_name(table: Table, index: usize) -> EntryRef {
    match table {
        Table::Gather(link) => EntryRef::Gather(Id::from_index(link), index as u32),
        Table::Scatter(link) => EntryRef::Scatter(Id::from_index(link), index as u32),
    }
}

fn frame_mutants(case: &Case, table: Table, i: usize, all: &mut Vec<Mutant>) {
    let mut add = |name: &str, lost: Option<Lost>, change: &dyn Fn(&mut Vec<FrameEntry>) -> Vec<FrameEntry>| {
        let mut calendars = case.calendars.clone();
        let changed = change(frames(&mut calendars, table));
        sort(&mut calendars);
        let list = frames(&mut calendars, table);
        let find = |wanted: &FrameEntry| list.iter().position(|e| e == wanted).expect("it was put there");
        let changed: Vec<EntryRef> = changed.iter().map(|e| frame_name(table, find(e))).collect();
        let name = format!("{}: {name}", frame_name(table, i));
        all.push(Mutant { name, changed, lost, calendars });
    };
    for (name, change) in frame_edits() {
        let lost = (name == "length - 1").then_some(Lost::Part(frame_name(table, i)));
        add(&name, lost, &|list| {
            change(&mut list[i]);
            vec![list[i]]
        });
    }
    add("removed", Some(Lost::Entry(frame_name(table, i))), &|list| {
        list.remove(i);
        Vec::new()
    });
    add("duplicated", None, &|list| {
        list.insert(i, list[i]);
        vec![list[i]]
    });
    add("addresses swapped", None, &|list| {
        let j = (i + 1) % list.len();
        (list[i].address, list[j].address) = (list[j].address, list[i].address);
        vec![list[i], list[j]]
    });
}

fn firing_mutants(case: &Case, node: NodeId, i: usize, all: &mut Vec<Mutant>) {
    let mut add = |name: &str, lost: Option<Lost>, change: &dyn Fn(&mut CalendarSet) -> Vec<(NodeId, ComputeEntry)>| {
        let mut calendars = case.calendars.clone();
        let changed = change(&mut calendars);
        sort(&mut calendars);
        let find = |(node, wanted): &(NodeId, ComputeEntry)| {
            let index = calendars.nodes[*node].compute.iter().position(|e| e == wanted).expect("it was put there");
            EntryRef::Compute(*node, index as u32)
        };
        let changed = changed.iter().map(find).collect();
        all.push(Mutant { name: format!("{}: {name}", EntryRef::Compute(node, i as u32)), changed, lost, calendars });
    };
    for (name, change) in compute_edits(&case.calendars.nodes[node].compute[i]) {
        let lost = (name == "firings - 1").then_some(Lost::Part(EntryRef::Compute(node, i as u32)));
        add(&name, lost, &|set| {
            let entry = &mut set.nodes[node].compute[i];
            change(entry);
            vec![(node, entry.clone())]
        });
    }
    add("removed", Some(Lost::Entry(EntryRef::Compute(node, i as u32))), &|set| {
        set.nodes[node].compute.remove(i);
        Vec::new()
    });
    add("duplicated", None, &|set| {
        let entry = set.nodes[node].compute[i].clone();
        set.nodes[node].compute.insert(i, entry.clone());
        vec![(node, entry)]
    });
    // If the other node happens to have the word too, the entry is right there, and the way to its old place is not.
    add("moved to another node", Some(Lost::Entry(EntryRef::Compute(node, i as u32))), &|set| {
        let other = NodeId::from_index((node.index() + 1) % set.nodes.len());
        let entry = set.nodes[node].compute.remove(i);
        set.nodes[other].compute.push(entry.clone());
        vec![(other, entry)]
    });
    add("index swapped", None, &|set| {
        let list = &mut set.nodes[node].compute;
        let j = (i + 1) % list.len();
        (list[i].index, list[j].index) = (list[j].index, list[i].index);
        vec![(node, list[i].clone()), (node, list[j].clone())]
    });
}
