//! Once it is under way an engine asks for no memory: not per firing, per frame, per metacycle or per epoch.
//!
//! A program of its own, because it counts the allocations of the whole process: other tests would be counted too.

use scheduler::{Options, compile};
use sim_core::digest::DigestLevel;
use sim_core::engine::Engine;
use sim_core::mix::{Mix, MixPort};
use sim_core::{
    Actor, ActorId, ActorState, App, Channel, ChannelTokens, InitialTokens, InitialValues, Machine, RunOptions,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn actor(name: &str, exec: u64, state: ActorState, outputs: Vec<MixPort>) -> Actor {
    let behaviour = Arc::new(Mix::new(name, outputs));
    Actor { name: name.into(), exec: [exec].into(), state, behaviour, pin: None, fed: false, place: None }
}

fn channel(name: &str, (source, produce): (u32, u32), (target, consume): (u32, u32), count: u64) -> Channel {
    Channel {
        name: name.into(),
        source: ActorId(source),
        source_port: 0,
        target: ActorId(target),
        target_port: 0,
        tokens: ChannelTokens {
            produce: [produce].into(),
            consume: [consume].into(),
            bits: 150,
            initial: InitialTokens { count, values: InitialValues::Mix },
        }
        .into(),
        place: None,
    }
}

/// Several rates, an actor with state, and one whose long firings end long after they began.
fn app() -> App {
    let port = |rate| vec![MixPort { rates: [rate].into(), words: 3 }];
    let actors = vec![
        actor("source", 2, ActorState::None, port(3)),
        actor("slow", 40, ActorState::None, port(1)),
        actor("counter", 1, ActorState::Plain(vec![0; 4]), port(2)),
        actor("sink", 3, ActorState::None, Vec::new()),
    ];
    let channels =
        vec![channel("a", (0, 3), (1, 2), 1), channel("b", (1, 1), (2, 3), 0), channel("c", (2, 2), (3, 4), 20)];
    App::new("allocations", actors, channels).unwrap()
}

fn main() {
    let region = Region::new(ALLOCATOR);
    drop(std::hint::black_box(vec![0_u64; 10]));
    assert_eq!(region.change().allocations, 1, "what is allocated is counted");
    let app = app();
    for (preset, cores) in [("single", 4), ("ring:4", 1), ("torus:3x3", 2)] {
        let machine = Machine::from_preset(&preset.parse().unwrap()).latency(3).cores(cores);
        let compiled = compile(&app, &machine, &Options::default()).unwrap();
        let program = calendars::lower(&app, &machine, &compiled.calendars).unwrap();
        for digest in [DigestLevel::Off, DigestLevel::State, DigestLevel::Events] {
            let channels: Vec<_> = app.channels().ids().collect();
            let options =
                RunOptions { iterations: 100_000, digest, record: channels.clone(), channels, ..RunOptions::default() };
            let mut engine = Engine::new(&app, &program, &options).unwrap();
            engine.advance(2_000).unwrap();
            let region = Region::new(ALLOCATOR);
            let progress = engine.advance(10_000).unwrap();
            let change = region.change();
            assert!(!progress.done, "the count must not stop before the engine does");
            let asked = (change.allocations, change.reallocations, change.deallocations);
            assert_eq!(asked, (0, 0, 0), "{preset}, digest {digest}: {change:?}");
        }
    }
    println!("no allocation in 10 000 metacycles on any machine");
}
