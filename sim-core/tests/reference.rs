//! The reference interpreter against published figures and laws.

use proptest::prelude::*;
use sim_core::mix::{Mix, MixPort};
use sim_core::reference::{RatesError, ReferenceError, firings_per_iteration, run};
use sim_core::{
    Actor, ActorId, ActorState, App, Behaviour, Channel, ChannelId, ChannelTokens, Firing, IdVec, InitialTokens,
    InitialValues, Outcome, RunOptions, State,
};
use std::sync::Arc;

/// Figures of an independent program, by graph and channel.
const EXPECTED: &str = include_str!("../../data/sdf/expected.json");

/// Source, rates of production, target, rates of consumption, initial tokens; ports are numbered in this order.
type Edge<'a> = (&'a str, usize, &'a [u32], usize, &'a [u32], u64);

/// A graph file's application: actors with their phases, and channels, all with the mix payload.
fn graph(actors: &[(&str, usize)], edges: &[Edge]) -> App {
    let port =
        |i: usize, end: fn(&Edge) -> usize| edges[..i].iter().filter(|edge| end(edge) == end(&edges[i])).count() as u32;
    let channels: Vec<Channel> = edges
        .iter()
        .enumerate()
        .map(|(i, &(name, source, produce, target, consume, initial))| Channel {
            name: name.into(),
            source: ActorId(source as u32),
            source_port: port(i, |edge| edge.1),
            target: ActorId(target as u32),
            target_port: port(i, |edge| edge.3),
            tokens: ChannelTokens {
                produce: produce.into(),
                consume: consume.into(),
                bits: 64,
                initial: InitialTokens { count: initial, values: InitialValues::Mix },
            }
            .into(),
            place: None,
        })
        .collect();
    let mix = |actor: usize, name: &str| {
        let ports = channels.iter().filter(|channel| channel.source.0 as usize == actor);
        Mix::new(name, ports.map(|channel| MixPort { rates: channel.tokens.produce.clone(), words: 1 }).collect())
    };
    let actors: Vec<Actor> = actors
        .iter()
        .enumerate()
        .map(|(i, &(name, phases))| actor(name, phases, ActorState::None, Arc::new(mix(i, name))))
        .collect();
    App::new("graph", actors, channels).unwrap()
}

fn actor(name: &str, phases: usize, state: ActorState, behaviour: Arc<dyn Behaviour>) -> Actor {
    Actor { name: name.into(), exec: vec![1; phases].into(), state, behaviour, pin: None, fed: false, place: None }
}

/// Digests and records everything.
fn everything(app: &App, iterations: u64) -> Result<Outcome, ReferenceError> {
    let all: Vec<ChannelId> = app.channels().ids().collect();
    run(app, &RunOptions { iterations, channels: all.clone(), record: all, ..RunOptions::default() })
}

/// The text after `key` and a colon.
fn after<'a>(json: &'a str, key: &str) -> &'a str {
    let key = format!("\"{key}\": ");
    &json[json.find(&key).expect(&key) + key.len()..]
}

/// Three iterations yield the tokens and digests that the independent program found.
fn check_expected(name: &str, app: &App) {
    let outcome = everything(app, 3).unwrap();
    let expected = after(after(EXPECTED, name), "mix_digests");
    for (id, channel) in app.channels().iter() {
        let found = outcome.channels[&id];
        let expected = after(expected, &channel.name);
        let tokens = after(expected, "tokens").split(',').next().unwrap();
        let digest = after(expected, "digest").split('"').nth(1).unwrap();
        let found = (found.tokens.to_string(), found.digest.to_string());
        assert_eq!(found, (tokens.to_owned(), digest.to_owned()), "{} of {name}", channel.name);
    }
}

fn cd2dat() -> App {
    let names = ["a", "b", "c", "d", "e", "f"].map(|name| (name, 1));
    let mut edges: Vec<Edge> = vec![
        ("c1", 0, &[1], 1, &[1], 0),
        ("c2", 1, &[2], 2, &[3], 0),
        ("c3", 2, &[2], 3, &[7], 0),
        ("c4", 3, &[8], 4, &[7], 0),
        ("c5", 4, &[5], 5, &[1], 0),
    ];
    let selves = ["self_a", "self_b", "self_c", "self_d", "self_e", "self_f"];
    edges.extend(selves.iter().enumerate().map(|(i, name)| -> Edge { (name, i, &[1], i, &[1], 1) }));
    graph(&names, &edges)
}

