//! Matches every frame sent with the store that receives it.

use super::{EntryPlace, LowerError, check_place, rotating};
use crate::format::{CalendarSet, FrameEntry};
use sim_core::Machine;
use sim_core::ids::LinkId;
use sim_core::program::{Activity, ProgramBuilder, RotatingAddress, Transport, limits};

/// One frame of an entry.
struct Frame {
    slot: i64,
    first: u32,
    place: u32,
    address: RotatingAddress,
}

/// Which end of a link.
#[derive(Clone, Copy)]
enum End {
    Gather,
    Scatter,
}

impl End {
    fn entry(self, link: LinkId, slot: i64) -> EntryPlace {
        match self {
            Self::Gather => EntryPlace::Gather { link, slot },
            Self::Scatter => EntryPlace::Scatter { link, slot },
        }
    }
}

/// Adds the frames of all links.
pub(super) fn lower(
    machine: &Machine,
    calendars: &CalendarSet,
    builder: &mut ProgramBuilder,
) -> Result<(), LowerError> {
    for (link, calendar) in calendars.links.iter() {
        let latency = machine.links()[link].latency.0;
        if !(0..=limits::TICKS).contains(&latency) {
            return Err(LowerError::Latency { link, latency });
        }
        let sent = frames(calendars, link, End::Gather, &calendar.gather)?;
        let stored = frames(calendars, link, End::Scatter, &calendar.scatter)?;
        join(calendars.metacycle, link, latency, &sent, &stored, builder)?;
    }
    Ok(())
}

/// All frames at one end of a link, by slot.
fn frames(set: &CalendarSet, link: LinkId, end: End, entries: &[FrameEntry]) -> Result<Vec<Frame>, LowerError> {
    let mut frames = Vec::new();
    for e in entries {
        let entry = end.entry(link, e.slot);
        let length = i64::from(e.length);
        // The comparison is written so that no sum can overflow. It also bounds the frames by the metacycle.
        if length < 1 || e.slot < 0 || e.slot > set.metacycle - length {
            return Err(LowerError::Slot { entry, length, metacycle: set.metacycle });
        }
        check_place(entry, e.place, set.unroll)?;
        for k in 0..e.length {
            let address = rotating(entry, e.address, u64::from(k), 1)?;
            frames.push(Frame { slot: e.slot + i64::from(k), first: e.first, place: e.place, address });
        }
    }
    frames.sort_by_key(|frame| frame.slot);
    match frames.array_windows().find(|[a, b]| a.slot == b.slot) {
        Some([frame, _]) => Err(LowerError::SlotTaken { entry: end.entry(link, frame.slot) }),
        None => Ok(frames),
    }
}

/// Pairs frames by the slot of their arrival.
fn join(
    metacycle: i64,
    link: LinkId,
    latency: i64,
    sent: &[Frame],
    stored: &[Frame],
    builder: &mut ProgramBuilder,
) -> Result<(), LowerError> {
    let unmatched = |end: End, frame: &Frame| LowerError::Unmatched {
        entry: end.entry(link, frame.slot),
        first: frame.first,
        place: frame.place,
    };
    let mut matched = vec![false; stored.len()];
    for frame in sent {
        let arrival = frame.slot + latency;
        let (first, slot) = (i64::from(frame.first) + arrival / metacycle, arrival % metacycle);
        let counterpart = stored.binary_search_by_key(&slot, |other| other.slot).ok();
        let fits = |&position: &usize| {
            let other = &stored[position];
            i64::from(other.first) == first && other.place == frame.place
        };
        let position = counterpart.filter(fits).ok_or_else(|| unmatched(End::Gather, frame))?;
        matched[position] = true;
        builder.transport(Transport {
            link,
            slot: frame.slot,
            activity: Activity { first: u64::from(frame.first), place: frame.place },
            from: frame.address,
            to: stored[position].address,
        });
    }
    match matched.iter().position(|&matched| !matched) {
        Some(position) => Err(unmatched(End::Scatter, &stored[position])),
        None => Ok(()),
    }
}
