//! Matches every frame sent with the store that receives it.

use super::{Addresses, EntryPlace, LowerError, check_place, rotating};
use crate::format::{CalendarSet, FrameEntry};
use sim_core::Machine;
use sim_core::csr::Ranges;
use sim_core::ids::{IdVec, LinkId};
use sim_core::program::{AddressId, Frame, FrameId, ProductId, RotatingAddress, limits};

/// The frames of all links.
pub(super) struct Frames {
    /// By (link, slot); what they carry is not known yet.
    pub(super) frames: IdVec<FrameId, Frame>,
    pub(super) frames_of: Ranges<LinkId>,
    /// Where they are read, at their link's source.
    pub(super) from: IdVec<FrameId, AddressId>,
}

/// One frame at one end of a link.
struct End {
    slot: i64,
    first: u32,
    place: u32,
    address: RotatingAddress,
}

/// Which end of a link.
#[derive(Clone, Copy)]
enum Side {
    Gather,
    Scatter,
}

impl Side {
    fn entry(self, link: LinkId, slot: i64) -> EntryPlace {
        match self {
            Self::Gather => EntryPlace::Gather { link, slot },
            Self::Scatter => EntryPlace::Scatter { link, slot },
        }
    }
}

/// Pairs the frames of all links.
pub(super) fn lower(
    machine: &Machine,
    calendars: &CalendarSet,
    addresses: &mut Addresses,
) -> Result<Frames, LowerError> {
    let (mut frames, mut from, mut links) = (IdVec::new(), IdVec::new(), Vec::new());
    let (mut sent, mut stored) = (Vec::new(), Vec::new());
    for (link, calendar) in calendars.links.iter() {
        let latency = machine.links()[link].latency.0;
        if !(0..=limits::TICKS).contains(&latency) {
            return Err(LowerError::Latency { link, latency });
        }
        ends(calendars, link, Side::Gather, &calendar.gather, &mut sent)?;
        ends(calendars, link, Side::Scatter, &calendar.scatter, &mut stored)?;
        for (end, to) in join(calendars.metacycle, link, latency, &sent, &stored)? {
            let entry = EntryPlace::Gather { link, slot: end.slot };
            let sent = super::tick(calendars, entry, end.first, end.slot, 0)?;
            let to = addresses.number(to);
            frames.push(Frame { sent, product: ProductId(0), word: 0, relayed: None, to, place: end.place });
            from.push(addresses.number(end.address));
            links.push(link);
        }
    }
    let frames_of = Ranges::of_sorted(machine.links().len(), links);
    Ok(Frames { frames, frames_of, from })
}

/// All frames at one end of a link, by slot.
fn ends(
    set: &CalendarSet,
    link: LinkId,
    side: Side,
    entries: &[FrameEntry],
    ends: &mut Vec<End>,
) -> Result<(), LowerError> {
    ends.clear();
    for e in entries {
        let entry = side.entry(link, e.slot);
        let length = i64::from(e.length);
        // The comparison is written so that no sum can overflow. It also bounds the frames by the metacycle.
        if length < 1 || e.slot < 0 || e.slot > set.metacycle - length {
            return Err(LowerError::Slot { entry, length, metacycle: set.metacycle });
        }
        check_place(entry, e.place, set.unroll)?;
        for k in 0..e.length {
            let address = rotating(entry, e.address, u64::from(k), 1)?;
            ends.push(End { slot: e.slot + i64::from(k), first: e.first, place: e.place, address });
        }
    }
    ends.sort_by_key(|end| end.slot);
    match ends.array_windows().find(|[a, b]| a.slot == b.slot) {
        Some([end, _]) => Err(LowerError::SlotTaken { entry: side.entry(link, end.slot) }),
        None => Ok(()),
    }
}

/// Pairs frames by the slot of their arrival; yields those sent with the address of their store.
fn join<'a>(
    metacycle: i64,
    link: LinkId,
    latency: i64,
    sent: &'a [End],
    stored: &[End],
) -> Result<Vec<(&'a End, RotatingAddress)>, LowerError> {
    let unmatched = |side: Side, end: &End| LowerError::Unmatched {
        entry: side.entry(link, end.slot),
        first: end.first,
        place: end.place,
    };
    let mut matched = vec![false; stored.len()];
    let mut pairs = Vec::with_capacity(sent.len());
    for end in sent {
        let arrival = end.slot + latency;
        let (first, slot) = (i64::from(end.first) + arrival / metacycle, arrival % metacycle);
        let counterpart = stored.binary_search_by_key(&slot, |other| other.slot).ok();
        let fits = |&position: &usize| {
            let other = &stored[position];
            i64::from(other.first) == first && other.place == end.place
        };
        let position = counterpart.filter(fits).ok_or_else(|| unmatched(Side::Gather, end))?;
        matched[position] = true;
        pairs.push((end, stored[position].address));
    }
    match matched.iter().position(|&matched| !matched) {
        Some(position) => Err(unmatched(Side::Scatter, &stored[position])),
        None => Ok(pairs),
    }
}
