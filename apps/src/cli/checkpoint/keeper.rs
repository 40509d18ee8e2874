//! Checkpoints of a run on threads of this process, and its interruption.

use super::super::failure::{Exit, Failure};
use super::args::Every;
use super::store::{Store, command};
use net_runtime::engine::Standing;
use net_runtime::proto::Cause;
use net_runtime::quic::Interrupts;
use sim_core::Tick;
use sim_core::digest::{RunDigest, epoch_ticks};
use sim_core::engine::{Engine, EngineError, Progress, SnapshotError};
use std::time::Instant;

/// Drives an engine from one checkpoint to the next.
pub(crate) struct Keeper<'a> {
    every: Option<Every>,
    interrupts: Interrupts,
    /// Ticks of a metacycle.
    metacycle: i64,
    /// When the last checkpoint was taken.
    last: Instant,
    /// A tick on the way at which the run digest must be this one.
    check: Option<(Tick, RunDigest)>,
    store: Option<Store>,
    make: Box<dyn Fn() -> Result<Store, Failure> + 'a>,
}

/// Why a run does not go on.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// It failed.
    Engine(EngineError),
    /// It was interrupted, or a checkpoint could not be stored.
    Failure(Failure),
}

impl From<EngineError> for Stopped {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl<'a> Keeper<'a> {
    /// Keeps checkpoints in what `make` makes: at once if there will be some, or else when there is one.
    ///
    /// # Errors
    /// Those of `make`, and of the system.
    pub(crate) fn new(
        every: Option<Every>,
        metacycle: i64,
        start: Option<&Standing>,
        make: impl Fn() -> Result<Store, Failure> + 'a,
    ) -> Result<Self, Failure> {
        let failed = |error| Failure::new(Exit::Internal, "run::signals", format!("cannot listen to signals: {error}"));
        let check = match start {
            Some(Standing::Opaque { tick, digest }) => Some((*tick, *digest)),
            Some(Standing::State(_)) | None => None,
        };
        Ok(Self {
            every,
            interrupts: Interrupts::from_signals_or_exit().map_err(failed)?,
            metacycle,
            last: Instant::now(),
            check,
            store: every.map(|_| make()).transpose()?,
            make: Box::new(make),
        })
    }

    /// Executes up to `metacycles` metacycles, no further than to the next checkpoint, and keeps it.
    ///
    /// # Errors
    /// [`Stopped`].
    pub(crate) fn step(&mut self, engine: &mut Engine<'_>, metacycles: u64) -> Result<Progress, Stopped> {
        if let Some(cause) = self.interrupts.take() {
            return self.interrupt(engine, cause);
        }
        let from = engine.progress().tick;
        let timely = matches!(self.every, Some(Every::Time(time)) if self.last.elapsed() >= time);
        let next = if timely { Some(self.epoch_after(from, 1)) } else { self.next(from) };
        let limits = [next, self.check.map(|(tick, _)| tick).filter(|&tick| tick > from)];
        let limit = limits
            .into_iter()
            .flatten()
            .map(|tick| (tick.0 - from.0).unsigned_abs() / self.metacycle.unsigned_abs())
            .min();
        let limit = limit.unwrap_or(u64::MAX);
        // What is due in time is not put off.
        let progress = engine.advance(if timely { limit } else { metacycles.min(limit) })?;
        if !progress.done && next == Some(progress.tick) {
            self.keep(engine)?;
        }
        self.compare(engine, progress.tick)?;
        Ok(progress)
    }

    /// The next tick of those that are asked for.
    fn next(&self, from: Tick) -> Option<Tick> {
        match self.every? {
            Every::Ticks(ticks) => Some(self.epoch_after(from, ticks)),
            Every::Time(_) => None,
        }
    }

    /// The first multiple of `ticks` ticks, rounded up to whole epochs, after `from`.
    fn epoch_after(&self, from: Tick, ticks: i64) -> Tick {
        let epoch = epoch_ticks(self.metacycle);
        let every = ((ticks - 1) / epoch + 1).saturating_mul(epoch);
        Tick((from.0 / every + 1).saturating_mul(every))
    }

    /// Goes on to the end of the epoch, and leaves a checkpoint there.
    fn interrupt(&mut self, engine: &mut Engine<'_>, cause: Cause) -> Result<Progress, Stopped> {
        let progress = engine.advance(engine.metacycles_to_epoch())?;
        self.compare(engine, progress.tick)?;
        if progress.done {
            return Ok(progress);
        }
        self.keep(engine)?;
        let exit = if cause == Cause::Terminated { Exit::Terminated } else { Exit::Interrupted };
        let folder = self.store.as_ref().expect("a checkpoint was kept").folder();
        let message = format!("the run was interrupted at tick {}", progress.tick);
        let failure = Failure::new(exit, "run::interrupted", message);
        Err(Stopped::Failure(failure.help(format!("go on with `{}`", command(folder, None)))))
    }

    fn keep(&mut self, engine: &Engine<'_>) -> Result<(), Stopped> {
        let start = match engine.snapshot() {
            Ok(snapshot) => Standing::State(Box::new(snapshot)),
            Err(SnapshotError::Opaque { .. }) => {
                Standing::Opaque { tick: engine.progress().tick, digest: engine.digest() }
            }
            Err(error @ SnapshotError::NotAnEpoch { .. }) => unreachable!("checkpoints are at ends of epochs: {error}"),
        };
        if self.store.is_none() {
            self.store = Some((self.make)().map_err(Stopped::Failure)?);
        }
        let store = self.store.as_ref().expect("it was made");
        store.commit(&start).map_err(Stopped::Failure)?;
        self.last = Instant::now();
        Ok(())
    }

    /// What is executed again must be what it was.
    fn compare(&mut self, engine: &Engine<'_>, tick: Tick) -> Result<(), Stopped> {
        match self.check {
            Some((at, expected)) if at == tick => {
                self.check = None;
                let found = engine.digest();
                if found == expected {
                    return Ok(());
                }
                Err(Stopped::Failure(differs(difference(tick, found, expected))))
            }
            _ => Ok(()),
        }
    }
}

/// How a run that is executed again differs from what it was.
pub(crate) fn difference(tick: Tick, found: RunDigest, expected: RunDigest) -> String {
    format!("executed again, the run differs before tick {tick}: its run digest is {found}, and was {expected}")
}

/// It does.
pub(crate) fn differs(difference: String) -> Failure {
    Failure::new(Exit::DigestsDiffer, "checkpoint::differs", difference)
        .help("`tidelock verify` finds what is no function of its inputs")
}
