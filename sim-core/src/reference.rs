//! The reference: an untimed, naive execution of an application, which every engine's token streams must equal.
//!
//! One queue of tokens per channel; an actor whose tokens are there may fire. No ticks, no machine, no calendar, and no
//! code shared with the analyses, the scheduler or the engines, so that it can contradict them.
//! Source: Lee & Messerschmitt, "Synchronous Data Flow", Proc. IEEE 75(9), 1987 (balance equations, and that the order of
//! firings cannot change a token).

use crate::app::{ActorState, App, Channel, Firing, State};
use crate::digest::ChannelDigest;
use crate::ids::{ActorId, ChannelId, IdVec};
use crate::run::{ChannelOutcome, Outcome, RunOptions};
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why an application has no reference execution.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// There is no iteration to repeat.
    #[error(transparent)]
    Rates(#[from] RatesError),
    /// No actor that still has to fire in the first iteration has its tokens.
    #[error("deadlock: firings left in an iteration are {}", Starved(left))]
    Deadlock {
        /// The actors that did not complete the iteration, ascending, and how many firings each of them lacks.
        left: Vec<(ActorId, u64)>,
    },
    /// The user's code panicked.
    #[error("firing {firing} of {actor} panicked: {message}")]
    Panicked {
        /// Whose firing.
        actor: ActorId,
        /// Its number over the whole run.
        firing: u64,
        /// What the panic said.
        message: String,
    },
    /// A channel to digest or to record that does not exist.
    #[error("{channel} is to be observed, but there are {channels} channels")]
    NoSuchChannel {
        /// The id that was asked for.
        channel: ChannelId,
        /// How many channels there are.
        channels: usize,
    },
}

/// Why the balance equations have no solution to work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RatesError {
    /// Tokens would pile up or run out.
    #[error(
        "the rates are inconsistent: where all else balances, {produced} tokens enter {channel} and {consumed} leave it"
    )]
    Inconsistent {
        /// A channel whose rates contradict those of the others.
        channel: ChannelId,
        /// Tokens produced in what would be an iteration.
        produced: u128,
        /// Tokens consumed in it.
        consumed: u128,
    },
    /// An iteration, or the whole run, has more firings than can be counted.
    #[error("the firings of {actor} cannot be counted in 64 bits")]
    TooMany {
        /// The actor.
        actor: ActorId,
    },
}

struct Starved<'a>(&'a [(ActorId, u64)]);

