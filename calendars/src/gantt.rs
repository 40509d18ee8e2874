//! Calendars as text for a terminal: one metacycle from left to right, one lane per unit.
//!
//! Per node the lanes *scatter, compute, gather*, the order in which data flows, then one lane per link. A letter is the actor
//! that fires, or the one that produced the frame. A column stands for one or many slots and shows the actor that holds
//! most of them; it is idle only if all are.

use crate::format::{CalendarSet, ComputeEntry};
use crate::verify::{TokenWord, Verified};
use sim_core::ids::{ActorId, Id, LinkId, NodeId};
use sim_core::{App, Machine};
use std::collections::BTreeMap;
use std::fmt::Write;

const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const OTHER: char = '#';
const IDLE: char = '·';
const COLUMNS_MIN: usize = 8;

/// Okabe and Ito's colours, safe for colour-blind eyes, in the order of the project's palette.
const PALETTE: [(u8, u8, u8); 7] = [
    (0x00, 0x72, 0xB2),
    (0xE6, 0x9F, 0x00),
    (0x00, 0x9E, 0x73),
    (0xCC, 0x79, 0xA7),
    (0x56, 0xB4, 0xE9),
    (0xD5, 0x5E, 0x00),
    (0xF0, 0xE4, 0x42),
];

/// A stretch of slots that an actor holds; it may pass the metacycle's end once.
#[derive(Clone, Copy)]
struct Stretch {
    slot: i64,
    length: i64,
    actor: ActorId,
}

/// One line of the picture.
struct Lane {
    label: String,
    /// Slots that this lane could hold per tick: cores or links.
    units: u64,
    stretches: Vec<Stretch>,
}

/// Draws verified `calendars` in lines of `width` characters (wider if labels leave too little), in colour for a terminal.
#[must_use]
pub fn text(
    app: &App,
    machine: &Machine,
    calendars: &CalendarSet,
    verified: &Verified,
    width: usize,
    colour: bool,
) -> String {
    let lanes = lanes(app, machine, calendars, verified);
    let label = lanes.iter().map(|lane| lane.label.chars().count()).max().unwrap_or(0);
    let metacycle = calendars.metacycle;
    let wanted = width.saturating_sub(label + " ││ 100 %".chars().count()).max(COLUMNS_MIN);
    let columns = usize::try_from(metacycle).map_or(wanted, |slots| slots.min(wanted));
    let mut text = format!("{} on {}: {}\n", app.name(), machine.name(), scale(calendars, columns));
    for lane in &lanes {
        let cells = lane.cells(metacycle, columns);
        let pad = label - lane.label.chars().count();
        let row = paint(&cells, colour);
        writeln!(text, "{}{:pad$} │{row}│ {:>3} %", lane.label, "", lane.percent(metacycle))
            .expect("strings take text");
    }
    text.push_str(&legend(app, &lanes, width, colour));
    text
}

