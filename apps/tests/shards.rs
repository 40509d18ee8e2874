//! Shards are invisible: the engine under the protocol between shards gives the digests of one thread.

use net_runtime::engine::{EngineShard, OutcomeParts, Standing};
use net_runtime::memory::{Weather, run};
use net_runtime::proto::session::{Config, Event, Phase};
use net_runtime::proto::{Cause, ShardId, Worker};
use sim_core::digest::DigestLevel;
use sim_core::engine::{self, Engine, Snapshot};
use sim_core::mix::mix64;
use sim_core::program::Program;
use sim_core::random::Seed;
use sim_core::shard::Partition;
use sim_core::{App, IdVec, Link, LogicalLatency, Machine, NodeId, Outcome, RunOptions, Ticks};
use std::time::Duration;
use tidelock::{Options, compile, library};

/// Executes a program as shards, under virtual time.
fn sharded(app: &App, program: &Program, options: &RunOptions, partition: &Partition, seed: u64) -> Outcome {
    let (outcome, states) =
        Sharded { weather: Weather::fair(Seed(seed)), ..Sharded::default() }.run(app, program, options, partition);
    assert_eq!(states, []);
    outcome
}

/// How shards execute a program.
struct Sharded<'a> {
    weather: Weather,
    /// Where they start.
    from: Option<&'a Snapshot>,
    /// How often they tell their state.
    every: Option<Ticks>,
}

impl Default for Sharded<'_> {
    fn default() -> Self {
        Self { weather: Weather::fair(Seed(0)), from: None, every: None }
    }
}

impl Sharded<'_> {
    /// The outcome, and the states on the way.
    fn run(
        self,
        app: &App,
        program: &Program,
        options: &RunOptions,
        partition: &Partition,
    ) -> (Outcome, Vec<Snapshot>) {
        let shard = |id| {
            let (mut worker, neighbours) = EngineShard::new(app, program, options, partition, id).unwrap();
            self.from.iter().for_each(|snapshot| worker.restore(snapshot).unwrap());
            self.every.iter().for_each(|&ticks| worker.save_every(ticks));
            let config = Config {
                id,
                shards: partition.shards(),
                neighbours,
                slow: Duration::from_secs(5),
                verdict: Duration::from_secs(10),
            };
            (config, worker)
        };
        let ends = run(partition.ids().map(shard).collect(), &self.weather);
        let mut parts = OutcomeParts::new(app, program, options, partition).unwrap();
        self.from.iter().for_each(|snapshot| parts.restore(snapshot).unwrap());
        for event in &ends[0].events {
            if let Event::Part { from, bytes } = event {
                parts.take(*from, bytes).unwrap();
            }
        }
        for end in &ends {
            let session = &end.session;
            let (at, waits) = (session.worker().position(), session.waits_for());
            let ended = match session.phase() {
                Phase::Finished => true,
                Phase::Stopped(stop) => self.weather.interrupt.is_some() && stop.cause == Cause::Interrupted,
                _ => false,
            };
            assert!(ended, "{:?} at {at}, waits for {waits:?}", session.phase());
        }
        let state = |standing| match standing {
            Standing::State(state) => *state,
            Standing::Opaque { .. } => panic!("all states are plain: {standing:?}"),
        };
        let states = std::iter::from_fn(|| parts.state()).map(state).collect();
        (parts.finish(ends[0].session.worker().position()), states)
    }
}

/// The same outcome as on one thread, whatever the partition.
fn check(app: &App, machine: &Machine, iterations: u64, level: DigestLevel, partitions: &[Partition]) {
    let compiled = compile(app, machine, &Options::default()).unwrap();
    let program = calendars::lower(app, machine, &compiled.result().calendars).unwrap();
    let channels: Vec<_> = app.channels().ids().collect();
    let options = RunOptions { iterations, digest: level, record: channels.clone(), channels, ..RunOptions::default() };
    let expected = engine::run(app, &program, &options).unwrap();
    for (seed, partition) in (0_u64..).zip(partitions) {
        // Any limit on the windows is as good as another.
        let window = [None, Some(Ticks(1)), Some(Ticks(3)), Some(Ticks(50))][seed as usize % 4];
        let outcome = sharded(app, &program, &RunOptions { window, ..options.clone() }, partition, seed);
        assert_eq!(outcome, expected, "{}: {partition:?}, {window:?}", app.name());
    }
}