fn csdf_sample() -> App {
    graph(
        &[("A", 2), ("B", 3), ("C", 1)],
        &[
            ("channel_A", 0, &[1, 1], 0, &[1, 1], 1),
            ("channel_B", 1, &[1, 1, 1], 1, &[1, 1, 1], 1),
            ("channel_C", 2, &[1], 2, &[1], 1),
            ("channel_1", 0, &[3, 5], 1, &[1, 1, 4], 0),
            ("channel_2", 1, &[6, 2, 1], 2, &[6], 0),
            ("channel_3", 2, &[2], 0, &[1, 3], 4),
        ],
    )
}

#[test]
fn published_graphs_have_the_published_digests() {
    check_expected("cd2dat_classic", &cd2dat());
    check_expected("csdf_sample", &csdf_sample());
    check_expected(
        "feedback2",
        &graph(&[("a", 1), ("b", 1)], &[("x", 0, &[1], 1, &[1], 0), ("y", 1, &[1], 0, &[1], 2)]),
    );
}

#[test]
fn an_iteration_is_minimal_in_every_component() {
    assert_eq!(firings_per_iteration(&cd2dat()).unwrap().as_slice(), [147, 147, 98, 28, 32, 160]);
    assert_eq!(firings_per_iteration(&csdf_sample()).unwrap().as_slice(), [6, 12, 6]);
    let apart: &[Edge] = &[("x", 0, &[2], 2, &[4], 0), ("y", 1, &[3], 3, &[2], 0)];
    let two = graph(&[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("alone", 2)], apart);
    assert_eq!(firings_per_iteration(&two).unwrap().as_slice(), [2, 2, 1, 3, 2]);
}

#[test]
fn rates_that_clash_are_inconsistent() {
    let edges: &[Edge] = &[("x", 0, &[1], 1, &[1], 0), ("y", 1, &[1], 2, &[1], 0), ("z", 0, &[2], 2, &[1], 0)];
    let app = graph(&[("a", 1), ("b", 1), ("c", 1)], edges);
    let clash = firings_per_iteration(&app).unwrap_err();
    assert!(matches!(clash, RatesError::Inconsistent { produced, consumed, .. } if produced != consumed), "{clash}");
    assert_eq!(everything(&app, 1).unwrap_err(), ReferenceError::Rates(clash));
}

#[test]
fn iterations_beyond_counting_are_refused() {
    let names: Vec<String> = (0..40).map(|i| i.to_string()).collect();
    let actors: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let edges: Vec<Edge> = (1..40).map(|i| -> Edge { (&names[i], i - 1, &[16_777_213], i, &[2], 0) }).collect();
    assert!(matches!(firings_per_iteration(&graph(&actors, &edges)), Err(RatesError::TooMany { .. })));
    let endless = everything(&cd2dat(), u64::MAX).unwrap_err();
    assert!(matches!(endless, ReferenceError::Rates(RatesError::TooMany { .. })), "{endless}");
}

