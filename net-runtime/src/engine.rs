//! A shard of the engine as what a session executes, and the outcome that shard 0 puts together.

use crate::proto::{Cause, Neighbour, Schedule, ShardId, Worker};
use serde::{Deserialize, Serialize};
use sim_core::digest::{ChannelDigest, Root, RunDigest, epoch_ticks};
use sim_core::engine::{
    EngineError, EpochPart, FiringPanic, Gathering, ReceiveError, Shard, ShardState, Snapshot, SnapshotError,
    SpreadTokens, WINDOW_METACYCLES,
};
use sim_core::program::Program;
use sim_core::shard::{Cut, Partition};
use sim_core::{App, ChannelId, ChannelOutcome, Outcome, RunOptions, Tick, Ticks};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// Words of a cut that may wait at its receiver, about.
const CREDIT_WORDS: u64 = 1 << 18;
/// Windows of every shard that a shard may be ahead of its neighbours, at least. Of a circle of shards that wait for words or
/// for room, at least one waits for room; with room for a window of each shard, and what is held back, they never all wait.
const CREDIT_WINDOWS: u32 = 2;
/// Where words are not waited for by shards that one waits for oneself, they go in so many parts of the room that there is.
const STRIDES: i64 = 8;

impl Schedule for Cut {
    fn words(&self, ticks: Range<Tick>) -> u64 {
        Cut::words(self, ticks)
    }
}

/// No link in this direction.
#[derive(Debug)]
struct NoCut;

impl Schedule for NoCut {
    fn words(&self, _ticks: Range<Tick>) -> u64 {
        0
    }
}

/// Bytes of a state that travel in one part, at most.
const STATE_BYTES: usize = 1 << 28;

/// What a shard tells shard 0, in this order: what was before a state, the state, what comes after it.
#[derive(Debug, Serialize, Deserialize)]
enum Part {
    Epoch {
        end: Tick,
        root: Root,
    },
    Tokens {
        channel: ChannelId,
        firings: Vec<(u64, u32)>,
        words: Vec<u64>,
    },
    /// A piece of the state of the shard's nodes, as words in little-endian bytes.
    State {
        bytes: Vec<u8>,
        last: bool,
    },
    /// The shard stands at a tick at which it would tell its state, but that cannot be copied out.
    Opaque {
        tick: Tick,
    },
    Observed {
        channel: ChannelId,
        outcome: Option<(u64, u64)>,
        recorded: Option<Vec<u64>>,
    },
}

/// Where a run stands, at a tick of which all its shards have told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// With everything that is needed to go on.
    State(Box<Snapshot>),
    /// With a state that cannot be copied out.
    Opaque {
        /// When.
        tick: Tick,
        /// The run digest of everything before.
        digest: RunDigest,
    },
}

impl Standing {
    /// When.
    #[must_use]
    pub fn tick(&self) -> Tick {
        match self {
            Self::State(snapshot) => snapshot.state.tick,
            Self::Opaque { tick, .. } => *tick,
        }
    }

    /// The run digest of everything before.
    #[must_use]
    pub fn digest(&self) -> RunDigest {
        match self {
            Self::State(snapshot) => snapshot.digest,
            Self::Opaque { digest, .. } => *digest,
        }
    }
}

/// A shard of the engine.
pub struct EngineShard<'a> {
    /// `None` once its observations were given out.
    shard: Option<Shard<'a>>,
    metacycle: i64,
    position: Tick,
    end: Tick,
    /// What neighbours were last told.
    sent_before: BTreeMap<ShardId, Tick>,
    /// Metacycles from one state that is told to the next, if any are.
    every: Option<i64>,
    /// A metacycle at whose start it is told besides.
    also: Option<i64>,
    /// The metacycle at whose start the next state is told.
    next_state: i64,
    /// Where the shard stood when it told its state last.
    told: Option<Tick>,
    /// What is to be told before anything else.
    due: Vec<Part>,
}

