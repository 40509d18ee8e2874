//! Which tokens a firing consumes and produces: repetition vector, token numbers, activations.
//!
//! The repetition vector is computed here once more, naively, so that an error of the analyses cannot hide itself.
//! Source: Lee & Messerschmitt, "Synchronous Data Flow", Proc. IEEE 75(9), 1987 (balance equations).

use super::limits;
use super::names::TokenWord;
use super::violation::Violation;
use sim_core::App;
use sim_core::ids::{ActorId, ChannelId, Id, IdVec};
use std::collections::BTreeMap;

/// A word of a token as it is produced: its channel and its position among the words of one metacycle, as one number below
/// [`limits::WORDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Made(pub(super) u32);

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
    /// Number of each channel's first word among the words that all channels move in a metacycle.
    bases: IdVec<ChannelId, u32>,
    /// Sums of the rates of channels whose producer or consumer has several phases.
    phased: BTreeMap<ChannelId, Sums>,
}

/// Sums of rates: before each phase of a cycle, then of all of it.
struct Sums {
    produced: Vec<u64>,
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
        let mut bases = IdVec::new();
        let mut base = 0_u128;
        let mut phased = BTreeMap::new();
        for (id, channel) in app.channels().iter() {
            bases.push(base.min(limits::WORDS.into()) as u32);
            let cycles = firings[channel.source] / app.actors()[channel.source].phases();
            let tokens = u128::from(cycles) * u128::from(channel.produced_per_cycle());
            base = base.saturating_add(tokens * u128::from(channel.token_words()));
            if channel.tokens.produce.len().max(channel.tokens.consume.len()) > 1 {
                phased.insert(
                    id,
                    Sums { produced: sums(&channel.tokens.produce), consumed: sums(&channel.tokens.consume) },
                );
            }
        }
        if base > limits::WORDS.into() {
            violations.push(Violation::TooManyWords { found: base, limit: limits::WORDS });
        }
        if violations.is_empty() {
            Ok(Self { app, unroll: unroll.into(), firings, bases, phased })
        } else {
            Err(violations)
        }
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
        self.app.inputs(actor).iter().flat_map(move |&id| {
            let channel = &self.app.channels()[id];
            let per_metacycle = i128::from(self.per_metacycle(id));
            let sums = self.phased.get(&id).map(|sums| &sums.consumed);
            range(&channel.tokens.consume, sums, index).flat_map(move |number| {
                let ahead = i128::from(number) - i128::from(channel.tokens.initial.count);
                let shift = -ahead.div_euclid(per_metacycle) as i64;
                let words = self.words(id, ahead.rem_euclid(per_metacycle) as u64);
                words.map(move |made| Needed { made, shift })
            })
        })
    }

    /// The words that firing `index` of `actor` produces, in the order of its operands.
    pub(super) fn produces(&self, actor: ActorId, index: u32) -> impl Iterator<Item = Made> + '_ {
        self.app.outputs(actor).iter().flat_map(move |&id| {
            let sums = self.phased.get(&id).map(|sums| &sums.produced);
            range(&self.app.channels()[id].tokens.produce, sums, index).flat_map(move |number| self.words(id, number))
        })
    }

    /// Tokens of a channel per metacycle, T.
    fn per_metacycle(&self, id: ChannelId) -> u64 {
        let channel = &self.app.channels()[id];
        let per_cycle = match self.phased.get(&id) {
            Some(sums) => sums.produced[channel.tokens.produce.len()],
            None => u64::from(channel.tokens.produce[0]),
        };
        self.firings[channel.source] / channel.tokens.produce.len() as u64 * per_cycle
    }

    /// The words of the token that is produced as number `number` of a metacycle.
    fn words(&self, id: ChannelId, number: u64) -> impl Iterator<Item = Made> + use<> {
        let words = self.app.channels()[id].token_words();
        let start = self.bases[id] + number as u32 * words;
        (start..start + words).map(Made)
    }

    /// Names the word that is produced as `made` in activation `activation` of its producer.
    pub(super) fn name(&self, made: Made, activation: i64) -> TokenWord {
        let index = self.bases.as_slice().partition_point(|&base| base <= made.0) - 1;
        let id = ChannelId::from_index(index);
        let channel = &self.app.channels()[id];
        let position = made.0 - self.bases[id];
        let token = i128::from(position / channel.token_words())
            + i128::from(channel.tokens.initial.count)
            + i128::from(activation) * i128::from(self.per_metacycle(id));
        TokenWord { channel: id, token: token as i64, word: position % channel.token_words() }
    }
}

/// Tokens that firing `index` moves, numbered from the metacycle's first, at `rates` by phase, whose `sums` are given where
/// there are several.
fn range(rates: &[u32], sums: Option<&Vec<u64>>, index: u32) -> std::ops::Range<u64> {
    let Some(sums) = sums else {
        let before = u64::from(index) * u64::from(rates[0]);
        return before..before + u64::from(rates[0]);
    };
    let phases = rates.len();
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
            for &id in app.outputs(actor).iter().chain(app.inputs(actor)) {
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
    // Once the first count is beyond 128 bits it is too late: so the whole part is gone through 128 times at most.
    let beyond = counts[part[0]] == Some(u128::MAX);
    let Some(flow) = count.checked_mul(gives).filter(|_| !beyond) else {
        counts[other] = Some(u128::MAX);
        return;
    };
    let factor = takes / gcd(flow, takes);
    if factor > 1 {
        for &member in part {
            counts[member] = counts[member].map(|count| count.saturating_mul(factor));
        }
    }
    counts[other] = Some(flow / gcd(flow, takes));
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}
