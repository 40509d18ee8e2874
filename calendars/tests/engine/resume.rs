//! Runs that are stopped at the end of an epoch and go on from their state.

use crate::laws::{config, level, partition};
use crate::rings::{Ring, ring};
use crate::support::{everything, run};
use proptest::prelude::*;
use sim_core::digest::{DigestLevel, epoch_ticks};
use sim_core::engine::{Engine, EngineError, RestoreError, ShardState, Snapshot, SnapshotError};
use sim_core::program::Program;
use sim_core::shard::{Partition, ShardId};
use sim_core::{Machine, RunOptions, Tick, Ticks};

/// How a part of a run is executed.
#[derive(Clone, Debug)]
struct Way {
    shards: Vec<u32>,
    window: Option<i64>,
}

fn way() -> impl Strategy<Value = Way> {
    let shards = prop_oneof![Just(vec![0]), prop::collection::vec(0_u32..4, 8)];
    (shards, prop::option::of(1_i64..40)).prop_map(|(shards, window)| Way { shards, window })
}

/// Iterations of so many epochs and a bit.
fn iterations(ring: &Ring, epochs: u64, more: u64) -> u64 {
    let metacycle = ring.set.metacycle;
    let metacycles = epochs * (epoch_ticks(metacycle) / metacycle) as u64;
    metacycles * u64::from(ring.set.unroll) + more
}

/// Executes so many epochs; whether that is not yet the end of the run.
fn advance(engine: &mut Engine<'_>, epochs: u64) -> bool {
    (0..epochs).all(|_| !engine.advance(engine.metacycles_to_epoch()).unwrap().done)
}

fn as_words(snapshot: &Snapshot) -> Snapshot {
    let state = ShardState::from_words(&snapshot.state.to_words()).unwrap();
    assert_eq!(state, snapshot.state);
    Snapshot { state, ..snapshot.clone() }
}

proptest! {
    #![proptest_config(config())]

    /// A state does not tell who executed the run; and whoever goes on from it gets what an uninterrupted run gets.
    #[test]
    fn a_resumed_run_is_the_whole_run(
        seed in any::<u64>(), epochs in 1_u64..4, more in 0_u64..40, level in level(), stops in prop::collection::vec(1_u64..3, 1..3),
        ways in prop::collection::vec(way(), 3),
    ) {
        let system = ring(seed);
        let options = everything(&system.app, iterations(&system, epochs, more), level);
        let Ring { app, machine, set } = &system;
        let program = calendars::lower(app, machine, set).unwrap();
        let expected = run(app, machine, set, &options);
        let options = |way: &Way| RunOptions { window: way.window.map(Ticks), ..options.clone() };
        let shards = |way: &Way| partition(machine, &way.shards);
        let mut alone = Engine::new(app, &program, &options(&Way { shards: vec![0], window: None })).unwrap();
        let mut engine = Engine::parallel(app, &program, &options(&ways[0]), &shards(&ways[0])).unwrap();
        for (epochs, way) in stops.iter().zip(&ways[1..]) {
            prop_assert_eq!(advance(&mut alone, *epochs), advance(&mut engine, *epochs));
            if engine.progress().done {
                break;
            }
            let snapshot = engine.snapshot().unwrap();
            prop_assert_eq!(&snapshot, &alone.snapshot().unwrap());
            engine = Engine::resume(app, &program, &options(way), &shards(way), &as_words(&snapshot)).unwrap();
            prop_assert_eq!(engine.progress(), alone.progress());
        }
        engine.advance(u64::MAX).unwrap();
        prop_assert_eq!(engine.finish(), expected);
    }
}

/// A run in its third epoch.
fn third_epoch(level: DigestLevel) -> (Ring, Program, RunOptions, Snapshot) {
    let system = ring(1);
    let options = everything(&system.app, iterations(&system, 4, 3), level);
    let program = calendars::lower(&system.app, &system.machine, &system.set).unwrap();
    let mut engine = Engine::new(&system.app, &program, &options).unwrap();
    assert!(advance(&mut engine, 2));
    let snapshot = engine.snapshot().unwrap();
    drop(engine);
    (system, program, options, snapshot)
}