/// Why a shard cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardFault {
    /// A panic in a user's firing.
    #[error(transparent)]
    Firing(#[from] FiringPanic),
    /// Words that are not due.
    #[error(transparent)]
    Receive(#[from] ReceiveError),
}

impl<'a> EngineShard<'a> {
    /// Shard `id` of `partition` at tick 0, with those that it exchanges words with.
    ///
    /// # Errors
    /// [`EngineError`], all but a panic.
    pub fn new(
        app: &'a App,
        program: &'a Program,
        options: &RunOptions,
        partition: &Partition,
        id: ShardId,
    ) -> Result<(Self, Vec<Neighbour>), EngineError> {
        let shard = Shard::new(app, program, options, partition, id)?;
        let neighbours = neighbours(&shard, program.metacycle(), partition.shards());
        let (metacycle, position, end) = (program.metacycle(), shard.position(), shard.end());
        let (sent_before, due) = (BTreeMap::new(), Vec::new());
        let mut worker = Self {
            shard: Some(shard),
            metacycle,
            position,
            end,
            sent_before,
            every: None,
            also: None,
            next_state: i64::MAX,
            told: None,
            due,
        };
        worker.send_known();
        Ok((worker, neighbours))
    }

    /// Puts the shard, which has executed nothing, where the run stands in `snapshot`.
    ///
    /// # Errors
    /// [`EngineError::Restore`] if that is the state of another run.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EngineError> {
        self.shard().restore(snapshot)?;
        self.position = self.shard().position();
        self.plan_state();
        self.send_known();
        Ok(())
    }

    /// Sends what needs nothing to be executed: words that are made, and such as are only relayed.
    fn send_known(&mut self) {
        self.shard().advance(0).expect("nothing is executed before metacycle 0, and nothing was");
    }

    /// Tells shard 0 the state of the shard's nodes every `ticks` ticks, rounded up to whole epochs. All shards of a run must
    /// do the same.
    pub fn save_every(&mut self, ticks: Ticks) {
        let epoch = self.shard().epoch_metacycles();
        let epochs = (ticks.0.max(1) - 1) / epoch.saturating_mul(self.metacycle) + 1;
        self.every = Some(epochs.saturating_mul(epoch));
        self.plan_state();
    }

    /// Tells it also at `tick`, the end of an epoch. All shards of a run must do the same.
    pub fn save_at(&mut self, tick: Tick) {
        self.also = Some(tick.0 / self.metacycle);
        self.plan_state();
    }

    fn plan_state(&mut self) {
        let metacycle = self.position.0 / self.metacycle;
        let regular = self.every.map(|every| (metacycle / every + 1).saturating_mul(every));
        let also = self.also.filter(|&also| also > metacycle);
        self.next_state = regular.into_iter().chain(also).min().unwrap_or(i64::MAX);
    }

    /// The metacycle before which `tick` allows to execute; no further than to the next state.
    fn limit(&self, tick: Tick) -> i64 {
        let limit = if tick >= self.end { i64::MAX } else { tick.0 / self.metacycle };
        limit.min(self.next_state)
    }

    /// Takes note of how far the shard is, and of its state where one is due.
    fn note(&mut self) {
        self.position = self.shard().position();
        let due = Tick(self.next_state.saturating_mul(self.metacycle));
        if self.shard().at_epoch_end() == Some(due) {
            self.tell_state();
            self.plan_state();
        }
    }

    /// Everything up to the state, and the state, where the shard stands at the end of an epoch.
    fn tell_state(&mut self) {
        let Some(shard) = &mut self.shard else { return };
        if shard.at_epoch_end() == self.told {
            return;
        }
        let state = match shard.save() {
            Ok(state) => state,
            Err(SnapshotError::Opaque { .. }) => {
                self.told = shard.at_epoch_end();
                observed(shard, &mut self.due);
                return self.due.extend(self.told.map(|tick| Part::Opaque { tick }));
            }
            // It stands between two epochs, because its run ends there.
            Err(SnapshotError::NotAnEpoch { .. }) => return,
        };
        self.told = Some(state.tick);
        observed(shard, &mut self.due);
        let bytes: Vec<u8> = state.to_words().into_iter().flat_map(u64::to_le_bytes).collect();
        let pieces = bytes.chunks(STATE_BYTES);
        let count = pieces.len();
        self.due.extend((1..).zip(pieces).map(|(n, piece)| Part::State { bytes: piece.to_vec(), last: n == count }));
    }

    fn shard(&mut self) -> &mut Shard<'a> {
        self.shard.as_mut().expect("a shard that has ended is not asked for more")
    }
}

/// What was observed since the last call.
fn observed(shard: &mut Shard<'_>, parts: &mut Vec<Part>) {
    parts.extend(shard.epochs().map(|EpochPart { end, root }| Part::Epoch { end, root }));
    let tokens = shard.spread_tokens();
    parts.extend(tokens.map(|SpreadTokens { channel, firings, words }| Part::Tokens { channel, firings, words }));
}

