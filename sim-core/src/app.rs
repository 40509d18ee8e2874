//! Applications in erased form: actors with behaviour, channels with rates. Typed builders and file formats make these.
//!
//! Tokens are runs of 64-bit words. What a firing does with them is behind [`Behaviour`]; everything else
//! (rates, phases, durations, initial tokens, pins) is plain data that analyses and schedulers read.

use crate::csr::Csr;
use crate::ids::{ActorId, ChannelId, IdVec, NodeId};
use crate::mix;
use crate::shared::Shared;
use smol_str::SmolStr;
use std::any::Any;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// Limits on what one application may hold; beyond them building it is an error, never an exhausted machine.
pub mod limits {
    /// Phases of one actor (the least common multiple of the lengths of its rate lists).
    pub const PHASES: u64 = 1 << 16;
    /// Words of one token (512 KiB).
    pub const TOKEN_WORDS: u64 = 1 << 16;
    /// Tokens per firing and port.
    pub const RATE: u64 = 1 << 24;
    /// Words of all initial tokens of an application (512 MiB).
    pub const INITIAL_WORDS: u64 = 1 << 26;
    /// Ticks of one firing.
    pub const EXEC: u64 = 1 << 40;
}

/// Which execution of an actor this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Firing {
    /// Number of the firing over the whole run, from 0.
    pub index: u64,
    /// Its phase: `index` modulo the actor's number of phases.
    pub phase: u32,
}

impl Firing {
    /// Number of the firing over the whole run, from 0.
    #[must_use]
    pub fn index(self) -> u64 {
        self.index
    }
}

/// The state that the engine hands to a firing.
pub enum State<'a> {
    /// Plain words, empty for an actor without state.
    Words(&'a mut [u64]),
    /// A value that cannot be copied out.
    Opaque(&'a mut (dyn Any + Send)),
}

/// Firings of one entry of a calendar, in consecutive metacycles.
pub struct FiringRun<'a> {
    /// The first firing.
    pub(crate) next: Firing,
    /// From the index of one firing to that of the next.
    pub(crate) step: u64,
    /// How many were handed out; outlives a panic.
    pub(crate) started: &'a mut usize,
    pub(crate) state: State<'a>,
    /// Inputs of all firings, one after the other, and the words of one.
    pub(crate) inputs: &'a [u64],
    pub(crate) input_words: usize,
    /// Rows for the outputs, the words of one firing's outputs, and those of a row, which may be more.
    pub(crate) outputs: &'a mut [u64],
    pub(crate) output_words: usize,
    pub(crate) stride: usize,
    pub(crate) firings: usize,
}

impl FiringRun<'_> {
    /// Executes the firings.
    fn each(&mut self, behaviour: &(impl Behaviour + ?Sized)) {
        let (mut inputs, mut outputs) = (self.inputs, std::mem::take(&mut self.outputs));
        for number in 1..=self.firings {
            let (read, inputs_left) = inputs.split_at(self.input_words);
            let (row, outputs_left) = outputs.split_at_mut(self.stride);
            *self.started = number;
            behaviour.fire(self.next, self.state.again(), read, &mut row[..self.output_words]);
            self.next.index += self.step;
            (inputs, outputs) = (inputs_left, outputs_left);
        }
    }

    /// The same where inputs, outputs and rows have `WORDS` words: loops over them in a behaviour are unrolled.
    #[inline]
    fn each_of<const WORDS: usize>(&mut self, behaviour: &(impl Behaviour + ?Sized)) {
        let (inputs, outputs) = (self.inputs.as_chunks::<WORDS>().0, self.outputs.as_chunks_mut::<WORDS>().0);
        for (number, (inputs, outputs)) in inputs.iter().zip(outputs).enumerate() {
            *self.started = number + 1;
            behaviour.fire(self.next, self.state.again(), inputs, outputs);
            self.next.index += self.step;
        }
    }
}

impl State<'_> {
    /// The same for one more firing.
    #[inline]
    fn again(&mut self) -> State<'_> {
        match self {
            Self::Words(words) => State::Words(words),
            Self::Opaque(state) => State::Opaque(*state),
        }
    }
}

