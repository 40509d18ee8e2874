//! Taking a shard's state at the end of an epoch, and going on from it.

use super::Shard;
use crate::app::{ActorState, App};
use crate::digest::{ConsumedHash, EventHash};
use crate::engine::hot::{Stage, StateSlot};
use crate::engine::layout::{Layout, Places};
use crate::engine::sites::{Now, Sites, in_flight};
use crate::engine::snapshot::{Ended, RestoreError, Sections, ShardState, Snapshot, SnapshotError};
use crate::ids::{Id, NodeId};
use crate::program::Frame;
use crate::shard::{Cursor, Cut};
use crate::time::Tick;
use std::ops::Range;

impl Shard<'_> {
    /// The end of an epoch at which this shard stands with all that arrived before it, if it does.
    #[must_use]
    pub fn at_epoch_end(&self) -> Option<Tick> {
        let within = self.metacycle < self.extent.metacycles() && self.metacycle % self.epoch_metacycles == 0;
        let stands = self.under_way.is_none() && self.due.is_none() && self.settled == self.position();
        (within && stands).then_some(self.settled)
    }

    /// Metacycles from one end of an epoch to the next.
    #[must_use]
    pub fn epoch_metacycles(&self) -> i64 {
        self.epoch_metacycles
    }

    /// The state of this shard's nodes, of the links out of them, and of the channels that it observes alone.
    ///
    /// # Errors
    /// [`SnapshotError`] between two epochs, or if the application has an opaque state.
    pub fn save(&self) -> Result<ShardState, SnapshotError> {
        check_plain(self.app)?;
        let tick = self.at_epoch_end().ok_or(SnapshotError::NotAnEpoch { tick: self.position() })?;
        let now = Now { program: self.program, extent: &self.extent, layout: &self.layout, end: tick };
        let fresh = self.epochs.sites().is_none().then(|| Sites::new(self.program, &self.layout));
        let sites = self.epochs.sites().or(fresh.as_ref()).expect("one of them is there");
        let mut state = ShardState { tick, ..ShardState::default() };
        for (number, plan) in self.layout.nodes.iter().enumerate() {
            state.nodes.push(plan.node, |words| {
                sites.live_words(&now, number, |_, place| words.push(self.stage.words[place.index()]));
                for range in states(&self.layout, &self.stage, number) {
                    words.extend_from_slice(&self.stage.states[range]);
                }
                words.extend(self.stage.watch.consumed.get(number).copied().flatten().map(|hash| hash.0));
                words.extend(self.stage.watch.events.get(number).map(|hash| hash.0));
            });
        }
        for (link, _) in self.program.links.iter().filter(|(_, ends)| self.owns(ends.source)) {
            state.links.push(link, |words| {
                in_flight(&now, link, |place| words.push(self.stage.words[place.index()]));
            });
        }
        let ended = Ended::before(self.program, &self.extent, tick);
        let mut taps: Vec<_> = self.stage.watch.taps.iter().filter(|tap| !tap.is_spread()).collect();
        taps.sort_unstable_by_key(|tap| tap.channel);
        for tap in taps {
            let (next, late) = ended.of(self.app.channels()[tap.channel].source);
            state.channels.push(tap.channel, |words| tap.save(next, late, words));
        }
        Ok(state)
    }

    /// Puts this shard, which has executed nothing, where the run stands in `snapshot`.
    ///
    /// # Errors
    /// [`RestoreError`] if that is no state of this run; then the shard is of no more use.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<(), RestoreError> {
        snapshot.check(self.program, self.iterations, self.level, &self.extent)?;
        let state = &snapshot.state;
        self.restore_nodes(state)?;
        self.restore_links(state)?;
        self.restore_channels(state)?;
        self.metacycle = state.tick.0 / self.program.metacycle;
        (self.settled, self.sent_before, self.seen_before) = (state.tick, state.tick, state.tick);
        let places = |cut: &Cut| -> Vec<Places> {
            let frames = cut.frames().iter().map(|frame| &self.program.frames[frame.frame]);
            let sent = |frame: &Frame| self.extent.before(frame.sent, frame.place, state.tick);
            frames.map(|frame| self.layout.ring(frame.product).places(sent(frame), frame.word)).collect()
        };
        for import in &mut self.imports {
            (import.cursor, import.sent_before) = (Cursor::at(self.metacycle), state.tick);
            import.places = places(&import.cut);
        }
        for export in &mut self.exports {
            export.cursor = Cursor::at(self.metacycle);
            export.places = places(&export.cut);
        }
        self.epochs.disturb();
        Ok(())
    }

    fn restore_nodes(&mut self, state: &ShardState) -> Result<(), RestoreError> {
        let now = Now { program: self.program, extent: &self.extent, layout: &self.layout, end: state.tick };
        let fresh = self.epochs.sites().is_none().then(|| Sites::new(self.program, &self.layout));
        let sites = self.epochs.sites().or(fresh.as_ref()).expect("one of them is there");
        for (number, plan) in self.layout.nodes.iter().enumerate() {
            let mut section = Section::new(&state.nodes, plan.node);
            sites.live_words(&now, number, |_, place| self.stage.words[place.index()] = section.word());
            for range in states(&self.layout, &self.stage, number) {
                self.stage.states[range].fill_with(|| section.word());
            }
            if let Some(hash) = self.stage.watch.events.get_mut(number) {
                *hash = EventHash(section.word());
            } else if let Some(hash) = self.stage.watch.consumed.get_mut(number).filter(|_| section.has_more()) {
                *hash = Some(ConsumedHash(section.word()));
            }
            section.end("node")?;
        }
        Ok(())
    }

    /// Frames in flight from nodes of this shard belong to its state; of those to its nodes it has the words.
    fn restore_links(&mut self, state: &ShardState) -> Result<(), RestoreError> {
        let now = Now { program: self.program, extent: &self.extent, layout: &self.layout, end: state.tick };
        for (link, ends) in self.program.links.iter() {
            if self.owns(ends.source) || self.owns(ends.target) {
                let mut section = Section::new(&state.links, link);
                in_flight(&now, link, |place| self.stage.words[place.index()] = section.word());
                section.end("link")?;
            }
        }
        Ok(())
    }

    fn restore_channels(&mut self, state: &ShardState) -> Result<(), RestoreError> {
        let ended = Ended::before(self.program, &self.extent, state.tick);
        for tap in self.stage.watch.taps.iter_mut().filter(|tap| !tap.is_spread()) {
            let mut section = Section::new(&state.channels, tap.channel);
            let (next, late) = ended.of(self.app.channels()[tap.channel].source);
            tap.restore(next, late, &mut section);
            section.end("channel")?;
        }
        Ok(())
    }

    fn owns(&self, node: NodeId) -> bool {
        self.layout.nodes.binary_search_by_key(&node, |plan| plan.node).is_ok()
    }
}

