//! Which tokens a firing consumes and produces: repetition vector, token numbers, activations.
//!
//! The repetition vector is computed here once more, naively, so that an error of the analyses cannot hide itself.
//! Source: Lee & Messerschmitt, "Synchronous Data Flow", Proc. IEEE 75(9), 1987 (balance equations).

use super::limits;
use super::names::TokenWord;
use super::violation::Violation;
use sim_core::App;
use sim_core::ids::{ActorId, ChannelId, Id, IdVec};

/// A word of a token as it is produced: its channel and its position among the words of one metacycle, as one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Made(u64);

/// What one input word of a firing has to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needed {
    /// The produced word.
    pub(super) made: Made,
    /// Activation of the consumer minus activation of the producer. Earlier activations consume initial tokens.
    pub(super) shift: i64,
}

/// Counts of one application in one metacycle.
pub(super) struct Tokens<'a> {
    app: &'a App,
    unroll: u64,
    /// Firings per metacycle: U·P·q.
    firings: IdVec<ActorId, u64>,
    channels: IdVec<ChannelId, ChannelTokens>,
}

struct ChannelTokens {
    /// Tokens per metacycle, T.
    per_metacycle: u64,
    /// Words of one token.
    words: u64,
    /// Initial tokens, D.
    initial: u64,
    /// Number of the channel's first word among the words that all channels move in a metacycle.
    base: u64,
    /// Tokens produced before each phase of a cycle, then in all of it.
    produced: Vec<u64>,
    /// Tokens consumed before each phase of a cycle, then in all of it.
    consumed: Vec<u64>,
}

impl<'a> Tokens<'a> {
    /// Counts firings and tokens of metacycles with `unroll` iterations.
    ///
    /// # Errors
    /// Every channel that cannot be balanced, and every actor that fires too often.
    pub(super) fn count(app: &'a App, unroll: u32) -> Result<Self, Vec<Violation>> {
        let repetitions = repetitions(app)?;
        let mut firings = IdVec::new();
        let mut violations = Vec::new();
        for (actor, data) in app.actors().iter() {
            let count = u128::from(unroll).saturating_mul(data.phases().into()).saturating_mul(repetitions[actor]);
            let limit = u64::from(u32::MAX);
            if count > u128::from(limit) {
                violations.push(Violation::TooManyFirings { actor, limit });
            }
            firings.push(count.min(limit.into()) as u64);
        }
        let mut channels = IdVec::new();
        let mut base = 0_u128;
        for channel in app.channels().values() {
            let cycles = firings[channel.source] / app.actors()[channel.source].phases();
            let per_metacycle = u128::from(cycles) * u128::from(channel.produced_per_cycle());
            let tokens = ChannelTokens {
                per_metacycle: per_metacycle.min(u64::MAX.into()) as u64,
                words: channel.token_words().into(),
                initial: channel.initial.count,
                base: base.min(u64::MAX.into()) as u64,
                produced: sums(&channel.produce),
                consumed: sums(&channel.consume),
            };
            base += per_metacycle * u128::from(tokens.words);
            channels.push(tokens);
        }
        if base > limits::WORDS.into() {
            violations.push(Violation::TooManyWords { found: base, limit: limits::WORDS });
        }
        if violations.is_empty() { Ok(Self { app, unroll: unroll.into(), firings, channels }) } else { Err(violations) }
    }

    /// Firings of `actor` per metacycle.
    pub(super) fn firings(&self, actor: ActorId) -> u64 {
        self.firings[actor]
    }

    /// The iteration of a metacycle in which firing `index` of `actor` belongs.
    pub(super) fn place(&self, actor: ActorId, index: u32) -> u64 {
        u64::from(index) / (self.firings[actor] / self.unroll)
    }

    /// The phase of firing `index` of `actor`.
    pub(super) fn phase(&self, actor: ActorId, index: u32) -> u32 {
        (u64::from(index) % self.app.actors()[actor].phases()) as u32
    }