impl fmt::Display for Starved<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (actor, left)) in self.0.iter().enumerate() {
            write!(f, "{}{left} of {actor}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Executes `options.iterations` iterations of `app`: exactly iterations · P · q firings of every actor.
///
/// The iterations are executed one after the other, because each brings every channel back to its initial number of tokens.
///
/// # Errors
/// [`ReferenceError`].
///
/// # Panics
/// If an actor with opaque state does not make one.
pub fn run(app: &App, options: &RunOptions) -> Result<Outcome, ReferenceError> {
    for &channel in options.channels.iter().chain(&options.record) {
        if app.channels().get(channel).is_none() {
            return Err(ReferenceError::NoSuchChannel { channel, channels: app.channels().len() });
        }
    }
    let firings = firings_per_iteration(app)?;
    for (actor, &firings) in firings.iter() {
        firings.checked_mul(options.iterations).ok_or(RatesError::TooMany { actor })?;
    }
    let mut interpreter = Interpreter::new(app, options);
    for _ in 0..options.iterations {
        interpreter.iterate(&firings)?;
    }
    Ok(Outcome {
        iterations: options.iterations,
        ticks: None,
        channels: interpreter.digests,
        recorded: interpreter.recorded,
        digest: None,
    })
}

/// P · q of every actor: its firings in the smallest iteration. Weakly connected components are each minimal on their own.
///
/// # Errors
/// [`RatesError`].
pub fn firings_per_iteration(app: &App) -> Result<IdVec<ActorId, u64>, RatesError> {
    let mut cycles: IdVec<ActorId, u128> = IdVec::filled(0, app.actors().len());
    for root in app.actors().ids() {
        if cycles[root] == 0 {
            for (actor, q) in component_cycles(app, root)? {
                cycles[actor] = q;
            }
        }
    }
    for (id, channel) in app.channels().iter() {
        let per_iteration = |actor: ActorId, tokens: u64| {
            cycles[actor].checked_mul(u128::from(tokens)).ok_or(RatesError::TooMany { actor })
        };
        let produced = per_iteration(channel.source, channel.produced_per_cycle())?;
        let consumed = per_iteration(channel.target, channel.consumed_per_cycle())?;
        if produced != consumed {
            return Err(RatesError::Inconsistent { channel: id, produced, consumed });
        }
    }
    let firings = cycles.iter().map(|(actor, &q)| {
        let firings = q.checked_mul(u128::from(app.actors()[actor].phases()));
        firings.and_then(|firings| u64::try_from(firings).ok()).ok_or(RatesError::TooMany { actor })
    });
    firings.collect()
}

/// q of every actor in the component of `root`, as far as a spanning tree of it tells.
fn component_cycles(app: &App, root: ActorId) -> Result<Vec<(ActorId, u128)>, RatesError> {
    // The rate of every reached actor relative to the root's, as a fraction in lowest terms.
    let mut rates = BTreeMap::from([(root, (1_u128, 1_u128))]);
    let mut reached = vec![root];
    let mut next = 0;
    while let Some(&actor) = reached.get(next) {
        next += 1;
        for &id in app.inputs(actor).iter().chain(app.outputs(actor)) {
            let channel = &app.channels()[id];
            let (produced, consumed) = (channel.produced_per_cycle().into(), channel.consumed_per_cycle().into());
            let (other, times, over) = if channel.source == actor {
                (channel.target, produced, consumed)
            } else {
                (channel.source, consumed, produced)
            };
            if !rates.contains_key(&other) {
                let rate = scale(rates[&actor], times, over).ok_or(RatesError::TooMany { actor: other })?;
                rates.insert(other, rate);
                reached.push(other);
            }
        }
    }
    let too_many = RatesError::TooMany { actor: root };
    let mut common = 1_u128;
    for &(_, denominator) in rates.values() {
        common = (common / gcd(common, denominator)).checked_mul(denominator).ok_or(too_many)?;
    }
    let whole = rates.iter().map(|(&actor, &(numerator, denominator))| {
        let q = numerator.checked_mul(common / denominator).ok_or(RatesError::TooMany { actor })?;
        Ok((actor, q))
    });
    let mut whole = whole.collect::<Result<Vec<_>, RatesError>>()?;
    let divisor = whole.iter().fold(0, |divisor, &(_, q)| gcd(divisor, q));
    for (_, q) in &mut whole {
        *q /= divisor;
    }
    Ok(whole)
}

/// `fraction` · `times` / `over` in lowest terms.
fn scale((numerator, denominator): (u128, u128), times: u128, over: u128) -> Option<(u128, u128)> {
    let (numerator, denominator) = (numerator.checked_mul(times)?, denominator.checked_mul(over)?);
    let divisor = gcd(numerator, denominator);
    Some((numerator / divisor, denominator / divisor))
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// What an actor keeps during the run.
enum Kept {
    Words(Vec<u64>),
    Opaque(Box<dyn Any + Send>),
}

struct Interpreter<'a> {
    app: &'a App,
    /// The tokens of every channel, oldest first; a token is its words.
    queues: IdVec<ChannelId, VecDeque<Vec<u64>>>,
    kept: IdVec<ActorId, Kept>,
    fired: IdVec<ActorId, u64>,
    digests: BTreeMap<ChannelId, ChannelOutcome>,
    recorded: BTreeMap<ChannelId, Vec<u64>>,
}

impl<'a> Interpreter<'a> {
    fn new(app: &'a App, options: &RunOptions) -> Self {
        let digest = |&id: &ChannelId| {
            let digest = ChannelDigest::new(&app.channels()[id].name);
            (id, ChannelOutcome { tokens: 0, digest })
        };
        let kept = app.actors().values().map(|actor| match &actor.state {
            ActorState::None => Kept::Words(Vec::new()),
            ActorState::Plain(initial) => Kept::Words(initial.clone()),
            ActorState::Opaque => {
                Kept::Opaque(actor.behaviour.opaque_state().expect("an actor with opaque state makes one"))
            }
        });
        Self {
            app,
            queues: app.channels().values().map(initial_tokens).collect(),
            kept: kept.collect(),
            fired: IdVec::filled(0, app.actors().len()),
            digests: options.channels.iter().map(digest).collect(),
            recorded: options.record.iter().map(|&channel| (channel, Vec::new())).collect(),
        }
    }

    /// Fires every actor as often as `firings` says, whoever is ready first.
    fn iterate(&mut self, firings: &IdVec<ActorId, u64>) -> Result<(), ReferenceError> {
        let mut left = firings.clone();
        let mut worklist: VecDeque<ActorId> = self.app.actors().ids().collect();
        while let Some(actor) = worklist.pop_front() {
            while left[actor] > 0 && self.is_ready(actor) {
                self.fire(actor)?;
                left[actor] -= 1;
                worklist.extend(self.app.outputs(actor).iter().map(|&channel| self.app.channels()[channel].target));
            }
        }
        let left: Vec<_> = left.iter().map(|(actor, &left)| (actor, left)).filter(|&(_, left)| left > 0).collect();
        if left.is_empty() { Ok(()) } else { Err(ReferenceError::Deadlock { left }) }
    }

    /// The firing that is next for `actor`.
    fn next_firing(&self, actor: ActorId) -> Firing {
        let index = self.fired[actor];
        let phase = index % self.app.actors()[actor].phases();
        Firing { index, phase: u32::try_from(phase).expect("phases are limited") }
    }

    /// Whether the tokens that the next firing of `actor` consumes are there.
    fn is_ready(&self, actor: ActorId) -> bool {
        let phase = self.next_firing(actor).phase as usize;
        let has_tokens = |&c: &ChannelId| self.queues[c].len() >= self.app.channels()[c].tokens.consume[phase] as usize;
        self.app.inputs(actor).iter().all(has_tokens)
    }

    fn fire(&mut self, actor: ActorId) -> Result<(), ReferenceError> {
        let firing = self.next_firing(actor);
        let phase = firing.phase as usize;
        let mut inputs = Vec::new();
        for &channel in self.app.inputs(actor) {
            for _ in 0..self.app.channels()[channel].tokens.consume[phase] {
                inputs.extend(self.queues[channel].pop_front().expect("only a ready actor fires"));
            }
        }
        let mut outputs = vec![0; self.app.output_words(actor, firing.phase)];
        let state = match &mut self.kept[actor] {
            Kept::Words(words) => State::Words(words),
            Kept::Opaque(value) => State::Opaque(&mut **value),
        };
        let behaviour = &self.app.actors()[actor].behaviour;
        catch_unwind(AssertUnwindSafe(|| behaviour.fire(firing, state, &inputs, &mut outputs))).map_err(|panic| {
            ReferenceError::Panicked { actor, firing: firing.index, message: panic_message(&*panic) }
        })?;
        self.fired[actor] += 1;
        let mut words = outputs.as_slice();
        for port in self.app.output_ports(actor) {
            let port = &self.app.channels()[port];
            let (produced, rest) = words.split_at(port.tokens.produce[phase] as usize * port.token_words() as usize);
            words = rest;
            for &channel in self.app.outputs(actor) {
                if self.app.channels()[channel].source_port == port.source_port {
                    self.produce(channel, produced);
                }
            }
        }
        Ok(())
    }

    /// Appends whole tokens to `channel`.
    fn produce(&mut self, channel: ChannelId, words: &[u64]) {
        let tokens = words.chunks(self.app.channels()[channel].token_words() as usize);
        if let Some(outcome) = self.digests.get_mut(&channel) {
            outcome.tokens += tokens.len() as u64;
            outcome.digest.update(words);
        }
        if let Some(record) = self.recorded.get_mut(&channel) {
            record.extend_from_slice(words);
        }
        self.queues[channel].extend(tokens.map(<[u64]>::to_vec));
    }
}

fn initial_tokens(channel: &Channel) -> VecDeque<Vec<u64>> {
    let token = |number| {
        let mut words = vec![0; channel.token_words() as usize];
        channel.write_initial(number, &mut words);
        words
    };
    (0..channel.tokens.initial.count).map(token).collect()
}

/// What a caught panic said.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}
