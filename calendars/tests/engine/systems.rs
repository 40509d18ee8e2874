//! Small systems whose outcome is known beforehand.

use crate::literal;
use crate::support::{Plan, Planned, actor, app, assert_streams, channel, everything, machine, operand, run};
use calendars::{CalendarSet, Rotation};
use sim_core::digest::DigestLevel;
use sim_core::engine::{Engine, EngineError, Shard};
use sim_core::mix::mix64;
use sim_core::shard::{Partition, ShardId};
use sim_core::{
    Actor, ActorState, App, Behaviour, Channel, ChannelId, Firing, Machine, Outcome, RunOptions, State, Tick, Ticks,
};
use std::any::Any;
use std::sync::Arc;

/// Actor 0 on node 0 sends a token of two words over a link to actor 1 on node 1.
fn pair(latency: i64, metacycle: i64) -> (App, Machine, CalendarSet) {
    let words = if metacycle == 1 { 1 } else { 2 };
    let app = app(vec![actor("a", &[1]), actor("b", &[1])], vec![channel("x", [0, 1], [0, 0], words, 0)]);
    let machine = machine(&[1, 1], &[(0, 1, latency)]);
    let mut plan = Plan::new(&machine, metacycle, 1);
    let (from, to) = (plan.buffer(0, words, 2), plan.buffer(1, words, 2));
    let ready = i64::from(words) + latency + 1;
    let one = |node, start| Planned { node, core: 0, actor: node, index: 0, place: 0, start, exec: 1 };
    plan.fire(one(0, 0), vec![], vec![operand(from, words)]);
    // The frames of one entry must not wrap past the metacycle's end.
    for word in 0..words {
        let at = |address: Rotation| Rotation { base: address.base + word, ..address };
        plan.send(0, 1 + i64::from(word), 1, 0, at(from), at(to));
    }
    plan.fire(one(1, ready), vec![operand(to, words)], vec![]);
    (app, machine, plan.done())
}

#[test]
fn latencies_and_metacycles_do_not_show_in_streams() {
    for latency in [0, 2, 9] {
        for metacycle in [1, 3, 7, 1_000_000_000] {
            let (app, machine, set) = pair(latency, metacycle);
            for level in [DigestLevel::Off, DigestLevel::State, DigestLevel::Events] {
                let options = everything(&app, 5, level);
                let outcome = run(&app, &machine, &set, &options);
                assert_streams(&app, &outcome, 5);
                let words = if metacycle == 1 { 1 } else { 2 };
                assert_eq!(outcome.ticks, Some(Tick(4 * metacycle + words + latency + 2)));
                if metacycle < 10 {
                    assert_eq!(outcome, literal::run(&app, &machine, &set, &options));
                }
            }
        }
    }
}

#[test]
fn a_latency_of_many_metacycles_costs_nothing() {
    let (app, machine, set) = pair(1 << 31, 1);
    let outcome = run(&app, &machine, &set, &everything(&app, 4, DigestLevel::Off));
    assert_streams(&app, &outcome, 4);
    assert_eq!(outcome.ticks, Some(Tick(3 + 1 + (1 << 31) + 2)));
}

/// Epochs end in a pause too, and repeat what they covered.
#[test]
fn pauses_are_in_the_run_digest() {
    for level in [DigestLevel::State, DigestLevel::Events] {
        let (app, machine, set) = pair(9_000, 3);
        let options = everything(&app, 4, level);
        let literal = literal::run(&app, &machine, &set, &options);
        assert_eq!(run(&app, &machine, &set, &options), literal);
        let program = calendars::lower(&app, &machine, &set).unwrap();
        let mut engine = Engine::new(&app, &program, &options).unwrap();
        while !engine.advance(7).unwrap().done {}
        assert_eq!(engine.finish(), literal);
    }
}

#[test]
fn no_iteration_takes_no_tick() {
    let (app, machine, set) = pair(2, 7);
    let options = everything(&app, 0, DigestLevel::State);
    let outcome = run(&app, &machine, &set, &options);
    assert_eq!(outcome.ticks, Some(Tick(0)));
    assert_streams(&app, &outcome, 0);
    assert_eq!(outcome, literal::run(&app, &machine, &set, &options));
}