/// What a firing does. Deterministic: outputs and new state depend on nothing but the arguments.
pub trait Behaviour: Send + Sync {
    /// Executes one firing.
    ///
    /// `inputs` are the consumed words: channels by target port, tokens in FIFO order, words of a token in order.
    /// `outputs` are the words to produce, laid out likewise by source port; an output that feeds several channels is there once.
    fn fire(&self, firing: Firing, state: State<'_>, inputs: &[u64], outputs: &mut [u64]);

    /// Executes several firings in a row. There is nothing to gain by another body: this one is compiled once per type of
    /// behaviour, so that an engine pays one virtual call per run of firings, and the firings themselves are inlined.
    fn fire_run(&self, run: &mut FiringRun<'_>) {
        match (run.input_words, run.output_words, run.stride) {
            (1, 1, 1) => run.each_of::<1>(self),
            (2, 2, 2) => run.each_of::<2>(self),
            (4, 4, 4) => run.each_of::<4>(self),
            (6, 6, 6) => run.each_of::<6>(self),
            _ => run.each(self),
        }
    }

    /// A fresh state for a run, for actors with [`ActorState::Opaque`].
    fn opaque_state(&self) -> Option<Box<dyn Any + Send>> {
        None
    }
}

/// What an actor keeps from one firing to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActorState {
    /// Nothing: firings may overlap and spread over cores and nodes.
    None,
    /// Plain words with their initial value. One home node, firings in order.
    Plain(Vec<u64>),
    /// A value that cannot be copied out; [`Behaviour::opaque_state`] makes it. One home node, firings in order.
    Opaque,
}

/// Where the user wrote something: file and line of a Rust program, or a byte range of a graph file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourcePlace {
    /// In Rust code.
    Code(&'static std::panic::Location<'static>),
    /// Byte range in the text of a file.
    Text(std::ops::Range<usize>),
}

/// A vertex of the dataflow graph.
#[derive(Clone)]
pub struct Actor {
    /// Unique name.
    pub name: SmolStr,
    /// Duration of a firing in ticks as the user gave it, indexed by phase; the number of phases is its length. 0 is compiled as 1.
    pub exec: Arc<[u64]>,
    /// What it keeps between firings.
    pub state: ActorState,
    /// What a firing does.
    pub behaviour: Arc<dyn Behaviour>,
    /// The node that the application itself asks for.
    pub pin: Option<NodeId>,
    /// Whether its tokens come from outside (see [`App::feed`]).
    pub fed: bool,
    /// Where it was declared.
    pub place: Option<Box<SourcePlace>>,
}

impl Actor {
    /// Number of phases.
    #[must_use]
    pub fn phases(&self) -> u64 {
        self.exec.len() as u64
    }

    /// Ticks that a firing of `phase` holds a core: `exec`, but at least 1.
    #[must_use]
    pub fn duration(&self, phase: u32) -> i64 {
        i64::try_from(self.exec[phase as usize].max(1)).expect("durations are limited")
    }

    /// Whether firings must be in order, without overlap, on one node.
    #[must_use]
    pub fn has_state(&self) -> bool {
        self.state != ActorState::None
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Actor")
            .field("name", &self.name)
            .field("exec", &self.exec)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Values of initial tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitialValues {
    /// All words of all tokens, in order.
    List(Arc<[u64]>),
    /// The words of one token, the same for all.
    Repeat(Arc<[u64]>),
    /// The rule of the mix payload.
    Mix,
}

/// Tokens present before tick 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialTokens {
    /// How many.
    pub count: u64,
    /// What they hold.
    pub values: InitialValues,
}

impl InitialTokens {
    /// No token.
    #[must_use]
    pub fn none() -> Self {
        Self { count: 0, values: InitialValues::Mix }
    }
}

/// An edge of the dataflow graph: a FIFO of tokens.
///
/// There may be millions: short names lie inside, and channels whose tokens are alike may share what tells of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Unique name.
    pub name: SmolStr,
    /// The producer.
    pub source: ActorId,
    /// Its output port; channels that share one carry the same tokens.
    pub source_port: u32,
    /// The consumer.
    pub target: ActorId,
    /// Its input port; one channel each.
    pub target_port: u32,
    /// What moves over it.
    pub tokens: Shared<ChannelTokens>,
    /// Where it was declared.
    pub place: Option<Box<SourcePlace>>,
}

