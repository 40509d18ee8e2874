//! What all graph files share: actors and channels with places, checked and given the mix payload.

use super::Spanned;
use super::error::did_you_mean;
use super::names::nearest;
use sim_core::app::limits;
use sim_core::mix::{Mix, MixPort};
use sim_core::{
    Actor, ActorId, ActorState, App, AppError, Channel, ChannelId, ChannelTokens, Id, InitialTokens, InitialValues,
    SourcePlace,
};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Entries that all rate and duration lists of a file may have together once they are written out for all phases.
///
/// Without it a few kilobytes of text (lists of coprime lengths, run lengths) would ask for gigabytes of memory.
pub const LIST_ENTRIES: u64 = 1 << 24;

/// Why actors and channels of a file do not make a graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// A number that is none, is negative, has a fraction, or is too large.
    #[error("{what} is `{found}`, expected a whole number from 0 to {limit}")]
    Number {
        /// Which figure.
        what: &'static str,
        /// The text found.
        found: String,
        /// The largest legal value.
        limit: u64,
        /// Its place.
        span: Range<usize>,
    },
    /// A list without entries.
    #[error("{what} is an empty list, expected at least one number")]
    EmptyList {
        /// Which figure.
        what: &'static str,
        /// Its place.
        span: Range<usize>,
    },
    /// A name without characters.
    #[error("empty {kind} name")]
    EmptyName {
        /// "actor", "channel" or "port".
        kind: &'static str,
        /// Its place.
        span: Range<usize>,
    },
    /// Two things of one name.
    #[error("two {kind}s are called `{name}`")]
    Duplicate {
        /// "actor", "channel" or "port".
        kind: &'static str,
        /// The name.
        name: String,
        /// The place of the second.
        span: Range<usize>,
        /// The place of the first.
        first: Range<usize>,
    },
    /// A name of nothing.
    #[error("there is no {kind} `{name}`")]
    Unknown {
        /// "actor" or "channel".
        kind: &'static str,
        /// The name.
        name: String,
        /// A name that exists and is spelt alike.
        nearest: Option<String>,
        /// Its place.
        span: Range<usize>,
    },
    /// Lists whose lengths have a huge common multiple.
    #[error(
        "the lists of actor `{actor}` repeat together only after {phases} phases, allowed are at most {}",
        limits::PHASES
    )]
    Phases {
        /// The actor's name.
        actor: String,
        /// Their least common multiple, as far as it was formed.
        phases: u64,
        /// The actor's place.
        span: Range<usize>,
    },
    /// Lists that are too long together.
    #[error(
        "the file's lists have {entries} entries when written out for all phases, allowed are at most {}",
        LIST_ENTRIES
    )]
    ListEntries {
        /// Entries up to and including the list at `span`.
        entries: u64,
        /// Where the limit is passed.
        span: Range<usize>,
    },
    /// What an application refuses, whoever makes it.
    #[error("{error}")]
    App {
        /// The refusal.
        error: AppError,
        /// The place that it is about.
        span: Range<usize>,
    },
}

impl GraphError {
    /// The bytes of the text that the error is about.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        match self {
            Self::Number { span, .. }
            | Self::EmptyList { span, .. }
            | Self::EmptyName { span, .. }
            | Self::Duplicate { span, .. }
            | Self::Unknown { span, .. }
            | Self::Phases { span, .. }
            | Self::ListEntries { span, .. }
            | Self::App { span, .. } => span.clone(),
        }
    }

    /// What the user may do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Unknown { nearest, .. } => did_you_mean(nearest.as_ref()),
            Self::Phases { .. } => Some("an actor's lists should have the same length".to_owned()),
            Self::Duplicate { .. } => {
                Some("names tell things apart in messages and digests: choose another".to_owned())
            }
            Self::App { error: AppError::ZeroRates { .. }, .. } => {
                Some("a rate may be 0 in some phases, not in all".to_owned())
            }
            _ => None,
        }
    }

    /// A name of this kind of error that does not change between releases.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Number { .. } => "graph::number",
            Self::EmptyList { .. } => "graph::empty_list",
            Self::EmptyName { .. } => "graph::empty_name",
            Self::Duplicate { .. } => "graph::duplicate_name",
            Self::Unknown { .. } => "graph::unknown_name",
            Self::Phases { .. } => "graph::too_many_phases",
            Self::ListEntries { .. } => "graph::too_many_list_entries",
            Self::App { error: AppError::Empty, .. } => "graph::no_actors",
            Self::App { error: AppError::ZeroRates { .. }, .. } => "graph::zero_rates",
            Self::App { .. } => "graph::too_large",
        }
    }
}

