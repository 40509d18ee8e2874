//! Differences between two calendar sets: header figures, and per calendar the entries that only one of them has.

use crate::format::{CalendarSet, Circular, ComputeEntry, FrameEntry, Operand, Repeat, Rotation};
use sim_core::ids::{ActorId, Id, LinkId, NodeId};
use sim_core::{App, Machine};
use std::fmt;

/// Which of two sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Only the first set has it, shown as `-`.
    First,
    /// Only the second set has it, shown as `+`.
    Second,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A figure or name of the header.
    Header {
        /// Which one.
        what: &'static str,
        /// Its value in the first set.
        first: String,
        /// Its value in the second set.
        second: String,
    },
    /// A run of firings that only one set has, as it is.
    Compute {
        /// Who has it.
        side: Side,
        /// Its node.
        node: NodeId,
        /// The entry.
        entry: ComputeEntry,
    },
    /// A run of frames that only one set sends, as it is.
    Gather {
        /// Who has it.
        side: Side,
        /// Its link.
        link: LinkId,
        /// The entry.
        entry: FrameEntry,
    },
    /// A run of frames that only one set stores, as it is.
    Scatter {
        /// Who has it.
        side: Side,
        /// Its link.
        link: LinkId,
        /// The entry.
        entry: FrameEntry,
    },
}

/// All differences between two sets: header first, then nodes, then links; within a calendar by slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// The differences.
    pub differences: Vec<Difference>,
}

/// Compares two calendar sets; empty if they hold the same, in whatever order. O(n log n) in the number of entries.
#[must_use]
pub fn diff(first: &CalendarSet, second: &CalendarSet) -> Diff {
    let mut differences = Vec::new();
    let mut header = |what, first: String, second: String| {
        if first != second {
            differences.push(Difference::Header { what, first, second });
        }
    };
    header("version", first.version.to_string(), second.version.to_string());
    header("application", first.app.clone(), second.app.clone());
    header("machine", first.machine.clone(), second.machine.clone());
    header("metacycle", first.metacycle.to_string(), second.metacycle.to_string());
    header("unroll", first.unroll.to_string(), second.unroll.to_string());
    header("nodes", first.nodes.len().to_string(), second.nodes.len().to_string());
    header("links", first.links.len().to_string(), second.links.len().to_string());
    for index in 0..first.nodes.len().max(second.nodes.len()) {
        let node = NodeId::from_index(index);
        for (side, entry) in unmatched(firings(first, node), firings(second, node), compute_key) {
            differences.push(Difference::Compute { side, node, entry: entry.clone() });
        }
    }
    for index in 0..first.links.len().max(second.links.len()) {
        let link = LinkId::from_index(index);
        let ((gather, scatter), (other_gather, other_scatter)) = (frames(first, link), frames(second, link));
        for (side, &entry) in unmatched(gather, other_gather, |&entry| entry) {
            differences.push(Difference::Gather { side, link, entry });
        }
        for (side, &entry) in unmatched(scatter, other_scatter, |&entry| entry) {
            differences.push(Difference::Scatter { side, link, entry });
        }
    }
    Diff { differences }
}

fn firings(set: &CalendarSet, node: NodeId) -> &[ComputeEntry] {
    set.nodes.get(node).map_or(&[], |calendar| &calendar.compute)
}

fn frames(set: &CalendarSet, link: LinkId) -> (&[FrameEntry], &[FrameEntry]) {
    set.links.get(link).map_or((&[], &[]), |calendar| (&calendar.gather, &calendar.scatter))
}

/// All of a firing, in an order to sort by.
fn compute_key(entry: &ComputeEntry) -> impl Ord + use<> {
    let ComputeEntry { slot, first, place, core, actor, index, exec, repeat, .. } = *entry;
    ((slot, core, actor, index), (first, place, exec, repeat), entry.inputs.clone(), entry.outputs.clone())
}

/// What one list has and the other has not, each entry as often as it is there, by key.
fn unmatched<'a, T, K: Ord>(first: &'a [T], second: &'a [T], key: impl Fn(&T) -> K) -> Vec<(Side, &'a T)> {
    let sorted = |list: &'a [T]| {
        let mut list: Vec<(K, &T)> = list.iter().map(|entry| (key(entry), entry)).collect();
        list.sort_by(|a, b| a.0.cmp(&b.0));
        list.into_iter().peekable()
    };
    let (mut first, mut second) = (sorted(first), sorted(second));
    let mut result = Vec::new();
    loop {
        let order = match (first.peek(), second.peek()) {
            (Some(a), Some(b)) => a.0.cmp(&b.0),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => return result,
        };
        let a = first.next_if(|_| order.is_le());
        let b = second.next_if(|_| order.is_ge());
        match (a, b) {
            (Some((_, entry)), None) => result.push((Side::First, entry)),
            (None, Some((_, entry))) => result.push((Side::Second, entry)),
            _ => {}
        }
    }
}

