//! Liveness: whether one iteration can run to its end, so that all can.
//!
//! A token game with counts only. In which order enabled actors fire cannot matter: a firing never disables another
//! actor's. No actor fires more than its share of one iteration, so a source that could run ahead for ever does not.
//! Source: Lee & Messerschmitt, "Synchronous Data Flow", Proc. IEEE 75(9), 1987 (class S algorithms).

use super::components::{Rows, strong_components};
use super::repetition::Repetition;
use sim_core::{ActorId, App, Channel, ChannelId, Id, IdVec};
use std::collections::VecDeque;

/// Some actors starve in the first iteration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("deadlocked: {}", self.text())]
pub struct Deadlock {
    /// Starved actors with the firings of the first iteration that they cannot do, all above 0, in id order.
    pub left: Vec<(ActorId, u64)>,
    /// How many more initial tokens on which channels would let the iteration end. Unless the graph is too large to try, no
    /// channel of these can do with fewer; that there is no smaller set is not promised.
    pub missing: Vec<(ChannelId, u64)>,
    left_names: Vec<String>,
    missing_names: Vec<String>,
}

impl Deadlock {
    fn text(&self) -> String {
        let left = self.left.iter().zip(&self.left_names).map(|(&(_, count), name)| format!("`{name}` ({count} left)"));
        let missing =
            self.missing.iter().zip(&self.missing_names).map(|(&(_, count), name)| format!("`{name}` (+{count})"));
        let (actors, channels) = (super::list(left), super::list(missing));
        format!("the first iteration stops with starved actors {actors}; initial tokens on {channels} would start it")
    }
}

/// Plays one iteration of `app`. O(total firings · degree), much less where actors can fire many times in a row.
///
/// # Errors
/// [`Deadlock`] if it does not come to its end.
pub fn liveness(app: &App, repetition: &Repetition) -> Result<(), Deadlock> {
    let rates = Rates::new(app, repetition);
    let mut game = Game::new(app, repetition, &IdVec::filled(0, app.channels().len()));
    game.play(app, &rates);
    let left: Vec<(ActorId, u64)> =
        game.left.iter().map(|(actor, &left)| (actor, left)).filter(|&(_, left)| left > 0).collect();
    if left.is_empty() {
        return Ok(());
    }
    let extra = feed_starved(app, &rates, game);
    let extra = trim(app, repetition, &rates, &extra).unwrap_or(extra);
    let missing: Vec<(ChannelId, u64)> =
        extra.iter().map(|(channel, &count)| (channel, count)).filter(|&(_, count)| count > 0).collect();
    let left_names = left.iter().map(|&(actor, _)| app.actors()[actor].name.to_string()).collect();
    let missing_names = missing.iter().map(|&(channel, _)| app.channels()[channel].name.to_string()).collect();
    Err(Deadlock { left, missing, left_names, missing_names })
}

/// Sums over phases and iterations, by channel.
struct Rates {
    produced: IdVec<ChannelId, u64>,
    consumed: IdVec<ChannelId, u64>,
    per_iteration: IdVec<ChannelId, u64>,
}

impl Rates {
    fn new(app: &App, repetition: &Repetition) -> Self {
        let channels = app.channels();
        Self {
            produced: channels.values().map(Channel::produced_per_cycle).collect(),
            consumed: channels.values().map(Channel::consumed_per_cycle).collect(),
            per_iteration: channels.values().map(|c| repetition.tokens(c)).collect(),
        }
    }
}

/// A state of the token game.
struct Game {
    tokens: IdVec<ChannelId, u64>,
    /// Firings left of this iteration.
    left: IdVec<ActorId, u64>,
    phase: IdVec<ActorId, u32>,
    queue: VecDeque<ActorId>,
    queued: IdVec<ActorId, bool>,
}

impl Game {
    fn new(app: &App, repetition: &Repetition, extra: &IdVec<ChannelId, u64>) -> Self {
        let actors = app.actors().len();
        Self {
            tokens: app.channels().iter().map(|(id, channel)| channel.tokens.initial.count + extra[id]).collect(),
            left: app.actors().ids().map(|actor| repetition.firings(actor)).collect(),
            phase: IdVec::filled(0, actors),
            queue: app.actors().ids().collect(),
            queued: IdVec::filled(true, actors),
        }
    }

    /// Fires whatever can fire. Afterwards only starved actors have firings left. Returns how much work it was.
    fn play(&mut self, app: &App, rates: &Rates) -> u64 {
        let mut steps = 0;
        while let Some(actor) = self.queue.pop_front() {
            self.queued[actor] = false;
            let before = self.left[actor];
            steps += 1;
            while self.fire_cycles(app, rates, actor) || self.fire_once(app, actor) {
                steps += 1;
            }
            if self.left[actor] < before {
                for &channel in app.outputs(actor) {
                    self.enqueue(app.channels()[channel].target);
                }
            }
        }
        steps
    }

    fn enqueue(&mut self, actor: ActorId) {
        if !self.queued[actor] && self.left[actor] > 0 {
            self.queued[actor] = true;
            self.queue.push_back(actor);
        }
    }

    /// Fires as many whole phase cycles of `actor` as its input tokens suffice for.
    fn fire_cycles(&mut self, app: &App, rates: &Rates, actor: ActorId) -> bool {
        let phases = app.actors()[actor].phases();
        if self.phase[actor] != 0 {
            return false;
        }
        let inputs = app.inputs(actor);
        let cycles =
            inputs.iter().map(|&c| self.tokens[c] / rates.consumed[c]).fold(self.left[actor] / phases, u64::min);
        if cycles == 0 {
            return false;
        }
        self.left[actor] -= cycles * phases;
        for &channel in inputs {
            self.tokens[channel] -= cycles * rates.consumed[channel];
        }
        for &channel in app.outputs(actor) {
            self.tokens[channel] += cycles * rates.produced[channel];
        }
        true
    }