fn scale(calendars: &CalendarSet, columns: usize) -> String {
    let (metacycle, columns) = (i128::from(calendars.metacycle), columns as i128);
    let per_column = if metacycle % columns == 0 {
        format!("{}", metacycle / columns)
    } else {
        let tenths = metacycle * 10 / columns;
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    format!("metacycle {metacycle} ticks, unroll {}, ticks per column {per_column}", calendars.unroll)
}

fn lanes(app: &App, machine: &Machine, calendars: &CalendarSet, verified: &Verified) -> Vec<Lane> {
    let mut lanes = Vec::new();
    for (node, data) in machine.nodes().iter() {
        let (incoming, outgoing) = (machine.incoming(node), machine.outgoing(node));
        let over = |links: &[LinkId], delayed: bool| {
            let of_link = |&link: &LinkId| frames(app, machine, calendars, verified, link, delayed);
            links.iter().flat_map(of_link).collect::<Vec<_>>()
        };
        let three = [
            ("scatter", incoming.len() as u64, over(incoming, true)),
            ("compute", data.cores.into(), firings(calendars, node)),
            ("gather", outgoing.len() as u64, over(outgoing, false)),
        ];
        let of_node = three.into_iter().filter(|&(_, units, _)| units > 0);
        lanes.extend(of_node.map(|(what, units, stretches)| {
            let label = format!("{} {what}", data.name);
            Lane { label, units, stretches }
        }));
    }
    for (link, ends) in machine.links().iter() {
        let name = |node: NodeId| &machine.nodes()[node].name;
        let label = format!("{}→{}", name(ends.source), name(ends.target));
        lanes.push(Lane { label, units: 1, stretches: frames(app, machine, calendars, verified, link, false) });
    }
    lanes
}

fn firings(calendars: &CalendarSet, node: NodeId) -> Vec<Stretch> {
    let firings = calendars.nodes[node].compute.iter().flat_map(ComputeEntry::firings);
    firings.map(|f| Stretch { slot: f.slot, length: f.entry.exec, actor: f.entry.actor }).collect()
}

/// When the frames of a link are sent or, `delayed` by its latency, stored; by the actor that produced them.
fn frames(
    app: &App,
    machine: &Machine,
    calendars: &CalendarSet,
    verified: &Verified,
    link: LinkId,
    delayed: bool,
) -> Vec<Stretch> {
    let delay = if delayed { machine.links()[link].latency.0 } else { 0 };
    let stretch = |(entry, word): (&crate::FrameEntry, &TokenWord)| Stretch {
        slot: (entry.slot + delay % calendars.metacycle) % calendars.metacycle,
        length: entry.length.into(),
        actor: app.channels()[word.channel].source,
    };
    calendars.links[link].gather.iter().zip(verified.frames.row(link)).map(stretch).collect()
}

impl Lane {
    /// The actor that holds most of each column, if any does.
    fn cells(&self, metacycle: i64, columns: usize) -> Vec<Option<ActorId>> {
        let mut held: Vec<BTreeMap<ActorId, i128>> = vec![BTreeMap::new(); columns];
        let (metacycle, count) = (i128::from(metacycle), columns as i128);
        for stretch in &self.stretches {
            let (start, end) = (i128::from(stretch.slot), i128::from(stretch.slot) + i128::from(stretch.length));
            for (start, end) in [(start, end.min(metacycle)), (0, end - metacycle)] {
                if start >= end {
                    continue;
                }
                let mut column = start * count / metacycle;
                // A column begins at the first slot that falls into it.
                let border = |column: i128| (column * metacycle + count - 1) / count;
                while column < count && border(column) < end {
                    let ticks = end.min(border(column + 1)) - start.max(border(column));
                    *held[column as usize].entry(stretch.actor).or_default() += ticks;
                    column += 1;
                }
            }
        }
        let busiest = |column: &BTreeMap<ActorId, i128>| {
            column.iter().max_by_key(|&(&actor, &ticks)| (ticks, std::cmp::Reverse(actor))).map(|(&actor, _)| actor)
        };
        held.iter().map(busiest).collect()
    }

    /// Slots held, in hundredths of those that there are.
    fn percent(&self, metacycle: i64) -> u128 {
        let held: u128 = self.stretches.iter().map(|stretch| u128::from(stretch.length.unsigned_abs())).sum();
        let all = u128::from(self.units) * u128::from(metacycle.unsigned_abs());
        (200 * held + all) / (2 * all)
    }
}

fn letter(actor: ActorId) -> char {
    LETTERS.get(actor.index()).map_or(OTHER, |&letter| letter.into())
}

/// Writes `shown` in the colour of `actor`.
fn tint(shown: &str, actor: ActorId) -> String {
    let (red, green, blue) = PALETTE[actor.index() % PALETTE.len()];
    format!("\x1b[38;2;{red};{green};{blue}m{shown}\x1b[0m")
}

/// The characters of a lane, neighbours of one actor painted together.
fn paint(cells: &[Option<ActorId>], colour: bool) -> String {
    let group = |group: &[Option<ActorId>]| match group[0] {
        None => IDLE.to_string().repeat(group.len()),
        Some(actor) => {
            let shown = letter(actor).to_string().repeat(group.len());
            if colour { tint(&shown, actor) } else { shown }
        }
    };
    cells.chunk_by(|a, b| a == b).map(group).collect()
}

/// What the letters mean, in lines of `width` characters.
fn legend(app: &App, lanes: &[Lane], width: usize, colour: bool) -> String {
    let mut used: Vec<ActorId> = lanes.iter().flat_map(|lane| &lane.stretches).map(|stretch| stretch.actor).collect();
    used.sort_unstable();
    used.dedup();
    let (named, others): (Vec<ActorId>, Vec<ActorId>) = used.iter().partition(|actor| actor.index() < LETTERS.len());
    let mut items: Vec<(String, Option<ActorId>)> =
        named.iter().map(|&actor| (format!("{} {}", letter(actor), app.actors()[actor].name), Some(actor))).collect();
    if !others.is_empty() {
        items.push((format!("{OTHER} {} other actors", others.len()), None));
    }
    items.push((format!("{IDLE} idle"), None));
    let mut text = String::new();
    let mut column = 0;
    for (item, actor) in items {
        let length = item.chars().count();
        if column > 0 && column + 2 + length > width {
            text.push('\n');
            column = 0;
        } else if column > 0 {
            text.push_str("  ");
            column += 2;
        }
        column += length;
        text.push_str(&actor.filter(|_| colour).map_or(item.clone(), |actor| tint(&item, actor)));
    }
    text.push('\n');
    text
}
