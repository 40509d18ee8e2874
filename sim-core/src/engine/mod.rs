//! The engine: executes a program, on one thread or on several.
//!
//! Time and memory are proportional to what the calendars do, never to ticks. A [`Shard`] executes some of the nodes, window
//! by window; [`Engine`] drives one shard, or one per thread, and puts together what they observe. The data goes
//! `window` (in which order nodes are visited, and how far each goes) → `layout` (where words are kept, who does what) → `hot`
//! (the loop) → `observe`, `epoch` (digests).

mod epoch;
mod extent;
#[cfg(feature = "planted-fault")]
mod fault;
mod gathering;
mod hot;
mod layout;
mod observe;
mod setup;
mod sites;
mod snapshot;
mod threads;
mod trace;
mod window;
mod worker;

pub use epoch::EpochPart;
pub(crate) use extent::Extent;
#[cfg(feature = "planted-fault")]
pub use fault::PlantedFault;
pub use gathering::{GatherError, Gathering};
pub use hot::RING_BYTES_PER_FRAME;
pub use observe::SpreadTokens;
pub use snapshot::{RestoreError, Sections, ShardState, Snapshot, SnapshotError};
pub use trace::{Event, What};
pub use window::WINDOW_METACYCLES;
pub(crate) use window::most_ticks;
pub use worker::{ReceiveError, Shard};

use crate::app::App;
use crate::digest::RunDigest;
use crate::ids::{ActorId, ChannelId};
use crate::program::Program;
use crate::run::{Outcome, RunOptions};
use crate::shard::{Carrier, Cut, Partition, ShardId};
use crate::time::Tick;
use threads::Team;
use worker::Divided;

/// A run in progress.
pub struct Engine<'a> {
    extent: Extent,
    shards: Vec<Shard<'a>>,
    team: Team,
    gathering: Gathering<'a>,
    /// Metacycles that are executed.
    metacycle: i64,
    failed: Option<FiringPanic>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The first tick that is not executed yet.
    pub tick: Tick,
    /// The tick at which the run ends.
    pub end: Tick,
    /// Whether it has ended.
    pub done: bool,
}

/// A panic in a user's firing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("firing {index} of actor `{actor}`, started at tick {start} on node `{node}`, panicked: {message}")]
pub struct FiringPanic {
    /// The actor's name.
    pub actor: String,
    /// Its id.
    pub id: ActorId,
    /// Number of the firing over the whole run.
    pub index: u64,
    /// Name of the node that executed it.
    pub node: String,
    /// Its first tick.
    pub start: Tick,
    /// What it said.
    pub message: String,
}

/// Why a run cannot start or go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The program was made for another application.
    #[error(
        "the program is for {program_actors} actors and {program_channels} channels, the application has {actors} and {channels}"
    )]
    OtherApp {
        /// Actors of the program.
        program_actors: usize,
        /// Channels of the program.
        program_channels: usize,
        /// Actors of the application.
        actors: usize,
        /// Channels of the application.
        channels: usize,
    },
    /// A channel to digest or record that does not exist.
    #[error("{channel} is to be observed, but there are {channels} channels")]
    NoSuchChannel {
        /// The channel.
        channel: ChannelId,
        /// How many there are.
        channels: usize,
    },
    /// An actor with opaque state whose behaviour makes none.
    #[error("actor `{actor}` is declared with an opaque state, but its behaviour makes none")]
    NoOpaqueState {
        /// The actor's name.
        actor: String,
        /// Its id.
        id: ActorId,
    },
    /// More ticks or firings than 62 bits count.
    #[error("{iterations} iterations, at metacycles of {metacycle} ticks, are more than can be counted")]
    TooLong {
        /// Iterations asked for.
        iterations: u64,
        /// Ticks of a metacycle.
        metacycle: i64,
    },
    /// More words than an address can name, or than there is memory.
    #[error("{what} need {words} words of 8 bytes, which are not to be had")]
    Memory {
        /// What needs them.
        what: &'static str,
        /// How many.
        words: u64,
    },
    /// A state from which the run cannot go on.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A user's firing panicked.
    #[error(transparent)]
    Firing(#[from] FiringPanic),
}

