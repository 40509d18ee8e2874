//! The whole way in three calls: compile an application for a machine, run it, look at its channels.

use crate::token::{Token, decode};
use scheduler::{CompileError, Options, Report, Warning};
use sim_core::digest::{ChannelDigest, DigestLevel, RunDigest};
use sim_core::engine::{Engine, EngineError};
use sim_core::{App, ChannelId, Machine, Outcome, RunOptions};
use std::fmt;
use std::sync::Arc;

/// A number of iterations of the graph to execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Iterations(pub u64);

/// An application compiled for a machine, ready to run as often as you like.
#[derive(Clone, Debug)]
pub struct Compiled {
    app: App,
    machine: Machine,
    result: scheduler::Compiled,
}

/// Compiles `app` for `machine`. Pure and deterministic.
///
/// # Errors
/// [`CompileError`]: the application is at fault, or no feasible calendar exists.
pub fn compile(app: &App, machine: &Machine, options: &Options) -> Result<Compiled, CompileError> {
    let result = scheduler::compile(app, machine, options)?;
    Ok(Compiled { app: app.clone(), machine: machine.clone(), result })
}

/// Why a compiled application did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The calendars cannot be lowered.
    #[error(transparent)]
    Lower(#[from] calendars::LowerError),
    /// The run failed, such as by a panic in a firing.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A declared source that nothing was fed to.
    #[error("source `{name}` is not fed: it needs {needed} tokens for {iterations} iterations")]
    NotFed {
        /// The source's name.
        name: String,
        /// Tokens needed.
        needed: u64,
        /// Iterations asked for.
        iterations: u64,
    },
    /// Fewer tokens than the run takes.
    #[error("source `{name}` is fed {found} tokens, {iterations} iterations need {needed}")]
    FedShort {
        /// The source's name.
        name: String,
        /// Tokens found.
        found: u64,
        /// Tokens needed.
        needed: u64,
        /// Iterations asked for.
        iterations: u64,
    },
    /// A name that no fed source has.
    #[error("no source called `{name}` is declared with `input`")]
    NoSuchInput {
        /// The name.
        name: String,
    },
    /// Words that are no whole number of tokens.
    #[error("source `{name}` takes tokens of {token_words} words, {words} words are no whole number of them")]
    FedPart {
        /// The source's name.
        name: String,
        /// Words of one token.
        token_words: u32,
        /// Words found.
        words: usize,
    },
}

impl Compiled {
    /// The application.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The machine.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Schedule, calendars, warnings.
    #[must_use]
    pub fn result(&self) -> &scheduler::Compiled {
        &self.result
    }

    /// Period, bounds, latency, memory; prints as a short text.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.result.report
    }

    /// What you should know although it is no error.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.result.warnings
    }

    /// Runs all channels digested and recorded channels of [`AppBuilder::record`](crate::builder::AppBuilder::record) kept.
    ///
    /// # Errors
    /// [`RunError`], such as a panic in a firing.
    pub fn run(&self, iterations: Iterations) -> Result<Run, RunError> {
        self.run_fed(iterations, &[])
    }

    /// The same with words for declared sources, by name (see [`encode`](crate::token::encode)).
    ///
    /// # Errors
    /// [`RunError`], such as too few tokens.
    pub fn run_fed(&self, iterations: Iterations, inputs: &[(&str, Vec<u64>)]) -> Result<Run, RunError> {
        let app = feed(&self.app, iterations, inputs)?;
        let program = calendars::lower(&app, &self.machine, &self.result.calendars)?;
        let options = RunOptions {
            iterations: iterations.0,
            digest: DigestLevel::default(),
            channels: app.channels().ids().collect(),
            record: recorded(&app),
            ..RunOptions::default()
        };
        let mut engine = Engine::new(&app, &program, &options)?;
        engine.advance(u64::MAX)?;
        let outcome = engine.finish();
        Ok(Run { app, outcome })
    }
}

/// Channels into the sinks that [`AppBuilder::record`](crate::builder::AppBuilder::record) makes: named like their target.
#[must_use]
pub fn recorded(app: &App) -> Vec<ChannelId> {
    let records = |&(_, channel): &(ChannelId, &sim_core::Channel)| app.actors()[channel.target].name == channel.name;
    app.channels().iter().filter(records).map(|(id, _)| id).collect()
}

