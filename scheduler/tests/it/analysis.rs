//! Laws of the analyses, on random applications.

use crate::graphs::{Draft, actor, add_tokens, app, cases, channel, consistent_draft, live_draft};
use num_rational::Ratio;
use proptest::prelude::*;
use scheduler::analysis::{
    AnalysisError, Dependency, FIRINGS_MAX, FiringGraph, FiringId, Inconsistent, analyse, liveness, repetition,
};
use sim_core::{ActorId, App, ChannelId, IdVec, InitialTokens};
use std::collections::VecDeque;
use std::sync::Arc;

/// Plays one iteration firing by firing, trying actors in a seeded order; returns the firings left and the tokens at the end.
fn play_naively(app: &App, mut seed: u64) -> (IdVec<ActorId, u64>, IdVec<ChannelId, u64>) {
    let counts = repetition(app).unwrap();
    let mut left: IdVec<ActorId, u64> = app.actors().ids().map(|actor| counts.firings(actor)).collect();
    let mut tokens: IdVec<ChannelId, u64> =
        app.channels().values().map(|channel| channel.tokens.initial.count).collect();
    loop {
        let enabled = |&actor: &ActorId| {
            let phase = ((counts.firings(actor) - left[actor]) % app.actors()[actor].phases()) as usize;
            let fed = |&c: &ChannelId| tokens[c] >= u64::from(app.channels()[c].tokens.consume[phase]);
            left[actor] > 0 && app.inputs(actor).iter().all(fed)
        };
        let candidates: Vec<ActorId> = app.actors().ids().filter(enabled).collect();
        if candidates.is_empty() {
            return (left, tokens);
        }
        seed = sim_core::mix::mix64(seed);
        let actor = candidates[(seed % candidates.len() as u64) as usize];
        let phase = ((counts.firings(actor) - left[actor]) % app.actors()[actor].phases()) as usize;
        left[actor] -= 1;
        for &c in app.inputs(actor) {
            tokens[c] -= u64::from(app.channels()[c].tokens.consume[phase]);
        }
        for &c in app.outputs(actor) {
            tokens[c] += u64::from(app.channels()[c].tokens.produce[phase]);
        }
    }
}

/// Where a token came from: the producer's metacycle and firing, and the token's number in that metacycle.
type Origin = Option<(i64, FiringId, u64)>;

/// A consumed token: its channel (`None` for state) and where it came from.
type Consumed = (Option<ChannelId>, Origin);

/// What every firing of `metacycles` metacycles consumes, token by token, from queues that hold token identities.
fn consumed_naively(app: &App, graph: &FiringGraph, metacycles: i64) -> Vec<Vec<Vec<Consumed>>> {
    let mut made: IdVec<ChannelId, VecDeque<Origin>> = IdVec::filled(VecDeque::new(), app.channels().len());
    for (id, channel) in app.channels().iter() {
        let initial = (0..channel.tokens.initial.count).map(|_| None);
        made[id].extend(initial);
        for metacycle in 0..metacycles {
            let mut number = 0;
            for firing in graph.firings_of(channel.source) {
                let phase = graph.index_of(firing) as usize % channel.tokens.produce.len();
                for _ in 0..channel.tokens.produce[phase] {
                    made[id].push_back(Some((metacycle, firing, number)));
                    number += 1;
                }
            }
        }
    }
    let mut all = Vec::new();
    for metacycle in 0..metacycles {
        let mut row = Vec::new();
        for firing in graph.firings() {
            let actor = graph.actor_of(firing);
            let data = &app.actors()[actor];
            let index = graph.index_of(firing);
            let phase = index as usize % data.exec.len();
            let mut eaten = Vec::new();
            for &c in app.inputs(actor) {
                for token in made[c].drain(..app.channels()[c].tokens.consume[phase] as usize) {
                    eaten.push((Some(c), token));
                }
            }
            if data.has_state() {
                let last = graph.firings_of(actor).len() as u32 - 1;
                let before = if index > 0 { Some((metacycle, index - 1)) } else { Some((metacycle - 1, last)) };
                let origin = before.filter(|before| before.0 >= 0);
                eaten.push((None, origin.map(|(m, i)| (m, graph.firing(actor, i), u64::from(i)))));
            }
            row.push(eaten);
        }
        all.push(row);
    }
    all
}