#[test]
fn a_deadlock_names_the_firings_that_are_left() {
    let edges: &[Edge] = &[
        ("ZA", 0, &[1], 1, &[1], 0),
        ("AB", 1, &[2], 2, &[3], 0),
        ("BA", 2, &[3], 1, &[2], 6),
        ("BC", 2, &[3], 3, &[2], 0),
        ("CA", 3, &[1], 1, &[1], 1),
        ("CD", 3, &[1], 4, &[1], 0),
    ];
    let app = graph(&["Z", "A", "B", "C", "D"].map(|name| (name, 1)), edges);
    let published = after(after(EXPECTED, "preesm_issue38"), "deadlock");
    let left = ["A", "B", "C", "D"].map(|name| {
        let count = after(published, name).split([',', '\n']).next().unwrap();
        (app.actor_named(name).unwrap(), count.parse().unwrap())
    });
    let error = everything(&app, 5).unwrap_err();
    assert_eq!(error, ReferenceError::Deadlock { left: left.to_vec() });
    let text = "deadlock: firings left in an iteration are 2 of actor#1, 2 of actor#2, 3 of actor#3, 3 of actor#4";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_channel_that_does_not_exist_cannot_be_observed() {
    let options = RunOptions { record: vec![ChannelId(11)], ..RunOptions::default() };
    let error = ReferenceError::NoSuchChannel { channel: ChannelId(11), channels: 11 };
    assert_eq!(run(&cd2dat(), &options), Err(error));
}

/// Adds up what it consumes: in plain state, in opaque state, or (without state) not at all.
struct Sum;

impl Behaviour for Sum {
    fn fire(&self, firing: Firing, state: State<'_>, inputs: &[u64], outputs: &mut [u64]) {
        let read: u64 = inputs.iter().sum();
        assert!(firing.index < 7, "seven is enough");
        let sum = match state {
            State::Words([]) => firing.index,
            State::Words(words) => {
                words[0] += read;
                words[0]
            }
            State::Opaque(value) => {
                let sum: &mut u64 = value.downcast_mut().unwrap();
                *sum += read;
                *sum
            }
        };
        outputs.fill(sum);
    }

    fn opaque_state(&self) -> Option<Box<dyn std::any::Any + Send>> {
        Some(Box::new(100_u64))
    }
}

/// A counter whose one output feeds an actor with plain and an actor with opaque state, and a third that has no output.
fn multicast() -> App {
    let one = |name: &str, source, source_port, target, rate: u32| Channel {
        name: name.into(),
        source: ActorId(source),
        source_port,
        target: ActorId(target),
        target_port: 0,
        tokens: ChannelTokens { produce: [2].into(), consume: [rate].into(), bits: 65, initial: InitialTokens::none() }
            .into(),
        place: None,
    };
    let actors = vec![
        actor("count", 1, ActorState::None, Arc::new(Sum)),
        actor("plain", 1, ActorState::Plain(vec![10]), Arc::new(Sum)),
        actor("opaque", 1, ActorState::Opaque, Arc::new(Sum)),
        actor("plain end", 1, ActorState::None, Arc::new(Sum)),
    ];
    let channels =
        vec![one("to plain", 0, 0, 1, 2), one("to opaque", 0, 0, 2, 2), one("on", 1, 0, 3, 2), one("off", 2, 0, 0, 2)];
    let mut channels = IdVec::<ChannelId, _>::from(channels);
    channels[ChannelId(3)].tokens.initial = InitialTokens { count: 4, values: InitialValues::Repeat(Arc::new([0, 0])) };
    App::new("multicast", actors, channels).unwrap()
}

#[test]
fn state_is_kept_and_one_output_feeds_many() {
    let outcome = everything(&multicast(), 3).unwrap();
    let four = |a: u64, b: u64, c: u64| [[a; 4], [b; 4], [c; 4]].concat();
    assert_eq!(outcome.recorded[&ChannelId(0)], four(0, 1, 2));
    assert_eq!(outcome.recorded[&ChannelId(1)], outcome.recorded[&ChannelId(0)]);
    assert_eq!(outcome.recorded[&ChannelId(2)], four(10, 14, 22));
    assert_eq!(outcome.recorded[&ChannelId(3)], four(100, 104, 112));
    assert_eq!(outcome.channels[&ChannelId(2)].tokens, 6);
    assert!(outcome.stream_digest(&multicast()).is_some());
}

#[test]
fn a_panic_is_reported_with_actor_and_firing() {
    let Err(ReferenceError::Panicked { actor, firing, message }) = everything(&multicast(), 8) else {
        panic!("the eighth iteration panics");
    };
    assert_eq!((actor, firing, message.as_str()), (ActorId(0), 7, "seven is enough"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("TIDELOCK_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64)
    ))]

    /// In every consistent chain tokens balance, and a longer run only appends to what a shorter one produced.
    #[test]
    fn a_longer_run_appends(rates in prop::collection::vec((1_u32..5, 1_u32..5), 1..5), iterations in 0_u64..3) {
        let names: Vec<String> = (0..=rates.len()).map(|i| i.to_string()).collect();
        let actors: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let lists: Vec<_> = rates.iter().map(|&(produce, consume)| ([produce], [consume])).collect();
        let edges: Vec<Edge> =
            lists.iter().enumerate().map(|(i, (p, c))| -> Edge { (&names[i], i, p, i + 1, c, 0) }).collect();
        let app = graph(&actors, &edges);
        let firings = firings_per_iteration(&app).unwrap();
        let (short, long) = (everything(&app, iterations).unwrap(), everything(&app, iterations + 1).unwrap());
        for (id, channel) in app.channels().iter() {
            let per_iteration = firings[channel.source] * u64::from(channel.tokens.produce[0]);
            prop_assert_eq!(per_iteration, firings[channel.target] * u64::from(channel.tokens.consume[0]));
            prop_assert_eq!(short.channels[&id].tokens, iterations * per_iteration);
            prop_assert!(long.recorded[&id].starts_with(&short.recorded[&id]));
        }
    }
}
