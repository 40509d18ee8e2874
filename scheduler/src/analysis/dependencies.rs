//! Dependencies between the firings of one metacycle: which firing consumes which tokens of which.
//!
//! Firings of an actor without state may overlap and end out of order, but tokens keep their order by index; so a firing
//! depends on *all* producers of the tokens that it consumes, not just on the last. An actor with state has an implicit
//! self-channel with one token. What depends on time or place (durations of transport, addresses) is not decided here.
//! Source: the expansion of Lee & Messerschmitt, "Static scheduling of synchronous data flow programs for digital signal
//! processing", IEEE Trans. Computers C-36(1), 1987, kept as token ranges.

use super::cycle_ratio::RatioEdge;
use super::repetition::Repetition;
use sim_core::{ActorId, App, Channel, ChannelId, Csr, Id, IdVec};
use std::ops::Range;

sim_core::ids! {
    /// A firing of a metacycle. The firings of one actor have consecutive ids, by index.
    FiringId("firing#");
    /// A dependency between two firings.
    DependencyId("dependency#");
}

/// A run of consecutive tokens of one channel that one firing produces and another consumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The producer.
    pub from: FiringId,
    /// The consumer: in metacycle m it needs what `from` makes in metacycle m − `distance`.
    pub to: FiringId,
    /// The channel; `None` for the state that an actor hands to its next firing.
    pub channel: Option<ChannelId>,
    /// Number of the first token among those that the producer makes in a metacycle, from 0. For state, the producer's index.
    pub first_token: u64,
    /// Number of tokens, at least 1.
    pub tokens: u32,
    /// Metacycles from producer to consumer, at least 0. Where it reaches before metacycle 0 the tokens are initial ones.
    pub distance: i64,
}

/// More firings, or dependencies between them, than ids and memory are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a metacycle has {firings} firings with about {dependencies} dependencies between them, allowed are at most {limit} of each"
)]
pub struct TooManyFirings {
    /// Firings of a metacycle; saturating.
    pub firings: u64,
    /// An upper bound on the dependencies; saturating.
    pub dependencies: u64,
    /// The most that is allowed of either.
    pub limit: u64,
}

/// The largest number of firings, and of dependencies, in a [`FiringGraph`] (some gigabytes).
pub const FIRINGS_MAX: u64 = 1 << 26;

/// The firings of a metacycle, which is a number of consecutive iterations, and what they need from each other.
#[derive(Clone, Debug)]
pub struct FiringGraph {
    unroll: u32,
    /// First firing of each actor, and one more entry for the end.
    base: Vec<u32>,
    actor: IdVec<FiringId, ActorId>,
    exec: IdVec<FiringId, i64>,
    /// Sorted by consumer; then by input port, state last; then in FIFO order.
    dependencies: IdVec<DependencyId, Dependency>,
    /// `inputs[f] .. inputs[f + 1]` are the dependencies whose consumer is `f`.
    inputs: Vec<u32>,
    outputs: Csr<FiringId, DependencyId>,
}

impl FiringGraph {
    /// Expands `unroll` (at least 1) iterations of `app`. O(firings + dependencies); an actor with n firings and a channel to
    /// one with m has at most n + m dependencies on it, however many tokens flow.
    ///
    /// # Errors
    /// [`TooManyFirings`] beyond [`FIRINGS_MAX`].
    ///
    /// # Panics
    /// If `unroll` is 0.
    pub fn new(app: &App, repetition: &Repetition, unroll: u32) -> Result<Self, TooManyFirings> {
        assert!(unroll > 0, "a metacycle has an iteration");
        check_size(app, repetition, unroll)?;
        let count = |actor| u32::try_from(u64::from(unroll) * repetition.firings(actor)).expect("firings are limited");
        let mut base = vec![0];
        let (mut actor, mut exec) = (IdVec::new(), IdVec::new());
        for (id, data) in app.actors().iter() {
            base.push(base[id.index()] + count(id));
            for ticks in data.exec.iter().cycle().take(count(id) as usize) {
                actor.push(id);
                exec.push(i64::try_from(*ticks).expect("durations are limited"));
            }
        }
        let (mut dependencies, mut inputs) = (IdVec::new(), vec![0]);
        for (id, data) in app.actors().iter() {
            let mut cursors: Vec<Cursor<'_>> =
                app.inputs(id).iter().map(|&channel| Cursor::new(app, repetition, unroll, &base, channel)).collect();
            let firings = base[id.index()]..base[id.index() + 1];
            for (to, phase) in firings.clone().zip((0..data.exec.len()).cycle()) {
                for cursor in &mut cursors {
                    cursor.consume(cursor.channel.tokens.consume[phase], FiringId(to), &mut dependencies);
                }
                if data.has_state() {
                    dependencies.push(state_dependency(&firings, to));
                }
                inputs.push(dependencies.len() as u32);
            }
        }
        let by_producer =
            dependencies.iter().map(|(id, dependency): (DependencyId, &Dependency)| (dependency.from, id));
        let outputs = Csr::group(actor.len(), by_producer);
        Ok(Self { unroll, base, actor, exec, dependencies, inputs, outputs })
    }

