//! Runs that must be the same: equal ones are found equal, and of unequal ones the first difference is named.

use scheduler::Options;
use sim_core::digest::DigestLevel;
use sim_core::engine::{Engine, Event, What};
use sim_core::program::Program;
use sim_core::{ActorId, App, Machine, NodeId, RunOptions, Tick, Ticks};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use tidelock::builder::{AppBuilder, BuildError};
use tidelock::library::cd2dat;
use tidelock::prelude::Firing;
use tidelock::verification::{
    Difference, Field, Finding, Location, Mode, Opponent, Place, Plan, REFERENCE_WORK_MAX, Reference, Subject,
    Transport, Verdict, verify,
};

/// A compiled application.
struct Case {
    app: App,
    machine: Machine,
    program: Program,
}

impl Case {
    fn new(app: App, machine: Machine) -> Self {
        let compiled = tidelock::compile(&app, &machine, &Options::default()).unwrap();
        let program = calendars::lower(&app, &machine, &compiled.result().calendars).unwrap();
        Self { app, machine, program }
    }

    fn options(&self, iterations: u64, digest: DigestLevel) -> RunOptions {
        RunOptions { iterations, digest, channels: self.app.channels().ids().collect(), ..RunOptions::default() }
    }

    fn verify(&self, options: &RunOptions, plan: &Plan) -> Verdict {
        let Self { app, machine, program } = self;
        verify(&Subject { app, machine, program, options }, plan).unwrap()
    }

    /// All events of one run on one thread.
    fn events(&self, options: &RunOptions) -> Vec<Event> {
        let mut engine = Engine::new(&self.app, &self.program, &RunOptions { trace: true, ..options.clone() }).unwrap();
        engine.advance(u64::MAX).unwrap();
        engine.trace()
    }

    fn actor(&self, name: &str) -> ActorId {
        self.app.actor_named(name).unwrap()
    }

    /// When and where firing `index` of `actor` ends.
    fn end_of(&self, options: &RunOptions, actor: ActorId, index: u64) -> (Tick, NodeId) {
        let is_it = |event: &Event| match event.what {
            What::Fired { actor: fired, index: number, .. } => (fired, number) == (actor, index),
            What::Sent { .. } => false,
        };
        let event = self.events(options).into_iter().find(is_it).unwrap();
        (event.tick, event.node)
    }
}

fn plan(threads: &[u32], windows: &[Option<i64>], repeats: u32) -> Plan {
    let mode = |threads: u32, window: Option<i64>| Mode::Threads {
        threads: NonZeroU32::new(threads).unwrap(),
        window: window.map(Ticks),
    };
    let modes = threads.iter().flat_map(|&threads| windows.iter().map(move |&window| mode(threads, window)));
    Plan { modes: modes.collect(), repeats: NonZeroU32::new(repeats).unwrap(), reference_work_max: REFERENCE_WORK_MAX }
}

/// A source on the first node, a pipe on the second, a record. Firing n of the pipe passes on 20·n, and what `change` makes
/// of 20·n + 10.
fn pair(change: impl Fn(u64) -> u64 + Send + Sync + 'static) -> Result<App, BuildError> {
    let mut app = AppBuilder::new("pair");
    let count = app.source("count", |n: Firing, y: &mut [u64; 1]| y[0] = 10 * n.index()).on(NodeId(0));
    let changed =
        app.pipe("change", count, move |x: &[u64; 2], y: &mut [u64; 2]| *y = [x[0], change(x[1])]).on(NodeId(1));
    app.record("out", changed);
    app.build()
}

fn event(verdict: &Verdict) -> (Opponent, Difference) {
    match &verdict.finding {
        Some(Finding { second, location: Location::Event(difference), .. }) => (*second, *difference),
        other => panic!("expected a difference in an event, found {other:?}"),
    }
}

/// Neither threads, nor windows, nor digest levels make a difference.
#[test]
fn a_deterministic_application_is_the_same_in_every_mode() {
    let case = Case::new(cd2dat().unwrap(), Machine::torus([2, 2]));
    for level in [DigestLevel::Events, DigestLevel::State, DigestLevel::Off] {
        let verdict = case.verify(&case.options(3, level), &plan(&[1, 2, 3, 8], &[None, Some(1), Some(64)], 1));
        assert_eq!(verdict.runs.len(), 12);
        assert!(verdict.finding.is_none(), "{:?}", verdict.finding);
        let stream = verdict.runs[0].digests.stream;
        assert!(stream.is_some());
        assert_eq!(verdict.reference, Reference::Compared(stream));
        assert_eq!(verdict.runs[3].workers, 2);
        assert_eq!(verdict.runs[9].workers, 4, "there are no more nodes");
    }
}

