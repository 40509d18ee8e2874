//! Applications for tests: random ones that are consistent by construction, and a small hand for writing others.

use proptest::prelude::*;
use proptest::test_runner::Config;
use scheduler::analysis;
use sim_core::mix::{Mix, MixPort};
use sim_core::{
    Actor, ActorId, ActorState, App, Channel, ChannelId, ChannelTokens, Id, IdVec, InitialTokens, InitialValues,
};
use std::fmt;
use std::sync::Arc;

/// Cases per property: 64, or what `TIDELOCK_CASES` says.
pub(crate) fn cases() -> Config {
    let cases = std::env::var("TIDELOCK_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(64);
    Config { cases, failure_persistence: None, max_shrink_iters: 10_000, max_shrink_time: 60_000, ..Config::default() }
}

/// A stateless actor with one duration per phase. Its behaviour is set by [`app`].
pub(crate) fn actor(name: &str, exec: &[u64]) -> Actor {
    Actor {
        name: name.into(),
        exec: exec.into(),
        state: ActorState::None,
        behaviour: Arc::new(Mix::new(name, Vec::new())),
        pin: None,
        fed: false,
        place: None,
    }
}

/// A channel of single words between actors given by index. Its ports are numbered by [`app`].
pub(crate) fn channel(
    name: &str,
    (source, produce): (u32, &[u32]),
    (target, consume): (u32, &[u32]),
    tokens: u64,
) -> Channel {
    Channel {
        name: name.into(),
        source: ActorId(source),
        source_port: u32::MAX,
        target: ActorId(target),
        target_port: u32::MAX,
        tokens: ChannelTokens {
            produce: produce.into(),
            consume: consume.into(),
            bits: 64,
            initial: InitialTokens { count: tokens, values: InitialValues::Mix },
        }
        .into(),
        place: None,
    }
}

/// An application of actors with the mix payload. Ports are numbered in the order of the channels; a channel with another
/// `source_port` than `u32::MAX` shares the output of the channel at that position.
pub(crate) fn app(actors: Vec<Actor>, channels: Vec<Channel>) -> App {
    let (mut actors, mut channels) = (IdVec::<ActorId, _>::from(actors), channels);
    let mut ports: IdVec<ActorId, Vec<MixPort>> = IdVec::filled(Vec::new(), actors.len());
    let mut inputs: IdVec<ActorId, u32> = IdVec::filled(0, actors.len());
    for i in 0..channels.len() {
        let shared =
            (channels[i].source_port != u32::MAX).then(|| channels[channels[i].source_port as usize].source_port);
        let channel = &mut channels[i];
        let outputs = &mut ports[channel.source];
        channel.source_port = shared.unwrap_or(outputs.len() as u32);
        if shared.is_none() {
            outputs.push(MixPort { rates: channel.tokens.produce.clone(), words: channel.token_words() });
        }
        channel.target_port = inputs[channel.target];
        inputs[channel.target] += 1;
    }
    for (id, actor) in actors.iter_mut() {
        actor.behaviour = Arc::new(Mix::new(&actor.name, std::mem::take(&mut ports[id])));
    }
    App::new("test", actors, channels).expect("test graphs are well-formed")
}

/// What a random application is made from. Changing it before [`Draft::app`] gives related applications.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) actors: Vec<Actor>,
    pub(crate) channels: Vec<Channel>,
    /// A solution of the balance equations, not always the smallest: phase cycles by actor.
    pub(crate) cycles: Vec<u64>,
}