/// The tokens of a channel: how large, how many at a time, how many at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelTokens {
    /// Tokens produced per firing, indexed by the producer's phase.
    pub produce: Arc<[u32]>,
    /// Tokens consumed per firing, indexed by the consumer's phase.
    pub consume: Arc<[u32]>,
    /// Size of a token in bits as declared.
    pub bits: u64,
    /// Tokens present before tick 0.
    pub initial: InitialTokens,
}

impl Channel {
    /// Words of one token: max(1, ⌈bits / 64⌉).
    #[must_use]
    pub fn token_words(&self) -> u32 {
        u32::try_from(self.tokens.bits.div_ceil(64).max(1)).expect("token sizes are limited")
    }

    /// Tokens produced in one full cycle of the producer's phases.
    #[must_use]
    pub fn produced_per_cycle(&self) -> u64 {
        self.tokens.produce.iter().map(|&rate| u64::from(rate)).sum()
    }

    /// Tokens consumed in one full cycle of the consumer's phases.
    #[must_use]
    pub fn consumed_per_cycle(&self) -> u64 {
        self.tokens.consume.iter().map(|&rate| u64::from(rate)).sum()
    }

    /// Writes the words of initial token `token` (from 0) into `words` (one token long).
    pub fn write_initial(&self, token: u64, words: &mut [u64]) {
        match &self.tokens.initial.values {
            InitialValues::List(list) => {
                let start = usize::try_from(token).expect("token numbers fit memory") * words.len();
                words.copy_from_slice(&list[start..start + words.len()]);
            }
            InitialValues::Repeat(one) => words.copy_from_slice(one),
            InitialValues::Mix => {
                let name = mix::fnv(&self.name);
                for (j, word) in words.iter_mut().enumerate() {
                    *word = mix::initial_word(name, token, j as u64);
                }
            }
        }
    }
}

/// A dataflow application. A value that exists is well-formed; whether it is consistent and live is the analyses' verdict.
///
/// A clone costs nothing: it shares all parts.
#[derive(Clone, Debug)]
pub struct App {
    name: String,
    actors: Arc<IdVec<ActorId, Actor>>,
    channels: Arc<IdVec<ChannelId, Channel>>,
    inputs: Arc<Csr<ActorId, ChannelId>>,
    outputs: Arc<Csr<ActorId, ChannelId>>,
}

/// What there may be too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Tokens per firing and port.
    Rate,
    /// Words of one token.
    TokenWords,
    /// Words of the initial tokens of a channel and of all channels before it.
    InitialWords,
}

impl Figure {
    fn told(self, channel: &str, found: u64) -> String {
        match self {
            Self::Rate => format!("channel `{channel}` has a rate of {found}"),
            Self::TokenWords => format!("tokens of channel `{channel}` have {found} words"),
            Self::InitialWords => {
                format!("initial tokens of channel `{channel}` and of the channels before it have {found} words")
            }
        }
    }
}

