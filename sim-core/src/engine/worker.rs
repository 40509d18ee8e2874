//! A shard: some of a machine's nodes, executed window by window.
//!
//! A shard knows nothing of threads or networks. Whoever drives it gives it the words that arrive ([`Shard::receive`]),
//! lets it run as far as these allow ([`Shard::advance`]), and carries away what it sends ([`Shard::send`]). A shard that
//! holds all nodes is the serial engine.

mod state;

pub(super) use state::Section;

use super::epoch::{EpochPart, Epochs};
use super::extent::Extent;
use super::hot::{self, Stage};
use super::layout::{Layout, Parts, Places, Ring};
use super::observe::{SpreadTokens, Tap};
use super::trace::Event;
use super::{EngineError, FiringPanic, setup, window};
use crate::app::App;
use crate::digest::{DigestLevel, EventSource};
use crate::ids::{ChannelId, LinkId, NodeId};
use crate::program::Program;
use crate::run::{ChannelOutcome, RunOptions};
use crate::shard::{Block, Carrier, Cursor, Cut, NOTICE, Pace, Partition, ShardId};
use crate::time::Tick;
use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Some nodes of a machine in the course of a run.
pub struct Shard<'a> {
    id: ShardId,
    app: &'a App,
    program: &'a Program,
    extent: Extent,
    iterations: u64,
    level: DigestLevel,
    /// Metacycles from one epoch's end to the next.
    epoch_metacycles: i64,
    layout: Layout,
    stage: Stage<'a>,
    imports: Vec<Import>,
    exports: Vec<Export>,
    /// Frames that this shard's nodes send, where events are hashed or traced.
    sends: Vec<SentFrame>,
    /// Metacycles in which anything happens, ascending and apart.
    activity: Vec<Range<i64>>,
    /// Observers of channels whose producers are spread over shards: positions among all observers.
    spread: Vec<usize>,
    epochs: Epochs,
    closed: Vec<EpochPart>,
    /// The end of an epoch that is executed but not closed: words that arrive in it may be missing.
    due: Option<Tick>,
    /// The last such end before which everything has arrived.
    settled: Tick,
    /// The tick before which the frames of this shard's nodes are sent.
    sent_before: Tick,
    /// The tick before which they are hashed and traced, where they are.
    seen_before: Tick,
    /// The metacycle in which the present window starts, or the next one.
    metacycle: i64,
    /// The next part of the present window, and the metacycle before which that ends.
    under_way: Option<(usize, i64)>,
    failed: Option<FiringPanic>,
}

/// A run that shards execute.
pub(super) struct Divided<'d> {
    pub(super) partition: &'d Partition,
    pub(super) extent: &'d Extent,
    /// All that crosses.
    pub(super) cuts: &'d [Cut],
    pub(super) carrier: Carrier,
}

/// Words that come in over a cut.
struct Import {
    cut: Cut,
    /// By frame of the cut: where its words are kept, from the next activation on.
    places: Vec<Places>,
    cursor: Cursor,
    /// Everything sent before this tick is here, in the queue or in its ring.
    sent_before: Tick,
    queue: Vec<u64>,
    /// How many words at the start of the queue are in their rings.
    placed: usize,
    /// The frame of the cut that arrives changed, and in which metacycle.
    #[cfg(feature = "planted-fault")]
    fault: Option<(usize, i64)>,
}

/// Words that go out over a cut.
struct Export {
    cut: Cut,
    places: Vec<Places>,
    cursor: Cursor,
    /// Sent, and not carried away yet.
    words: Vec<u64>,
}

/// A frame of this shard.
pub(super) struct SentFrame {
    pub(super) slot: i64,
    /// Metacycles in which it is sent.
    pub(super) first: i64,
    pub(super) end: i64,
    /// Position of its node in the shard.
    pub(super) node: u32,
    pub(super) link: LinkId,
    pub(super) source: EventSource,
    pub(super) ring: Ring,
    pub(super) word: u32,
}