    fn fire_once(&mut self, app: &App, actor: ActorId) -> bool {
        if self.left[actor] == 0 || self.shortage(app, actor).next().is_some() {
            return false;
        }
        let phase = self.phase[actor] as usize;
        self.left[actor] -= 1;
        self.phase[actor] = ((phase + 1) % app.actors()[actor].exec.len()) as u32;
        for &channel in app.inputs(actor) {
            self.tokens[channel] -= u64::from(app.channels()[channel].tokens.consume[phase]);
        }
        for &channel in app.outputs(actor) {
            self.tokens[channel] += u64::from(app.channels()[channel].tokens.produce[phase]);
        }
        true
    }

    /// The channels on which the next firing of `actor` lacks tokens, and how many.
    fn shortage<'a>(&'a self, app: &'a App, actor: ActorId) -> impl Iterator<Item = (ChannelId, u64)> + 'a {
        let phase = self.phase[actor] as usize;
        app.inputs(actor).iter().filter_map(move |&channel| {
            let needed = u64::from(app.channels()[channel].tokens.consume[phase]);
            let lacking = needed.saturating_sub(self.tokens[channel]);
            (lacking > 0).then_some((channel, lacking))
        })
    }
}

/// Plays the stuck `game` to its end by giving tokens, and returns how many were given on which channels.
fn feed_starved(app: &App, rates: &Rates, mut game: Game) -> IdVec<ChannelId, u64> {
    let mut extra = IdVec::filled(0, app.channels().len());
    while game.left.values().any(|&left| left > 0) {
        for actor in cheapest_starved(app, &game) {
            let lacking: Vec<(ChannelId, u64)> = game.shortage(app, actor).collect();
            for (channel, lacking) in lacking {
                // Doubling keeps the number of rounds small; trimming takes back what was too much. A whole iteration's
                // tokens are always enough.
                let most = rates.per_iteration[channel] - app.channels()[channel].tokens.initial.count - extra[channel];
                let given = lacking.max(extra[channel]).min(most);
                extra[channel] += given;
                game.tokens[channel] += given;
            }
            game.enqueue(actor);
        }
        game.play(app, rates);
    }
    extra
}

/// In every group of actors that wait for each other and for nobody else, the one whose next firing lacks fewest tokens.
/// Feeding anyone outside these groups would be in vain.
fn cheapest_starved(app: &App, game: &Game) -> Vec<ActorId> {
    let waits: Vec<(ActorId, ActorId)> = game
        .left
        .iter()
        .filter(|&(_, &left)| left > 0)
        .flat_map(|(actor, _)| game.shortage(app, actor).map(move |(c, _)| (actor, app.channels()[c].source)))
        .collect();
    let rows = Rows::group(app.actors().len(), waits.iter().map(|wait| wait.0.0));
    let components = strong_components(&rows, |wait| waits[wait as usize].1.0);
    let component = |actor: ActorId| components.of[actor.index()] as usize;
    let mut waits_outside = vec![false; components.count];
    for &(actor, source) in &waits {
        waits_outside[component(actor)] |= component(actor) != component(source);
    }
    let mut cheapest: Vec<Option<(u64, ActorId)>> = vec![None; components.count];
    for (actor, _) in game.left.iter().filter(|&(_, &left)| left > 0) {
        let price = (game.shortage(app, actor).map(|(_, lacking)| lacking).sum(), actor);
        let best = &mut cheapest[component(actor)];
        if !waits_outside[component(actor)] && best.is_none_or(|best| price < best) {
            *best = Some(price);
        }
    }
    cheapest.into_iter().flatten().map(|(_, actor)| actor).collect()
}

/// A set of channels and counts like `extra`, of which none can be left out or lowered; `None` if finding it takes too long.
fn trim(
    app: &App,
    repetition: &Repetition,
    rates: &Rates,
    extra: &IdVec<ChannelId, u64>,
) -> Option<IdVec<ChannelId, u64>> {
    // Every trial plays an iteration; this many steps (about a second) are worth a better message.
    let mut budget = 1_u64 << 22;
    let mut suffices = |extra: &IdVec<ChannelId, u64>| {
        let mut game = Game::new(app, repetition, extra);
        budget = budget.checked_sub(game.play(app, rates))?;
        Some(game.left.values().all(|&left| left == 0))
    };
    let most = |channel| rates.per_iteration[channel] - app.channels()[channel].tokens.initial.count;
    let mut channels: Vec<ChannelId> =
        extra.iter().filter(|(_, count)| **count > 0).map(|(channel, _)| channel).collect();
    // Where there are initial tokens already, the author meant the feedback to be.
    channels.sort_by_key(|&channel| app.channels()[channel].tokens.initial.count > 0);
    let mut trimmed = extra.clone();
    for &channel in &channels {
        trimmed[channel] = most(channel);
    }
    for &channel in &channels {
        trimmed[channel] = 0;
        if !suffices(&trimmed)? {
            trimmed[channel] = most(channel);
        }
    }
    for channel in channels {
        let (mut low, mut high) = (1, trimmed[channel]); // `high` suffices, less than `low` does not
        while low < high {
            trimmed[channel] = low + (high - low) / 2;
            if suffices(&trimmed)? {
                high = trimmed[channel];
            } else {
                low = trimmed[channel] + 1;
            }
        }
        trimmed[channel] = high;
    }
    Some(trimmed)
}