#[test]
fn long_runs_are_counted() {
    let (app, machine, set) = pair(2, 1);
    let program = calendars::lower(&app, &machine, &set).unwrap();
    let options = |iterations| RunOptions { iterations, ..RunOptions::default() };
    let mut engine = Engine::new(&app, &program, &options(1 << 40)).unwrap();
    let progress = engine.advance(5_000).unwrap();
    assert_eq!((progress.tick, progress.end, progress.done), (Tick(5_000), Tick((1 << 40) + 4), false));
    assert_eq!(engine.finish().iterations, 5_000 - 4);
    let error = Engine::new(&app, &program, &options(u64::MAX)).err();
    assert_eq!(error, Some(EngineError::TooLong { iterations: u64::MAX, metacycle: 1 }));
    let record = RunOptions { record: vec![ChannelId(0)], ..options(1 << 60) };
    let error = Engine::new(&app, &program, &record).err();
    assert_eq!(error, Some(EngineError::Memory { what: "recorded tokens", words: 1 << 60 }));
}

fn digests(app: &App, outcome: &Outcome) -> Vec<(String, u64, String)> {
    let digest = |(id, channel): (ChannelId, &Channel)| {
        let outcome = outcome.channels[&id];
        (channel.name.to_string(), outcome.tokens, outcome.digest.to_string())
    };
    app.channels().iter().map(digest).collect()
}

/// Two iterations in a metacycle of 7 ticks, which is the graph's smallest period. Figures: `data/sdf/expected.json`.
#[test]
fn feedback2_runs_at_its_smallest_period() {
    let channels = vec![channel("x", [0, 1], [0, 0], 1, 0), channel("y", [1, 0], [0, 0], 1, 2)];
    let app = app(vec![actor("a", &[3]), actor("b", &[4])], channels);
    let machine = machine(&[2], &[]);
    let mut plan = Plan::new(&machine, 7, 2);
    for place in 0..2 {
        let (x, y) = (operand(plan.buffer(0, 1, 1), 1), operand(plan.buffer(0, 1, 1), 1));
        let on = |actor, start, exec| Planned { node: 0, core: place, actor, index: place, place, start, exec };
        plan.fire(on(0, 0, 3), vec![y], vec![x]);
        plan.fire(on(1, 3, 4), vec![x], vec![y]);
    }
    let set = plan.done();
    let options = everything(&app, 3, DigestLevel::State);
    let outcome = run(&app, &machine, &set, &options);
    assert_eq!(outcome.ticks, Some(Tick(14)));
    let expected = [("x", 3, "4e79875e03fe3b21"), ("y", 3, "790c9bd4352c6fab")];
    assert_eq!(digests(&app, &outcome), expected.map(|(name, n, digest)| (name.to_owned(), n, digest.to_owned())));
    assert_eq!(outcome, literal::run(&app, &machine, &set, &options));
}

/// A pipeline over three nodes, one iteration per tick. Figures: `data/sdf/expected.json`.
#[test]
fn chain3_unit_runs_at_one_tick() {
    let channels = vec![
        channel("x", [0, 1], [0, 0], 1, 0),
        channel("y", [1, 2], [0, 0], 1, 0),
        channel("self_a", [0, 0], [1, 0], 1, 1),
        channel("self_b", [1, 1], [1, 1], 1, 1),
        channel("self_c", [2, 2], [0, 1], 1, 1),
    ];
    let app = app(vec![actor("a", &[1]), actor("b", &[1]), actor("c", &[1])], channels);
    let machine = machine(&[1, 1, 1], &[(0, 1, 3), (1, 2, 0)]);
    let mut plan = Plan::new(&machine, 1, 1);
    let mut one = |node: u32| operand(plan.buffer(node, 1, 1), 1);
    let (a, x_out, b, x_in, y_out, c, y_in) = (one(0), one(0), one(1), one(1), one(1), one(2), one(2));
    let on = |node, start| Planned { node, core: 0, actor: node, index: 0, place: 0, start, exec: 1 };
    plan.fire(on(0, 0), vec![a], vec![x_out, a]);
    plan.send(0, 1, 1, 0, x_out.address, x_in.address);
    plan.fire(on(1, 5), vec![x_in, b], vec![y_out, b]);
    plan.send(1, 6, 1, 0, y_out.address, y_in.address);
    plan.fire(on(2, 7), vec![y_in, c], vec![c]);
    let set = plan.done();
    let options = everything(&app, 3, DigestLevel::State);
    let outcome = run(&app, &machine, &set, &options);
    let expected = [
        ("x", 3, "7e9fb2854e31c07c"),
        ("y", 3, "9a7145ea8b25c22a"),
        ("self_a", 3, "41acbe755eb692a2"),
        ("self_b", 3, "b7f3a7d070a69a33"),
        ("self_c", 3, "bf1aac991ef739ac"),
    ];
    assert_eq!(digests(&app, &outcome), expected.map(|(name, n, digest)| (name.to_owned(), n, digest.to_owned())));
    assert_eq!(outcome.ticks, Some(Tick(2 + 8)));
    for level in [DigestLevel::State, DigestLevel::Events] {
        // Long enough for several epochs, in which every word is read and overwritten in the same tick.
        let options = everything(&app, 3_000, level);
        assert_eq!(run(&app, &machine, &set, &options), literal::run(&app, &machine, &set, &options));
    }
}