/// Executes `program` to its end, on this thread.
///
/// # Errors
/// [`EngineError`].
pub fn run(app: &App, program: &Program, options: &RunOptions) -> Result<Outcome, EngineError> {
    let mut engine = Engine::new(app, program, options)?;
    engine.advance(u64::MAX)?;
    Ok(engine.finish())
}

impl<'a> Engine<'a> {
    /// A run of `program`, which was lowered for `app`, at tick 0, on the thread that calls.
    ///
    /// # Errors
    /// [`EngineError`], all but a panic.
    pub fn new(app: &'a App, program: &'a Program, options: &RunOptions) -> Result<Self, EngineError> {
        Self::parallel(app, program, options, &Partition::whole(program.nodes()))
    }

    /// The same on one thread per shard of `partition`.
    ///
    /// # Errors
    /// [`EngineError`], all but a panic.
    ///
    /// # Panics
    /// If the partition is for another number of nodes.
    pub fn parallel(
        app: &'a App,
        program: &'a Program,
        options: &RunOptions,
        partition: &Partition,
    ) -> Result<Self, EngineError> {
        Self::from(app, program, options, partition, None)
    }

    /// The same from the state that a run of the same program with the same options had at the end of an epoch, however
    /// many threads it had.
    ///
    /// # Errors
    /// [`EngineError`], all but a panic; [`EngineError::Restore`] if it is the state of another run.
    ///
    /// # Panics
    /// If the partition is for another number of nodes.
    pub fn resume(
        app: &'a App,
        program: &'a Program,
        options: &RunOptions,
        partition: &Partition,
        snapshot: &Snapshot,
    ) -> Result<Self, EngineError> {
        Self::from(app, program, options, partition, Some(snapshot))
    }

    fn from(
        app: &'a App,
        program: &'a Program,
        options: &RunOptions,
        partition: &Partition,
        snapshot: Option<&Snapshot>,
    ) -> Result<Self, EngineError> {
        assert_eq!(partition.nodes(), program.nodes(), "the partition is of this machine");
        setup::check(app, program, options)?;
        let extent = Extent::new(program, options.iterations)?;
        let cuts = Cut::all(program, partition, &extent);
        let divided = Divided { partition, extent: &extent, cuts: &cuts, carrier: Carrier::Memory };
        let shard = |id| Shard::of(app, program, options, &divided, id);
        let mut shards: Vec<Shard<'a>> = partition.ids().map(shard).collect::<Result<_, _>>()?;
        let mut gathering = Gathering::new(app, program, options, partition)?;
        if let Some(snapshot) = snapshot {
            shards.iter_mut().try_for_each(|shard| shard.restore(snapshot))?;
            gathering.restore(snapshot)?;
        }
        Ok(Self {
            team: Team::new(&shards, program.metacycle),
            gathering,
            shards,
            extent,
            metacycle: snapshot.map_or(0, |snapshot| snapshot.state.tick.0 / program.metacycle),
            failed: None,
        })
    }

    /// Metacycles that are executed at once, at most: whoever advances by fewer pays for each as for all of them.
    #[must_use]
    pub fn window_metacycles(&self) -> u64 {
        self.shards.iter().map(Shard::window_metacycles).max().unwrap_or(1)
    }

    /// Metacycles from where the run stands to the next end of an epoch, where its state can be taken.
    #[must_use]
    pub fn metacycles_to_epoch(&self) -> u64 {
        let epoch = self.shards[0].epoch_metacycles();
        (epoch - self.metacycle % epoch).unsigned_abs()
    }