impl Diff {
    /// Whether the sets hold the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.differences.is_empty()
    }

    /// Shows names instead of numbers where `app` and `machine` have them.
    #[must_use]
    pub fn named<'a>(&'a self, app: &'a App, machine: &'a Machine) -> impl fmt::Display + 'a {
        Shown { diff: self, names: Some((app, machine)) }
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown { diff: self, names: None }.fmt(f)
    }
}

/// A diff with what names its ids.
struct Shown<'a> {
    diff: &'a Diff,
    names: Option<(&'a App, &'a Machine)>,
}

impl Shown<'_> {
    fn node(&self, node: NodeId) -> String {
        let known = self.names.and_then(|(_, machine)| machine.nodes().get(node));
        known.map_or_else(|| node.to_string(), |data| data.name.to_string())
    }

    fn link(&self, link: LinkId) -> String {
        let known = self.names.and_then(|(_, machine)| machine.links().get(link));
        known.map_or_else(
            || link.to_string(),
            |ends| format!("{link} {}→{}", self.node(ends.source), self.node(ends.target)),
        )
    }

    fn actor(&self, actor: ActorId) -> String {
        let known = self.names.and_then(|(app, _)| app.actors().get(actor));
        known.map_or_else(|| actor.to_string(), |data| data.name.to_string())
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut title = String::new();
        for difference in &self.diff.differences {
            let (calendar, line) = match difference {
                Difference::Header { what, first, second } => {
                    writeln!(f, "{what}: {first} → {second}")?;
                    continue;
                }
                Difference::Compute { side, node, entry } => {
                    let actor = self.actor(entry.actor);
                    (format!("{} compute", self.node(*node)), format!("{} {}", side, Firing { entry, actor }))
                }
                Difference::Gather { side, link, entry } => {
                    (format!("{} gather", self.link(*link)), format!("{} {}", side, Frames(entry)))
                }
                Difference::Scatter { side, link, entry } => {
                    (format!("{} scatter", self.link(*link)), format!("{} {}", side, Frames(entry)))
                }
            };
            if calendar != title {
                writeln!(f, "{calendar}:")?;
                title = calendar;
            }
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "-",
            Self::Second => "+",
        })
    }
}

/// Slot, first metacycle if not 0, place if not 0.
fn write_when(f: &mut fmt::Formatter<'_>, slot: i64, first: u32, place: u32) -> fmt::Result {
    write!(f, "slot {slot}")?;
    if first != 0 {
        write!(f, " from metacycle {first}")?;
    }
    if place != 0 {
        write!(f, " place {place}")?;
    }
    Ok(())
}

struct Frames<'a>(&'a FrameEntry);

impl fmt::Display for Frames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FrameEntry { slot, length, first, place, address } = *self.0;
        write_when(f, slot, first, place)?;
        write!(f, ": {}", Words { address, words: length })
    }
}

struct Firing<'a> {
    entry: &'a ComputeEntry,
    actor: String,
}

impl fmt::Display for Firing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = self.entry;
        write_when(f, e.slot, e.first, e.place)?;
        write!(f, ": {} firing {}", self.actor, e.index)?;
        if e.repeat != Repeat::ONCE {
            let Repeat { firings, slots, indices } = e.repeat;
            write!(f, " and {} more +{indices} every {slots} ticks", firings.saturating_sub(1))?;
        }
        write!(f, ", core {}, {} ticks", e.core, e.exec)?;
        for (what, operands) in [(", in", &e.inputs), (", out", &e.outputs)] {
            for (i, operand) in operands.iter().enumerate() {
                let Operand { address, words, circular } = *operand;
                write!(f, "{} {}", if i == 0 { what } else { "," }, Words { address, words })?;
                if let Some(Circular { start, advance, size }) = circular {
                    write!(f, " from {start} +{advance} mod {size}")?;
                }
            }
        }
        Ok(())
    }
}

/// Addresses as `3..5`, rotating ones as `3..5 +8×4 @1`: stride, copies, phase.
struct Words {
    address: Rotation,
    words: u32,
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rotation { base, stride, count, phase } = self.address;
        write!(f, "[{base}")?;
        if self.words != 1 {
            write!(f, "..{}", u64::from(base) + u64::from(self.words))?;
        }
        if (stride, count, phase) != (0, 1, 0) {
            write!(f, " +{stride}×{count} @{phase}")?;
        }
        f.write_str("]")
    }
}
