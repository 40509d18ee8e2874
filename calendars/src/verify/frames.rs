//! Frames on links: each one that is sent is stored once, λ ticks later, in the same iteration, and nothing else is stored.
//!
//! Both ends repeat with the metacycle, so first activations that pair up pair up for ever, and only they.

use super::runs::{ReadId, Run, Runs};
use super::violation::Violation;
use super::{Case, Report};
use sim_core::ids::LinkId;

/// One word of a run at its tick.
#[derive(Clone, Copy)]
struct Frame {
    /// Tick at which the frame is sent, in activation 0.
    sent: i64,
    run: usize,
    word: u32,
}

/// Pairs frames with stores; the result is indexed by [`super::runs::WriteId`] and holds who sends what a scatter run stores.
pub(super) fn pair(case: &Case<'_>, runs: &Runs, report: &mut Report) -> Vec<Option<ReadId>> {
    let mut senders = vec![None; runs.writes as usize];
    for link in case.machine.links().ids() {
        pair_link(case, runs, link, report, &mut senders);
    }
    senders
}

fn pair_link(case: &Case<'_>, runs: &Runs, link: LinkId, report: &mut Report, senders: &mut [Option<ReadId>]) {
    let latency = case.machine.links()[link].latency.0;
    let sent = frames(runs, &runs.gathers[link], |at| at);
    // A store is visible one tick after the frame's arrival.
    let stored = frames(runs, &runs.scatters[link], |visible| visible - 1 - latency);
    let dropped = |frame: &Frame| Violation::FrameDropped {
        word: runs.list[frame.run].word(frame.word),
        sent: frame.sent,
        arrives: frame.sent.saturating_add(latency),
    };
    let missing = |frame: &Frame| Violation::FrameMissing {
        word: runs.list[frame.run].word(frame.word),
        sent: frame.sent,
        arrives: frame.sent.saturating_add(latency),
    };
    let (mut i, mut j) = (0, 0);
    while i < sent.len() || j < stored.len() {
        match (sent.get(i), stored.get(j)) {
            (Some(s), Some(t)) if s.sent == t.sent => {
                let (gather, scatter) = (&runs.list[s.run], &runs.list[t.run]);
                senders[(scatter.first_id + t.word) as usize] = Some(gather.first_id + s.word);
                check_place(gather, scatter, t.word, report);
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

fn check_place(gather: &Run, scatter: &Run, word: u32, report: &mut Report) {
    if gather.place != scatter.place {
        report.add_once(Violation::FramePlace {
            word: scatter.word(word),
            place: scatter.place,
            sender: gather.entry,
            sender_place: gather.place,
        });
    }
}

/// The words of some runs of one link, by the tick at which they are sent, which `sent` derives from that of the run.
fn frames(runs: &Runs, positions: &[usize], sent: impl Fn(i64) -> i64) -> Vec<Frame> {
    let of_run = |&run: &usize| {
        let data = &runs.list[run];
        let start = sent(data.at);
        (0..data.words).map(move |word| Frame { sent: start + i64::from(word), run, word })
    };
    let mut frames: Vec<Frame> = positions.iter().flat_map(of_run).collect();
    frames.sort_by_key(|frame| frame.sent);
    frames
}
