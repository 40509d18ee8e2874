//! Puts together what the shards of a run observe, wherever they are.

use super::observe::{Collector, TapOutcome};
use super::snapshot::Ended;
use super::worker::Section;
use super::{EngineError, EpochPart, Extent, RestoreError, ShardState, Snapshot, SpreadTokens, setup};
use crate::app::App;
use crate::digest::RunDigest;
use crate::ids::{ChannelId, Id};
use crate::program::Program;
use crate::run::{ChannelOutcome, Outcome, RunOptions};
use crate::shard::{Partition, ShardId};
use crate::time::Tick;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The outcome of a run, as far as its shards have told.
pub struct Gathering<'a> {
    app: &'a App,
    program: &'a Program,
    iterations: u64,
    extent: Extent,
    /// Ends of epochs that not all shards have reached, by shard.
    epochs: Vec<VecDeque<EpochPart>>,
    digest: RunDigest,
    collectors: Collectors,
    channels: BTreeMap<ChannelId, ChannelOutcome>,
    recorded: BTreeMap<ChannelId, Vec<u64>>,
}

/// Observers of the channels whose producers are spread over shards.
pub(super) struct Collectors(BTreeMap<ChannelId, Collector>);

/// Why what a shard tells cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatherError {
    /// A shard that is not of the partition.
    #[error("there is no {shard}")]
    NoSuchShard {
        /// The shard.
        shard: ShardId,
    },
    /// A channel that does not exist.
    #[error("there is no {channel}")]
    NoSuchChannel {
        /// The channel.
        channel: ChannelId,
    },
    /// Tokens that are not those of the firings that they are said to be of.
    #[error("tokens of {channel} have {words} words, their firings produce {produced}")]
    Words {
        /// The channel.
        channel: ChannelId,
        /// Words found.
        words: u64,
        /// Words of the firings.
        produced: u64,
    },
    /// An epoch that ends at another tick than that of other shards.
    #[error("an epoch of {shard} ends at tick {end}, that of other shards at {expected}")]
    Epoch {
        /// The shard.
        shard: ShardId,
        /// What it says.
        end: Tick,
        /// What others say.
        expected: Tick,
    },
}

impl<'a> Gathering<'a> {
    /// Nothing is known yet of a run of `program` by the shards of `partition`.
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
            app,
            program,
            iterations: options.iterations,
            extent: Extent::new(program, options.iterations)?,
            epochs: partition.ids().map(|_| VecDeque::new()).collect(),
            digest: RunDigest::new(options.digest, &program.identity),
            collectors: Collectors::new(app, program, options, partition)?,
            channels: BTreeMap::new(),
            recorded: BTreeMap::new(),
        })
    }

    /// A shard has reached the end of an epoch.
    ///
    /// # Errors
    /// [`GatherError`].
    pub fn epoch(&mut self, shard: ShardId, part: EpochPart) -> Result<(), GatherError> {
        self.epochs.get_mut(shard.index()).ok_or(GatherError::NoSuchShard { shard })?.push_back(part);
        while self.epochs.iter().all(|epochs| !epochs.is_empty()) {
            let mut parts = self.epochs.iter_mut().filter_map(VecDeque::pop_front);
            let mut first = parts.next().expect("there is a shard");
            for part in parts {
                if part.end != first.end {
                    return Err(GatherError::Epoch { shard, end: part.end, expected: first.end });
                }
                first.root.merge(&part.root);
            }
            self.digest.close_epoch(first.end, &first.root);
        }
        Ok(())
    }

    /// Tokens of a channel whose producers are spread over shards.
    ///
    /// # Errors
    /// [`GatherError`].
    pub fn tokens(&mut self, tokens: &SpreadTokens) -> Result<(), GatherError> {
        let channel = tokens.channel;
        let (words, produced) =
            (tokens.words.len() as u64, tokens.firings.iter().map(|&(_, words)| u64::from(words)).sum());
        if words != produced {
            return Err(GatherError::Words { channel, words, produced });
        }
        if self.collectors.take(tokens) { Ok(()) } else { Err(GatherError::NoSuchChannel { channel }) }
    }

    /// The state of the run, if all its shards stand where `parts` say, in their order, and have told all before that and
    /// nothing after it.
    ///
    /// # Errors
    /// [`RestoreError`] if these are not the states of one run at one tick.
    pub fn snapshot(&self, mut parts: Vec<ShardState>) -> Result<Snapshot, RestoreError> {
        let tick = parts.first().map_or(Tick(0), |part| part.tick);
        parts.push(self.collectors.save(self.app, self.program, &self.extent, tick)?);
        let state = ShardState::merged(&parts)?;
        Ok(Snapshot { identity: self.program.identity, iterations: self.iterations, digest: self.digest, state })
    }

    /// What is known of a run that goes on from `snapshot`.
    ///
    /// # Errors
    /// [`RestoreError`] if it is the state of another run.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<(), RestoreError> {
        snapshot.check(self.program, self.iterations, self.digest.level(), &self.extent)?;
        self.digest = snapshot.digest;
        self.collectors.restore(self.app, self.program, &self.extent, &snapshot.state)
    }

    /// The run digest of the epochs that all shards have reached.
    #[must_use]
    pub fn digest(&self) -> RunDigest {
        self.digest
    }

    /// What a shard has observed of a channel whose producers are all there, at its end.
    ///
    /// # Errors
    /// [`GatherError`].
    pub fn observed(
        &mut self,
        channel: ChannelId,
        outcome: Option<ChannelOutcome>,
        recorded: Option<Vec<u64>>,
    ) -> Result<(), GatherError> {
        if channel.index() >= self.program.channels {
            return Err(GatherError::NoSuchChannel { channel });
        }
        self.channels.extend(outcome.map(|outcome| (channel, outcome)));
        self.recorded.extend(recorded.map(|words| (channel, words)));
        Ok(())
    }

    /// The outcome of a run that all shards have executed up to `tick`; that is the end, if it is done.
    #[must_use]
    pub fn finish(mut self, tick: Tick) -> Outcome {
        for (channel, (outcome, recorded)) in self.collectors.finish() {
            self.channels.extend(outcome.map(|outcome| (channel, outcome)));
            self.recorded.extend(recorded.map(|words| (channel, words)));
        }
        let done = tick >= self.extent.end;
        let complete = || self.extent.iterations_before(self.program, self.iterations, tick);
        Outcome {
            iterations: if done { self.iterations } else { complete() },
            ticks: Some(tick),
            channels: self.channels,
            recorded: self.recorded,
            digest: Some(self.digest),
        }
    }
}