/// Why words cannot be received.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    /// From a shard that sends nothing here.
    #[error("{from} has no link to {to}")]
    NoCut {
        /// Who sent.
        from: ShardId,
        /// Who received.
        to: ShardId,
    },
    /// Not what the calendars say.
    #[error("{from} sends {scheduled} words in ticks {first} to {end}, but {found} were received")]
    Words {
        /// Who sent.
        from: ShardId,
        /// The first tick that the words are for.
        first: Tick,
        /// The first tick that they are not for.
        end: Tick,
        /// How many words the calendars have in these ticks.
        scheduled: u64,
        /// How many there were.
        found: u64,
    },
    /// Time that runs backwards.
    #[error("{from} had said that everything before tick {known} was sent, and now says tick {found}")]
    Backwards {
        /// Who sent.
        from: ShardId,
        /// What it had said.
        known: Tick,
        /// What it says now.
        found: Tick,
    },
}

impl<'a> Shard<'a> {
    /// Shard `id` of `partition` at tick 0 of a run whose shards exchange words over a network.
    ///
    /// # Errors
    /// [`EngineError`], all but a panic.
    pub fn new(
        app: &'a App,
        program: &'a Program,
        options: &RunOptions,
        partition: &Partition,
        id: ShardId,
    ) -> Result<Self, EngineError> {
        let extent = Extent::new(program, options.iterations)?;
        let cuts = Cut::all(program, partition, &extent);
        let divided = Divided { partition, extent: &extent, cuts: &cuts, carrier: Carrier::Network };
        Self::of(app, program, options, &divided, id)
    }

    pub(super) fn of(
        app: &'a App,
        program: &'a Program,
        options: &RunOptions,
        divided: &Divided<'_>,
        id: ShardId,
    ) -> Result<Self, EngineError> {
        let Divided { partition, extent, cuts, carrier } = *divided;
        let incoming: Vec<Cut> = cuts.iter().filter(|cut| cut.to() == id).cloned().collect();
        let observed = setup::observed(app, options);
        let frames_observed = options.digest == DigestLevel::Events || options.trace;
        let most = window::most_ticks(program.metacycle, frames_observed, options.window);
        let parts = Parts {
            app,
            program,
            extent,
            partition,
            shard: id,
            pace: Pace::new(cuts, program.metacycle, id, most, carrier),
            longest: most.0 / program.metacycle,
            frames_observed,
            observed: &|actor| observed[actor],
        };
        let layout = Layout::new(&parts)?;
        let stage = setup::stage(&parts, options, &layout)?;
        let places = |cut: &Cut| -> Vec<Places> {
            let frames = cut.frames().iter().map(|frame| &program.frames[frame.frame]);
            frames.map(|frame| layout.ring(frame.product).places(0, frame.word)).collect()
        };
        let import = |cut: &Cut| Import {
            places: places(cut),
            cut: cut.clone(),
            cursor: Cursor::default(),
            sent_before: Tick(0),
            queue: Vec::new(),
            placed: 0,
            #[cfg(feature = "planted-fault")]
            fault: options.fault.and_then(|fault| fault.in_cut(cut, program.metacycle)),
        };
        let outgoing = cuts.iter().filter(|cut| cut.from() == id);
        let export =
            |cut: &Cut| Export { places: places(cut), cut: cut.clone(), cursor: Cursor::default(), words: Vec::new() };
        let taps = stage.watch.taps.iter().enumerate();
        Ok(Self {
            spread: taps.filter(|(_, tap)| tap.is_spread()).map(|(position, _)| position).collect(),
            id,
            app,
            program,
            iterations: options.iterations,
            level: options.digest,
            epoch_metacycles: crate::digest::epoch_ticks(program.metacycle) / program.metacycle,
            imports: incoming.iter().map(import).collect(),
            exports: outgoing.map(export).collect(),
            sends: if parts.frames_observed { setup::sends(&parts, &layout) } else { Vec::new() },
            activity: setup::activity(&parts, &layout),
            epochs: Epochs::new(program, &layout, options.digest),
            closed: Vec::new(),
            due: None,
            settled: Tick(0),
            sent_before: Tick(0),
            seen_before: Tick(0),
            extent: extent.clone(),
            layout,
            stage,
            metacycle: 0,
            under_way: None,
            failed: None,
        })
    }

