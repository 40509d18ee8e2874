//! The first difference between two lists of events.

use sim_core::engine::{Event, What};
use sim_core::{ActorId, LinkId, NodeId, Tick};

/// Where and in what two executions differ first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// When: the last tick of a firing, the tick in which a frame is sent.
    pub tick: Tick,
    /// Who.
    pub node: NodeId,
    /// In which of its events.
    pub place: Place,
    /// In what of it.
    pub field: Field,
}

/// An event of a node in a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The end of a firing.
    Firing {
        /// The actor.
        actor: ActorId,
        /// Number of the firing over the whole run.
        index: u64,
    },
    /// A frame that is sent.
    Frame {
        /// The link.
        link: LinkId,
    },
}

/// What differs, with both values, the first execution's first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// A word that a firing consumes.
    Input {
        /// Its position among all words that the firing consumes.
        word: usize,
        /// Its values.
        values: [u64; 2],
    },
    /// A word that a firing produces.
    Output {
        /// Its position among all words that the firing produces.
        word: usize,
        /// Its values.
        values: [u64; 2],
    },
    /// The word of a frame.
    Word {
        /// Its values.
        values: [u64; 2],
    },
    /// The event itself.
    Missing {
        /// Who lacks it.
        side: Side,
    },
}

/// One of two executions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first.
    First,
    /// The second.
    Second,
}

/// The first difference between two lists of events, both in order: by tick, then node, then firings before frames.
pub(super) fn first_difference(first: &[Event], second: &[Event]) -> Option<Difference> {
    let common = first.iter().zip(second).take_while(|(a, b)| a == b).count();
    match (first.get(common), second.get(common)) {
        (None, None) => None,
        (Some(only), None) => Some(missing(only, Side::Second)),
        (None, Some(only)) => Some(missing(only, Side::First)),
        (Some(a), Some(b)) => Some(match key(a).cmp(&key(b)) {
            std::cmp::Ordering::Less => missing(a, Side::Second),
            std::cmp::Ordering::Greater => missing(b, Side::First),
            std::cmp::Ordering::Equal => Difference { field: field(&a.what, &b.what), ..missing(a, Side::Second) },
        }),
    }
}

/// What identifies an event in a run: no two events share it.
fn key(event: &Event) -> (Tick, NodeId, Place) {
    (event.tick, event.node, place(&event.what))
}

fn place(what: &What) -> Place {
    match *what {
        What::Fired { actor, index, .. } => Place::Firing { actor, index },
        What::Sent { link, .. } => Place::Frame { link },
    }
}

fn missing(event: &Event, side: Side) -> Difference {
    let (tick, node, place) = key(event);
    Difference { tick, node, place, field: Field::Missing { side } }
}

/// What differs between two forms of one event.
fn field(first: &What, second: &What) -> Field {
    match (first, second) {
        (What::Fired { inputs: a, outputs: x, .. }, What::Fired { inputs: b, outputs: y, .. }) => {
            match (first_word(a, b), first_word(x, y)) {
                (Some((word, values)), _) => Field::Input { word, values },
                (None, Some((word, values))) => Field::Output { word, values },
                (None, None) => unreachable!("unequal events of one firing differ in a word"),
            }
        }
        (&What::Sent { word: a, .. }, &What::Sent { word: b, .. }) => Field::Word { values: [a, b] },
        _ => unreachable!("events of one key are of one kind"),
    }
}

fn first_word(first: &[u64], second: &[u64]) -> Option<(usize, [u64; 2])> {
    assert_eq!(first.len(), second.len(), "rates say how many words a firing moves");
    let pairs = first.iter().zip(second).enumerate();
    pairs.filter(|(_, (a, b))| a != b).map(|(word, (&a, &b))| (word, [a, b])).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fired(tick: i64, node: u32, index: u64, inputs: &[u64], outputs: &[u64]) -> Event {
        let what = What::Fired { actor: ActorId(7), index, inputs: inputs.into(), outputs: outputs.into() };
        Event { tick: Tick(tick), node: NodeId(node), what }
    }

    fn sent(tick: i64, node: u32, link: u32, word: u64) -> Event {
        Event { tick: Tick(tick), node: NodeId(node), what: What::Sent { link: LinkId(link), word } }
    }

    fn check(first: &[Event], second: &[Event], tick: i64, node: u32, field: Field) {
        let found = first_difference(first, second).unwrap();
        assert_eq!((found.tick, found.node, found.field), (Tick(tick), NodeId(node), field));
    }

    #[test]
    fn the_first_word_that_differs_is_named() {
        let same = fired(3, 0, 0, &[1, 2], &[3]);
        let a = [same.clone(), fired(4, 1, 1, &[1, 2, 3], &[4]), sent(4, 1, 0, 9)];
        let input = [same.clone(), fired(4, 1, 1, &[1, 5, 6], &[7]), sent(4, 1, 0, 9)];
        check(&a, &input, 4, 1, Field::Input { word: 1, values: [2, 5] });
        let output = [same.clone(), fired(4, 1, 1, &[1, 2, 3], &[7]), sent(4, 1, 0, 8)];
        check(&a, &output, 4, 1, Field::Output { word: 0, values: [4, 7] });
        let word = [same, a[1].clone(), sent(4, 1, 0, 8)];
        check(&a, &word, 4, 1, Field::Word { values: [9, 8] });
        assert_eq!(first_difference(&a, &a), None);
    }

    /// Whoever has the earlier event is not the one who lacks it.
    #[test]
    fn a_missing_event_is_named() {
        let (early, late) = (sent(2, 5, 0, 1), sent(3, 0, 0, 1));
        let both = [early.clone(), late.clone()];
        check(&both, std::slice::from_ref(&late), 2, 5, Field::Missing { side: Side::Second });
        check(std::slice::from_ref(&late), &both, 2, 5, Field::Missing { side: Side::First });
        check(std::slice::from_ref(&early), &both, 3, 0, Field::Missing { side: Side::First });
        check(&both, &[early], 3, 0, Field::Missing { side: Side::Second });
    }
}