/// A graph as a file states it.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    /// Where the graph begins.
    pub(super) place: Range<usize>,
    pub(super) actors: Vec<DraftActor>,
    pub(super) channels: Vec<DraftChannel>,
}

#[derive(Debug)]
pub(super) struct DraftActor {
    pub(super) name: Spanned<String>,
    /// One entry per phase; a shorter list repeats.
    pub(super) exec: Spanned<Vec<u64>>,
    pub(super) place: Range<usize>,
}

#[derive(Debug)]
pub(super) struct DraftChannel {
    pub(super) name: Spanned<String>,
    pub(super) source: Spanned<String>,
    pub(super) target: Spanned<String>,
    /// One entry per phase of its actor; a shorter list repeats. Likewise `consume`.
    pub(super) produce: Spanned<Vec<u64>>,
    pub(super) consume: Spanned<Vec<u64>>,
    pub(super) initial: Spanned<u64>,
    pub(super) token_bits: u64,
    pub(super) place: Range<usize>,
}

/// Largest token size in bits.
pub(super) const TOKEN_BITS: u64 = limits::TOKEN_WORDS * 64;

/// Positions by name.
pub(super) struct Names<'a> {
    kind: &'static str,
    positions: BTreeMap<&'a str, usize>,
}

impl<'a> Names<'a> {
    /// Numbers `names` from 0. `kind` says what they name: "actor", "channel" or "port".
    pub(super) fn new(
        kind: &'static str,
        names: impl IntoIterator<Item = &'a Spanned<String>> + Clone,
    ) -> Result<Self, GraphError> {
        let mut positions = BTreeMap::new();
        for (position, name) in names.clone().into_iter().enumerate() {
            let span = name.span.clone();
            if name.value.is_empty() {
                return Err(GraphError::EmptyName { kind, span });
            }
            if let Some(first) = positions.insert(name.value.as_str(), position) {
                let first = names.into_iter().nth(first).map_or(0..0, |first| first.span.clone());
                return Err(GraphError::Duplicate { kind, name: name.value.clone(), span, first });
            }
        }
        Ok(Self { kind, positions })
    }

    /// The position of `name`.
    pub(super) fn find(&self, name: &Spanned<String>) -> Result<usize, GraphError> {
        self.get(&name.value).ok_or_else(|| GraphError::Unknown {
            kind: self.kind,
            name: name.value.clone(),
            nearest: self.nearest(&name.value),
            span: name.span.clone(),
        })
    }

    /// The position of `name`, if it exists.
    pub(super) fn get(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    /// A name that exists and is spelt like `name`.
    pub(super) fn nearest(&self, name: &str) -> Option<String> {
        nearest(name, self.positions.keys().copied()).map(str::to_owned)
    }
}

impl Draft {
    /// The application with the mix payload: ports numbered by the order of channels in the file, stateless actors.
    pub(super) fn build(self) -> Result<App, GraphError> {
        let names = Names::new("actor", self.actors.iter().map(|actor| &actor.name))?;
        Names::new("channel", self.channels.iter().map(|channel| &channel.name))?;
        let ends = self.ends(&names)?;
        let phases = self.phases(&ends)?;
        self.check_entries(&ends, &phases)?;

        let mut ports: Vec<Vec<MixPort>> = vec![Vec::new(); self.actors.len()];
        let mut inputs = vec![0_u32; self.actors.len()];
        let mut channels = Vec::with_capacity(self.channels.len());
        for (draft, &(source, target)) in self.channels.iter().zip(&ends) {
            let channel = Channel {
                name: draft.name.value.as_str().into(),
                source: ActorId::from_index(source),
                source_port: u32::try_from(ports[source].len()).expect("channels are counted in 32 bits"),
                target: ActorId::from_index(target),
                target_port: inputs[target],
                tokens: ChannelTokens {
                    produce: rates(&draft.produce.value, phases[source]),
                    consume: rates(&draft.consume.value, phases[target]),
                    bits: draft.token_bits,
                    initial: InitialTokens { count: draft.initial.value, values: InitialValues::Mix },
                }
                .into(),
                place: Some(Box::new(SourcePlace::Text(draft.place.clone()))),
            };
            ports[source].push(MixPort { rates: channel.tokens.produce.clone(), words: channel.token_words() });
            inputs[target] += 1;
            channels.push(channel);
        }
        let actors: Vec<Actor> = (self.actors.iter().zip(ports).zip(&phases))
            .map(|((draft, ports), &phases)| Actor {
                name: draft.name.value.as_str().into(),
                exec: cycle(&draft.exec.value, phases).collect(),
                state: ActorState::None,
                behaviour: Arc::new(Mix::new(&draft.name.value, ports)),
                pin: None,
                fed: false,
                place: Some(Box::new(SourcePlace::Text(draft.place.clone()))),
            })
            .collect();
        App::new(self.name.clone(), actors, channels)
            .map_err(|error| GraphError::App { span: self.span(&error), error })
    }