/// Nodes scattered over 2 to 5 shards, in `count` ways.
fn scattered(machine: &Machine, count: u64) -> Vec<Partition> {
    let nodes = machine.nodes().len() as u32;
    let one = |seed: u64| {
        let shards = (2 + (seed % 4) as u32).min(nodes);
        // Every shard has a node.
        partition(machine, |node| {
            if node < shards { node } else { (mix64(seed << 32 | u64::from(node)) >> 8) as u32 % shards }
        })
    };
    (0..count).map(one).collect()
}

fn partition(machine: &Machine, shard_of: impl Fn(u32) -> u32) -> Partition {
    let shards = machine.nodes().ids().map(|node| ShardId(shard_of(node.0))).collect::<IdVec<_, _>>();
    Partition::new(shards).unwrap()
}

#[test]
fn cd2dat_in_shards() {
    let machine = Machine::torus([4, 4]);
    let partitions = [2, 3, 5].map(|shards| partition(&machine, |node| node * shards / 16));
    check(&library::cd2dat().unwrap(), &machine, 12, DigestLevel::State, &partitions);
    check(&library::cd2dat().unwrap(), &machine, 4, DigestLevel::Events, &scattered(&machine, 8));
}

#[test]
fn dense_traffic_in_shards() {
    let machine = Machine::torus([6, 5]).latency(3);
    let app = library::dense(&machine).unwrap();
    let partitions = [2, 4].map(|shards| partition(&machine, |node| node * shards / 30));
    check(&app, &machine, 40, DigestLevel::State, &partitions);
}

/// Channels whose producers are spread over shards are put in order again, and recorded.
#[test]
fn an_fft_in_shards() {
    let machine = Machine::mesh([3, 3]).cores(2);
    let app = library::fft(3, |sample| (sample % 7) as f64).unwrap();
    check(&app, &machine, 9, DigestLevel::State, &[partition(&machine, |node| node % 3), Partition::whole(9)]);
}

#[test]
fn published_graphs_in_shards() {
    for name in [
        "csdf_sample.xml",
        "dac06_example.xml",
        "feedback2.xml",
        "live_ring.xml",
        "modem.xml",
        "mp3decoder_granule.xml",
        "samplerate.xml",
    ] {
        let path = format!("{}/../data/sdf/{name}", env!("CARGO_MANIFEST_DIR"));
        let Ok(bytes) = std::fs::read(&path) else { panic!("{path}") };
        let app = tidelock::formats::read_graph(name, &bytes).unwrap();
        let machine = Machine::torus([3, 3]);
        check(&app, &machine, 2, DigestLevel::State, &scattered(&machine, 4));
    }
}

/// A state does not tell who executed the run, and whoever goes on from it, however divided, ends with the same outcome.
fn check_resume(app: &App, machine: &Machine, iterations: u64, level: DigestLevel, partitions: &[Partition]) {
    let compiled = compile(app, machine, &Options::default()).unwrap();
    let program = calendars::lower(app, machine, &compiled.result().calendars).unwrap();
    let channels: Vec<_> = app.channels().ids().collect();
    let options = RunOptions { iterations, digest: level, record: channels.clone(), channels, ..RunOptions::default() };
    let expected = engine::run(app, &program, &options).unwrap();
    for (seed, partition) in (0_u64..).zip(partitions) {
        let every = Some(Ticks([1, 1100, 2048][seed as usize % 3]));
        let way = Sharded { weather: Weather::fair(Seed(seed)), every, from: None };
        let (outcome, states) = way.run(app, &program, &options, partition);
        assert_eq!(outcome, expected, "{}: {partition:?}", app.name());
        assert!(!states.is_empty(), "{} takes {:?}", app.name(), expected.ticks);
        let mut alone = Engine::new(app, &program, &options).unwrap();
        for state in &states {
            while alone.progress().tick < state.state.tick {
                alone.advance(alone.metacycles_to_epoch()).unwrap();
            }
            assert_eq!(*state, alone.snapshot().unwrap());
        }
        let state = &states[seed as usize % states.len()];
        let other = &partitions[(seed as usize + 1) % partitions.len()];
        let (outcome, _) = Sharded { from: Some(state), ..Sharded::default() }.run(app, &program, &options, other);
        assert_eq!(outcome, expected, "{} from {}: {other:?}", app.name(), state.state.tick);
        let mut engine = Engine::resume(app, &program, &options, other, state).unwrap();
        engine.advance(u64::MAX).unwrap();
        assert_eq!(engine.finish(), expected, "{} from {}: {other:?}", app.name(), state.state.tick);
    }
}