/// Shards are one more way to execute, whatever carries their words.
#[test]
fn shards_are_the_same_as_threads() {
    let case = Case::new(cd2dat().unwrap(), Machine::torus([2, 2]));
    let shards = |count: u32| {
        let shards = NonZeroU32::new(count).unwrap();
        [Transport::Memory, Transport::Quic].map(|transport| Mode::Shards { shards, transport })
    };
    let threads = plan(&[1], &[None], 1);
    let modes = threads.modes.iter().copied().chain([1, 2, 5].into_iter().flat_map(shards)).collect();
    let verdict = case.verify(&case.options(40, DigestLevel::Events), &Plan { modes, ..threads });
    assert!(verdict.finding.is_none(), "{:?}", verdict.finding);
    let workers: Vec<usize> = verdict.runs.iter().map(|run| run.workers).collect();
    assert_eq!(workers, [1, 1, 1, 2, 2, 4, 4], "there are no more nodes");
    assert!(verdict.runs.iter().all(|run| run.digests.run.is_some() && run.digests == verdict.runs[0].digests));
}

/// What differs between runs is found also if they are shards.
#[test]
fn a_difference_between_shards_is_found() {
    let case = unordered();
    let options = case.options(1_000, DigestLevel::State);
    let mode = Mode::Shards { shards: NonZeroU32::new(2).unwrap(), transport: Transport::Quic };
    let verdict = case.verify(&options, &Plan { modes: vec![mode], ..plan(&[1], &[None], 2) });
    let (_, found) = event(&verdict);
    assert_eq!(found.place, Place::Firing { actor: case.actor("change"), index: 700 });
}

/// What is too large for the reference is said to be.
#[test]
fn the_reference_is_skipped_beyond_its_limit() {
    let case = Case::new(pair(|x| x).unwrap(), Machine::line(2));
    // Per iteration: two firings of the source, one of the pipe, two of the record, two words on each channel.
    let plan = |limit| Plan { reference_work_max: limit, ..plan(&[1], &[None], 1) };
    let options = case.options(10, DigestLevel::State);
    let skipped = Reference::Skipped { work: 90, limit: 89 };
    assert_eq!(case.verify(&options, &plan(89)).reference, skipped);
    assert!(matches!(case.verify(&options, &plan(90)).reference, Reference::Compared(Some(_))));
}

/// A user's actor that depends on the order of a hash map, from firing 700 on.
fn unordered() -> Case {
    let change = |x: u64| {
        let keys: HashMap<u64, ()> = (0..64).map(|key| (key, ())).collect();
        if x / 20 < 700 { x } else { keys.keys().fold(x, |all, key| all.rotate_left(7) ^ key) }
    };
    Case::new(pair(change).unwrap(), Machine::line(2))
}

/// No two executions of it are alike, and still the first tick, node and word are found: across epochs, and between
/// repeats of one mode as well as between modes.
#[test]
fn an_actor_that_iterates_a_hash_map_is_found() {
    let case = unordered();
    let options = case.options(1_000, DigestLevel::State);
    let actor = case.actor("change");
    let (tick, node) = case.end_of(&options, actor, 700);
    assert!(tick > Tick(1024), "not in the first epoch");
    for plan in [plan(&[1], &[None], 2), plan(&[1, 2], &[Some(7)], 1), plan(&[2], &[None], 2)] {
        let verdict = case.verify(&options, &plan);
        let (opponent, found) = event(&verdict);
        assert_eq!(opponent, Opponent::Run(verdict.runs[1].run));
        assert_eq!((found.tick, found.node, found.place), (tick, node, Place::Firing { actor, index: 700 }));
        let Field::Output { word: 1, values: [first, second] } = found.field else { panic!("{found:?}") };
        assert_ne!(first, second);
    }
}