/// Why parts do not make an application.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppError {
    /// Nothing to run.
    #[error("the application has no actors")]
    Empty,
    /// Two actors of one name.
    #[error("two actors are called `{name}`")]
    DuplicateActor {
        /// The name.
        name: String,
        /// The second of them.
        second: ActorId,
    },
    /// Two channels of one name.
    #[error("two channels are called `{name}`")]
    DuplicateChannel {
        /// The name.
        name: String,
        /// The second of them.
        second: ChannelId,
    },
    /// No phases, or too many.
    #[error("actor `{actor}` has {phases} phases, allowed are 1 to {}", limits::PHASES)]
    Phases {
        /// The actor's name.
        actor: String,
        /// Its id.
        id: ActorId,
        /// Phases found.
        phases: u64,
    },
    /// A duration beyond what tick arithmetic is made for.
    #[error("a firing of actor `{actor}` takes {exec} ticks, allowed are at most {}", limits::EXEC)]
    ExecTooLong {
        /// The actor's name.
        actor: String,
        /// Its id.
        id: ActorId,
        /// Ticks found.
        exec: u64,
    },
    /// An actor id that does not exist.
    #[error("channel `{channel}` names {actor}, but there are {actors} actors")]
    NoSuchActor {
        /// The channel's name.
        channel: String,
        /// Its id.
        id: ChannelId,
        /// The id that it names.
        actor: ActorId,
        /// How many actors there are.
        actors: usize,
    },
    /// A rate list whose length is not the actor's number of phases.
    #[error("channel `{channel}` lists {found} rates at actor `{actor}`, which has {phases} phases")]
    RateCount {
        /// The channel's name.
        channel: String,
        /// Its id.
        id: ChannelId,
        /// The actor at this end.
        actor: String,
        /// Rates found.
        found: usize,
        /// Rates needed.
        phases: u64,
    },
    /// All rates of one end are 0.
    #[error("channel `{channel}` moves no token at actor `{actor}` in any phase")]
    ZeroRates {
        /// The channel's name.
        channel: String,
        /// Its id.
        id: ChannelId,
        /// The actor at this end.
        actor: String,
    },
    /// A rate, token or number of initial tokens beyond the limits.
    #[error("{}, allowed are at most {limit}", figure.told(channel, *found))]
    TooLarge {
        /// The channel's name.
        channel: String,
        /// Its id.
        id: ChannelId,
        /// Which figure.
        figure: Figure,
        /// Its value.
        found: u64,
        /// The largest legal value.
        limit: u64,
    },
    /// A list of initial values of the wrong length.
    #[error("channel `{channel}` lists {found} words of initial tokens, needed are {needed}")]
    InitialWords {
        /// The channel's name.
        channel: String,
        /// Its id.
        id: ChannelId,
        /// Words found.
        found: u64,
        /// Words needed.
        needed: u64,
    },
    /// Ports are not numbered 0, 1, 2, … or two channels enter one port, or channels of one output differ.
    #[error("channel `{channel}` is at {side} port {port} of actor `{actor}`, {problem}")]
    Port {
        /// The channel's name.
        channel: String,
        /// Its id.
        id: ChannelId,
        /// The actor at this end.
        actor: String,
        /// "input" or "output".
        side: &'static str,
        /// The port number.
        port: u32,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl App {
    /// Checks the parts and freezes them.
    ///
    /// # Errors
    /// [`AppError`], the first that is found.
    pub fn new(
        name: impl Into<String>,
        actors: impl Into<IdVec<ActorId, Actor>>,
        channels: impl Into<IdVec<ChannelId, Channel>>,
    ) -> Result<Self, AppError> {
        let (actors, channels) = (actors.into(), channels.into());
        check_actors(&actors)?;
        check_channels(&actors, &channels)?;
        let by = |end: fn(&Channel) -> (ActorId, u32)| {
            let mut order: Vec<ChannelId> = channels.ids().collect();
            order.sort_by_key(|&id| (end(&channels[id]), id));
            Arc::new(Csr::group(actors.len(), order.iter().map(|&id| (end(&channels[id]).0, id))))
        };
        let inputs = by(|c| (c.target, c.target_port));
        let outputs = by(|c| (c.source, c.source_port));
        let app = Self { name: name.into(), actors: Arc::new(actors), channels: Arc::new(channels), inputs, outputs };
        app.check_ports()?;
        Ok(app)
    }

    /// The application's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All actors.
    #[must_use]
    pub fn actors(&self) -> &IdVec<ActorId, Actor> {
        &self.actors
    }

    /// All channels.
    #[must_use]
    pub fn channels(&self) -> &IdVec<ChannelId, Channel> {
        &self.channels
    }

    /// The channels that `actor` consumes from, by port.
    #[must_use]
    pub fn inputs(&self, actor: ActorId) -> &[ChannelId] {
        self.inputs.row(actor)
    }

    /// The channels that `actor` produces to, by port; channels that share a port stand together.
    #[must_use]
    pub fn outputs(&self, actor: ActorId) -> &[ChannelId] {
        self.outputs.row(actor)
    }

    /// One channel per output port of `actor`, by port: the layout of a firing's outputs.
    pub fn output_ports(&self, actor: ActorId) -> impl Iterator<Item = ChannelId> + '_ {
        let row = self.outputs(actor);
        row.iter()
            .enumerate()
            .filter(|&(i, &c)| i == 0 || self.channels[row[i - 1]].source_port != self.channels[c].source_port)
            .map(|(_, &c)| c)
    }

    /// Words that a firing of `phase` consumes.
    #[must_use]
    pub fn input_words(&self, actor: ActorId, phase: u32) -> usize {
        self.inputs(actor)
            .iter()
            .map(|&c| &self.channels[c])
            .map(|c| c.tokens.consume[phase as usize] as usize * c.token_words() as usize)
            .sum()
    }

    /// Words that a firing of `phase` produces, each output port counted once.
    #[must_use]
    pub fn output_words(&self, actor: ActorId, phase: u32) -> usize {
        self.output_ports(actor)
            .map(|c| &self.channels[c])
            .map(|c| c.tokens.produce[phase as usize] as usize * c.token_words() as usize)
            .sum()
    }

    /// The actor called `name`.
    #[must_use]
    pub fn actor_named(&self, name: &str) -> Option<ActorId> {
        self.actors.iter().find(|(_, actor)| actor.name == name).map(|(id, _)| id)
    }

    /// The channel called `name`.
    #[must_use]
    pub fn channel_named(&self, name: &str) -> Option<ChannelId> {
        self.channels.iter().find(|(_, channel)| channel.name == name).map(|(id, _)| id)
    }

    /// The same application with the fed source `actor` reading `words` (whole tokens of its output, in order).
    ///
    /// # Panics
    /// If `actor` is not a fed source.
    #[must_use]
    pub fn feed(mut self, actor: ActorId, words: Arc<[u64]>) -> Self {
        let fed = &mut Arc::make_mut(&mut self.actors)[actor];
        assert!(fed.fed, "`{}` is not a fed source", fed.name);
        fed.behaviour = Arc::new(Fed { words });
        self
    }

    /// The same application with every token `bits` wide. Only graph files, whose payload fits any width, can do this.
    ///
    /// # Errors
    /// [`AppError::TooLarge`] for too many words.
    pub fn with_token_bits(&self, bits: u64) -> Result<Self, AppError> {
        let mut channels = IdVec::clone(&self.channels);
        for channel in channels.values_mut() {
            channel.tokens.bits = bits;
        }
        let mut actors = IdVec::clone(&self.actors);
        for (id, actor) in actors.iter_mut() {
            let words = u32::try_from(bits.div_ceil(64).clamp(1, limits::TOKEN_WORDS)).expect("limited");
            let ports = self
                .output_ports(id)
                .map(|c| mix::MixPort { rates: self.channels[c].tokens.produce.clone(), words })
                .collect();
            actor.behaviour = Arc::new(mix::Mix::new(&actor.name, ports));
        }
        Self::new(self.name.clone(), actors, channels)
    }

    fn check_ports(&self) -> Result<(), AppError> {
        for (actor, data) in self.actors.iter() {
            let port_error = |id: ChannelId, side, port, problem| {
                let channel = self.channels[id].name.to_string();
                Err(AppError::Port { channel, id, actor: data.name.to_string(), side, port, problem })
            };
            for (i, &id) in self.inputs(actor).iter().enumerate() {
                let port = self.channels[id].target_port;
                if port as usize != i {
                    return port_error(
                        id,
                        "input",
                        port,
                        "but input ports are numbered from 0 and take one channel each",
                    );
                }
            }
            let mut last: Option<&Channel> = None;
            for &id in self.outputs(actor) {
                let channel = &self.channels[id];
                let expected = last.map_or(0, |l| l.source_port + u32::from(l.source_port != channel.source_port));
                if channel.source_port != expected {
                    return port_error(
                        id,
                        "output",
                        channel.source_port,
                        "but output ports are numbered from 0 without gaps",
                    );
                }
                if let Some(l) = last.filter(|l| l.source_port == channel.source_port)
                    && (l.tokens.produce != channel.tokens.produce || l.tokens.bits != channel.tokens.bits)
                {
                    return port_error(
                        id,
                        "output",
                        channel.source_port,
                        "whose other channels have another rate or token size",
                    );
                }
                last = Some(channel);
            }
        }
        Ok(())
    }
}