    /// The words that firing `index` of `actor` consumes, in the order of its operands.
    pub(super) fn consumes(&self, actor: ActorId, index: u32) -> impl Iterator<Item = Needed> + '_ {
        self.app.inputs(actor).iter().flat_map(move |&channel| {
            let tokens = &self.channels[channel];
            range(&tokens.consumed, index).flat_map(move |number| {
                let ahead = i128::from(number) - i128::from(tokens.initial);
                let produced = ahead.rem_euclid(tokens.per_metacycle.into());
                let shift = -ahead.div_euclid(tokens.per_metacycle.into()) as i64;
                let start = tokens.base + produced as u64 * tokens.words;
                (start..start + tokens.words).map(move |word| Needed { made: Made(word), shift })
            })
        })
    }

    /// The words that firing `index` of `actor` produces, in the order of its operands.
    pub(super) fn produces(&self, actor: ActorId, index: u32) -> impl Iterator<Item = Made> + '_ {
        self.app.outputs(actor).iter().flat_map(move |&channel| {
            let tokens = &self.channels[channel];
            range(&tokens.produced, index).flat_map(move |number| {
                let start = tokens.base + number * tokens.words;
                (start..start + tokens.words).map(Made)
            })
        })
    }

    /// Names the word that is produced as `made` in activation `activation` of its producer.
    pub(super) fn name(&self, made: Made, activation: i64) -> TokenWord {
        let index = self.channels.as_slice().partition_point(|channel| channel.base <= made.0) - 1;
        let channel = ChannelId::from_index(index);
        let tokens = &self.channels[channel];
        let position = made.0 - tokens.base;
        let token = i128::from(position / tokens.words)
            + i128::from(tokens.initial)
            + i128::from(activation) * i128::from(tokens.per_metacycle);
        TokenWord { channel, token: token as i64, word: (position % tokens.words) as u32 }
    }
}

/// Tokens that firing `index` moves, numbered from the metacycle's first; `sums` are those of its actor's phases.
fn range(sums: &[u64], index: u32) -> std::ops::Range<u64> {
    let phases = sums.len() - 1;
    let phase = index as usize % phases;
    let before = u64::from(index) / phases as u64 * sums[phases];
    before + sums[phase]..before + sums[phase + 1]
}

/// Sums of the rates before each phase, and of all.
fn sums(rates: &[u32]) -> Vec<u64> {
    let mut sum = 0;
    let after = rates.iter().map(|&rate| {
        sum += u64::from(rate);
        sum
    });
    std::iter::once(0).chain(after).collect()
}

/// The smallest positive numbers of phase cycles that balance every channel, each connected part on its own.
/// Numbers beyond 128 bits are given as the largest one.
fn repetitions(app: &App) -> Result<IdVec<ActorId, u128>, Vec<Violation>> {
    let mut neighbours: IdVec<ActorId, Vec<ChannelId>> = IdVec::filled(Vec::new(), app.actors().len());
    for (id, channel) in app.channels().iter() {
        neighbours[channel.source].push(id);
        neighbours[channel.target].push(id);
    }
    let mut counts: IdVec<ActorId, Option<u128>> = IdVec::filled(None, app.actors().len());
    for root in app.actors().ids() {
        if counts[root].is_some() {
            continue;
        }
        counts[root] = Some(1);
        let mut part = vec![root];
        let mut next = 0;
        while next < part.len() {
            let actor = part[next];
            next += 1;
            for &id in &neighbours[actor] {
                let channel = &app.channels()[id];
                let (other, gives, takes) = if channel.source == actor {
                    (channel.target, channel.produced_per_cycle(), channel.consumed_per_cycle())
                } else {
                    (channel.source, channel.consumed_per_cycle(), channel.produced_per_cycle())
                };
                if counts[other].is_none() {
                    extend(&mut counts, &part, actor, other, gives.into(), takes.into());
                    part.push(other);
                }
            }
        }
        let divisor = part.iter().filter_map(|&actor| counts[actor]).fold(0, gcd);
        for &actor in &part {
            counts[actor] = counts[actor].map(|count| if count == u128::MAX { count } else { count / divisor });
        }
    }
    let counts: IdVec<_, _> = counts.values().map(|count| count.expect("every actor is in a part")).collect();
    let clashes = app.channels().iter().filter(|(_, channel)| {
        let flow = |actor: ActorId, rate: u64| counts[actor].checked_mul(rate.into());
        let produced = flow(channel.source, channel.produced_per_cycle());
        produced != flow(channel.target, channel.consumed_per_cycle())
    });
    let violations: Vec<_> = clashes.map(|(channel, _)| Violation::Inconsistent { channel }).collect();
    if violations.is_empty() { Ok(counts) } else { Err(violations) }
}

/// Counts `other`, given that `counts[actor]` · `gives` = `counts[other]` · `takes`, and multiplies `part` so that it is whole.
fn extend(
    counts: &mut IdVec<ActorId, Option<u128>>,
    part: &[ActorId],
    actor: ActorId,
    other: ActorId,
    gives: u128,
    takes: u128,
) {
    let count = counts[actor].expect("actors of the part are counted");
    let Some(flow) = count.checked_mul(gives) else {
        counts[other] = Some(u128::MAX);
        return;
    };
    let factor = takes / gcd(flow, takes);
    for &member in part {
        counts[member] = counts[member].map(|count| count.saturating_mul(factor));
    }
    counts[other] = Some(flow / gcd(flow, takes));
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}
