//! Which words a firing consumes: the order of tokens on a channel says it, wherever they lie.
//!
//! Per metacycle, T words enter a channel and T words leave it. Word n that leaves is word n − D that enters, D being the
//! words of the initial tokens; with n − D = a·T + position it is word `position` of activation a, and an initial one if a < 0.

use super::LowerError;
use sim_core::App;
use sim_core::csr::Ranges;
use sim_core::ids::{ActorId, ChannelId, IdVec};
use sim_core::program::{FiringId, PlannedFiring, Product, ProductId, Read};
use std::collections::BTreeMap;

/// Completes `firings` with what they read.
pub(super) fn reads(
    app: &App,
    mut firings: IdVec<FiringId, PlannedFiring>,
    products: &IdVec<ProductId, Product>,
    before: &Before<'_>,
) -> Result<(IdVec<FiringId, PlannedFiring>, Vec<Read>), LowerError> {
    let flows = Flows::new(app, &firings, products)?;
    let mut reads = Vec::new();
    for firing in firings.values_mut() {
        let from = reads.len() as u32;
        for &channel in app.inputs(firing.actor) {
            flows.reads(app, channel, firing, before.consumed(channel, firing.index), &mut reads);
        }
        firing.reads = from..reads.len() as u32;
    }
    Ok((firings, reads))
}

/// What goes through every channel in a metacycle.
struct Flows {
    /// Words that enter and leave, T.
    words: IdVec<ChannelId, u64>,
    /// Products by (channel, position).
    by_channel: Vec<(u64, u32, ProductId)>,
    rows: Ranges<ChannelId>,
}

impl Flows {
    fn new(
        app: &App,
        firings: &IdVec<FiringId, PlannedFiring>,
        products: &IdVec<ProductId, Product>,
    ) -> Result<Self, LowerError> {
        let mut counts: IdVec<ActorId, u64> = IdVec::filled(0, app.actors().len());
        for firing in firings.values() {
            counts[firing.actor] += 1;
        }
        let mut words = IdVec::new();
        for (channel, ends) in app.channels().iter() {
            let cycles = |actor: ActorId| counts[actor] / app.actors()[actor].phases();
            let flow = |cycles: u64, tokens: u64| cycles * tokens * u64::from(ends.token_words());
            let produced = flow(cycles(ends.source), ends.produced_per_cycle());
            let consumed = flow(cycles(ends.target), ends.consumed_per_cycle());
            if produced != consumed {
                return Err(LowerError::Unbalanced { channel, produced, consumed });
            }
            words.push(produced);
        }
        let mut order: Vec<ProductId> = products.ids().collect();
        order.sort_unstable_by_key(|&id| (products[id].channel, products[id].position));
        let rows = Ranges::of_sorted(app.channels().len(), order.iter().map(|&id| products[id].channel));
        let by_channel =
            order.into_iter().map(|id| (u64::from(products[id].position), products[id].words, id)).collect();
        Ok(Self { words, by_channel, rows })
    }

    /// Appends what `firing` reads of `channel`, from which `before` words are taken earlier in a metacycle.
    fn reads(&self, app: &App, channel: ChannelId, firing: &PlannedFiring, before: u64, reads: &mut Vec<Read>) {
        let ends = &app.channels()[channel];
        let token = i128::from(ends.token_words());
        let start = i128::from(before) - i128::from(ends.tokens.initial.count) * token;
        let end = start + i128::from(ends.tokens.consume[firing.phase as usize]) * token;
        let flow = i128::from(self.words[channel]);
        let row = self.rows.row(channel);
        let products = &self.by_channel[row.start as usize..row.end as usize];
        let mut at = start;
        while at < end {
            let position = at.rem_euclid(flow) as u64;
            let lag = -at.div_euclid(flow);
            let next = products.partition_point(|&(first, ..)| first <= position);
            let (first, words, product) = products[next - 1];
            let word = (position - first) as u32;
            let words = i128::from(words - word).min(end - at) as u32;
            // No firing consumes what is produced in a later metacycle's activation: a flow is what both ends move.
            let lag = u32::try_from(lag).expect("initial tokens are limited");
            reads.push(Read { product, lag, word, words });
            at += i128::from(words);
        }
    }
}

/// How many words pass the ends of channels before a firing of a metacycle.
pub(super) struct Before<'a> {
    app: &'a App,
    /// Tokens before every phase and in a whole cycle, at both ends, of the channels whose rates change.
    prefixes: BTreeMap<ChannelId, [Vec<u64>; 2]>,
}

impl<'a> Before<'a> {
    pub(super) fn new(app: &'a App) -> Self {
        let changing =
            app.channels().iter().filter(|(_, ends)| ends.tokens.produce.len() > 1 || ends.tokens.consume.len() > 1);
        let prefixes =
            changing.map(|(id, ends)| (id, [prefix(&ends.tokens.produce), prefix(&ends.tokens.consume)])).collect();
        Self { app, prefixes }
    }

    /// Words that enter `channel` before firing `index` of its producer.
    pub(super) fn produced(&self, channel: ChannelId, index: u32) -> u64 {
        self.words(channel, index, 0)
    }

    /// Words that leave `channel` before firing `index` of its consumer.
    pub(super) fn consumed(&self, channel: ChannelId, index: u32) -> u64 {
        self.words(channel, index, 1)
    }

    fn words(&self, channel: ChannelId, index: u32, end: usize) -> u64 {
        let ends = &self.app.channels()[channel];
        let index = u64::from(index);
        let tokens = match self.prefixes.get(&channel) {
            Some(prefixes) => {
                let prefix = &prefixes[end];
                let phases = prefix.len() as u64 - 1;
                index / phases * prefix[phases as usize] + prefix[(index % phases) as usize]
            }
            None => index * u64::from(if end == 0 { ends.tokens.produce[0] } else { ends.tokens.consume[0] }),
        };
        tokens * u64::from(ends.token_words())
    }
}

fn prefix(rates: &[u32]) -> Vec<u64> {
    let mut sum = 0;
    let ends = rates.iter().map(|&rate| {
        sum += u64::from(rate);
        sum
    });
    std::iter::once(0).chain(ends).collect()
}
