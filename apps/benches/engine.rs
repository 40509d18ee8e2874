//! The engine under the loads `dense` and `sparse`, at every level of the run digest, on one thread and on two.
//!
//! Elements are node-ticks. Times are of one host and one moment: `tidelock bench` measures ratios of interleaved pairs, this
//! shows what a change does. `cargo bench -p tidelock --bench engine`; `-- 32x32` for the small torus alone.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_main};
use sim_core::digest::DigestLevel;
use sim_core::engine::Engine;
use sim_core::shard::{Carrier, Partition};
use sim_core::{App, Machine, RunOptions};
use std::num::NonZeroU32;
use tidelock::library::{dense, sparse};

fn engine(c: &mut Criterion) {
    let mut group = c.benchmark_group("engine");
    group.sample_size(10);
    for side in [32, 256] {
        let machine = Machine::torus([side, side]).latency(8);
        let hundredth = NonZeroU32::new(100).expect("it is not 0");
        let (full, idle) = (dense(&machine).expect("it fits"), sparse(&machine, hundredth).expect("it fits"));
        let iterations = 4_000_000 / u64::from(side * side);
        for (load, app, period) in [("dense", &full, 1), ("sparse:0.01", &idle, 100)] {
            let program = program(app, &machine);
            group.throughput(Throughput::Elements(u64::from(side * side) * iterations * period));
            let levels = [DigestLevel::Off, DigestLevel::State, DigestLevel::Events].map(|level| (level, 1));
            for (digest, threads) in levels.into_iter().chain([(DigestLevel::Off, 2)]) {
                let options = RunOptions { iterations, digest, ..RunOptions::default() };
                let partition = Partition::balanced(&machine, &program, threads, Carrier::Memory);
                let ready = || Engine::parallel(app, &program, &options, &partition).expect("it fits memory");
                let name = format!("{load}, digest {digest}, {threads} threads");
                group.bench_function(BenchmarkId::new(name, format!("{side}x{side}")), |b| {
                    let run = |mut engine: Engine<'_>| engine.advance(u64::MAX).expect("nothing panics");
                    b.iter_batched(ready, run, BatchSize::PerIteration);
                });
            }
        }
    }
    group.finish();
}

fn program(app: &App, machine: &Machine) -> sim_core::program::Program {
    let compiled = scheduler::compile(app, machine, &scheduler::Options::default()).expect("it compiles");
    calendars::lower(app, machine, &compiled.calendars).expect("it lowers")
}

fn benches() {
    engine(&mut Criterion::default().configure_from_args());
}

criterion_main!(benches);