fn neighbours(shard: &Shard<'_>, metacycle: i64, shards: u32) -> Vec<Neighbour> {
    let mut cuts: BTreeMap<ShardId, (Option<&Cut>, Option<&Cut>)> = BTreeMap::new();
    shard.incoming().for_each(|cut| cuts.entry(cut.from()).or_default().0 = Some(cut));
    shard.outgoing().for_each(|cut| cuts.entry(cut.to()).or_default().1 = Some(cut));
    let schedule = |cut: Option<&Cut>| -> Arc<dyn Schedule> {
        match cut {
            Some(cut) => Arc::new(cut.clone()),
            None => Arc::new(NoCut),
        }
    };
    let neighbour = |(id, (inbound, outbound)): (ShardId, (Option<&Cut>, Option<&Cut>))| {
        // Both sides count the same frames, so that they find the same credit.
        let frames = [inbound, outbound].into_iter().flatten().map(|cut| cut.frames().len() as u64).max();
        let least = u64::from(CREDIT_WINDOWS * WINDOW_METACYCLES) * u64::from(shards);
        let metacycles = (CREDIT_WORDS / frames.unwrap_or(0).max(1)).max(least);
        let credit = i64::try_from(metacycles).unwrap_or(i64::MAX).saturating_mul(metacycle).min(1 << 60);
        let circle = outbound.is_some_and(|cut| cut.reach().is_some());
        Neighbour {
            id,
            inbound: schedule(inbound),
            outbound: schedule(outbound),
            lookahead: outbound.map(Cut::lookahead),
            credit: Ticks(credit),
            stride: Ticks(if circle { 1 } else { credit / STRIDES }),
        }
    };
    cuts.into_iter().map(neighbour).collect()
}