/// Where the plain states of the actors of node number `number` are, by actor.
fn states(layout: &Layout, stage: &Stage<'_>, number: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let end = layout.nodes.get(number + 1).map_or(stage.actors.len(), |next| next.actors as usize);
    let slots = &stage.actors[layout.nodes[number].actors as usize..end];
    let mut states: Vec<_> = slots
        .iter()
        .filter_map(|slot| match &slot.state {
            StateSlot::Words(range) => Some((slot.actor, range.start as usize..range.end as usize)),
            StateSlot::Boxed(_) => None,
        })
        .collect();
    states.sort_unstable_by_key(|&(actor, _)| actor);
    states.into_iter().map(|(_, range)| range)
}

/// Whether all states can be copied out.
fn check_plain(app: &App) -> Result<(), SnapshotError> {
    match app.actors().values().find(|actor| actor.state == ActorState::Opaque) {
        Some(actor) => Err(SnapshotError::Opaque { actor: actor.name.to_string() }),
        None => Ok(()),
    }
}

/// The words of one section, taken in order. Those that are missing are zero, until the end tells.
pub(in crate::engine) struct Section<'a> {
    id: usize,
    words: &'a [u64],
    taken: usize,
}

impl<'a> Section<'a> {
    pub(in crate::engine) fn new<I: Id>(sections: &'a Sections<I>, id: I) -> Self {
        Self { id: id.index(), words: sections.get(id), taken: 0 }
    }

    pub(in crate::engine) fn word(&mut self) -> u64 {
        let word = self.words.get(self.taken).copied().unwrap_or(0);
        self.taken += 1;
        word
    }

    /// As many of the next `count` words as there are.
    pub(in crate::engine) fn take(&mut self, count: usize) -> &'a [u64] {
        let start = self.taken.min(self.words.len());
        self.taken = self.taken.saturating_add(count);
        &self.words[start..self.taken.min(self.words.len())]
    }

    fn has_more(&self) -> bool {
        self.taken < self.words.len()
    }

    /// Nothing may be missing or left.
    pub(in crate::engine) fn end(&self, name: &str) -> Result<(), RestoreError> {
        let (found, expected) = (self.words.len(), self.taken);
        if found == expected {
            return Ok(());
        }
        Err(RestoreError::Words { section: format!("{name} {}", self.id), found, expected })
    }
}