#[test]
fn shards_go_on_from_a_state() {
    let machine = Machine::torus([4, 4]);
    for level in [DigestLevel::State, DigestLevel::Off] {
        check_resume(&library::cd2dat().unwrap(), &machine, 16, level, &scattered(&machine, 3));
    }
    let machine = Machine::torus([6, 5]).latency(3);
    let app = library::dense(&machine).unwrap();
    check_resume(&app, &machine, 2500, DigestLevel::Events, &scattered(&machine, 3));
}

/// Channels whose producers are spread over shards: tokens that came too early wait in the state.
#[test]
fn an_fft_goes_on_from_a_state() {
    let machine = Machine::mesh([3, 3]).cores(2);
    let app = library::fft(2, |sample| (sample % 7) as f64).unwrap();
    let partitions = [partition(&machine, |node| node % 3), Partition::whole(9), partition(&machine, |node| node / 3)];
    check_resume(&app, &machine, 6000, DigestLevel::State, &partitions);
}

#[test]
fn an_interrupted_run_leaves_a_state() {
    let (app, machine) = (library::cd2dat().unwrap(), Machine::torus([4, 4]));
    let compiled = compile(&app, &machine, &Options::default()).unwrap();
    let program = calendars::lower(&app, &machine, &compiled.result().calendars).unwrap();
    let channels: Vec<_> = app.channels().ids().collect();
    let options = RunOptions { iterations: 40, record: channels.clone(), channels, ..RunOptions::default() };
    let expected = engine::run(&app, &program, &options).unwrap();
    for (seed, partition) in (0..).zip(scattered(&machine, 4)) {
        let interrupt = Some(Duration::from_micros(200 + 300 * seed));
        let weather = Weather { interrupt, ..Weather::fair(Seed(seed)) };
        let way = Sharded { weather, every: Some(Ticks(2048)), from: None };
        let (part, states) = way.run(&app, &program, &options, &partition);
        let state = states.last().expect("the last one is where the run stopped");
        assert_eq!(Some(state.state.tick), part.ticks);
        assert!(part.iterations < expected.iterations);
        let (outcome, _) =
            Sharded { from: Some(state), ..Sharded::default() }.run(&app, &program, &options, &partition);
        assert_eq!(outcome, expected);
    }
}

/// Shards of regular traffic take turns, whatever the lengths of their steps and of the ways between them, across the ends of
/// epochs and from states in between.
#[test]
fn shards_that_take_turns() {
    for seed in 0..60 {
        let draw = |purpose: u64, below: u64| (mix64(seed << 8 | purpose) >> 8) % below;
        let side = |purpose| 2 + draw(purpose, 4) as u32;
        let machine = match draw(0, 3) {
            0 => Machine::ring(3 + draw(1, 12) as u32),
            1 => Machine::torus([side(1), side(2)]),
            _ => Machine::hypercube(2 + draw(1, 3) as u32),
        };
        let longest = [1, 4, 12, 40][draw(3, 4) as usize];
        let latency = |a: NodeId, b: NodeId| {
            let drawn = |place: u32| 1 + (mix64(seed << 32 | u64::from(place)) >> 8) % longest;
            LogicalLatency(match draw(4, 3) {
                0 => longest,
                // As long back as there.
                1 => drawn(a.0.min(b.0) << 8 | a.0.max(b.0)),
                _ => drawn(a.0 << 8 | b.0),
            } as i64)
        };
        let links = machine.links().values().map(|link| Link { latency: latency(link.source, link.target), ..*link });
        let machine =
            Machine::new("drawn", machine.nodes().values().cloned().collect::<Vec<_>>(), links.collect::<Vec<_>>())
                .unwrap();
        let app = library::dense(&machine).unwrap();
        let nodes = machine.nodes().len() as u32;
        let shards = 2 + draw(5, 4) as u32;
        let slices = partition(&machine, |node| node * shards.min(nodes) / nodes);
        let mut partitions = scattered(&machine, 2);
        partitions.push(slices.clone());
        let level = if seed % 4 == 0 { DigestLevel::Events } else { DigestLevel::State };
        check(&app, &machine, 1100 + draw(6, 100), level, &partitions);
        if seed % 6 == 0 {
            check_resume(&app, &machine, 2500, level, &[slices, partitions.swap_remove(0)]);
        }
    }
}
