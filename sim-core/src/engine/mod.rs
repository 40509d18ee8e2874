//! The serial engine: executes a program on one thread.
//!
//! Time and memory are proportional to what the calendars do, never to ticks: the engine walks the slots in which
//! something happens, and skips metacycles in which nothing does. While a pipeline fills or drains it looks up which
//! entries act; in between all of them do.

mod epoch;
mod extent;
mod flight;
mod observe;
mod setup;
mod tick;

use crate::app::App;
use crate::digest::DigestLevel;
use crate::ids::{ActorId, ChannelId, IdVec};
use crate::program::Program;
use crate::run::{Outcome, RunOptions};
use crate::time::Tick;
use epoch::Epochs;
use extent::{Extent, Row};
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use tick::{Stage, run_steps, turn};

/// A run in progress.
pub struct Engine<'a> {
    app: &'a App,
    program: &'a Program,
    iterations: u64,
    level: DigestLevel,
    extent: Extent,
    stage: Stage<'a>,
    epochs: Epochs,
    /// Metacycles from one epoch's end to the next.
    epoch_metacycles: u64,
    /// The next metacycle to execute.
    metacycle: u64,
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
    /// A user's firing panicked.
    #[error(transparent)]
    Firing(#[from] FiringPanic),
}

/// Executes `program` to its end.
///
/// # Errors
/// [`EngineError`].
pub fn run(app: &App, program: &Program, options: &RunOptions) -> Result<Outcome, EngineError> {
    let mut engine = Engine::new(app, program, options)?;
    engine.advance(u64::MAX)?;
    Ok(engine.finish())
}

impl<'a> Engine<'a> {
    /// A run of `program`, which was lowered for `app`, at tick 0.
    ///
    /// # Errors
    /// [`EngineError`], all but a panic.
    pub fn new(app: &'a App, program: &'a Program, options: &RunOptions) -> Result<Self, EngineError> {
        let extent = Extent::new(program, options.iterations)?;
        let epoch_ticks = crate::digest::epoch_ticks(program.metacycle);
        Ok(Self {
            app,
            program,
            iterations: options.iterations,
            level: options.digest,
            stage: setup::stage(app, program, options, &extent)?,
            epochs: Epochs::new(program, options.digest),
            extent,
            epoch_metacycles: (epoch_ticks / program.metacycle) as u64,
            metacycle: 0,
            failed: None,
        })
    }

    /// Executes up to `metacycles` metacycles more.
    ///
    /// # Errors
    /// [`EngineError::Firing`] if a user's firing panics; then the run is over.
    pub fn advance(&mut self, metacycles: u64) -> Result<Progress, EngineError> {
        if let Some(panic) = &self.failed {
            return Err(panic.clone().into());
        }
        let target = self.metacycle.saturating_add(metacycles).min(self.metacycles());
        // One frame around the loop instead of one per firing: the loop notes whose firing it executes.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.advance_to(target))) {
            let panic = self.firing_panic(payload);
            self.failed = Some(panic.clone());
            return Err(panic.into());
        }
        Ok(self.progress())
    }

    /// How far the run is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let end = self.extent.end.tick(self.program.metacycle);
        let done = self.metacycle == self.metacycles();
        Progress { tick: if done { end } else { self.row().tick(self.program.metacycle) }, end, done }
    }

    /// Ends the run. One that is not done yields what it has got: iterations that are complete, tokens that were
    /// observed, and a run digest of the epochs that were closed.
    #[must_use]
    pub fn finish(self) -> Outcome {
        let Progress { tick, done, .. } = self.progress();
        let complete = || self.extent.iterations_before(self.program, self.iterations, self.row());
        let mut outcome = Outcome {
            iterations: if done { self.iterations } else { complete() },
            ticks: Some(tick),
            channels: IdVec::filled(None, self.app.channels().len()),
            recorded: BTreeMap::new(),
            digest: Some(self.epochs.digest()),
        };
        for tap in self.stage.taps {
            let channel = tap.channel;
            let (digested, recorded) = tap.finish();
            outcome.channels[channel] = digested;
            outcome.recorded.extend(recorded.map(|words| (channel, words)));
        }
        outcome
    }

    /// Metacycles of the whole run; the last one may be executed in part.
    fn metacycles(&self) -> u64 {
        self.extent.end.metacycle + u64::from(self.extent.end.slot > 0)
    }

    fn row(&self) -> Row {
        Row { metacycle: self.metacycle, slot: 0 }
    }

    fn advance_to(&mut self, target: u64) {
        while self.metacycle < target {
            let checked = !self.extent.steady.contains(&self.metacycle);
            if checked && !self.extent.mark_active(self.metacycle, &mut self.stage.active) {
                self.skip_to(self.extent.next_start(self.metacycle).unwrap_or(target).min(target));
                continue;
            }
            self.run_metacycle(checked);
            turn(self.stage.rotors.as_slice(), &mut self.stage.positions);
            self.metacycle += 1;
            self.epochs.disturb();
            if self.metacycle == self.metacycles() {
                self.epochs.close(self.program, &self.extent, self.extent.end, &self.stage);
            } else if self.metacycle.is_multiple_of(self.epoch_metacycles) {
                self.epochs.close(self.program, &self.extent, self.row(), &self.stage);
            }
        }
    }

    fn run_metacycle(&mut self, checked: bool) {
        let mut steps = self.program.steps.as_slice();
        let end = self.extent.end;
        if self.metacycle == end.metacycle {
            steps = &steps[..steps.partition_point(|step| step.slot < end.slot)];
        }
        let run = match (checked, self.level == DigestLevel::Events) {
            (false, false) => run_steps::<false, false>,
            (false, true) => run_steps::<false, true>,
            (true, false) => run_steps::<true, false>,
            (true, true) => run_steps::<true, true>,
        };
        run(self.program, steps, self.metacycle, &mut self.stage);
    }

    /// Passes over metacycles in which nothing happens, up to `next`. Epochs that end there repeat their leaves.
    fn skip_to(&mut self, next: u64) {
        if self.level != DigestLevel::Off {
            let first = (self.metacycle / self.epoch_metacycles + 1) * self.epoch_metacycles;
            for metacycle in (first..=next).step_by(usize::try_from(self.epoch_metacycles).expect("at most 1024")) {
                self.epochs.close(self.program, &self.extent, Row { metacycle, slot: 0 }, &self.stage);
            }
        }
        self.metacycle = next;
        for (rotor, position) in self.stage.rotors.as_slice().iter().zip(&mut self.stage.positions) {
            *position = rotor.position(next);
        }
    }

    /// Names the firing that panicked. A panic outside of any is ours and goes on.
    fn firing_panic(&mut self, payload: Box<dyn Any + Send>) -> FiringPanic {
        let Some(number) = self.stage.executing else { resume_unwind(payload) };
        let event = &self.program.firings[number];
        let last = Row { metacycle: self.metacycle, slot: event.slot }.tick(self.program.metacycle);
        let message = payload.downcast_ref::<&str>().map(ToString::to_string);
        let message = message.or_else(|| payload.downcast_ref::<String>().cloned());
        FiringPanic {
            actor: self.app.actors()[event.actor].name.clone(),
            id: event.actor,
            index: (self.metacycle - event.first) * self.stage.actors[event.actor].firings + u64::from(event.index),
            node: self.program.nodes[event.node].name.clone(),
            start: Tick(last.0 + 1 - event.exec),
            message: message.unwrap_or_else(|| "no message".to_owned()),
        }
    }
}

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
