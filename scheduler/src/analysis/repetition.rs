//! Repetition vectors: how often each actor fires in one iteration.
//!
//! Pure: an application in, counts or the clashing channels out. Exact rationals on a spanning forest; nothing is rounded,
//! and what does not fit 64 bits is an error.
//! Source: Lee & Messerschmitt, "Synchronous Data Flow", Proc. IEEE 75(9), 1987 (balance equations); cycles of phases:
//! Bilsen, Engels, Lauwereins & Peperstraete, "Cyclo-static dataflow", IEEE Trans. Signal Processing 44(2), 1996.

use num_rational::Ratio;
use sim_core::{ActorId, App, Channel, ChannelId, IdVec};
use std::fmt;

/// Smallest positive solution of the balance equations. Every weakly connected component is minimal on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repetition {
    cycles: IdVec<ActorId, u64>,
    firings: IdVec<ActorId, u64>,
    total: u64,
}

impl Repetition {
    /// Full phase cycles of `actor` per iteration (q).
    #[must_use]
    pub fn cycles(&self, actor: ActorId) -> u64 {
        self.cycles[actor]
    }

    /// Firings of `actor` per iteration (P·q for P phases).
    #[must_use]
    pub fn firings(&self, actor: ActorId) -> u64 {
        self.firings[actor]
    }

    /// Firings of all actors per iteration.
    #[must_use]
    pub fn total_firings(&self) -> u64 {
        self.total
    }

    /// Tokens that enter and leave `channel`, one of the same application, per iteration. They fit 63 bits.
    #[must_use]
    pub fn tokens(&self, channel: &Channel) -> u64 {
        self.cycles[channel.source] * channel.produced_per_cycle()
    }
}

/// Why there is no repetition vector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistent {
    /// Rates that contradict each other.
    #[error("inconsistent: {0}")]
    Clash(Box<Clash>),
    /// The rates agree so far, but the counts leave the range of 64-bit numbers.
    #[error("in one iteration actor `{name}` would fire, or move tokens, more often than 64 bits can count")]
    Overflow {
        /// The actor at which this was noticed.
        actor: ActorId,
        /// Its name.
        name: String,
    },
}

/// A cycle of channels, directions ignored, around which the rates do not multiply to 1 but to `wanted` ÷ `implied`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// The channel that closes the cycle, then those that lead from its consumer back to its producer.
    pub cycle: Vec<ChannelId>,
    /// Their names.
    pub names: Vec<String>,
    /// Producer of the closing channel.
    pub from: String,
    /// Consumer of the closing channel.
    pub to: String,
    /// q(`to`) ÷ q(`from`) by the rates of the closing channel.
    pub wanted: Ratio<u128>,
    /// q(`to`) ÷ q(`from`) by the rates of the other channels.
    pub implied: Ratio<u128>,
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { names, from, to, wanted, implied, .. } = self;
        let (closing, others) = names.split_first().expect("a cycle has a channel");
        if others.is_empty() {
            let (gained, lost) = (wanted.numer(), wanted.denom());
            return write!(
                f,
                "self-channel `{closing}` of `{from}` gains {gained} tokens for every {lost} that it loses"
            );
        }
        let others = super::list(others.iter().map(|name| format!("`{name}`")));
        write!(
            f,
            "the rates of channel `{closing}` ask for q({to}) / q({from}) = {wanted}, those of {others} for {implied}"
        )
    }
}

/// Solves the balance equations of `app`. O(actors + channels).
///
/// # Errors
/// [`Inconsistent::Clash`] names the channels of one contradiction; [`Inconsistent::Overflow`] if firings per iteration
/// do not fit 64 bits or tokens per iteration do not fit 63.
pub fn repetition(app: &App) -> Result<Repetition, Inconsistent> {
    let forest = span(app)?;
    for (id, channel) in app.channels().iter() {
        let agrees = step(forest.rate[channel.source], channel) == widen(forest.rate[channel.target]);
        if !agrees {
            return Err(clash(app, &forest, id));
        }
    }
    let actors = app.actors().len();
    let mut cycles = IdVec::filled(0, actors);
    let mut firings = IdVec::filled(0, actors);
    let mut total = 0_u64;
    for tree in &forest.trees {
        // The least common denominator makes all counts whole, and leaves them without a common factor because each
        // fraction is in lowest terms.
        let mut scale = 1_u64;
        for &actor in tree {
            let new = *Ratio::new(scale, *forest.rate[actor].denom()).denom();
            scale = scale.checked_mul(new).ok_or_else(|| overflow(app, actor))?;
        }
        for &actor in tree {
            let rate = forest.rate[actor];
            let count = (scale / rate.denom()).checked_mul(*rate.numer()).ok_or_else(|| overflow(app, actor))?;
            let fires = count.checked_mul(app.actors()[actor].phases()).ok_or_else(|| overflow(app, actor))?;
            total = total.checked_add(fires).ok_or_else(|| overflow(app, actor))?;
            (cycles[actor], firings[actor]) = (count, fires);
        }
    }
    for channel in app.channels().values() {
        let tokens = cycles[channel.source].checked_mul(channel.produced_per_cycle());
        if tokens.is_none_or(|tokens| i64::try_from(tokens).is_err()) {
            return Err(overflow(app, channel.source));
        }
    }
    Ok(Repetition { cycles, firings, total })
}