    /// The first tick in which a firing may end that is not executed yet; within a window, one whose words others wait for.
    #[must_use]
    pub fn position(&self) -> Tick {
        let ahead = self.under_way.map_or(0, |(part, end)| {
            self.layout.window.parts[part].start.min((end - self.metacycle) * self.program.metacycle)
        });
        Tick(self.executed().0.saturating_add(ahead)).min(self.extent.end)
    }

    /// The tick before which everything is executed: the start of the present window.
    #[must_use]
    pub(super) fn executed(&self) -> Tick {
        Tick(self.metacycle.saturating_mul(self.program.metacycle)).min(self.extent.end)
    }

    /// The tick at which the run ends.
    #[must_use]
    pub fn end(&self) -> Tick {
        self.extent.end
    }

    /// Whether the run has ended here.
    #[must_use]
    pub fn done(&self) -> bool {
        self.reached(i64::MAX)
    }

    /// Cuts into this shard.
    pub fn incoming(&self) -> impl Iterator<Item = &Cut> {
        self.imports.iter().map(|import| &import.cut)
    }

    /// Before which tick the words that have come from each neighbour allow to execute.
    pub fn allowed(&self) -> impl Iterator<Item = (ShardId, Tick)> {
        let until = |import: &Import| import.sent_before.0.saturating_add(import.cut.lookahead().0);
        self.imports.iter().map(move |import| (import.cut.from(), Tick(until(import))))
    }

    /// Cuts out of this shard.
    pub fn outgoing(&self) -> impl Iterator<Item = &Cut> {
        self.exports.iter().map(|export| &export.cut)
    }

    /// Ticks of a window: between two moments at which all nodes stand at the same tick.
    #[must_use]
    pub fn window(&self) -> i64 {
        self.layout.window.metacycles.saturating_mul(self.program.metacycle)
    }

    /// The same in metacycles.
    pub(super) fn window_metacycles(&self) -> u64 {
        self.layout.window.metacycles.unsigned_abs()
    }