fn check_actors(actors: &IdVec<ActorId, Actor>) -> Result<(), AppError> {
    if actors.is_empty() {
        return Err(AppError::Empty);
    }
    let mut names = HashSet::with_capacity(actors.len());
    for (id, actor) in actors.iter() {
        if !names.insert(actor.name.as_str()) {
            return Err(AppError::DuplicateActor { name: actor.name.to_string(), second: id });
        }
        if actor.exec.is_empty() || actor.phases() > limits::PHASES {
            return Err(AppError::Phases { actor: actor.name.to_string(), id, phases: actor.phases() });
        }
        if let Some(&exec) = actor.exec.iter().find(|&&exec| exec > limits::EXEC) {
            return Err(AppError::ExecTooLong { actor: actor.name.to_string(), id, exec });
        }
    }
    Ok(())
}

fn check_channels(actors: &IdVec<ActorId, Actor>, channels: &IdVec<ChannelId, Channel>) -> Result<(), AppError> {
    let mut names = HashSet::with_capacity(channels.len());
    let mut initial_words = 0_u64;
    for (id, c) in channels.iter() {
        let channel = || c.name.to_string();
        if !names.insert(c.name.as_str()) {
            return Err(AppError::DuplicateChannel { name: channel(), second: id });
        }
        for (end, rates) in [(c.source, &c.tokens.produce), (c.target, &c.tokens.consume)] {
            let Some(actor) = actors.get(end) else {
                return Err(AppError::NoSuchActor { channel: channel(), id, actor: end, actors: actors.len() });
            };
            if rates.len() as u64 != actor.phases() {
                let (found, phases) = (rates.len(), actor.phases());
                return Err(AppError::RateCount {
                    channel: channel(),
                    id,
                    actor: actor.name.to_string(),
                    found,
                    phases,
                });
            }
            if rates.iter().all(|&rate| rate == 0) {
                return Err(AppError::ZeroRates { channel: channel(), id, actor: actor.name.to_string() });
            }
            let rate = u64::from(rates.iter().copied().max().unwrap_or(0));
            check_limit(c, id, Figure::Rate, rate, limits::RATE)?;
        }
        check_limit(c, id, Figure::TokenWords, c.tokens.bits.div_ceil(64), limits::TOKEN_WORDS)?;
        let words = c.tokens.initial.count.saturating_mul(u64::from(c.token_words()));
        initial_words = initial_words.saturating_add(words);
        check_limit(c, id, Figure::InitialWords, initial_words, limits::INITIAL_WORDS)?;
        let given = match &c.tokens.initial.values {
            InitialValues::List(list) => list.len() as u64,
            InitialValues::Repeat(one) => one.len() as u64 * c.tokens.initial.count,
            InitialValues::Mix => words,
        };
        if given != words {
            return Err(AppError::InitialWords { channel: channel(), id, found: given, needed: words });
        }
    }
    Ok(())
}

fn check_limit(c: &Channel, id: ChannelId, figure: Figure, found: u64, limit: u64) -> Result<(), AppError> {
    if found > limit {
        return Err(AppError::TooLarge { channel: c.name.to_string(), id, figure, found, limit });
    }
    Ok(())
}

/// A source that replays given words; silent (zeros) before it is fed.
struct Fed {
    words: Arc<[u64]>,
}

impl Behaviour for Fed {
    fn fire(&self, firing: Firing, _: State<'_>, _: &[u64], outputs: &mut [u64]) {
        let start = usize::try_from(firing.index).expect("fed words fit memory") * outputs.len();
        outputs.copy_from_slice(&self.words[start..start + outputs.len()]);
    }
}