/// Short enough to be read in the report of a failed law.
impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (actor, cycles) in self.actors.iter().zip(&self.cycles) {
            let state = if actor.has_state() { " with state" } else { "" };
            writeln!(f, "{} x{cycles} exec {:?}{state}", actor.name, actor.exec)?;
        }
        for c in &self.channels {
            let name = |actor: ActorId| &self.actors[actor.index()].name;
            let (from, to) = (name(c.source), name(c.target));
            write!(
                f,
                "{}: {from} {:?} -> {to} {:?}, {} bits",
                c.name, c.tokens.produce, c.tokens.consume, c.tokens.bits
            )?;
            let shares = self.channels.get(c.source_port as usize).map(|other| &other.name);
            let shares = shares.map_or(String::new(), |other| format!(", shares the output of {other}"));
            writeln!(f, ", {} initial{shares}", c.tokens.initial.count)?;
        }
        Ok(())
    }
}

impl Draft {
    pub(crate) fn app(&self) -> App {
        app(self.actors.clone(), self.channels.clone())
    }

    /// Without the channel at `index`, which no other may share its output with.
    pub(crate) fn without(&self, index: usize) -> Self {
        let mut draft = self.clone();
        draft.channels.remove(index);
        for channel in &mut draft.channels {
            if channel.source_port != u32::MAX && channel.source_port as usize > index {
                channel.source_port -= 1;
            }
        }
        draft
    }

    /// Whether another channel shares the output of the one at `index`.
    pub(crate) fn is_shared(&self, index: usize) -> bool {
        self.channels.iter().any(|channel| channel.source_port as usize == index)
    }
}

#[derive(Clone, Debug)]
struct RawActor {
    cycles: u64,
    exec: Vec<u64>,
    state: bool,
}

#[derive(Clone, Debug)]
struct RawChannel {
    ends: [prop::sample::Index; 2],
    factor: u64,
    phases: [u8; 6],
    tokens: u64,
    bits: u64,
    shares: Option<prop::sample::Index>,
}

fn raw_actor() -> impl Strategy<Value = RawActor> {
    let exec = prop_oneof![3 => prop::collection::vec(0..10_u64, 1), 1 => prop::collection::vec(0..10_u64, 2..=3)];
    (1..=6_u64, exec, prop::bool::weighted(0.2)).prop_map(|(cycles, exec, state)| RawActor { cycles, exec, state })
}

fn raw_channel() -> impl Strategy<Value = RawChannel> {
    let ends = any::<[prop::sample::Index; 2]>();
    let tokens = prop_oneof![2 => Just(0), 3 => 0..12_u64, 1 => 12..200_u64];
    let bits = prop_oneof![4 => Just(64_u64), 1 => Just(1), 1 => Just(65), 1 => Just(200)];
    let shares = prop::option::weighted(0.15, any::<prop::sample::Index>());
    (ends, 1..=3_u64, any::<[u8; 6]>(), tokens, bits, shares).prop_map(
        |(ends, factor, phases, tokens, bits, shares)| RawChannel { ends, factor, phases, tokens, bits, shares },
    )
}

