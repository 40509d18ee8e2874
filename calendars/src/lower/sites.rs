//! Where words are: every address that a frame or a firing reads leads back to what was written there.
//!
//! A *site* is a word at a node: one that a firing wrote there, or one that a frame brought. An entry that reads an address
//! in activation a finds the word of the latest site of that address before it, in the activation that a word's iteration
//! demands. All entries of one buffer rotate alike, so that one look at activation 0 settles all of them.

use super::firings::place_of;
use super::{EntryPlace, LowerError};
use crate::format::{CalendarSet, EntryFiring, Stretch};
use sim_core::Machine;
use sim_core::csr::Ranges;
use sim_core::ids::{Id, IdVec, LinkId, NodeId};
use sim_core::program::{
    AddressId, FiringId, Frame, FrameId, PlannedFiring, Product, ProductId, Read, RotatingAddress,
};
use sim_core::time::Tick;
use std::ops::Range;

/// What lowering knows of firings.
pub(super) struct Case<'a> {
    pub(super) machine: &'a Machine,
    pub(super) calendars: &'a CalendarSet,
    pub(super) entries: &'a IdVec<FiringId, EntryFiring<'a>>,
    pub(super) firings: &'a IdVec<FiringId, PlannedFiring>,
    pub(super) products: &'a IdVec<ProductId, Product>,
    pub(super) addresses: &'a IdVec<AddressId, RotatingAddress>,
}

/// A word at a node.
#[derive(Clone, Copy)]
struct Site {
    address: RotatingAddress,
    place: u32,
    /// Tick in which activation 0 is written; it is visible from the next one on.
    written: Tick,
    word: Word,
}

/// Which word.
#[derive(Clone, Copy)]
enum Word {
    /// Word of a product, at its producer's node.
    Made(ProductId, u32),
    /// What a frame brings.
    Brought(FrameId),
}

impl Case<'_> {
    fn firings_on(&self, node: NodeId) -> Range<usize> {
        let first = |node: u32| self.firings.as_slice().partition_point(|firing| firing.node.0 < node);
        first(node.0)..first(node.0 + 1)
    }

    /// All sites of `node`.
    fn sites(&self, node: NodeId, frames: &IdVec<FrameId, Frame>, frames_of: &Ranges<LinkId>, sites: &mut Vec<Site>) {
        sites.clear();
        for firing in &self.firings.as_slice()[self.firings_on(node)] {
            for id in firing.products.clone().map(ProductId) {
                let product = &self.products[id];
                let first = self.addresses[product.address];
                for word in 0..product.words {
                    let address = RotatingAddress { base: first.base + word, ..first };
                    let word = Word::Made(id, word);
                    sites.push(Site { address, place: firing.place, written: firing.last, word });
                }
            }
        }
        for &link in self.machine.incoming(node) {
            let latency = self.machine.links()[link].latency;
            for id in frames_of.row(link).map(FrameId) {
                let Frame { sent, to, place, .. } = frames[id];
                let written = Tick(sent.0 + latency.0);
                sites.push(Site { address: self.addresses[to], place, written, word: Word::Brought(id) });
            }
        }
    }
}

/// Finds out what every frame carries. `from` is where frames are read.
pub(super) fn resolve(
    case: &Case<'_>,
    frames: &mut IdVec<FrameId, Frame>,
    frames_of: &Ranges<LinkId>,
    from: &IdVec<FrameId, AddressId>,
) -> Result<(), LowerError> {
    let mut sites = Vec::new();
    for node in case.machine.nodes().ids() {
        case.sites(node, frames, frames_of, &mut sites);
        sites.sort_unstable_by_key(|site| (site.address, site.place, site.written));
        for &link in case.machine.outgoing(node) {
            for id in frames_of.row(link).map(FrameId) {
                let frame = &mut frames[id];
                let key = (case.addresses[from[id]], frame.place);
                let next =
                    sites.partition_point(|site| (site.address, site.place, site.written) < (key.0, key.1, frame.sent));
                let found =
                    next.checked_sub(1).map(|last| sites[last]).filter(|site| (site.address, site.place) == key);
                let entry = EntryPlace::Gather { link, slot: frame.sent.0 % case.calendars.metacycle };
                match found.ok_or(LowerError::Unwritten { entry })?.word {
                    Word::Made(product, word) => (frame.product, frame.word) = (product, word),
                    Word::Brought(before) => frame.relayed = Some(before),
                }
            }
        }
    }
    // A frame is sent after the one that it relays has arrived, so that the way back ends.
    let mut way = Vec::new();
    let mut known: Vec<bool> = frames.values().map(|frame| frame.relayed.is_none()).collect();
    for id in frames.ids() {
        let mut at = id;
        while let Some(before) = frames[at].relayed.filter(|_| !known[at.index()]) {
            way.push(at);
            at = before;
        }
        let (product, word) = (frames[at].product, frames[at].word);
        for id in way.drain(..) {
            (frames[id].product, frames[id].word) = (product, word);
            known[id.index()] = true;
        }
    }
    Ok(())
}