fn whole(machine: &Machine) -> Partition {
    Partition::whole(machine.nodes().len())
}

#[test]
fn a_state_is_taken_at_the_end_of_an_epoch_only() {
    let (Ring { app, .. }, program, options, _) = third_epoch(DigestLevel::State);
    let mut engine = Engine::new(&app, &program, &options).unwrap();
    assert_eq!(engine.snapshot().unwrap().state.tick, Tick(0), "the start is one");
    let epoch = engine.metacycles_to_epoch();
    let tick = engine.advance(1).unwrap().tick;
    assert_eq!(engine.snapshot(), Err(SnapshotError::NotAnEpoch { tick }));
    assert_eq!(engine.metacycles_to_epoch(), epoch - 1);
    engine.advance(u64::MAX).unwrap();
    assert!(engine.snapshot().is_err(), "the end is none");
}

/// What is of another run, or not whole, is refused, with both values.
#[test]
fn a_foreign_state_is_refused() {
    let (Ring { app, machine, .. }, program, options, snapshot) = third_epoch(DigestLevel::State);
    let refused = |options: &RunOptions, snapshot: &Snapshot| match Engine::resume(
        &app,
        &program,
        options,
        &whole(&machine),
        snapshot,
    )
    .map(|_| ())
    {
        Err(EngineError::Restore(error)) => error,
        other => panic!("{other:?}"),
    };
    let other = Snapshot { identity: [9; 32], ..snapshot.clone() };
    assert!(matches!(refused(&options, &other), RestoreError::Program { found, .. } if found == "0909090909090909"));
    let longer = RunOptions { iterations: options.iterations + 1, ..options.clone() };
    let (found, expected) = (options.iterations, longer.iterations);
    assert_eq!(refused(&longer, &snapshot), RestoreError::Iterations { found, expected });
    let events = RunOptions { digest: DigestLevel::Events, ..options.clone() };
    let (found, expected) = (DigestLevel::State, DigestLevel::Events);
    assert_eq!(refused(&events, &snapshot), RestoreError::Level { found, expected });
    for tick in [-1, 1, snapshot.state.tick.0 + 1, i64::MAX] {
        let state = ShardState { tick: Tick(tick), ..snapshot.state.clone() };
        let error = refused(&options, &Snapshot { state, ..snapshot.clone() });
        assert!(matches!(error, RestoreError::NotAnEpoch { .. }), "{error}");
    }
    let empty =
        Snapshot { state: ShardState { tick: snapshot.state.tick, ..ShardState::default() }, ..snapshot.clone() };
    let error = refused(&options, &empty);
    assert!(matches!(&error, RestoreError::Words { section, found: 0, .. } if section == "node 0"), "{error}");
    let unrecorded = RunOptions { record: Vec::new(), ..options.clone() };
    let error = refused(&unrecorded, &snapshot);
    assert!(matches!(&error, RestoreError::Words { section, .. } if section == "channel 0"), "{error}");
}

#[test]
fn states_of_shards_are_those_of_one_run() {
    let state = |tick: i64, node: u32| {
        let mut state = ShardState { tick: Tick(tick), ..ShardState::default() };
        state.nodes.push(sim_core::NodeId(node), |words| words.push(7));
        state
    };
    let merged = ShardState::merged(&[state(8, 3), state(8, 1)]).unwrap();
    assert_eq!(merged.nodes.iter().map(|(node, _)| node.0).collect::<Vec<_>>(), [1, 3]);
    let error = ShardState::merged(&[state(8, 3), state(9, 1)]).unwrap_err();
    assert_eq!(error, RestoreError::Tick { shard: ShardId(1), found: Tick(9), expected: Tick(8) });
    let error = ShardState::merged(&[state(8, 3), state(8, 3)]).unwrap_err();
    assert_eq!(error, RestoreError::Twice { section: "node 3".to_owned() });
}