/// `sum` dealt out to `phases` phases; `cuts` decide where. Some get nothing.
fn deal(sum: u64, phases: usize, cuts: &[u8]) -> Vec<u32> {
    let mut bounds: Vec<u64> = cuts[..phases - 1].iter().map(|&cut| u64::from(cut) * (sum + 1) / 256).collect();
    bounds.extend([0, sum]);
    bounds.sort_unstable();
    bounds.windows(2).map(|pair| (pair[1] - pair[0]) as u32).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn draft(actors: &[RawActor], channels: &[RawChannel]) -> Draft {
    let mut list: Vec<Channel> = Vec::new();
    for (i, raw) in channels.iter().enumerate() {
        let shared = raw.shares.filter(|_| i > 0).map(|index| index.index(i));
        let shared = shared.map(|at| if list[at].source_port == u32::MAX { at } else { list[at].source_port as usize });
        let [mut source, mut target] = raw.ends.map(|end| end.index(actors.len()));
        if let Some(at) = shared {
            source = list[at].source.index();
            target = list[at].target.index();
        }
        let (from, to) = (&actors[source], &actors[target]);
        let common = gcd(from.cycles, to.cycles);
        let (out, into) = (raw.factor * to.cycles / common, raw.factor * from.cycles / common);
        let produce = deal(out, from.exec.len(), &raw.phases[..3]);
        let consume = deal(into, to.exec.len(), &raw.phases[3..]);
        let mut new = channel(&format!("c{i}"), (source as u32, &produce), (target as u32, &consume), raw.tokens);
        new.tokens.bits = raw.bits;
        if let Some(at) = shared {
            new.tokens.produce = list[at].tokens.produce.clone();
            new.tokens.consume = deal(list[at].consumed_per_cycle(), to.exec.len(), &raw.phases[3..]).into();
            new.tokens.bits = list[at].tokens.bits;
            new.source_port = at as u32;
        }
        list.push(new);
    }
    let named = |(i, raw): (usize, &RawActor)| {
        let mut actor = actor(&format!("a{i}"), &raw.exec);
        if raw.state {
            actor.state = ActorState::Plain(vec![0]);
        }
        actor
    };
    Draft {
        actors: actors.iter().enumerate().map(named).collect(),
        channels: list,
        cycles: actors.iter().map(|raw| raw.cycles).collect(),
    }
}

/// Consistent applications, live or not: several rates and phases (some moving nothing), feedback, self-channels, parallel
/// channels, shared outputs, several components, tokens of several words, actors with state.
pub(crate) fn consistent_draft() -> impl Strategy<Value = Draft> {
    let parts = (prop::collection::vec(raw_actor(), 1..=6), prop::collection::vec(raw_channel(), 0..=9));
    parts.prop_map(|(actors, channels)| draft(&actors, &channels))
}

/// Consistent and live applications: where the draw deadlocks, the initial tokens that are missing are added.
pub(crate) fn live_draft() -> impl Strategy<Value = Draft> {
    consistent_draft().prop_map(enlivened)
}

/// Live applications without any cycle, and without state: firings of an actor may overlap.
pub(crate) fn acyclic_draft() -> impl Strategy<Value = Draft> {
    ordered_draft().prop_map(|mut draft| {
        let kept: Vec<usize> =
            (0..draft.channels.len()).filter(|&i| draft.channels[i].source != draft.channels[i].target).collect();
        // A shared output is named by the position of its first channel.
        for channel in &mut draft.channels {
            channel.source_port = u32::MAX;
        }
        draft.channels = kept.into_iter().map(|i| draft.channels[i].clone()).collect();
        draft.actors.iter_mut().for_each(|actor| actor.state = ActorState::None);
        draft
    })
}

/// Live applications whose only cycles are self-channels and states, which keep an actor's firings from overlapping.
pub(crate) fn ordered_draft() -> impl Strategy<Value = Draft> {
    consistent_draft().prop_map(|mut draft| {
        for channel in &mut draft.channels {
            if channel.source > channel.target {
                std::mem::swap(&mut channel.source, &mut channel.target);
                let tokens = &mut *channel.tokens;
                std::mem::swap(&mut tokens.produce, &mut tokens.consume);
                channel.source_port = u32::MAX;
            } else if channel.source == channel.target {
                Arc::make_mut(&mut channel.tokens.produce).fill(1);
                Arc::make_mut(&mut channel.tokens.consume).fill(1);
                channel.tokens.initial.count = 1;
            }
        }
        enlivened(draft)
    })
}

fn enlivened(mut draft: Draft) -> Draft {
    let app = draft.app();
    let repetition = analysis::repetition(&app).expect("consistent by construction");
    if let Err(deadlock) = analysis::liveness(&app, &repetition) {
        add_tokens(&mut draft, &deadlock.missing);
    }
    draft
}

/// Adds initial tokens.
pub(crate) fn add_tokens(draft: &mut Draft, tokens: &[(ChannelId, u64)]) {
    for &(channel, count) in tokens {
        draft.channels[channel.index()].tokens.initial.count += count;
    }
}