/// One node with as many cores as needed; `starts` are those of the firings of a metacycle in order of their index.
fn alone(
    actors: Vec<Actor>,
    channels: Vec<Channel>,
    metacycle: i64,
    starts: &[(u32, Vec<i64>)],
) -> (App, Machine, Plan) {
    let app = app(actors, channels);
    let machine = machine(&[16], &[]);
    let mut plan = Plan::new(&machine, metacycle, 1);
    let mut buffers: Vec<Vec<Rotation>> = Vec::new();
    for channel in app.channels().values() {
        // One buffer per channel and metacycle; tokens one behind the other.
        let firings = starts.iter().find(|(actor, _)| *actor == channel.source.0).unwrap().1.len();
        let tokens: u32 = (0..firings).map(|i| channel.tokens.produce[i % channel.tokens.produce.len()]).sum();
        let words = tokens * channel.token_words();
        let buffer = plan.buffer(0, words, 4);
        buffers.push((0..words).map(|word| Rotation { base: buffer.base + word, ..buffer }).collect());
    }
    let mut core = 0;
    for (id, starts) in starts {
        let actor = &app.actors()[sim_core::ActorId(*id)];
        let take = |channels: &[ChannelId], rates: fn(&Channel) -> &[u32], index: usize| {
            let mut operands = Vec::new();
            for &c in channels {
                let channel = &app.channels()[c];
                let rates = rates(channel);
                let rate = |i: usize| (rates[i % rates.len()] * channel.token_words()) as usize;
                let before: usize = (0..index).map(rate).sum();
                let words = rate(index) as u32;
                operands.extend((words > 0).then(|| operand(buffers[c.0 as usize][before], words)));
            }
            operands
        };
        for (index, &start) in starts.iter().enumerate() {
            let inputs = take(app.inputs(sim_core::ActorId(*id)), |c| &c.tokens.consume, index);
            let outputs = take(app.outputs(sim_core::ActorId(*id)), |c| &c.tokens.produce, index);
            let exec = actor.duration((index as u64 % actor.phases()) as u32);
            let index = index as u32;
            plan.fire(Planned { node: 0, core, actor: *id, index, place: 0, start, exec }, inputs, outputs);
            core += 1;
        }
    }
    (app, machine, plan)
}

/// Rates that change with the phase, one of them 0, and two channels that share a port.
#[test]
fn phases_have_their_own_rates() {
    let mut wide = channel("wide", [0, 1], [0, 0], 2, 0);
    (wide.tokens.produce, wide.tokens.consume) = ([1, 0, 2].into(), [3].into());
    let mut thin = channel("thin", [0, 1], [1, 1], 1, 0);
    (thin.tokens.produce, thin.tokens.consume) = ([0, 2, 1].into(), [3].into());
    let copy = Channel { name: "copy".into(), target_port: 2, ..thin.clone() };
    let actors = vec![actor("a", &[1, 2, 1]), actor("b", &[1])];
    let starts = [(0, vec![0, 1, 3]), (1, vec![4])];
    let (app, machine, plan) = alone(actors, vec![wide, thin, copy], 3, &starts);
    let outcome = run(&app, &machine, &plan.done(), &everything(&app, 2, DigestLevel::State));

    let name = sim_core::mix::fnv("a");
    let word =
        |firing: u64, port: u64, token: u64, j: u64| mix64(mix64(name ^ firing) ^ (port << 48) ^ (token << 16) ^ j);
    let cycle_wide = |n: u64| {
        [
            word(n, 0, 0, 0),
            word(n, 0, 0, 1),
            word(n + 2, 0, 0, 0),
            word(n + 2, 0, 0, 1),
            word(n + 2, 0, 1, 0),
            word(n + 2, 0, 1, 1),
        ]
    };
    let cycle_thin = |n: u64| [word(n + 1, 1, 0, 0), word(n + 1, 1, 1, 0), word(n + 2, 1, 0, 0)];
    assert_eq!(outcome.recorded[&ChannelId(0)], [cycle_wide(0), cycle_wide(3)].concat());
    assert_eq!(outcome.recorded[&ChannelId(1)], [cycle_thin(0), cycle_thin(3)].concat());
    assert_eq!(outcome.recorded[&ChannelId(2)], outcome.recorded[&ChannelId(1)]);
    assert_eq!(outcome.channels[&ChannelId(0)].tokens, 6);
    assert_eq!(outcome.ticks, Some(Tick(3 + 4 + 1)));
}