/// Runs that agree with each other but not with the untimed execution are compared with it.
#[test]
fn the_reference_is_an_opponent_too() {
    let runs = AtomicU64::new(0);
    // Every execution counts as one more, and from firing 5 on computes something of its own.
    let change = move |x: u64| {
        if x == 10 {
            runs.fetch_add(1, Ordering::Relaxed);
        }
        if x / 20 < 5 { x } else { x + 1_000_000 * runs.load(Ordering::Relaxed) }
    };
    let case = Case::new(pair(change).unwrap(), Machine::line(2));
    let options = case.options(20, DigestLevel::Events);
    let actor = case.actor("change");
    let (tick, node) = case.end_of(&options, actor, 5);
    let (opponent, found) = event(&case.verify(&options, &plan(&[1], &[None], 1)));
    assert_eq!(opponent, Opponent::Reference);
    assert_eq!((found.tick, found.node, found.place), (tick, node, Place::Firing { actor, index: 5 }));
    // Executions: to know the tick, the run, the reference; then both again, the reference after the engine was made,
    // but before it ran.
    assert_eq!(found.field, Field::Output { word: 1, values: [5_000_110, 4_000_110] });
}

/// A state that no event shows makes the digest differ; the epoch is named then.
#[test]
fn a_state_that_no_event_shows_is_told_by_epoch() {
    let runs = AtomicU64::new(0);
    let mut app = AppBuilder::new("hidden");
    let count = app.source("count", |n: Firing, y: &mut [u64; 1]| y[0] = n.index());
    app.sink_with("sink", count, 0_u64, move |state: &mut u64, n: &[u64; 1]| {
        if n[0] == 3_000 {
            *state = runs.fetch_add(1, Ordering::Relaxed);
        }
    });
    let case = Case::new(app.build().unwrap(), Machine::line(1));
    let verdict = case.verify(&case.options(5_000, DigestLevel::State), &plan(&[1], &[None], 2));
    let Some(Finding { location: Location::Epoch(end), .. }) = verdict.finding else { panic!("{:?}", verdict.finding) };
    let (tick, _) = case.end_of(&case.options(5_000, DigestLevel::State), case.actor("sink"), 3_000);
    let metacycle = case.program.metacycle();
    let epoch = (1024_u64.div_ceil(metacycle as u64) * metacycle as u64) as i64;
    assert_eq!(end, Tick((tick.0 / epoch + 1) * epoch));
    // At level *events* the runs are the same: all events are.
    let verdict = case.verify(&case.options(5_000, DigestLevel::Events), &plan(&[1], &[None], 2));
    assert!(verdict.finding.is_none());
}

/// One bit of one frame between two shards, in one tick of thousands, is found where it is used first.
#[cfg(feature = "planted-fault")]
#[test]
fn a_fault_of_the_engine_is_found() {
    use sim_core::engine::PlantedFault;

    let case = Case::new(pair(|x| x).unwrap(), Machine::line(2));
    let plain = case.options(1_000, DigestLevel::Events);
    // The word that the source makes in firing 1401 is the second input of firing 700.
    let events = case.events(&plain);
    let sent = |event: &Event| match event.what {
        What::Sent { link, word: 14_010 } => Some((link, event.tick)),
        _ => None,
    };
    let (link, sent) = events.iter().find_map(sent).unwrap();
    let options = RunOptions { fault: Some(PlantedFault { link, sent }), ..plain.clone() };
    let actor = case.actor("change");
    let (tick, node) = case.end_of(&plain, actor, 700);
    let verdict = case.verify(&options, &plan(&[1, 2], &[None, Some(3)], 2));
    let stream = verdict.runs[0].digests.stream;
    assert_eq!(verdict.reference, Reference::Compared(stream), "one shard has no cut");
    let differs: Vec<bool> = verdict.runs.iter().map(|run| run.digests != verdict.runs[0].digests).collect();
    assert_eq!(differs, [false, false, false, false, true, true, true, true]);
    let field = Field::Input { word: 1, values: [14_010, 14_011] };
    let place = Place::Firing { actor, index: 700 };
    assert_eq!(event(&verdict), (Opponent::Run(verdict.runs[4].run), Difference { tick, node, place, field }));
    // Nothing is wrong with the application: without the fault all is the same.
    assert!(case.verify(&plain, &plan(&[1, 2], &[None], 1)).finding.is_none());
}
