//! Laws of the whole way: random applications, compiled for random machines, run like the reference says and as the
//! literal machine does.

use crate::graphs;
use crate::graphs::{Draft, cases, live_draft};
use crate::machines::{Wiring, any_wiring, connected_wiring};
use calendars::literal;
use proptest::prelude::*;
use proptest::sample::Index;
use scheduler::{CompileError, Compiled, Options, compile};
use sim_core::digest::DigestLevel;
use sim_core::mix::mix64;
use sim_core::{
    ActorId, ActorState, App, Behaviour, Firing, Machine, Node, NodeId, Outcome, RunOptions, State, engine, reference,
};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Mixes all that an actor ever consumed into all that it produces, so that no firing can be lost, doubled or exchanged.
struct Remember {
    mix: Arc<dyn Behaviour>,
    opaque: bool,
}

impl Behaviour for Remember {
    fn fire(&self, firing: Firing, state: State<'_>, inputs: &[u64], outputs: &mut [u64]) {
        self.mix.fire(firing, State::Words(&mut []), inputs, outputs);
        let kept = match state {
            State::Words(words) => &mut words[0],
            State::Opaque(value) => value.downcast_mut::<u64>().expect("made below"),
        };
        *kept = inputs.iter().chain(outputs.iter()).fold(*kept, |kept, &word| mix64(kept ^ word));
        for word in outputs {
            *word ^= *kept;
        }
    }

    fn opaque_state(&self) -> Option<Box<dyn Any + Send>> {
        self.opaque.then(|| Box::new(7_u64) as Box<dyn Any + Send>)
    }
}

/// One compilation and run.
#[derive(Clone)]
struct Case {
    draft: Draft,
    wiring: Wiring,
    pins: Vec<[Index; 2]>,
    max_unroll: u32,
    iterations: u64,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { draft, wiring, max_unroll, iterations, .. } = self;
        writeln!(f, "{iterations} iterations, max_unroll {max_unroll}, pins {:?}", self.options().pins)?;
        write!(f, "{wiring:?}\n{draft:?}")
    }
}

impl Case {
    /// The application; of the actors with state every other one has it hidden.
    fn app(&self) -> App {
        let app = self.draft.app();
        let mut actors = app.actors().clone();
        let mut opaque = false;
        for actor in actors.values_mut().filter(|actor| actor.has_state()) {
            actor.behaviour = Arc::new(Remember { mix: Arc::clone(&actor.behaviour), opaque });
            actor.state = if opaque { ActorState::Opaque } else { ActorState::Plain(vec![7]) };
            opaque = !opaque;
        }
        App::new("test", actors, app.channels().clone()).unwrap()
    }

    /// Pins to nodes that can fire; of several for one actor the last holds.
    fn options(&self) -> Options {
        let hosts = self.wiring.hosts();
        let pin = |[actor, node]: &[Index; 2]| {
            (ActorId(actor.index(self.draft.actors.len()) as u32), hosts[node.index(hosts.len())])
        };
        Options { max_unroll: self.max_unroll, pins: self.pins.iter().map(pin).collect(), ..Options::default() }
    }
}

fn case(wiring: impl Strategy<Value = Wiring>) -> impl Strategy<Value = Case> {
    let pins = prop::collection::vec(any::<[Index; 2]>(), 0..=3);
    (live_draft(), wiring, pins, 1..=8_u32, 1..=4_u64).prop_map(|(draft, wiring, pins, max_unroll, iterations)| Case {
        draft,
        wiring,
        pins,
        max_unroll,
        iterations,
    })
}

/// Every channel observed, and kept.
fn observe_all(app: &App, iterations: u64, digest: DigestLevel) -> RunOptions {
    let channels: Vec<_> = app.channels().ids().collect();
    RunOptions { iterations, digest, record: channels.clone(), channels, ..RunOptions::default() }
}

fn run_engine(app: &App, machine: &Machine, compiled: &Compiled, options: &RunOptions) -> Outcome {
    let program = calendars::lower(app, machine, &compiled.calendars).unwrap();
    engine::run(app, &program, options).unwrap()
}