/// Firing 0 of every metacycle ends metacycles after firing 1.
#[test]
fn tokens_are_observed_in_order_whatever_firings_end_first() {
    let mut channel = channel("x", [0, 1], [0, 0], 2, 0);
    channel.tokens.consume = [1].into();
    for late in [0, 1, 2, 7, 30] {
        let starts = [(0, vec![late, 0]), (1, vec![50, 51])];
        let (app, machine, mut plan) =
            alone(vec![actor("a", &[3]), actor("b", &[1])], vec![channel.clone()], 4, &starts);
        plan.set.unroll = 2;
        for e in &mut plan.set.nodes[sim_core::NodeId(0)].compute {
            e.place = e.index;
            // A token lives for up to 13 metacycles.
            for operand in e.inputs.iter_mut().chain(e.outputs.iter_mut()) {
                operand.address.count = 16;
            }
        }
        let set = plan.done();
        for iterations in [1, 2, 9, 24] {
            let options = everything(&app, iterations, DigestLevel::State);
            let outcome = run(&app, &machine, &set, &options);
            assert_streams(&app, &outcome, iterations);
            assert_eq!(outcome, literal::run(&app, &machine, &set, &options));
        }
    }
}

struct Fussy;

impl Behaviour for Fussy {
    fn fire(&self, firing: Firing, _: State<'_>, _: &[u64], outputs: &mut [u64]) {
        assert!(firing.index != 11, "eleven is too much, at {} words", outputs.len());
    }
}

#[test]
fn a_panic_names_firing_actor_node_and_tick() {
    let fussy = Actor { behaviour: Arc::new(Fussy), state: ActorState::Plain(vec![0]), ..actor("fussy", &[5]) };
    let (app, machine, plan) = alone(vec![fussy], vec![], 6, &[(0, vec![4])]);
    let program = calendars::lower(&app, &machine, &plan.done()).unwrap();
    // What a window has begun does not count: in windows of one metacycle that is the firing itself.
    let options = RunOptions { window: Some(Ticks(1)), ..everything(&app, 20, DigestLevel::State) };
    let mut engine = Engine::new(&app, &program, &options).unwrap();
    let error = engine.advance(100).unwrap_err();
    assert_eq!(
        error.to_string(),
        "firing 11 of actor `fussy`, started at tick 70 on node `n0`, panicked: eleven is too much, at 0 words"
    );
    assert_eq!(engine.advance(1).unwrap_err(), error);
    assert_eq!(engine.finish().iterations, 11);
}

/// Counts in a box.
struct Counter;

impl Behaviour for Counter {
    fn fire(&self, _: Firing, state: State<'_>, _: &[u64], outputs: &mut [u64]) {
        let State::Opaque(count) = state else { panic!("the state is opaque") };
        let count: &mut u64 = count.downcast_mut().unwrap();
        *count += 10;
        outputs.fill(*count);
    }

    fn opaque_state(&self) -> Option<Box<dyn Any + Send>> {
        Some(Box::new(5_u64))
    }
}

/// Actors 0 and 1, on nodes 0 and 2, take turns; node 1 between them relays their words, and has an actor that only listens.
fn go_between() -> (App, Machine, CalendarSet) {
    let channels = vec![
        channel("there", [0, 1], [0, 0], 1, 0),
        channel("back", [1, 0], [0, 0], 1, 1),
        channel("heard", [0, 2], [1, 0], 1, 0),
    ];
    let app = app(vec![actor("a", &[1]), actor("b", &[1]), actor("c", &[1])], channels);
    let machine = machine(&[1, 1, 1], &[(0, 1, 1), (1, 2, 1), (2, 1, 1), (1, 0, 1)]);
    let mut plan = Plan::new(&machine, 16, 1);
    let mut word = |node| plan.buffer(node, 1, 1);
    let (a_in, a_there, a_heard) = (word(0), word(0), word(0));
    let (r_there, r_back, c_in) = (word(1), word(1), word(1));
    let (b_in, b_out) = (word(2), word(2));
    let one = |node, actor, start| Planned { node, core: 0, actor, index: 0, place: 0, start, exec: 1 };
    plan.fire(one(0, 0, 0), vec![operand(a_in, 1)], vec![operand(a_there, 1), operand(a_heard, 1)]);
    plan.send(0, 1, 1, 0, a_there, r_there);
    plan.send(1, 3, 1, 0, r_there, b_in);
    plan.send(0, 2, 1, 0, a_heard, c_in);
    plan.fire(one(1, 2, 4), vec![operand(c_in, 1)], vec![]);
    plan.fire(one(2, 1, 5), vec![operand(b_in, 1)], vec![operand(b_out, 1)]);
    plan.send(2, 6, 1, 0, b_out, r_back);
    plan.send(3, 8, 1, 0, r_back, a_in);
    (app, machine, plan.done())
}