    /// Source and target of every channel, as positions among the actors.
    fn ends(&self, names: &Names<'_>) -> Result<Vec<(usize, usize)>, GraphError> {
        self.channels.iter().map(|channel| Ok((names.find(&channel.source)?, names.find(&channel.target)?))).collect()
    }

    /// Phases of every actor: the least common multiple of the lengths of its lists.
    fn phases(&self, ends: &[(usize, usize)]) -> Result<Vec<u64>, GraphError> {
        let mut phases = vec![1_u64; self.actors.len()];
        let mut include = |actor: usize, list: &Spanned<Vec<u64>>, what| {
            if list.value.is_empty() {
                return Err(GraphError::EmptyList { what, span: list.span.clone() });
            }
            let length = list.value.len() as u64;
            let all = phases[actor].saturating_mul(length / gcd(phases[actor], length));
            if all > limits::PHASES {
                let actor = self.actors[actor].name.value.clone();
                return Err(GraphError::Phases { actor, phases: all, span: list.span.clone() });
            }
            phases[actor] = all;
            Ok(())
        };
        for (position, actor) in self.actors.iter().enumerate() {
            include(position, &actor.exec, "the execution time")?;
        }
        for (channel, &(source, target)) in self.channels.iter().zip(ends) {
            include(source, &channel.produce, "the rate")?;
            include(target, &channel.consume, "the rate")?;
        }
        Ok(phases)
    }

    /// Refuses lists that would not fit memory once written out.
    fn check_entries(&self, ends: &[(usize, usize)], phases: &[u64]) -> Result<(), GraphError> {
        let actors = self.actors.iter().zip(phases).map(|(actor, &entries)| (entries, &actor.place));
        let channels = self.channels.iter().zip(ends);
        let channels = channels.map(|(channel, &(source, target))| (phases[source] + phases[target], &channel.place));
        let mut entries = 0;
        for (more, span) in actors.chain(channels) {
            entries += more;
            if entries > LIST_ENTRIES {
                return Err(GraphError::ListEntries { entries, span: span.clone() });
            }
        }
        Ok(())
    }

    /// The place that an application's refusal is about.
    fn span(&self, error: &AppError) -> Range<usize> {
        let channel = |id: &ChannelId| &self.channels[id.index()];
        match error {
            AppError::Empty => self.place.clone(),
            AppError::DuplicateActor { second: id, .. }
            | AppError::Phases { id, .. }
            | AppError::ExecTooLong { id, .. } => self.actors[id.index()].place.clone(),
            AppError::ZeroRates { id, .. } => {
                let produce = &channel(id).produce;
                let silent = produce.value.iter().all(|&rate| rate == 0);
                if silent { produce.span.clone() } else { channel(id).consume.span.clone() }
            }
            // Rates and token sizes were limited when they were read: what is too large is the sum of initial tokens.
            AppError::TooLarge { id, .. } => channel(id).initial.span.clone(),
            AppError::DuplicateChannel { second: id, .. }
            | AppError::NoSuchActor { id, .. }
            | AppError::RateCount { id, .. }
            | AppError::InitialWords { id, .. }
            | AppError::Port { id, .. } => channel(id).place.clone(),
        }
    }
}

/// `list`, repeated to `length` entries.
fn cycle(list: &[u64], length: u64) -> impl Iterator<Item = u64> + '_ {
    list.iter().copied().cycle().take(usize::try_from(length).expect("phases are limited"))
}

/// A list of rates, repeated to one entry per phase.
fn rates(list: &[u64], phases: u64) -> Arc<[u32]> {
    cycle(list, phases).map(|rate| u32::try_from(rate).expect("rates are limited when they are read")).collect()
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