/// Feeds all declared sources; every one needs enough tokens for `iterations`.
///
/// # Errors
/// The variants of [`RunError`] that speak of sources.
pub fn feed(app: &App, iterations: Iterations, inputs: &[(&str, Vec<u64>)]) -> Result<App, RunError> {
    let mut fed = app.clone();
    for (name, words) in inputs {
        let source = app.actor_named(name).filter(|&actor| app.actors()[actor].fed);
        let Some(actor) = source else { return Err(RunError::NoSuchInput { name: (*name).to_owned() }) };
        let name = || app.actors()[actor].name.to_string();
        let (needed, token_words) = tokens_needed(app, actor, iterations);
        if words.len() % token_words as usize != 0 {
            return Err(RunError::FedPart { name: name(), token_words, words: words.len() });
        }
        let found = (words.len() / token_words as usize) as u64;
        if found < needed {
            return Err(RunError::FedShort { name: name(), found, needed, iterations: iterations.0 });
        }
        fed = fed.feed(actor, Arc::from(words.as_slice()));
    }
    for (id, actor) in app.actors().iter().filter(|(_, actor)| actor.fed) {
        if !inputs.iter().any(|(name, _)| *name == actor.name) {
            let (needed, _) = tokens_needed(app, id, iterations);
            return Err(RunError::NotFed { name: actor.name.to_string(), needed, iterations: iterations.0 });
        }
    }
    Ok(fed)
}

/// Tokens that a fed source takes, and the words of one.
fn tokens_needed(app: &App, actor: sim_core::ActorId, iterations: Iterations) -> (u64, u32) {
    let channel = &app.channels()[app.outputs(actor)[0]];
    let cycles = scheduler::analysis::repetition(app).map_or(0, |repetition| repetition.tokens(channel));
    (cycles.saturating_mul(iterations.0), channel.token_words())
}

/// A finished run.
#[derive(Clone, Debug)]
pub struct Run {
    app: App,
    outcome: Outcome,
}

impl Run {
    /// Ticks executed.
    #[must_use]
    pub fn ticks(&self) -> i64 {
        self.outcome.ticks.map_or(0, |tick| tick.0)
    }

    /// Everything observed.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The digest that machine and calendars enter.
    #[must_use]
    pub fn digest(&self) -> Option<RunDigest> {
        self.outcome.digest
    }

    /// The channel called `name`.
    ///
    /// # Panics
    /// If there is none: names are written down in the same program.
    #[must_use]
    pub fn channel(&self, name: &str) -> ChannelView<'_> {
        let id = self.app.channel_named(name).unwrap_or_else(|| panic!("no channel is called `{name}`"));
        ChannelView { run: self, id }
    }
}

/// One channel of a finished run.
#[derive(Clone, Copy, Debug)]
pub struct ChannelView<'a> {
    run: &'a Run,
    id: ChannelId,
}

/// Why values cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValuesError {
    /// The channel is no record.
    #[error("channel `{channel}` was not recorded: only channels into `record` sinks are")]
    NotRecorded {
        /// The channel's name.
        channel: String,
    },
    /// The channel has tokens of another size.
    #[error("channel `{channel}` has tokens of {found} bits, the type asked for has {wanted}")]
    Size {
        /// The channel's name.
        channel: String,
        /// Bits of a token.
        found: u64,
        /// Bits of the type.
        wanted: u64,
    },
}

impl ChannelView<'_> {
    /// Tokens produced, initial ones not counted.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.run.outcome.channels.get(&self.id).map_or(0, |channel| channel.tokens)
    }

    /// Digest of the tokens produced.
    #[must_use]
    pub fn digest(&self) -> Option<ChannelDigest> {
        self.run.outcome.channels.get(&self.id).map(|channel| channel.digest)
    }

    /// The recorded tokens in order.
    ///
    /// # Errors
    /// [`ValuesError`] if the channel was not recorded or its tokens have another size.
    pub fn values<T: Token>(&self) -> Result<Vec<T>, ValuesError> {
        let channel = &self.run.app.channels()[self.id];
        let Some(words) = self.run.outcome.recorded.get(&self.id) else {
            return Err(ValuesError::NotRecorded { channel: channel.name.to_string() });
        };
        let wanted = size_of::<T>() as u64 * 8;
        if wanted != channel.tokens.bits {
            return Err(ValuesError::Size { channel: channel.name.to_string(), found: channel.tokens.bits, wanted });
        }
        Ok(decode(words))
    }
}

impl fmt::Display for Iterations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
