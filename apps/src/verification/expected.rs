//! What the untimed reference expects of every firing: the words that it consumes and produces.

use sim_core::engine::{Event, What};
use sim_core::reference::{self, ReferenceError};
use sim_core::{ActorId, App, Channel, ChannelId, IdVec, RunOptions};
use std::collections::BTreeMap;

/// All tokens of an untimed execution.
pub(super) struct Expected<'a> {
    app: &'a App,
    /// Words produced on every channel, initial tokens not counted.
    produced: BTreeMap<ChannelId, Vec<u64>>,
}

/// Firings of a run and words on its channels, initial ones included: what an untimed execution costs.
pub(super) fn work(app: &App, iterations: u64) -> Result<u128, ReferenceError> {
    let firings: IdVec<ActorId, u64> = reference::firings_per_iteration(app)?;
    let fired: u128 = firings.values().map(|&firings| u128::from(firings)).sum();
    let words = |channel: &Channel| {
        let cycles = firings[channel.source] / app.actors()[channel.source].phases();
        let tokens = u128::from(cycles) * u128::from(channel.produced_per_cycle());
        tokens.saturating_mul(u128::from(channel.token_words()))
    };
    let moved = app.channels().values().map(words).fold(fired, u128::saturating_add);
    let initial = app.channels().values().map(|c| u128::from(c.tokens.initial.count) * u128::from(c.token_words()));
    Ok(moved.saturating_mul(u128::from(iterations)).saturating_add(initial.sum()))
}

impl<'a> Expected<'a> {
    /// Executes `app` untimed and keeps all tokens.
    pub(super) fn new(app: &'a App, options: &RunOptions) -> Result<Self, ReferenceError> {
        let options = RunOptions {
            iterations: options.iterations,
            record: app.channels().ids().collect(),
            ..RunOptions::default()
        };
        Ok(Self { app, produced: reference::run(app, &options)?.recorded })
    }

    /// The same firing with the words expected; `None` for frames, which an untimed execution knows nothing of.
    pub(super) fn of(&self, event: &Event) -> Option<Event> {
        let What::Fired { actor, index, .. } = event.what else { return None };
        let app = self.app;
        let inputs = app.inputs(actor).iter().flat_map(|&channel| self.consumed(channel, index));
        let outputs = app.output_ports(actor).flat_map(|channel| self.produced(channel, index));
        let what = What::Fired { actor, index, inputs: inputs.collect(), outputs: outputs.collect() };
        Some(Event { what, ..event.clone() })
    }

    /// Words that firing `index` of its target consumes on `channel`.
    fn consumed(&self, id: ChannelId, index: u64) -> Vec<u64> {
        let channel = &self.app.channels()[id];
        let mut initial = vec![0; channel.token_words() as usize];
        let words = |token: u64| match token.checked_sub(channel.tokens.initial.count) {
            Some(produced) => self.token(id, produced).to_vec(),
            None => {
                channel.write_initial(token, &mut initial);
                initial.clone()
            }
        };
        tokens(&channel.tokens.consume, index).flat_map(words).collect()
    }

    /// Words that firing `index` of its source produces on `channel`.
    fn produced(&self, id: ChannelId, index: u64) -> Vec<u64> {
        let tokens = tokens(&self.app.channels()[id].tokens.produce, index);
        tokens.flat_map(|token| self.token(id, token)).copied().collect()
    }

    /// The words of a produced token.
    fn token(&self, id: ChannelId, token: u64) -> &[u64] {
        let words = self.app.channels()[id].token_words() as usize;
        &self.produced[&id][token as usize * words..][..words]
    }
}

/// Numbers of the tokens that firing `index` moves, at `rates` per phase.
fn tokens(rates: &[u32], index: u64) -> std::ops::Range<u64> {
    let sum = |rates: &[u32]| rates.iter().map(|&rate| u64::from(rate)).sum::<u64>();
    let (cycle, phase) = (index / rates.len() as u64, (index % rates.len() as u64) as usize);
    let before = cycle * sum(rates) + sum(&rates[..phase]);
    before..before + u64::from(rates[phase])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_numbered_over_all_phases() {
        let of = |index| tokens(&[2, 0, 3], index);
        assert_eq!([of(0), of(1), of(2), of(3), of(5)], [0..2, 2..2, 2..5, 5..7, 7..10]);
    }
}