    /// Bytes of words and calendars.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.layout.bytes()
            + self.epochs.bytes()
            + size_of_val(&*self.stage.actors)
            + size_of_val(&*self.stage.states)
            + size_of_val(&*self.sends)
    }

    /// Takes words of `from`, which are all that it sends to this shard from where its last words ended to tick `sent_before`.
    ///
    /// # Errors
    /// [`ReceiveError`] if the calendars have other words there; then nothing is taken.
    pub fn receive(&mut self, from: ShardId, sent_before: Tick, words: &[u64]) -> Result<(), ReceiveError> {
        let import = self.imports.iter_mut().find(|import| import.cut.from() == from);
        let import = import.ok_or(ReceiveError::NoCut { from, to: self.id })?;
        let (first, found) = (import.sent_before, words.len() as u64);
        if sent_before < first {
            return Err(ReceiveError::Backwards { from, known: first, found: sent_before });
        }
        let scheduled = import.cut.words(first..sent_before);
        if scheduled != found {
            return Err(ReceiveError::Words { from, first, end: sent_before, scheduled, found });
        }
        import.take(sent_before, words.iter().copied());
        Ok(())
    }

    /// The same for words that are known to be the right ones; there may be later ones among them. Returns how many.
    pub(super) fn take(&mut self, from: usize, sent_before: Tick, words: impl Iterator<Item = u64>) -> u64 {
        self.imports[from].take(sent_before, words)
    }

    /// Moves the words that were sent to `to` since the last call to the end of `words`, and returns the tick before which
    /// everything is sent: the calendars say when the next word follows.
    pub fn send(&mut self, to: ShardId, words: &mut Vec<u64>) -> Tick {
        match self.exports.iter_mut().find(|export| export.cut.to() == to) {
            Some(export) => {
                words.append(&mut export.words);
                export.cut.next_sent(&mut export.cursor)
            }
            None => self.extent.end,
        }
    }

    /// Words sent over the outgoing cuts since the last call, in the order of [`Shard::outgoing`], each with the tick before
    /// which everything is sent.
    pub(super) fn sent(&mut self) -> impl Iterator<Item = (Tick, &mut Vec<u64>)> {
        self.exports.iter_mut().map(|export| (export.cut.next_sent(&mut export.cursor), &mut export.words))
    }

    /// Whether words wait to be carried away.
    pub(super) fn has_words(&self) -> bool {
        self.exports.iter().any(|export| !export.words.is_empty())
    }

    /// Whether everything is sent that is due before metacycle `limit`.
    pub(super) fn has_sent(&self, limit: i64) -> bool {
        let limit = limit.min(self.extent.metacycles()).saturating_mul(self.program.metacycle).min(self.extent.end.0);
        (self.exports.is_empty() || self.sent_before.0 >= limit)
            && (self.sends.is_empty() || self.seen_before.0 >= limit)
    }

    /// The ends of epochs that were reached since the last call.
    pub fn epochs(&mut self) -> impl Iterator<Item = EpochPart> + '_ {
        self.closed.drain(..)
    }

    /// Tokens of observed channels whose producers are spread over shards, since the last call.
    pub fn spread_tokens(&mut self) -> impl Iterator<Item = SpreadTokens> + '_ {
        self.spread.iter().filter_map(|&tap| self.stage.watch.taps[tap].take_spread())
    }

    /// Events since the last call, in no order, if the run is traced.
    pub fn trace(&mut self) -> Vec<Event> {
        self.stage.watch.trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Whether nothing is left to execute before metacycle `limit`.
    #[must_use]
    pub fn reached(&self, limit: i64) -> bool {
        self.metacycle >= limit.min(self.extent.metacycles()) && self.due.is_none() && self.has_sent(limit)
    }

    /// The first tick after the next window, if that may be executed with what was received.
    #[must_use]
    pub fn ready(&self, limit: i64) -> Option<Tick> {
        if let Some(end) = self.due {
            return self.has_arrived(end).then_some(end);
        }
        let limit = limit.min(self.extent.metacycles());
        if self.metacycle >= limit {
            return None;
        }
        if self.under_way.is_none() && !self.active() {
            // Passing over metacycles in which nothing happens needs nothing and sends nothing.
            return Some(self.position());
        }
        let window = self.window_to(limit);
        self.allows(&window).then_some(window.needs)
    }

    /// Executes a part of a window, but of none that starts in metacycle `limit` or later; one that was begun goes on to the
    /// end that it was begun with. Returns whether anything was done; if not, words are missing, or the limit or the end is
    /// reached.
    ///
    /// # Errors
    /// A panic in a user's firing; then the run is over.
    pub fn advance(&mut self, limit: i64) -> Result<bool, FiringPanic> {
        if let Some(panic) = &self.failed {
            return Err(panic.clone());
        }
        self.settle();
        if let Some(end) = self.due {
            if self.has_arrived(end) {
                (self.due, self.settled) = (None, end);
                self.imports.iter_mut().for_each(|import| import.place(end, &mut self.stage.words));
                if self.level != DigestLevel::Off {
                    self.close_epoch(end);
                }
            }
            return Ok(self.due.is_none());
        }
        let limit = limit.min(self.extent.metacycles());
        if self.metacycle >= limit {
            return Ok(false);
        }
        if self.under_way.is_none() && !self.active() {
            self.skip_to(limit);
            return Ok(true);
        }
        let window = self.window_to(limit);
        if !self.allows(&window) {
            return Ok(false);
        }
        // One frame around the loop instead of one per firing: the loop notes whose firing it executes.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.execute(&window))) {
            let panic = self.firing_panic(payload);
            self.failed = Some(panic.clone());
            return Err(panic);
        }
        Ok(true)
    }

    /// What is executed next: a part of the window that is under way, or of one that ends before metacycle `limit` does.
    fn window_to(&self, limit: i64) -> Next {
        let window = &self.layout.window;
        let (part, end) = self.under_way.unwrap_or_else(|| {
            let end = window.end_after(self.metacycle);
            let epoch = (self.metacycle / self.epoch_metacycles + 1) * self.epoch_metacycles;
            // Where nobody asks for the state between, a shard without neighbours passes over epochs.
            let stops = self.level != DigestLevel::Off || window.parts.len() > 1;
            (0, end.min(if stops { epoch } else { end }).min(limit).max(self.metacycle + 1))
        });
        let ticks = (end - self.metacycle) * self.program.metacycle;
        let start = self.executed().0;
        let needs = Tick(start + window.parts[part].end.min(ticks)).min(self.extent.end);
        // A window that is cut short has no ticks for its last parts, but in them nodes catch up that were left behind.
        let whole = window.parts.len();
        let parts = if window.parts[part].start < ticks { part..part + 1 } else { part..whole };
        let closes = parts.end == whole && self.closes(end, limit);
        Next { parts, metacycles: self.metacycle..end, needs, closes }
    }

    /// Whether an epoch ends at the start of `metacycle`. Without a run digest only whoever stops there wants to know.
    fn closes(&self, metacycle: i64, limit: i64) -> bool {
        let ends = metacycle % self.epoch_metacycles == 0 || metacycle == self.extent.metacycles();
        ends && (self.level != DigestLevel::Off || metacycle == limit)
    }

    /// Whether everything that `window` needs was received.
    fn allows(&self, window: &Next) -> bool {
        self.imports.iter().all(|import| import.has_sent(window.needs.0.saturating_sub(import.cut.lookahead().0)))
    }

    /// Whether everything was received that arrives before `end`.
    fn has_arrived(&self, end: Tick) -> bool {
        self.imports.iter().all(|import| import.has_sent(end.0.saturating_sub(import.cut.latency().0)))
    }

    fn execute(&mut self, window: &Next) {
        for import in &mut self.imports {
            import.place(window.needs, &mut self.stage.words);
        }
        let (visits, metacycles) = (self.layout.window.visits(window.parts.clone()), window.metacycles.clone());
        let length = self.program.metacycle;
        if self.level == DigestLevel::Events || self.stage.watch.trace.is_some() {
            hot::run::<true>(&self.layout, visits, metacycles, length, &mut self.stage);
        } else {
            hot::run::<false>(&self.layout, visits, metacycles, length, &mut self.stage);
        }
        self.epochs.disturb();
        if window.parts.end < self.layout.window.parts.len() {
            self.under_way = Some((window.parts.end, window.metacycles.end));
        } else {
            (self.under_way, self.metacycle) = (None, window.metacycles.end);
        }
        self.settle();
        self.due = window.closes.then_some(self.executed());
    }

    /// Sends everything that is known: what the nodes send before the next firing could send anything, as far as the words that
    /// they only relay have come in. Returns whether that is more than before.
    pub(super) fn settle(&mut self) -> bool {
        let known = |import: &Import| import.sent_before.0.saturating_add(import.cut.relay_lookahead().0);
        let horizon = Tick(self.imports.iter().map(known).min().unwrap_or(i64::MAX));
        let made = Tick(self.position().0.saturating_add(NOTICE.0)).min(self.extent.end);
        let (sent, seen) = (horizon.min(made), horizon.min(self.executed()));
        if sent <= self.sent_before && (self.sends.is_empty() || seen <= self.seen_before) {
            return false;
        }
        let limit = sent.max(self.sent_before);
        self.imports.iter_mut().for_each(|import| import.place(limit, &mut self.stage.words));
        if !self.sends.is_empty() && seen > self.seen_before {
            let ticks = self.seen_before..seen;
            hot::sent_frames(&self.sends, &self.layout, ticks, self.program.metacycle, &mut self.stage);
            self.seen_before = seen;
        }
        for export in &mut self.exports {
            let Export { cut, places, cursor, words } = export;
            cut.walk(cursor, limit, |block| {
                let start = words.len();
                words.resize(start + block.words(), 0);
                let ring_words = &self.stage.words;
                exchange(&block, places, |word, place| words[start + word] = ring_words[place]);
            });
        }
        self.sent_before = limit;
        true
    }

    fn close_epoch(&mut self, end: Tick) {
        self.closed.push(self.epochs.close(self.program, &self.extent, &self.layout, end, &self.stage));
    }

    /// Whether anything happens in the next metacycle.
    fn active(&self) -> bool {
        let next = self.activity.partition_point(|range| range.end <= self.metacycle);
        self.activity.get(next).is_some_and(|range| range.start <= self.metacycle)
    }

    /// Passes over metacycles in which nothing happens, up to `limit` or to the end of an epoch.
    fn skip_to(&mut self, limit: i64) {
        let next = self.activity.partition_point(|range| range.end <= self.metacycle);
        let mut target = self.activity.get(next).map_or(limit, |range| range.start.min(limit));
        if self.level != DigestLevel::Off {
            let epoch = (self.metacycle / self.epoch_metacycles + 1) * self.epoch_metacycles;
            target = target.min(epoch);
        }
        if self.closes(target, limit) {
            self.due = Some(Tick(target * self.program.metacycle).min(self.extent.end));
        }
        self.metacycle = target;
        self.settle();
    }

    /// Names the firing that panicked. A panic outside of any is ours and goes on.
    fn firing_panic(&mut self, payload: Box<dyn Any + Send>) -> FiringPanic {
        let Some(executing) = self.stage.executing else { resume_unwind(payload) };
        let plan = &self.layout.nodes[executing.node as usize];
        let firing = &self.layout.firings[executing.firing as usize];
        let shape = &self.layout.shapes[plan.shape as usize];
        let position = (executing.firing - shape.firings.start) as usize;
        let (_, planned) = self.program.firings_on(plan.node).nth(position).expect("shapes keep the firings of a node");
        let metacycle = executing.metacycle + self.stage.started.saturating_sub(1) as i64;
        let last = metacycle * self.program.metacycle + firing.slot;
        let message = payload.downcast_ref::<&str>().map(ToString::to_string);
        let message = message.or_else(|| payload.downcast_ref::<String>().cloned());
        FiringPanic {
            actor: self.app.actors()[planned.actor].name.to_string(),
            id: planned.actor,
            index: (metacycle - firing.first) as u64 * u64::from(firing.step) + u64::from(firing.index),
            node: self.program.nodes[plan.node].name.to_string(),
            start: Tick(last + 1 - planned.exec),
            message: message.unwrap_or_else(|| "no message".to_owned()),
        }
    }

    /// What was digested and recorded of channels whose producers are all in this shard.
    pub fn observed(self) -> impl Iterator<Item = (ChannelId, Option<ChannelOutcome>, Option<Vec<u64>>)> {
        let observed = self.stage.watch.taps.into_iter().filter_map(Tap::finish);
        observed.map(|(channel, (outcome, recorded))| (channel, outcome, recorded))
    }

    /// The nodes of this shard, ascending.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.layout.nodes.iter().map(|plan| plan.node)
    }
}