/// The same from the dependencies.
fn consumed_by_dependencies(dependencies: &[Dependency], metacycle: i64) -> Vec<Consumed> {
    let tokens = |d: &Dependency| {
        let (from, source, d) = (metacycle - d.distance, d.from, *d);
        (0..u64::from(d.tokens)).map(move |k| (d.channel, (from >= 0).then_some((from, source, d.first_token + k))))
    };
    dependencies.iter().flat_map(tokens).collect()
}

fn scaled(draft: &Draft, factor: u64) -> Draft {
    let mut draft = draft.clone();
    for exec in draft.actors.iter_mut().flat_map(|actor| Arc::make_mut(&mut actor.exec)) {
        *exec *= factor;
    }
    draft
}

/// Product of the rates around an undirected cycle of channels, walked from the first one's producer.
fn product_around(app: &App, cycle: &[ChannelId]) -> (ActorId, Ratio<u128>) {
    let mut at = app.channels()[cycle[0]].source;
    let mut product = Ratio::from_integer(1);
    for &id in cycle {
        let channel = &app.channels()[id];
        let rate = Ratio::new(u128::from(channel.produced_per_cycle()), u128::from(channel.consumed_per_cycle()));
        if channel.source == at {
            at = channel.target;
            product *= rate;
        } else {
            assert_eq!(channel.target, at, "the cycle hangs together");
            at = channel.source;
            product /= rate;
        }
    }
    (at, product)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_repetition_vector_balances_every_channel(draft in consistent_draft()) {
        let app = draft.app();
        let counts = repetition(&app).unwrap();
        for c in app.channels().values() {
            let produced = counts.cycles(c.source) * c.produced_per_cycle();
            prop_assert_eq!(produced, counts.cycles(c.target) * c.consumed_per_cycle());
            prop_assert_eq!(produced, counts.tokens(c));
        }
        let firings = |(id, actor): (ActorId, &sim_core::Actor)| counts.cycles(id) * actor.phases();
        prop_assert_eq!(app.actors().iter().map(firings).sum::<u64>(), counts.total_firings());
    }

    /// Actors that channels connect share one factor, and it is the largest possible.
    #[test]
    fn every_component_is_minimal(draft in consistent_draft()) {
        let app = draft.app();
        let counts = repetition(&app).unwrap();
        let mut group: Vec<usize> = (0..draft.actors.len()).collect();
        for c in app.channels().values() {
            let (a, b) = (group[c.source.0 as usize], group[c.target.0 as usize]);
            group.iter_mut().filter(|g| **g == a).for_each(|g| *g = b);
        }
        for component in &group {
            let members = || (0..group.len()).filter(|&a| group[a] == *component);
            let largest = members().map(|a| counts.cycles(ActorId(a as u32))).max().unwrap();
            let divides = |k: u64| members().all(|a| counts.cycles(ActorId(a as u32)).is_multiple_of(k));
            prop_assert!((2..=largest).all(|k| !divides(k)));
            let factors: Vec<u64> = members().map(|a| draft.cycles[a] / counts.cycles(ActorId(a as u32))).collect();
            prop_assert!(factors.windows(2).all(|pair| pair[0] == pair[1]));
        }
    }

    #[test]
    fn one_wrong_rate_is_inconsistent(mut draft in consistent_draft(), which in any::<prop::sample::Index>()) {
        if draft.channels.is_empty() {
            draft.channels.push(channel("s", (0, &vec![1; draft.actors[0].exec.len()]), (0, &vec![1; draft.actors[0].exec.len()]), 0));
        }
        let mut wrong = draft.channels[which.index(draft.channels.len())].clone();
        let broken = ChannelId(draft.channels.len() as u32);
        wrong.name = "wrong".into();
        wrong.source_port = u32::MAX;
        Arc::make_mut(&mut wrong.tokens.produce)[0] += 1;
        draft.channels.push(wrong);
        let app = draft.app();
        let Err(Inconsistent::Clash(clash)) = repetition(&app) else {
            return Err(TestCaseError::fail("not noticed"));
        };
        prop_assert!(clash.cycle.contains(&broken));
        let product = clash.wanted / clash.implied;
        prop_assert_eq!(product_around(&app, &clash.cycle), (app.channels()[clash.cycle[0]].source, product));
        prop_assert_ne!(product, Ratio::from_integer(1));
    }

    #[test]
    fn the_order_of_firing_cannot_matter(draft in consistent_draft(), seed: u64) {
        let app = draft.app();
        let (left, tokens) = play_naively(&app, seed);
        match liveness(&app, &repetition(&app).unwrap()) {
            Ok(()) => {
                prop_assert!(left.values().all(|&left| left == 0));
                // One iteration is neutral.
                let initial: Vec<u64> = app.channels().values().map(|channel| channel.tokens.initial.count).collect();
                prop_assert_eq!(tokens.as_slice(), initial);
            }
            Err(deadlock) => {
                let naive: Vec<_> = left.iter().map(|(id, &n)| (id, n)).filter(|&(_, n)| n > 0).collect();
                prop_assert_eq!(deadlock.left, naive);
            }
        }
    }

    #[test]
    fn the_missing_tokens_start_it_and_none_is_in_vain(draft in consistent_draft()) {
        let app = draft.app();
        let counts = repetition(&app).unwrap();
        let Err(deadlock) = liveness(&app, &counts) else { return Ok(()) };
        let with = |missing: &[(ChannelId, u64)]| {
            let mut fed = draft.clone();
            add_tokens(&mut fed, missing);
            liveness(&fed.app(), &counts).is_ok()
        };
        prop_assert!(with(&deadlock.missing));
        for at in 0..deadlock.missing.len() {
            let mut fewer = deadlock.missing.clone();
            fewer[at].1 -= 1;
            prop_assert!(!with(&fewer));
        }
    }

    #[test]
    fn dependencies_are_those_of_a_token_by_token_execution(draft in consistent_draft(), unroll in 1..4_u32) {
        let app = draft.app();
        let graph = FiringGraph::new(&app, &repetition(&app).unwrap(), unroll).unwrap();
        let naive = consumed_naively(&app, &graph, 4);
        for (metacycle, row) in naive.iter().enumerate() {
            for (firing, expected) in graph.firings().zip(row) {
                prop_assert_eq!(&consumed_by_dependencies(graph.inputs(firing), metacycle as i64), expected);
            }
        }
    }

    #[test]
    fn a_firing_graph_is_indexed_both_ways(draft in consistent_draft(), unroll in 1..4_u32) {
        let app = draft.app();
        let counts = repetition(&app).unwrap();
        let graph = FiringGraph::new(&app, &counts, unroll).unwrap();
        prop_assert_eq!(graph.len() as u64, counts.total_firings() * u64::from(unroll));
        let mut seen = 0;
        for firing in graph.firings() {
            let (actor, index) = (graph.actor_of(firing), graph.index_of(firing));
            prop_assert_eq!(graph.firing(actor, index), firing);
            let exec = &app.actors()[actor].exec;
            let ticks = exec[index as usize % exec.len()] as i64;
            prop_assert_eq!((graph.exec(firing), graph.duration(firing)), (ticks, ticks.max(1)));
            for (id, dependency) in graph.input_ids(firing).zip(graph.inputs(firing)) {
                prop_assert_eq!(&graph.dependencies()[id], dependency);
                prop_assert_eq!(dependency.to, firing);
                prop_assert!(graph.outputs(dependency.from).contains(&id));
                prop_assert!(dependency.distance >= 0);
            }
            let out = graph.outputs(firing);
            prop_assert!(out.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(out.iter().all(|&id| graph.dependencies()[id].from == firing));
            seen += out.len();
        }
        prop_assert_eq!(seen, graph.dependencies().len());
        let key = |d: &Dependency| (d.from, d.to, d.channel, d.distance);
        let mut keys: Vec<_> = graph.dependencies().values().map(key).collect();
        keys.sort_unstable();
        prop_assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "tokens of a pair are one run");
    }

    #[test]
    fn unrolling_does_not_change_the_period(draft in live_draft(), unroll in 2..4_u32) {
        let app = draft.app();
        let analysis = analyse(&app).unwrap();
        let graph = FiringGraph::new(&app, &analysis.repetition, unroll).unwrap();
        let edges = graph.ratio_edges(|_, dependency| graph.exec(dependency.from));
        let ratio = scheduler::analysis::max_cycle_ratio(graph.len(), &edges).map(|cycle| cycle.ratio);
        prop_assert_eq!(ratio.unwrap_or_default() / i128::from(unroll), analysis.period);
    }

    #[test]
    fn scaling_exec_scales_the_period(draft in live_draft(), factor in 2..100_u64) {
        let (one, other) = (analyse(&draft.app()).unwrap(), analyse(&scaled(&draft, factor).app()).unwrap());
        prop_assert_eq!(one.period * i128::from(factor), other.period);
    }

    #[test]
    fn a_channel_less_is_never_slower(draft in live_draft(), which in any::<prop::sample::Index>()) {
        let removable: Vec<usize> = (0..draft.channels.len()).filter(|&at| !draft.is_shared(at)).collect();
        if removable.is_empty() {
            return Ok(());
        }
        let less = draft.without(removable[which.index(removable.len())]);
        let (with, without) = (analyse(&draft.app()).unwrap(), analyse(&less.app()).unwrap());
        prop_assert!(without.period <= with.period, "{} > {}", without.period, with.period);
    }

    #[test]
    fn a_channel_with_enough_tokens_changes_no_verdict(draft in live_draft(), which in any::<[prop::sample::Index; 2]>()) {
        let [source, target] = which.map(|index| index.index(draft.actors.len()));
        let [produce, consume] = [(source, target), (target, source)].map(|(end, other)| {
            let mut rates = vec![0; draft.actors[end].exec.len()];
            rates[0] = draft.cycles[other] as u32;
            rates
        });
        // It may join two components, whose common iteration is then at most the drawn one.
        let tokens = draft.cycles[source] * draft.cycles[target];
        let mut more = draft.clone();
        more.channels.push(channel("more", (source as u32, &produce), (target as u32, &consume), tokens));
        prop_assert!(analyse(&more.app()).is_ok());
    }

    #[test]
    fn the_critical_cycle_proves_the_period(draft in live_draft()) {
        let analysis = analyse(&draft.app()).unwrap();
        match &analysis.critical {
            None => prop_assert_eq!(analysis.period, Ratio::from_integer(0)),
            Some(critical) => {
                prop_assert_eq!(critical.ticks, critical.steps.iter().map(|step| i128::from(step.exec)).sum::<i128>());
                prop_assert_eq!(critical.iterations, critical.steps.iter().map(|step| i128::from(step.distance)).sum::<i128>());
                prop_assert_eq!(analysis.period, Ratio::new(critical.ticks, critical.iterations));
            }
        }
    }
}