    /// Iterations per metacycle.
    #[must_use]
    pub fn unroll(&self) -> u32 {
        self.unroll
    }

    /// Number of firings.
    #[must_use]
    pub fn len(&self) -> usize {
        self.actor.len()
    }

    /// Never: an application has an actor, and every actor fires.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.actor.is_empty()
    }

    /// All firings, ascending.
    pub fn firings(&self) -> impl DoubleEndedIterator<Item = FiringId> + ExactSizeIterator + use<> {
        self.actor.ids()
    }

    /// The firings of `actor`, ascending.
    pub fn firings_of(&self, actor: ActorId) -> impl DoubleEndedIterator<Item = FiringId> + ExactSizeIterator + use<> {
        (self.base[actor.index()]..self.base[actor.index() + 1]).map(FiringId)
    }

    /// Firing number `index` of `actor` in the metacycle.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn firing(&self, actor: ActorId, index: u32) -> FiringId {
        let firing = FiringId(self.base[actor.index()] + index);
        assert!(firing.0 < self.base[actor.index() + 1], "{actor} has no firing {index}");
        firing
    }

    /// The actor that fires.
    #[must_use]
    pub fn actor_of(&self, firing: FiringId) -> ActorId {
        self.actor[firing]
    }

    /// Number of the firing among the actor's firings of a metacycle, from 0.
    #[must_use]
    pub fn index_of(&self, firing: FiringId) -> u32 {
        firing.0 - self.base[self.actor[firing].index()]
    }

    /// Ticks of the firing as the user gave them, for analysis; may be 0.
    #[must_use]
    pub fn exec(&self, firing: FiringId) -> i64 {
        self.exec[firing]
    }

    /// Ticks for which the firing holds a core: [`exec`](Self::exec), but at least 1.
    #[must_use]
    pub fn duration(&self, firing: FiringId) -> i64 {
        self.exec[firing].max(1)
    }

    /// All dependencies, sorted by consumer.
    #[must_use]
    pub fn dependencies(&self) -> &IdVec<DependencyId, Dependency> {
        &self.dependencies
    }

    /// What `firing` consumes: channels by target port, tokens in FIFO order, state last.
    #[must_use]
    pub fn inputs(&self, firing: FiringId) -> &[Dependency] {
        &self.dependencies.as_slice()[self.input_range(firing)]
    }

    /// The ids of [`inputs`](Self::inputs), in the same order.
    pub fn input_ids(
        &self,
        firing: FiringId,
    ) -> impl DoubleEndedIterator<Item = DependencyId> + ExactSizeIterator + use<> {
        self.input_range(firing).map(DependencyId::from_index)
    }

    /// The dependencies on what `firing` produces, ascending, so by consumer.
    #[must_use]
    pub fn outputs(&self, firing: FiringId) -> &[DependencyId] {
        self.outputs.row(firing)
    }

    /// The dependencies as edges for [`max_cycle_ratio`](super::max_cycle_ratio), edge e for dependency e, with the weights
    /// that `weight` gives (ticks from the start of `from` to the earliest start of `to`).
    pub fn ratio_edges(&self, mut weight: impl FnMut(DependencyId, &Dependency) -> i64) -> Vec<RatioEdge> {
        let edge = |(id, d): (DependencyId, &Dependency)| RatioEdge {
            from: d.from.0,
            to: d.to.0,
            weight: weight(id, d),
            distance: d.distance,
        };
        self.dependencies.iter().map(edge).collect()
    }

    fn input_range(&self, firing: FiringId) -> Range<usize> {
        self.inputs[firing.index()] as usize..self.inputs[firing.index() + 1] as usize
    }
}