impl Collectors {
    pub(super) fn new(
        app: &App,
        program: &Program,
        options: &RunOptions,
        partition: &Partition,
    ) -> Result<Self, EngineError> {
        let spread = setup::spread(program, partition);
        let channels = options.channels.iter().chain(&options.record).copied();
        let channels: BTreeSet<ChannelId> = channels.filter(|&id| spread[app.channels()[id].source]).collect();
        let collector = |id| {
            let tap = setup::ordered_tap(app, program, options, id, setup::spans(app, id), 0, Vec::new())?;
            Ok((id, Collector::new(tap)))
        };
        channels.into_iter().map(collector).collect::<Result<_, _>>().map(Self)
    }

    /// Takes tokens of one shard; false if there is no such channel.
    pub(super) fn take(&mut self, tokens: &SpreadTokens) -> bool {
        self.0.get_mut(&tokens.channel).map(|collector| collector.take(tokens)).is_some()
    }

    /// What they know at `tick`, up to which all tokens have come, and none after.
    ///
    /// # Errors
    /// [`RestoreError::Tokens`] otherwise.
    pub(super) fn save(
        &self,
        app: &App,
        program: &Program,
        extent: &Extent,
        tick: Tick,
    ) -> Result<ShardState, RestoreError> {
        let mut state = ShardState { tick, ..ShardState::default() };
        if !self.0.is_empty() {
            let ended = Ended::before(program, extent, tick);
            for (&channel, collector) in &self.0 {
                let (next, late) = ended.of(app.channels()[channel].source);
                if !collector.has(next, late) {
                    return Err(RestoreError::Tokens { channel, tick });
                }
                state.channels.push(channel, |words| collector.save(words));
            }
        }
        Ok(state)
    }

    pub(super) fn restore(
        &mut self,
        app: &App,
        program: &Program,
        extent: &Extent,
        state: &ShardState,
    ) -> Result<(), RestoreError> {
        let ended = Ended::before(program, extent, state.tick);
        for (&channel, collector) in &mut self.0 {
            let mut section = Section::new(&state.channels, channel);
            let (next, late) = ended.of(app.channels()[channel].source);
            collector.restore(next, late, &mut section);
            section.end("channel")?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> impl Iterator<Item = (ChannelId, TapOutcome)> {
        self.0.into_values().filter_map(Collector::finish)
    }
}