/// A shard that others wait for sends on what it relays, although its own actors wait for as much as they like.
#[test]
fn a_shard_that_only_relays_holds_nobody_up() {
    let (app, machine, set) = go_between();
    let program = calendars::lower(&app, &machine, &set).unwrap();
    let options = everything(&app, 40, DigestLevel::State);
    let partition = Partition::new([0, 1, 0].map(ShardId).to_vec().into()).unwrap();
    let mut shards: Vec<Shard<'_>> =
        partition.ids().map(|id| Shard::new(&app, &program, &options, &partition, id).unwrap()).collect();
    let mut sent_before = [Tick(0); 2];
    while !shards.iter().all(Shard::done) {
        let mut waits = true;
        for (from, to) in [(0, 1), (1, 0)] {
            while shards[from].advance(i64::MAX).unwrap() {
                waits = false;
            }
            let mut words = Vec::new();
            let before = shards[from].send(ShardId(to as u32), &mut words);
            shards[to].receive(ShardId(from as u32), before, &words).unwrap();
            waits &= before == sent_before[from];
            sent_before[from] = before;
        }
        assert!(!waits, "both wait: {:?}", shards.iter().map(Shard::position).collect::<Vec<_>>());
    }
    let mut engine = Engine::parallel(&app, &program, &options, &partition).unwrap();
    engine.advance(u64::MAX).unwrap();
    assert_eq!(engine.finish(), literal::run(&app, &machine, &set, &options));
}

/// What a node sends in a tick it has made before: neighbours need not wait until the tick is over.
#[test]
fn words_are_sent_a_tick_before_their_tick_comes() {
    let (app, machine, set) = pair(8, 1);
    let program = calendars::lower(&app, &machine, &set).unwrap();
    let partition = Partition::new([0, 1].map(ShardId).to_vec().into()).unwrap();
    let options = everything(&app, 40, DigestLevel::State);
    let mut sender = Shard::new(&app, &program, &options, &partition, ShardId(0)).unwrap();
    while sender.advance(5).unwrap() {}
    assert_eq!(sender.position(), Tick(5));
    let mut words = Vec::new();
    // The firings of ticks 0 to 4 send in ticks 1 to 5.
    assert_eq!(sender.send(ShardId(1), &mut words), Tick(6));
    assert_eq!(words.len(), 5);
}

#[test]
fn opaque_state_lives_as_long_as_a_run() {
    let opaque = |behaviour| Actor { behaviour, state: ActorState::Opaque, ..actor("counter", &[1]) };
    let starts = [(0, vec![0]), (1, vec![1])];
    let channels = vec![channel("x", [0, 1], [0, 0], 1, 0)];
    let (counting, machine, plan) =
        alone(vec![opaque(Arc::new(Counter)), actor("b", &[1])], channels.clone(), 2, &starts);
    let set = plan.done();
    for _ in 0..2 {
        let outcome = run(&counting, &machine, &set, &everything(&counting, 3, DigestLevel::State));
        assert_eq!(outcome.recorded[&ChannelId(0)], [15, 25, 35]);
    }
    let (app, machine, plan) = alone(vec![opaque(Arc::new(Fussy)), actor("b", &[1])], channels, 2, &starts);
    let program = calendars::lower(&app, &machine, &plan.done()).unwrap();
    let error = sim_core::engine::run(&app, &program, &RunOptions::default()).unwrap_err();
    assert!(matches!(error, EngineError::NoOpaqueState { .. }), "{error}");
}

#[test]
fn options_and_application_must_fit_the_program() {
    let (app, machine, set) = pair(0, 3);
    let program = calendars::lower(&app, &machine, &set).unwrap();
    let options = RunOptions { channels: vec![ChannelId(1)], ..RunOptions::default() };
    let error = sim_core::engine::run(&app, &program, &options).unwrap_err();
    assert_eq!(error, EngineError::NoSuchChannel { channel: ChannelId(1), channels: 1 });
    let other = crate::support::app(vec![actor("a", &[1])], vec![]);
    let error = sim_core::engine::run(&other, &program, &RunOptions::default()).unwrap_err();
    assert!(matches!(error, EngineError::OtherApp { program_actors: 2, actors: 1, .. }), "{error}");
}