/// Whether `unroll` iterations of `app` are small enough to be expanded.
pub(super) fn check_size(app: &App, repetition: &Repetition, unroll: u32) -> Result<(), TooManyFirings> {
    let unrolled = |count: u64| count.saturating_mul(u64::from(unroll));
    let firings = unrolled(repetition.total_firings());
    // Two divisions of the same tokens into a and b runs have at most a + b common runs, counting one cut by the wrap.
    let channels =
        app.channels().values().map(|c| repetition.firings(c.source).saturating_add(repetition.firings(c.target)));
    let states = app.actors().iter().filter(|(_, data)| data.has_state()).map(|(id, _)| repetition.firings(id));
    let dependencies = unrolled(channels.chain(states).fold(0, u64::saturating_add));
    if firings.max(dependencies) > FIRINGS_MAX {
        return Err(TooManyFirings { firings, dependencies, limit: FIRINGS_MAX });
    }
    Ok(())
}

/// What hands the state to firing `to`, one of `firings` of its actor.
fn state_dependency(firings: &Range<u32>, to: u32) -> Dependency {
    let (from, distance) = if to == firings.start { (firings.end - 1, 1) } else { (to - 1, 0) };
    let first_token = u64::from(from - firings.start);
    Dependency { from: FiringId(from), to: FiringId(to), channel: None, first_token, tokens: 1, distance }
}

/// Where the consumer of a channel stands in its producer's tokens.
struct Cursor<'a> {
    id: ChannelId,
    channel: &'a Channel,
    /// The producer's firings.
    producers: Range<u32>,
    /// The firing that made the next token.
    from: u32,
    /// Its phase.
    phase: usize,
    /// Tokens of that firing not yet consumed.
    left: u32,
    /// Number of the next token in its metacycle.
    token: u64,
    distance: i64,
}

impl<'a> Cursor<'a> {
    /// Before the first firing of a metacycle, when the channel holds its initial tokens: the last ones of earlier metacycles.
    fn new(app: &'a App, repetition: &Repetition, unroll: u32, base: &[u32], id: ChannelId) -> Self {
        let channel = &app.channels()[id];
        let producers = base[channel.source.index()]..base[channel.source.index() + 1];
        let per_metacycle = u64::from(unroll) * repetition.tokens(channel);
        let initial = channel.tokens.initial.count;
        let distance = initial.div_ceil(per_metacycle);
        let token = distance * per_metacycle - initial;
        let per_cycle = channel.produced_per_cycle();
        let cycles = u32::try_from(token / per_cycle).expect("firings are limited");
        let mut end = u64::from(cycles) * per_cycle;
        let mut phase = 0;
        while end + u64::from(channel.tokens.produce[phase]) <= token {
            end += u64::from(channel.tokens.produce[phase]);
            phase += 1;
        }
        end += u64::from(channel.tokens.produce[phase]);
        let from = producers.start + cycles * channel.tokens.produce.len() as u32 + phase as u32;
        let left = u32::try_from(end - token).expect("no more than a firing produces");
        let distance = i64::try_from(distance).expect("initial tokens are limited");
        Self { id, channel, producers, from, phase, left, token, distance }
    }

    /// Takes the next `count` tokens, for firing `to`.
    fn consume(&mut self, mut count: u32, to: FiringId, dependencies: &mut IdVec<DependencyId, Dependency>) {
        while count > 0 {
            while self.left == 0 {
                self.advance();
            }
            let tokens = count.min(self.left);
            dependencies.push(Dependency {
                from: FiringId(self.from),
                to,
                channel: Some(self.id),
                first_token: self.token,
                tokens,
                distance: self.distance,
            });
            self.token += u64::from(tokens);
            self.left -= tokens;
            count -= tokens;
        }
    }

    fn advance(&mut self) {
        self.from += 1;
        self.phase = (self.phase + 1) % self.channel.tokens.produce.len();
        if self.from == self.producers.end {
            self.from = self.producers.start;
            self.token = 0;
            self.distance -= 1;
        }
        self.left = self.channel.tokens.produce[self.phase];
    }
}
