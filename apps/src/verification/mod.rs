//! Verification: one run in several modes must give one result; if it does not, where is the first difference?
//!
//! How a run is executed (threads, window limits, shards and what carries their words, how often) must never show in what it computes. [`verify`] executes the
//! same iterations in every [`Mode`], and untimed by the reference interpreter where that is cheap, and compares digests.
//! If two runs differ, they are executed once more, side by side, and their events compared, so that the first tick, node
//! and word in which they differ is found also where no two executions are alike. Nothing is stored but the events of one
//! piece of the run: memory does not grow with its length, except for the tokens that the reference expects.

mod difference;
mod expected;
mod lockstep;
mod shards;

pub use difference::{Difference, Field, Place, Side};

use crate::sharding::LocalError;
use expected::Expected;
use net_runtime::proto::Stop;
use sim_core::digest::{ChannelDigest, RunDigest};
use sim_core::engine::{Engine, EngineError};
use sim_core::program::Program;
use sim_core::reference::{self, ReferenceError};
use sim_core::shard::{Carrier, Partition};
use sim_core::{App, Machine, Outcome, RunOptions, Tick, Ticks};
use std::fmt;
use std::num::NonZeroU32;

/// Firings and words beyond which a run is not repeated by the reference interpreter, which keeps all words to find a
/// difference.
pub const REFERENCE_WORK_MAX: u64 = 1 << 24;

/// What is executed.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The application, all sources fed.
    pub app: &'a App,
    /// The machine.
    pub machine: &'a Machine,
    /// What the engine executes, lowered from calendars for both.
    pub program: &'a Program,
    /// Iterations, digest level, channels. The modes decide about window and trace; nothing is recorded.
    pub options: &'a RunOptions,
}

/// A way to execute a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In this process.
    Threads {
        /// Threads, as far as there are nodes to give them.
        threads: NonZeroU32,
        /// Ticks executed at once, at most; as many as the engine likes if not given.
        window: Option<Ticks>,
    },
    /// As shards that follow the protocol between processes, though in this one.
    Shards {
        /// Shards, as far as there are nodes to give them.
        shards: NonZeroU32,
        /// What carries their words.
        transport: Transport,
    },
}

/// What carries the words of shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A queue, under virtual time.
    Memory,
    /// QUIC, on the loopback device.
    Quic,
}

/// In which modes a run is executed, and how often in each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The modes; the first run in the first of them is what others are compared with.
    pub modes: Vec<Mode>,
    /// Runs in every mode.
    pub repeats: NonZeroU32,
    /// Firings and words up to which the reference interpreter executes the run too.
    pub reference_work_max: u64,
}

/// Which run of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunId {
    /// How it was executed.
    pub mode: Mode,
    /// Which run in this mode, from 1.
    pub repeat: u32,
}

/// A run that was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Executed {
    /// Which one.
    pub run: RunId,
    /// Threads or shards that executed it.
    pub workers: usize,
    /// What must be the same in all runs.
    pub digests: Digests,
}

/// What must be the same in all runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digests {
    /// The end of the last firing.
    pub ticks: Option<Tick>,
    /// Of the tokens, if every channel was digested.
    pub stream: Option<ChannelDigest>,
    /// Of the machine.
    pub run: Option<RunDigest>,
}

/// What the reference interpreter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The stream digest of the untimed execution, if every channel was digested.
    Compared(Option<ChannelDigest>),
    /// It was not asked: the run is too large for it.
    Skipped {
        /// Firings and words of the run.
        work: u128,
        /// Up to how many it is asked.
        limit: u64,
    },
}

/// All runs and what they say about each other.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The runs, in the order of the plan.
    pub runs: Vec<Executed>,
    /// The untimed execution.
    pub reference: Reference,
    /// The first run that is unlike the first, or else the reference, if that is; and where.
    pub finding: Option<Finding>,
}

/// Two executions that should be the same, and are not.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The first run of the plan.
    pub first: RunId,
    /// What it differs from.
    pub second: Opponent,
    /// Where.
    pub location: Location,
}

/// What a run was compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opponent {
    /// Another run.
    Run(RunId),
    /// The untimed execution.
    Reference,
}

/// Where two executions differ, when they are executed once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In this event, and in none before.
    Event(Difference),
    /// In no event, but in the run digest from the epoch on that ends before this tick: in a state that no event shows.
    Epoch(Tick),
    /// Nowhere: what made them differ did not happen again.
    Nowhere,
}

