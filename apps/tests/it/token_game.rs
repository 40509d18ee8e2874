//! An untimed execution of an application: whatever can fire fires, until every actor did so as often as asked.

use sim_core::{ActorState, App, ChannelId, Firing, Id, IdVec, State};
use tidelock::prelude::{Token, decode};

/// What was played.
pub(crate) struct Game<'a> {
    app: &'a App,
    /// Words of all tokens of a channel, initial ones first.
    streams: IdVec<ChannelId, Vec<u64>>,
    /// Final plain states, by actor.
    states: Vec<Vec<u64>>,
    firings: Vec<u64>,
}

/// Fires the actor called `name` at most `firings(name)` times.
pub(crate) fn play(app: &App, firings: impl Fn(&str) -> u64) -> Game<'_> {
    let limits: Vec<u64> = app.actors().values().map(|actor| firings(&actor.name)).collect();
    let streams = app.channels().values().map(initial_words).collect();
    let states = app.actors().values().map(|actor| match &actor.state {
        ActorState::Plain(words) => words.clone(),
        _ => Vec::new(),
    });
    let mut game = Game { app, streams, states: states.collect(), firings: vec![0; limits.len()] };
    let mut opaque: Vec<_> = app.actors().values().map(|actor| actor.behaviour.opaque_state()).collect();
    let mut consumed = IdVec::filled(0, app.channels().len());
    loop {
        let before = game.firings.clone();
        for actor in app.actors().ids() {
            while game.firings[actor.index()] < limits[actor.index()] {
                let opaque = opaque[actor.index()].as_deref_mut().map(State::Opaque);
                if !game.fire(actor, &mut consumed, opaque) {
                    break;
                }
            }
        }
        if game.firings == before {
            return game;
        }
    }
}

fn initial_words(channel: &sim_core::Channel) -> Vec<u64> {
    let size = channel.token_words() as usize;
    let mut words = vec![0; channel.tokens.initial.count as usize * size];
    for (k, words) in words.chunks_exact_mut(size).enumerate() {
        channel.write_initial(k as u64, words);
    }
    words
}

impl Game<'_> {
    fn fire(
        &mut self,
        actor: sim_core::ActorId,
        consumed: &mut IdVec<ChannelId, usize>,
        opaque: Option<State<'_>>,
    ) -> bool {
        let needed = |c: ChannelId| {
            let channel = &self.app.channels()[c];
            channel.tokens.consume[0] as usize * channel.token_words() as usize
        };
        let inputs = self.app.inputs(actor);
        if inputs.iter().any(|&c| self.streams[c].len() - consumed[c] < needed(c)) {
            return false;
        }
        let words: Vec<u64> =
            inputs.iter().flat_map(|&c| &self.streams[c][consumed[c]..consumed[c] + needed(c)]).copied().collect();
        for &c in inputs {
            consumed[c] += needed(c);
        }
        // Not zeros: a firing must not depend on what its outputs held before.
        let mut outputs = vec![u64::MAX; self.app.output_words(actor, 0)];
        let firing = Firing { index: self.firings[actor.index()], phase: 0 };
        let state = opaque.unwrap_or(State::Words(&mut self.states[actor.index()]));
        self.app.actors()[actor].behaviour.fire(firing, state, &words, &mut outputs);
        self.firings[actor.index()] += 1;

        let mut rest = outputs.as_slice();
        for port in self.app.output_ports(actor) {
            let channel = &self.app.channels()[port];
            let produced = rest.split_off(..channel.tokens.produce[0] as usize * channel.token_words() as usize);
            let produced = produced.expect("all ports are in the outputs");
            for &c in self.app.outputs(actor) {
                if self.app.channels()[c].source_port == channel.source_port {
                    self.streams[c].extend_from_slice(produced);
                }
            }
        }
        true
    }

    /// The tokens produced on a channel, initial ones not counted.
    pub(crate) fn tokens<T: Token>(&self, channel: &str) -> Vec<T> {
        let id = self.app.channel_named(channel).unwrap_or_else(|| panic!("no channel `{channel}`"));
        let mut tokens = decode(&self.streams[id]);
        tokens.drain(..self.app.channels()[id].tokens.initial.count as usize);
        tokens
    }

    /// The words of a channel, initial tokens first.
    pub(crate) fn words(&self, channel: &str) -> &[u64] {
        &self.streams[self.app.channel_named(channel).expect("the channel exists")]
    }

    /// The words of an actor's plain state.
    pub(crate) fn state(&self, actor: &str) -> &[u64] {
        &self.states[self.app.actor_named(actor).expect("the actor exists").index()]
    }

    /// How often an actor fired.
    pub(crate) fn firings(&self, actor: &str) -> u64 {
        self.firings[self.app.actor_named(actor).expect("the actor exists").index()]
    }
}
