//! A shard of the engine as what a session executes, and the outcome that shard 0 puts together.

use crate::proto::{Cause, Neighbour, Schedule, ShardId, Worker};
use serde::{Deserialize, Serialize};
use sim_core::digest::{ChannelDigest, Root};
use sim_core::engine::{EngineError, EpochPart, FiringPanic, Gathering, ReceiveError, Shard, SpreadTokens};
use sim_core::program::Program;
use sim_core::shard::{Cut, Partition};
use sim_core::{App, ChannelId, ChannelOutcome, Outcome, RunOptions, Tick, Ticks};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Words of a cut that may wait at its receiver, about.
const CREDIT_WORDS: u64 = 1 << 20;
/// Metacycles that a shard may be ahead of its neighbours, at least: twice the longest window of an engine.
const CREDIT_METACYCLES: u64 = 16;

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

/// What a shard tells shard 0.
#[derive(Debug, Serialize, Deserialize)]
enum Part {
    Epoch { end: Tick, root: Root },
    Tokens { channel: ChannelId, firings: Vec<(u64, u32)>, words: Vec<u64> },
    Observed { channel: ChannelId, outcome: Option<(u64, u64)>, recorded: Option<Vec<u64>> },
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

/// Ticks that shards execute at once: half of what they may be ahead, so that one half is under way while the other is
/// executed.
#[must_use]
pub fn window(lookahead: Ticks) -> Ticks {
    Ticks((lookahead.0 / 2).max(1))
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
        let neighbours = neighbours(&shard, program.metacycle());
        let (metacycle, position, end) = (program.metacycle(), shard.position(), shard.end());
        let sent_before = BTreeMap::new();
        Ok((Self { shard: Some(shard), metacycle, position, end, sent_before }, neighbours))
    }

    fn limit(&self, tick: Tick) -> i64 {
        if tick >= self.end { i64::MAX } else { tick.0 / self.metacycle }
    }

    fn shard(&mut self) -> &mut Shard<'a> {
        self.shard.as_mut().expect("a shard that has ended is not asked for more")
    }
}

fn neighbours(shard: &Shard<'_>, metacycle: i64) -> Vec<Neighbour> {
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
        let metacycles = (CREDIT_WORDS / frames.unwrap_or(0).max(1)).max(CREDIT_METACYCLES);
        let credit = i64::try_from(metacycles).unwrap_or(i64::MAX).saturating_mul(metacycle).min(1 << 60);
        Neighbour {
            id,
            inbound: schedule(inbound),
            outbound: schedule(outbound),
            lookahead: outbound.map(Cut::lookahead),
            credit: Ticks(credit),
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

    fn advance(&mut self, limit: Tick) -> Result<(), ShardFault> {
        let limit = self.limit(limit);
        self.shard().advance(limit)?;
        self.position = self.shard().position();
        Ok(())
    }

    fn boundary(&self, tick: Tick) -> Tick {
        // Shards stop where a metacycle begins.
        Tick((tick.0 + self.metacycle - 1).div_euclid(self.metacycle) * self.metacycle).min(self.end)
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
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn parts(&mut self, parts: &mut Vec<Vec<u8>>, last: bool) {
        let mut tell = |part: &Part| parts.push(postcard::to_stdvec(part).expect("plain data has a form"));
        let Some(shard) = &mut self.shard else { return };
        for EpochPart { end, root } in shard.epochs() {
            tell(&Part::Epoch { end, root });
        }
        for SpreadTokens { channel, firings, words } in shard.spread_tokens() {
            tell(&Part::Tokens { channel, firings, words });
        }
        if last && let Some(shard) = self.shard.take() {
            for (channel, outcome, recorded) in shard.observed() {
                let outcome = outcome.map(|outcome| (outcome.tokens, outcome.digest.0));
                tell(&Part::Observed { channel, outcome, recorded });
            }
        }
    }
}

/// The outcome of a run, put together on shard 0 from the parts that all shards give out.
pub struct OutcomeParts<'a>(Gathering<'a>);

impl<'a> OutcomeParts<'a> {
    /// Nothing is known yet.
    ///
    /// # Errors
    /// [`EngineError`], all but a panic.
    pub fn new(
        app: &App,
        program: &'a Program,
        options: &RunOptions,
        partition: &Partition,
    ) -> Result<Self, EngineError> {
        Gathering::new(app, program, options, partition).map(Self)
    }

    /// Takes a part of `from`.
    ///
    /// # Errors
    /// It is none, or not one of that shard.
    pub fn take(&mut self, from: ShardId, part: &[u8]) -> Result<(), (Cause, String)> {
        let part = postcard::from_bytes(part).map_err(|error| (Cause::Violated, format!("no part: {error}")))?;
        let taken = match part {
            Part::Epoch { end, root } => self.0.epoch(from, EpochPart { end, root }),
            Part::Tokens { channel, firings, words } => self.0.tokens(&SpreadTokens { channel, firings, words }),
            Part::Observed { channel, outcome, recorded } => {
                let outcome = outcome.map(|(tokens, digest)| ChannelOutcome { tokens, digest: ChannelDigest(digest) });
                self.0.observed(channel, outcome, recorded)
            }
        };
        taken.map_err(|error| (Cause::Violated, error.to_string()))
    }

    /// The outcome of a run that all shards have executed up to `tick`.
    #[must_use]
    pub fn finish(self, tick: Tick) -> Outcome {
        self.0.finish(tick)
    }
}