impl Worker for EngineShard<'_> {
    type Fault = ShardFault;

    fn position(&self) -> Tick {
        self.position
    }

    fn end(&self) -> Tick {
        self.end
    }

    fn ready(&self, limit: Tick) -> Option<Tick> {
        self.shard.as_ref()?.ready(self.limit(limit))
    }

    fn reached(&self, limit: Tick) -> bool {
        self.shard.as_ref().is_none_or(|shard| shard.reached(self.limit(limit)))
    }

    fn bound(&self) -> Option<(ShardId, Tick)> {
        self.shard.as_ref()?.allowed().min_by_key(|&(_, tick)| tick)
    }

    fn advance(&mut self, limit: Tick) -> Result<(), ShardFault> {
        let limit = self.limit(limit);
        self.shard().advance(limit)?;
        self.note();
        Ok(())
    }

    fn boundary(&self, tick: Tick) -> Tick {
        // Shards stop where an epoch ends, so that the run can go on from there.
        let epoch = epoch_ticks(self.metacycle);
        Tick((tick.0.saturating_add(epoch - 1)).div_euclid(epoch).saturating_mul(epoch)).min(self.end)
    }

    fn send(&mut self, to: ShardId, words: &mut Vec<u64>) -> Tick {
        let known = self.sent_before.entry(to).or_default();
        if let Some(shard) = &mut self.shard {
            *known = shard.send(to, words);
        }
        *known
    }

    fn receive(&mut self, from: ShardId, sent_before: Tick, words: &[u64]) -> Result<(), ShardFault> {
        match &mut self.shard {
            // Who sends nothing may still say how far it is.
            Some(shard) if shard.incoming().any(|cut| cut.from() == from) => {
                shard.receive(from, sent_before, words)?;
                // Passes on words that are only relayed; executes nothing.
                shard.advance(0)?;
                self.note();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn parts(&mut self, parts: &mut Vec<Vec<u8>>, last: bool) {
        // Whoever stops before the end leaves a state to go on from.
        if last {
            self.tell_state();
        }
        let mut due = std::mem::take(&mut self.due);
        if let Some(shard) = &mut self.shard {
            observed(shard, &mut due);
        }
        if last && let Some(shard) = self.shard.take() {
            due.extend(shard.observed().map(|(channel, outcome, recorded)| {
                let outcome = outcome.map(|outcome| (outcome.tokens, outcome.digest.0));
                Part::Observed { channel, outcome, recorded }
            }));
        }
        parts.extend(due.iter().map(|part| postcard::to_stdvec(part).expect("plain data has a form")));
    }
}

/// The outcome of a run, put together on shard 0 from the parts that all shards give out, and its states on the way.
pub struct OutcomeParts<'a> {
    gathering: Gathering<'a>,
    /// By shard: parts that wait, because they come after a state that not all shards have told.
    waiting: Vec<VecDeque<Part>>,
    /// By shard: the state that is arriving.
    arriving: Vec<Vec<u8>>,
    /// States that all shards have told, oldest first.
    states: VecDeque<Standing>,
}

impl<'a> OutcomeParts<'a> {
    /// Nothing is known yet.
    ///
    /// # Errors
    /// [`EngineError`], all but a panic.
    pub fn new(
        app: &'a App,
        program: &'a Program,
        options: &RunOptions,
        partition: &Partition,
    ) -> Result<Self, EngineError> {
        Ok(Self {
            gathering: Gathering::new(app, program, options, partition)?,
            waiting: partition.ids().map(|_| VecDeque::new()).collect(),
            arriving: partition.ids().map(|_| Vec::new()).collect(),
            states: VecDeque::new(),
        })
    }

    /// What is known of a run that goes on from `snapshot`.
    ///
    /// # Errors
    /// [`EngineError::Restore`] if that is the state of another run.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EngineError> {
        Ok(self.gathering.restore(snapshot)?)
    }

    /// Takes a part of `from`.
    ///
    /// # Errors
    /// It is none, or not one of that shard.
    pub fn take(&mut self, from: ShardId, part: &[u8]) -> Result<(), (Cause, String)> {
        let violated = |what: String| (Cause::Violated, what);
        let part: Part = postcard::from_bytes(part).map_err(|error| violated(format!("no part: {error}")))?;
        let no_shard = || violated(format!("there is no {from}"));
        self.waiting.get_mut(from.0 as usize).ok_or_else(no_shard)?.push_back(part);
        loop {
            for shard in (0..self.waiting.len()).map(|shard| ShardId(u32::try_from(shard).expect("shards are few"))) {
                self.take_waiting(shard, false).map_err(violated)?;
            }
            // What stands in front now are states, or nothing.
            if self.waiting.iter().any(VecDeque::is_empty) {
                return Ok(());
            }
            self.take_state().map_err(violated)?;
        }
    }

    /// The next state that all shards have told.
    pub fn state(&mut self) -> Option<Standing> {
        self.states.pop_front()
    }

    /// The outcome of a run that all shards have executed up to `tick`.
    #[must_use]
    pub fn finish(mut self, tick: Tick) -> Outcome {
        for shard in (0..self.waiting.len()).map(|shard| ShardId(u32::try_from(shard).expect("shards are few"))) {
            // States that are not whole are of no use; what a shard told after them counts as far as it can be.
            let _ = self.take_waiting(shard, true);
        }
        self.gathering.finish(tick)
    }

    /// Takes the parts of `shard` that come before a state, or `all`.
    fn take_waiting(&mut self, shard: ShardId, all: bool) -> Result<(), String> {
        while let Some(part) = self.waiting[shard.0 as usize].pop_front() {
            let taken = match part {
                Part::State { last: true, .. } | Part::Opaque { .. } if !all => {
                    self.waiting[shard.0 as usize].push_front(part);
                    return Ok(());
                }
                Part::Opaque { .. } => Ok(()),
                Part::State { bytes, .. } => {
                    self.arriving[shard.0 as usize].extend(bytes);
                    Ok(())
                }
                Part::Epoch { end, root } => self.gathering.epoch(shard, EpochPart { end, root }),
                Part::Tokens { channel, firings, words } => {
                    self.gathering.tokens(&SpreadTokens { channel, firings, words })
                }
                Part::Observed { channel, outcome, recorded } => {
                    let digest = |(tokens, digest)| ChannelOutcome { tokens, digest: ChannelDigest(digest) };
                    self.gathering.observed(channel, outcome.map(digest), recorded)
                }
            };
            taken.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Puts together the states that stand in front of what all shards have told.
    fn take_state(&mut self) -> Result<(), String> {
        let (mut states, mut opaque) = (Vec::new(), Vec::new());
        for (number, (waiting, arrived)) in self.waiting.iter_mut().zip(&mut self.arriving).enumerate() {
            match waiting.pop_front() {
                Some(Part::State { bytes, .. }) => arrived.extend(bytes),
                Some(Part::Opaque { tick }) => {
                    opaque.push(tick);
                    continue;
                }
                _ => unreachable!("all stand at a state"),
            }
            let bytes = std::mem::take(arrived);
            let (words, rest) = bytes.as_chunks::<8>();
            let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
            let state = ShardState::from_words(&words).filter(|_| rest.is_empty());
            states.push(state.ok_or_else(|| format!("shard {number} told a state that is none"))?);
        }
        let standing = match opaque.first() {
            None => Standing::State(Box::new(self.gathering.snapshot(states).map_err(|error| error.to_string())?)),
            Some(&tick) if states.is_empty() && opaque.iter().all(|&other| other == tick) => {
                Standing::Opaque { tick, digest: self.gathering.digest() }
            }
            Some(tick) => return Err(format!("not all shards stand at tick {tick} with an opaque state")),
        };
        self.states.push_back(standing);
        Ok(())
    }
}