/// Whatever its machine and schedule, every channel carries what an untimed execution says.
fn check_streams(app: &App, outcome: &Outcome, options: &RunOptions) -> Result<(), TestCaseError> {
    let expected = reference::run(app, options).unwrap();
    prop_assert_eq!(&outcome.channels, &expected.channels);
    prop_assert_eq!(&outcome.recorded, &expected.recorded);
    prop_assert_eq!(outcome.stream_digest(app), expected.stream_digest(app));
    prop_assert_eq!(outcome.iterations, expected.iterations);
    Ok(())
}

/// What a report says about the schedule beside it.
fn check_report(app: &App, options: &Options, compiled: &Compiled) -> Result<(), TestCaseError> {
    let (report, schedule) = (&compiled.report, compiled.schedule.as_ref().unwrap());
    prop_assert!(report.unroll <= options.max_unroll, "{} > {}", report.unroll, options.max_unroll);
    prop_assert_eq!(report.iteration_period * i64::from(report.unroll), report.metacycle.into());
    prop_assert_eq!((schedule.metacycle, schedule.unroll), (report.metacycle, report.unroll));
    prop_assert_eq!((compiled.calendars.metacycle, compiled.calendars.unroll), (report.metacycle, report.unroll));
    prop_assert!(report.bound.ticks <= report.placed_bound.ticks, "{report}");
    prop_assert!(report.placed_bound.ticks <= report.iteration_period, "{report}");
    prop_assert!(report.gap() >= 0.0 && report.gap_total() >= report.gap(), "{report}");
    let mut pins: Vec<Option<NodeId>> = vec![None; app.actors().len()];
    for &(actor, node) in &options.pins {
        pins[actor.0 as usize] = Some(node);
    }
    for firing in &schedule.firings {
        prop_assert!(pins[firing.actor.0 as usize].is_none_or(|node| node == firing.node), "{firing:?}");
    }
    Ok(())
}

fn check(case: &Case) -> Result<(), TestCaseError> {
    let (app, machine, options) = (case.app(), case.wiring.machine(), case.options());
    let compiled = compile(&app, &machine, &options).map_err(|error| TestCaseError::fail(error.to_string()))?;
    check_report(&app, &options, &compiled)?;
    for level in [DigestLevel::State, DigestLevel::Events] {
        let observed = observe_all(&app, case.iterations, level);
        let outcome = run_engine(&app, &machine, &compiled, &observed);
        check_streams(&app, &outcome, &observed)?;
        let literal = literal::run(&app, &machine, &compiled.calendars, &observed);
        prop_assert_eq!(Ok(outcome), literal);
    }
    Ok(())
}

