//! Frames on links: each one that is sent is stored once, λ ticks later, in the same iteration, and nothing else is stored.
//!
//! Both ends repeat with the metacycle, so first activations that pair up pair up for ever, and only they.

use super::Report;
use super::names::{EntryRef, WordKind, WordRef};
use super::runs::{ReadId, Runs};
use super::violation::Violation;
use crate::format::FrameEntry;

/// One word of an entry at its tick.
#[derive(Clone, Copy)]
struct Frame {
    /// Tick at which the frame is sent, in activation 0.
    sent: i64,
    entry: EntryRef,
    place: u32,
    word: u32,
    /// Number of the word among all that are read or written.
    id: u32,
}

impl Frame {
    fn word(&self) -> WordRef {
        WordRef { entry: self.entry, kind: WordKind::Frame, word: self.word }
    }
}

/// Who sends what is stored, indexed by [`super::runs::WriteId`].
pub(super) struct Senders(Vec<ReadId>);

/// No sender: the word is an output, or a violation is reported.
const NONE: ReadId = ReadId::MAX;

impl Senders {
    /// Who sends the word that is stored as `write`.
    pub(super) fn of(&self, write: u32) -> Option<ReadId> {
        Some(self.0[write as usize]).filter(|&read| read != NONE)
    }
}

/// Pairs frames with stores.
pub(super) fn pair(runs: &Runs<'_>, report: &mut Report) -> Senders {
    let mut senders = Senders(vec![NONE; runs.writes()]);
    let (mut sent, mut stored) = (Vec::new(), Vec::new());
    for (link, data) in runs.case.machine.links().iter() {
        let latency = data.latency.0;
        list(runs, runs.gathers(link), 0, &mut sent);
        list(runs, runs.scatters(link), latency, &mut stored);
        pair_link(latency, &sent, &stored, report, &mut senders);
    }
    senders
}

fn pair_link(latency: i64, sent: &[Frame], stored: &[Frame], report: &mut Report, senders: &mut Senders) {
    let dropped = |frame: &Frame| Violation::FrameDropped {
        word: frame.word(),
        sent: frame.sent,
        arrives: frame.sent.saturating_add(latency),
    };
    let missing = |frame: &Frame| Violation::FrameMissing {
        word: frame.word(),
        sent: frame.sent,
        arrives: frame.sent.saturating_add(latency),
    };
    let (mut i, mut j) = (0, 0);
    while i < sent.len() || j < stored.len() {
        match (sent.get(i), stored.get(j)) {
            (Some(s), Some(t)) if s.sent == t.sent => {
                senders.0[t.id as usize] = s.id;
                check_place(s, t, report);
                (i, j) = (i + 1, j + 1);
            }
            (Some(s), t) if t.is_none_or(|t| s.sent < t.sent) => {
                report.add_once(dropped(s));
                i += 1;
            }
            (_, Some(t)) => {
                report.add_once(missing(t));
                j += 1;
            }
            (_, None) => unreachable!("a frame without a store is dropped"),
        }
    }
}

fn check_place(sent: &Frame, stored: &Frame, report: &mut Report) {
    if sent.place != stored.place {
        report.add_once(Violation::FramePlace {
            word: stored.word(),
            place: stored.place,
            sender: sent.entry,
            sender_place: sent.place,
        });
    }
}

/// The words of the entries at one end of a link, by the tick at which they are sent, `latency` before that of the entry.
fn list<'a>(
    runs: &Runs<'_>,
    entries: impl Iterator<Item = (EntryRef, &'a FrameEntry, u32)>,
    latency: i64,
    frames: &mut Vec<Frame>,
) {
    frames.clear();
    for (entry, data, id) in entries {
        let start = i64::from(data.first) * runs.case.calendars.metacycle + data.slot - latency;
        let frame = |word| Frame { sent: start + i64::from(word), entry, place: data.place, word, id: id + word };
        frames.extend((0..data.length).map(frame));
    }
    frames.sort_by_key(|frame| frame.sent);
}