    /// The state of the run, from which it can go on with any number of threads.
    ///
    /// # Errors
    /// [`SnapshotError`] if the run stands between two epochs, or the application has an opaque state.
    pub fn snapshot(&self) -> Result<Snapshot, SnapshotError> {
        let parts = self.shards.iter().map(Shard::save).collect::<Result<_, _>>()?;
        Ok(self.gathering.snapshot(parts).expect(OWN_SHARDS))
    }

    /// Executes up to `metacycles` metacycles more.
    ///
    /// # Errors
    /// [`EngineError::Firing`] if a user's firing panics; then the run is over.
    pub fn advance(&mut self, metacycles: u64) -> Result<Progress, EngineError> {
        if let Some(panic) = &self.failed {
            return Err(panic.clone().into());
        }
        let limit = self.metacycle.saturating_add_unsigned(metacycles).min(self.extent.metacycles());
        let result = if self.shards.len() > 1 {
            let result = self.team.advance(&mut self.shards, limit);
            self.collect();
            result
        } else {
            self.advance_alone(limit)
        };
        if let Err(panic) = result {
            self.failed = Some(panic.clone());
            return Err(panic.into());
        }
        self.metacycle = limit;
        Ok(self.progress())
    }

    /// How far the run is; after a panic, the start of the window in which it happened.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let tick = self.shards.iter().map(Shard::executed).min().expect("there is a shard");
        Progress { tick, end: self.extent.end, done: self.metacycle == self.extent.metacycles() }
    }

    /// The run digest of the epochs that are closed.
    #[must_use]
    pub fn digest(&self) -> RunDigest {
        self.gathering.digest()
    }

    /// Events since the last call, in order, if the run is traced.
    pub fn trace(&mut self) -> Vec<Event> {
        let mut events: Vec<Event> = self.shards.iter_mut().flat_map(Shard::trace).collect();
        events.sort_unstable();
        events
    }

    /// Bytes of words and calendars of all threads.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shards.iter().map(Shard::bytes).sum()
    }

    /// Threads that execute the run.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.shards.len()
    }

    /// Ends the run. One that is not done yields what it has got: iterations that are complete, tokens that were
    /// observed, and a run digest of the epochs that were closed.
    #[must_use]
    pub fn finish(self) -> Outcome {
        let tick = self.progress().tick;
        let mut gathering = self.gathering;
        for (channel, outcome, recorded) in self.shards.into_iter().flat_map(Shard::observed) {
            gathering.observed(channel, outcome, recorded).expect(OWN_SHARDS);
        }
        gathering.finish(tick)
    }

    /// Executes the only shard up to metacycle `limit`. What it observes is taken at once, so that nothing piles up.
    fn advance_alone(&mut self, limit: i64) -> Result<(), FiringPanic> {
        loop {
            let result = self.shards[0].advance(limit);
            self.collect();
            if !result? {
                return Ok(());
            }
        }
    }

    /// Puts together what the shards have observed.
    fn collect(&mut self) {
        for (shard, number) in self.shards.iter_mut().zip(0..) {
            for part in shard.epochs() {
                self.gathering.epoch(ShardId(number), part).expect(OWN_SHARDS);
            }
            for tokens in shard.spread_tokens() {
                self.gathering.tokens(&tokens).expect(OWN_SHARDS);
            }
        }
    }
}

const OWN_SHARDS: &str = "shards of one process tell of the same run";

/// Checks that `words` words can be named and had.
fn check_words(what: &'static str, words: u64) -> Result<usize, EngineError> {
    let error = || EngineError::Memory { what, words };
    if words > crate::program::limits::MEMORY_WORDS {
        return Err(error());
    }
    let words = usize::try_from(words).map_err(|_| error())?;
    // Asking first turns an abort into an error; the memory itself is then taken zeroed, which touches no page of it.
    Vec::<u64>::new().try_reserve_exact(words).map_err(|_| error())?;
    Ok(words)
}

/// `words` words, all zero.
fn zeros(what: &'static str, words: u64) -> Result<Vec<u64>, EngineError> {
    Ok(vec![0; check_words(what, words)?])
}