/// Why a run cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Nothing to execute.
    #[error("there is no mode to execute the run in")]
    NoMode,
    /// A run failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The untimed execution failed, though runs did not.
    #[error("the untimed reference failed: {0}")]
    Reference(#[from] ReferenceError),
    /// The protocol ended a run of shards.
    #[error("a run of shards was stopped at tick {}: {}", .0.tick.0, .0.message)]
    Stopped(Stop),
    /// Shards over QUIC failed.
    #[error(transparent)]
    Local(#[from] LocalError),
}

/// Executes `subject` as planned, compares all runs, and finds the first difference if there is one.
///
/// # Errors
/// [`VerifyError`], such as a panic in a user's firing. A difference is no error.
pub fn verify(subject: &Subject<'_>, plan: &Plan) -> Result<Verdict, VerifyError> {
    let mut runs = Vec::new();
    for &mode in &plan.modes {
        for repeat in 1..=plan.repeats.get() {
            runs.push(subject.execute(RunId { mode, repeat })?);
        }
    }
    let first = *runs.first().ok_or(VerifyError::NoMode)?;
    let reference = subject.reference(plan.reference_work_max)?;
    let other = runs.iter().find(|run| run.digests != first.digests);
    let opponent = match (other, reference) {
        (Some(other), _) => Some(Opponent::Run(other.run)),
        (None, Reference::Compared(stream)) if stream != first.digests.stream => Some(Opponent::Reference),
        _ => None,
    };
    let finding = opponent.map(|second| subject.find(first.run, second)).transpose()?;
    Ok(Verdict { runs, reference, finding })
}

impl Subject<'_> {
    fn execute(&self, run: RunId) -> Result<Executed, VerifyError> {
        let (workers, outcome) = match run.mode {
            Mode::Threads { .. } => {
                let mut engine = run.mode.engine(self, false)?;
                engine.advance(u64::MAX)?;
                (engine.threads(), engine.finish())
            }
            Mode::Shards { shards, transport } => shards::execute(self, shards.get(), transport)?,
        };
        Ok(Executed { run, workers, digests: Digests::of(&outcome, self.app) })
    }

    fn reference(&self, limit: u64) -> Result<Reference, VerifyError> {
        let work = expected::work(self.app, self.options.iterations)?;
        if work > u128::from(limit) {
            return Ok(Reference::Skipped { work, limit });
        }
        Ok(Reference::Compared(reference::run(self.app, &self.options(None, false))?.stream_digest(self.app)))
    }

    /// Executes two of a kind once more to find where they differ.
    fn find(&self, first: RunId, second: Opponent) -> Result<Finding, VerifyError> {
        let engine = first.mode.engine(self, true)?;
        let location = match second {
            Opponent::Run(other) => lockstep::runs(self, engine, other.mode.engine(self, true)?)?,
            Opponent::Reference => lockstep::reference(self, engine, &Expected::new(self.app, self.options)?)?,
        };
        Ok(Finding { first, second, location })
    }

    fn options(&self, window: Option<Ticks>, trace: bool) -> RunOptions {
        RunOptions { window, trace, record: Vec::new(), ..self.options.clone() }
    }
}

impl Mode {
    /// The run at tick 0, in this process; shards as threads, divided alike.
    fn engine<'a>(self, subject: &Subject<'a>, trace: bool) -> Result<Engine<'a>, EngineError> {
        let Subject { app, machine, program, .. } = *subject;
        let (workers, window, carrier) = match self {
            Self::Threads { threads, window } => (threads, window, Carrier::Memory),
            Self::Shards { shards, .. } => (shards, None, Carrier::Network),
        };
        let partition = Partition::balanced(machine, program, workers.get(), carrier);
        Engine::parallel(app, program, &subject.options(window, trace), &partition)
    }
}

impl Digests {
    fn of(outcome: &Outcome, app: &App) -> Self {
        Self { ticks: outcome.ticks, stream: outcome.stream_digest(app), run: outcome.digest }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted =
            |count: NonZeroU32, noun: &str| format!("{count} {noun}{}", if count.get() == 1 { "" } else { "s" });
        match self {
            Self::Threads { threads, window } => {
                f.write_str(&counted(*threads, "thread"))?;
                window.map_or(Ok(()), |window| write!(f, ", window {}", window.0))
            }
            Self::Shards { shards, transport: Transport::Memory } => {
                write!(f, "{} in memory", counted(*shards, "shard"))
            }
            Self::Shards { shards, transport: Transport::Quic } => write!(f, "{} over QUIC", counted(*shards, "shard")),
        }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, run {}", self.mode, self.repeat)
    }
}

impl fmt::Display for Opponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(run) => run.fmt(f),
            Self::Reference => f.write_str("the untimed reference"),
        }
    }
}