/// Self-timed execution never runs ahead of the period for long, and never falls behind it for good: after many iterations
/// the last end is within a constant of iterations · period.
#[test]
fn self_timed_execution_has_the_period() {
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(
        cases(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let law = |draft: Draft| {
        let app = draft.app();
        let analysis = analyse(&app).unwrap();
        let graph = FiringGraph::new(&app, &analysis.repetition, 1).unwrap();
        let work: i64 = graph.firings().map(|firing| graph.exec(firing)).sum();
        let reach = graph.dependencies().values().map(|d| d.distance).max().unwrap_or(0);
        let iterations = 20 + 2 * reach;
        let last = self_timed(&graph, iterations);
        let ideal = analysis.period * i128::from(iterations);
        prop_assert!(Ratio::from_integer(i128::from(last)) <= ideal + i128::from(work * (reach + 1) * 2));
        let slack = analysis.critical.map_or(0, |critical| critical.ticks + i128::from(work));
        prop_assert!(Ratio::from_integer(i128::from(last)) + slack >= ideal);
        Ok(())
    };
    runner.run(&live_draft(), law).unwrap();
}

/// The last end of `iterations` iterations in which every firing starts as soon as its tokens are there.
fn self_timed(graph: &FiringGraph, iterations: i64) -> i64 {
    let mut ends: Vec<Vec<Option<i64>>> = vec![vec![None; graph.len()]; iterations as usize];
    for iteration in 0..iterations {
        let mut waiting: Vec<FiringId> = graph.firings().collect();
        while !waiting.is_empty() {
            let before = waiting.len();
            waiting.retain(|&firing| {
                let end_of = |d: &Dependency| match iteration - d.distance {
                    earlier if earlier < 0 => Some(0),
                    earlier => ends[earlier as usize][d.from.0 as usize],
                };
                let start: Option<i64> =
                    graph.inputs(firing).iter().map(end_of).try_fold(0, |max, end| Some(end?.max(max)));
                ends[iteration as usize][firing.0 as usize] = start.map(|start| start + graph.exec(firing));
                start.is_none()
            });
            assert!(waiting.len() < before, "live applications get on");
        }
    }
    ends.into_iter().flatten().flatten().max().unwrap()
}

#[test]
fn a_self_channel_that_gains_tokens_is_inconsistent() {
    let app = app(vec![actor("a", &[1])], vec![channel("s", (0, &[3]), (0, &[2]), 5)]);
    assert_eq!(
        analyse(&app).unwrap_err().to_string(),
        "inconsistent: self-channel `s` of `a` gains 3 tokens for every 2 that it loses"
    );
}

/// A chain in which every actor fires `factor` times as often as the one before.
fn chain(actors: u32, factor: u32) -> App {
    let list = (0..actors).map(|i| actor(&format!("a{i}"), &[1])).collect();
    let link = |i: u32| channel(&format!("c{i}"), (i, &[factor]), (i + 1, &[1]), 0);
    app(list, (0..actors - 1).map(link).collect())
}

#[test]
fn counts_beyond_64_bits_are_an_error() {
    let error = repetition(&chain(5, 1 << 16)).unwrap_err();
    assert!(matches!(error, Inconsistent::Overflow { actor: ActorId(4), .. }), "{error}");
    // 2^48 firings can be counted, but not listed.
    let Err(AnalysisError::TooManyFirings(error)) = analyse(&chain(4, 1 << 16)) else { panic!("not noticed") };
    assert_eq!((error.firings, error.limit), ((1 << 48) + (1 << 32) + (1 << 16) + 1, FIRINGS_MAX));
}

/// A source could fire for ever; a huge but lopsided iteration is played in few steps.
#[test]
fn liveness_is_quick_where_firings_come_in_bursts() {
    let app = chain(4, 1 << 16);
    assert_eq!(liveness(&app, &repetition(&app).unwrap()), Ok(()));
}

#[test]
fn many_initial_tokens_are_a_large_distance() {
    let mut draft = Draft {
        actors: vec![actor("a", &[2])],
        channels: vec![channel("s", (0, &[1]), (0, &[1]), 0)],
        cycles: vec![1],
    };
    draft.channels[0].tokens.initial = InitialTokens { count: 1 << 26, values: sim_core::InitialValues::Mix };
    let app = draft.app();
    let graph = FiringGraph::new(&app, &repetition(&app).unwrap(), 3).unwrap();
    assert_eq!(graph.dependencies().len(), 3);
    let first = graph.inputs(FiringId(0))[0];
    assert_eq!((first.distance, first.first_token), (22_369_622, 2));
    assert_eq!(analyse(&app).unwrap().period, Ratio::new(2, 1 << 26));
}