/// Shows that every firing finds what it reads: the words of its channels at the addresses of its operands, in time.
pub(super) fn check_reads(
    case: &Case<'_>,
    reads: &[Read],
    frames: &IdVec<FrameId, Frame>,
    frames_of: &Ranges<LinkId>,
) -> Result<(), LowerError> {
    let word_of = |site: &Site| match site.word {
        Word::Made(product, word) => (product, word),
        Word::Brought(frame) => (frames[frame].product, frames[frame].word),
    };
    let mut sites = Vec::new();
    for node in case.machine.nodes().ids() {
        case.sites(node, frames, frames_of, &mut sites);
        sites.sort_unstable_by_key(word_of);
        if let Some([_, again]) = sites.array_windows().find(|[a, b]| word_of(a) == word_of(b)) {
            return Err(LowerError::StoredTwice { entry: stored(case, again, frames, frames_of) });
        }
        for id in case.firings_on(node).map(FiringId::from_index) {
            let (firing, entry) = (&case.firings[id], case.entries[id]);
            let misread = |product: ProductId| {
                let (entry, channel) = (place_of(node, entry), case.products[product].channel);
                LowerError::Misread { entry, channel }
            };
            let start = firing.last.0 - (firing.exec - 1);
            let mut addresses = addresses(entry.inputs());
            for read in &reads[firing.reads.start as usize..firing.reads.end as usize] {
                for word in read.word..read.word + read.words {
                    let address = addresses.next().expect("operands hold every consumed word");
                    let site = sites
                        .binary_search_by_key(&(read.product, word), word_of)
                        .map_err(|_| misread(read.product))?;
                    let lag = i64::from(read.lag);
                    let in_time = (sites[site].written.0 - start) as i128
                        - i128::from(lag) * i128::from(case.calendars.metacycle)
                        < 0;
                    if !in_time || !alike(address, sites[site].address, lag) {
                        return Err(misread(read.product));
                    }
                }
            }
        }
    }
    Ok(())
}

/// The scatter entry of a site that a frame brought.
fn stored(case: &Case<'_>, site: &Site, frames: &IdVec<FrameId, Frame>, frames_of: &Ranges<LinkId>) -> EntryPlace {
    match site.word {
        Word::Brought(frame) => {
            let link = case.machine.links().ids().find(|&link| frames_of.row(link).contains(&frame.0));
            let link = link.expect("every frame is on a link");
            let arrives = frames[frame].sent.0 + case.machine.links()[link].latency.0;
            EntryPlace::Scatter { link, slot: arrives % case.calendars.metacycle }
        }
        Word::Made(product, _) => {
            let firing = case.products[product].firing;
            place_of(case.firings[firing].node, case.entries[firing])
        }
    }
}

/// Whether activation a + `lag` of `read` and activation a of `written` are one address, for every a.
fn alike(read: RotatingAddress, written: RotatingAddress, lag: i64) -> bool {
    let same = (read.base, read.stride, read.count) == (written.base, written.stride, written.count);
    same && read.at(lag) == written.at(0)
}

/// Addresses of the words of `stretches`, which were checked.
fn addresses(stretches: impl Iterator<Item = Stretch>) -> impl Iterator<Item = RotatingAddress> {
    stretches.flat_map(|Stretch { address, words }| {
        let rotates = address.count > 1 && address.stride > 0;
        let (stride, count) = if rotates { (address.stride, address.count) } else { (0, 1) };
        let phase = address.phase % count;
        (0..words).map(move |word| RotatingAddress { base: address.base + word, stride, count, phase })
    })
}