/// What of a window is about to be executed.
struct Next {
    parts: Range<usize>,
    /// Those of the window.
    metacycles: Range<i64>,
    /// The tick after the last one for which words are needed.
    needs: Tick,
    /// Whether an epoch ends with it.
    closes: bool,
}

impl Import {
    /// Whether everything sent before tick `tick` is here.
    fn has_sent(&self, tick: i64) -> bool {
        self.sent_before.0 >= tick
    }

    fn take(&mut self, sent_before: Tick, words: impl Iterator<Item = u64>) -> u64 {
        self.queue.drain(..std::mem::take(&mut self.placed));
        let before = self.queue.len();
        self.queue.extend(words);
        self.sent_before = sent_before;
        (self.queue.len() - before) as u64
    }

    /// Puts words that were sent before `limit` where they are read. Later ones wait: their places may still be in use.
    fn place(&mut self, limit: Tick, ring_words: &mut [u64]) {
        let Self { cut, places, cursor, sent_before, queue, placed, .. } = self;
        cut.walk(cursor, limit.min(*sent_before), |block| {
            // Words were counted when they came.
            let arrived = &mut queue[*placed..][..block.words()];
            #[cfg(feature = "planted-fault")]
            if let Some(word) = self.fault.and_then(|(frame, metacycle)| block.word(frame, metacycle)) {
                arrived[word] ^= 1;
            }
            exchange(&block, places, |word, place| ring_words[place] = arrived[word]);
            *placed += block.words();
        });
    }
}

/// Calls `copy` with every word of a block, and where it is kept: frame by frame, because a frame's words lie in one ring.
#[inline]
fn exchange(block: &Block, places: &mut [Places], mut copy: impl FnMut(usize, usize)) {
    let (frames, words) = (block.frames.len(), block.words());
    for (first, places) in places[block.frames.clone()].iter_mut().enumerate() {
        let mut word = first;
        while word < words {
            copy(word, places.step());
            word += frames;
        }
    }
}