/// The nodes that pins name.
fn pinned(options: &Options) -> BTreeSet<NodeId> {
    let last: BTreeMap<ActorId, NodeId> = options.pins.iter().copied().collect();
    last.into_values().collect()
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn every_live_application_runs_on_every_connected_machine(case in case(connected_wiring())) {
        check(&case)?;
    }

    /// Where some nodes cannot reach others, an application is refused only with a reason that can be checked by hand.
    #[test]
    fn refusals_name_the_path_that_is_missing(case in case(any_wiring())) {
        let (app, machine, options) = (case.app(), case.wiring.machine(), case.options());
        let reach = case.wiring.reach();
        match compile(&app, &machine, &options) {
            Ok(_) => check(&case)?,
            Err(CompileError::Disconnected { start, node, apart, nodes, .. }) => {
                let mut both_ways = case.wiring.clone();
                both_ways.links.extend(case.wiring.links.iter().map(|link| sim_core::Link {
                    source: link.target,
                    target: link.source,
                    ..*link
                }));
                let joined = &both_ways.reach()[NodeId(0)];
                prop_assert_eq!(start, "n0");
                prop_assert!(!joined[machine.node_named(&node).unwrap()]);
                prop_assert_eq!((apart, nodes), (joined.values().filter(|&&joined| !joined).count(), joined.len()));
            }
            // All actors could be where the only pin is.
            Err(CompileError::Unreachable { channel, from, to }) => {
                let [from, to] = [from, to].map(|name| machine.node_named(&name).unwrap());
                prop_assert!(app.channel_named(&channel).is_some());
                prop_assert!(!reach[from][to]);
                prop_assert!(pinned(&options).len() > 1, "{from} to {to}: but one node could host all");
            }
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        }
    }

    /// Nothing depends on how long things take: actors of one tick beside actors of 10⁹.
    #[test]
    fn periods_of_any_length_carry_the_same_tokens(
        mut case in case(connected_wiring()),
        factors in prop::collection::vec(prop_oneof![Just(1), 1..1000_u64, 1..1_000_000_000_u64], 1..=6),
    ) {
        for (actor, &factor) in case.draft.actors.iter_mut().zip(factors.iter().cycle()) {
            Arc::make_mut(&mut actor.exec).iter_mut().for_each(|exec| *exec *= factor);
        }
        let (app, machine, options) = (case.app(), case.wiring.machine(), case.options());
        let compiled = compile(&app, &machine, &options).map_err(|error| TestCaseError::fail(error.to_string()))?;
        check_report(&app, &options, &compiled)?;
        let observed = observe_all(&app, case.iterations, DigestLevel::State);
        check_streams(&app, &run_engine(&app, &machine, &compiled, &observed), &observed)?;
    }

    /// Calendars go through their file unchanged, and a metacycle more is U iterations more.
    #[test]
    fn a_metacycle_more_is_u_iterations_more(case in case(connected_wiring())) {
        let (app, machine, options) = (case.app(), case.wiring.machine(), case.options());
        let compiled = compile(&app, &machine, &options).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let read = calendars::from_ron(&calendars::to_ron(&compiled.calendars));
        prop_assert_eq!(read.as_ref(), Ok(&compiled.calendars));
        let ticks = |iterations| {
            let outcome = run_engine(&app, &machine, &compiled, &observe_all(&app, iterations, DigestLevel::Off));
            outcome.ticks.expect("engines are timed").0
        };
        // Within a metacycle a later iteration may end earlier, so that some runs end with an older one.
        let unroll = u64::from(compiled.report.unroll);
        let iterations = unroll + case.iterations;
        prop_assert_eq!(ticks(iterations) + compiled.report.metacycle, ticks(iterations + unroll));
    }
}

/// Found by the laws above: firings of one actor on a common cycle, three of them on three cores at a time.
#[test]
fn firings_wait_for_their_own_actors_tokens() {
    let actors = vec![
        graphs::actor("a0", &[0]),
        graphs::actor("a1", &[1854]),
        graphs::actor("a2", &[775, 465]),
        graphs::actor("a3", &[0]),
    ];
    let channels = vec![
        graphs::channel("c0", (2, &[0, 3]), (2, &[0, 3]), 9),
        graphs::channel("c1", (2, &[0, 2]), (0, &[3]), 0),
        graphs::channel("c2", (1, &[2]), (0, &[1]), 0),
    ];
    let draft = Draft { actors, channels, cycles: vec![2, 1, 3, 1] };
    let wiring = Wiring { nodes: vec![Node::new("n0", 3)], links: Vec::new(), labels: vec![0] };
    for max_unroll in 1..=4 {
        check(&Case { draft: draft.clone(), wiring: wiring.clone(), pins: Vec::new(), max_unroll, iterations: 2 })
            .unwrap();
    }
}

/// The same by cores that take turns.
#[test]
fn cores_that_take_turns_wait_for_tokens() {
    let channels = vec![graphs::channel("c0", (0, &[0, 3]), (0, &[0, 3]), 9)];
    let draft = Draft { actors: vec![graphs::actor("a0", &[7, 4])], channels, cycles: vec![1] };
    let wiring = Wiring { nodes: vec![Node::new("n0", 3)], links: Vec::new(), labels: vec![0] };
    for max_unroll in 1..=8 {
        check(&Case { draft: draft.clone(), wiring: wiring.clone(), pins: Vec::new(), max_unroll, iterations: 4 })
            .unwrap();
    }
}