/// A spanning forest of the channels, directions ignored.
struct Forest {
    /// q(actor) ÷ q(root of its tree), in lowest terms.
    rate: IdVec<ActorId, Ratio<u64>>,
    /// The channel that connects to the next actor towards the root; `None` at roots.
    parent: IdVec<ActorId, Option<ChannelId>>,
    /// Actors by tree, in breadth-first order from the root.
    trees: Vec<Vec<ActorId>>,
}

fn span(app: &App) -> Result<Forest, Inconsistent> {
    let actors = app.actors().len();
    let mut rate: IdVec<ActorId, Option<Ratio<u64>>> = IdVec::filled(None, actors);
    let mut parent = IdVec::filled(None, actors);
    let mut trees = Vec::new();
    for root in app.actors().ids() {
        if rate[root].is_some() {
            continue;
        }
        rate[root] = Some(Ratio::from_integer(1));
        let mut tree = vec![root];
        let mut next = 0;
        while let Some(&actor) = tree.get(next) {
            next += 1;
            let here = rate[actor].expect("queued actors have a rate");
            for &id in app.outputs(actor).iter().chain(app.inputs(actor)) {
                let channel = &app.channels()[id];
                let other = if channel.source == actor { channel.target } else { channel.source };
                if rate[other].is_some() {
                    continue;
                }
                let there = if channel.source == actor { step(here, channel) } else { step_back(here, channel) };
                rate[other] = Some(narrow(there).ok_or_else(|| overflow(app, other))?);
                parent[other] = Some(id);
                tree.push(other);
            }
        }
        trees.push(tree);
    }
    let rate = rate.values().map(|rate| rate.expect("every actor is in a tree")).collect();
    Ok(Forest { rate, parent, trees })
}

/// The rate of a channel's target when that of its source is `rate`. Fits: 64 + 40 bits.
fn step(rate: Ratio<u64>, channel: &Channel) -> Ratio<u128> {
    let (produced, consumed) = (channel.produced_per_cycle(), channel.consumed_per_cycle());
    Ratio::new(u128::from(*rate.numer()) * u128::from(produced), u128::from(*rate.denom()) * u128::from(consumed))
}

/// The rate of a channel's source when that of its target is `rate`.
fn step_back(rate: Ratio<u64>, channel: &Channel) -> Ratio<u128> {
    let (produced, consumed) = (channel.produced_per_cycle(), channel.consumed_per_cycle());
    Ratio::new(u128::from(*rate.numer()) * u128::from(consumed), u128::from(*rate.denom()) * u128::from(produced))
}

fn widen(rate: Ratio<u64>) -> Ratio<u128> {
    Ratio::new_raw(u128::from(*rate.numer()), u128::from(*rate.denom()))
}

fn narrow(rate: Ratio<u128>) -> Option<Ratio<u64>> {
    Some(Ratio::new_raw(u64::try_from(*rate.numer()).ok()?, u64::try_from(*rate.denom()).ok()?))
}

fn overflow(app: &App, actor: ActorId) -> Inconsistent {
    Inconsistent::Overflow { actor, name: app.actors()[actor].name.to_string() }
}

/// The contradiction that `closing` makes with the tree channels between its ends.
fn clash(app: &App, forest: &Forest, closing: ChannelId) -> Inconsistent {
    let channel = &app.channels()[closing];
    let mut down = way_to_root(app, forest, channel.target);
    let mut up = way_to_root(app, forest, channel.source);
    while down.last().is_some() && down.last() == up.last() {
        down.pop();
        up.pop();
    }
    let cycle: Vec<ChannelId> = std::iter::once(closing).chain(down).chain(up.into_iter().rev()).collect();
    let (from, to) = (forest.rate[channel.source], forest.rate[channel.target]);
    let implied = Ratio::new(
        u128::from(*to.numer()) * u128::from(*from.denom()),
        u128::from(*to.denom()) * u128::from(*from.numer()),
    );
    Inconsistent::Clash(Box::new(Clash {
        names: cycle.iter().map(|&id| app.channels()[id].name.to_string()).collect(),
        cycle,
        from: app.actors()[channel.source].name.to_string(),
        to: app.actors()[channel.target].name.to_string(),
        wanted: step(Ratio::from_integer(1), channel),
        implied,
    }))
}

/// The tree channels from `actor` to its root.
fn way_to_root(app: &App, forest: &Forest, mut actor: ActorId) -> Vec<ChannelId> {
    let mut way = Vec::new();
    while let Some(id) = forest.parent[actor] {
        way.push(id);
        let channel = &app.channels()[id];
        actor = if channel.source == actor { channel.target } else { channel.source };
    }
    way
}
