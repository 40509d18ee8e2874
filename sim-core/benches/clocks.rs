//! Clock engine: controller events per second, beside an event queue, and how threads share the work.
//!
//! A torus of a million nodes with four links in, measured every 100 000 ticks, at ±100 ppm. The queue is the usual way:
//! a binary heap of acts, the same arithmetic for everything else. Times are of one host; ratios travel.
//! `cargo bench -p tidelock-sim-core --bench clocks`; `-- 100` for a torus of 100 × 100.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_main};
use sim_core::clock::{
    ClockEngine, ClockLink, ClockNetwork, ClockNode, Control, EngineOptions, Femtos, Frequency, Gain, Law,
};
use sim_core::random::{Keyed, Purpose, Seed};
use sim_core::{LinkId, NodeId};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

const SIDE: u32 = 1_000;
/// Simulated time of one iteration: ten rounds.
const STRETCH: Femtos = Femtos::nanos(1_000_000);

fn torus(side: u32) -> ClockNetwork {
    let node = |id: u32| {
        let bound = NonZeroU64::new(200_001).unwrap();
        let offset = Keyed::new(Seed::DEFAULT, Purpose::Offset, id).below(0, bound) as i64 - 100_000;
        ClockNode::new(Frequency::hertz(1_000_000_000).shifted(offset * 1_000))
    };
    let at = |row: u32, column: u32| NodeId(row % side * side + column % side);
    let links = (0..side).flat_map(|row| {
        (0..side).flat_map(move |column| {
            let sources = [(1, 0), (side - 1, 0), (0, 1), (0, side - 1)];
            sources.map(|(down, right)| {
                let link = ClockLink::new(at(row + down, column + right), at(row, column), Femtos::nanos(5_000));
                ClockLink { depth: Some(32), ..link }
            })
        })
    });
    ClockNetwork::new((0..side * side).map(node).collect::<Vec<_>>(), links.collect::<Vec<_>>()).unwrap()
}

fn control() -> Control {
    Law::ProportionalIntegral {
        kp: Gain::per_nanosecond("2e-8".parse().unwrap()).unwrap(),
        ki: Gain::per_nanosecond("1e-15".parse().unwrap()).unwrap(),
    }
    .into()
}

fn engine(network: &ClockNetwork, threads: usize) -> ClockEngine {
    let threads = NonZeroUsize::new(threads).unwrap();
    let mut engine =
        ClockEngine::new(network, control(), EngineOptions { threads, ..EngineOptions::new(network.nominal()) });
    engine.advance(STRETCH);
    engine
}

fn rounds(c: &mut Criterion) {
    let mut group = c.benchmark_group("clocks");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    for side in [100, SIDE] {
        let network = torus(side);
        let nodes = u64::from(side * side);
        group.throughput(Throughput::Elements(10 * nodes));
        for threads in [1, 2] {
            let mut engine = engine(&network, threads);
            println!("{side} x {side}: {} bytes per node", engine.bytes() as u64 / nodes);
            group.bench_function(BenchmarkId::new(format!("rounds, threads {threads}"), nodes), |b| {
                b.iter(|| engine.advance(engine.now() + STRETCH));
            });
        }
        let queue = Queue::new(&network);
        group.bench_function(BenchmarkId::new("queue", nodes), |b| {
            b.iter_batched_ref(|| queue.clone(), |queue| queue.advance(1_000_000_000_000_000), BatchSize::PerIteration);
        });
    }
    group.finish();
}

// The macro makes a function without documentation.
#[allow(missing_docs)]
mod harness {
    criterion::criterion_group!(benches, super::rounds);
}
use harness::benches;
criterion_main!(benches);

const FRAME: i128 = 1_000_000_000_000_000_000_000_000;

/// Clocks of constant oscillators under the same law, one act after the other from a heap.
#[derive(Clone)]
struct Queue {
    heap: BinaryHeap<Reverse<(i64, u32)>>,
    clocks: Vec<Clock>,
    /// Incoming links: source and constant.
    incoming: Vec<[(u32, i64); 4]>,
    latency: i64,
    origin: i64,
}

#[derive(Clone, Copy)]
struct Clock {
    /// Segments, the newest first: beginning, phase there, frequency.
    segments: [(i64, i128, i64); 3],
    uncorrected: i64,
    target: i128,
    integral: i64,
}

impl Queue {
    fn new(network: &ClockNetwork) -> Self {
        let clock = |node: &ClockNode| {
            let frequency = node.oscillator.base().0;
            let past =
                (-1_000_000_000_000_000, node.phase.0 - i128::from(frequency) * 1_000_000_000_000_000, frequency);
            Clock {
                segments: [(0, node.phase.0, frequency), past, past],
                uncorrected: frequency,
                target: node.phase.0 + 1_000 * FRAME,
                integral: 0,
            }
        };
        let clocks: Vec<Clock> = network.nodes().values().map(clock).collect();
        let links = network.links();
        let mut queue = Self {
            heap: BinaryHeap::new(),
            incoming: vec![[(0, 0); 4]; clocks.len()],
            clocks,
            latency: links[LinkId(0)].latency.0 as i64 * 1_000,
            origin: 0,
        };
        for (id, link) in links.iter() {
            let arrived = queue.frames(link.source.0 as usize, -queue.latency);
            let constant = queue.frames(link.target.0 as usize, 0) - arrived;
            queue.incoming[link.target.0 as usize][id.0 as usize % 4] = (link.source.0, constant);
        }
        for node in 0..queue.clocks.len() {
            let at = queue.time_of(node, queue.clocks[node].target);
            queue.heap.push(Reverse((at, node as u32)));
        }
        queue
    }

    fn frames(&self, node: usize, at: i64) -> i64 {
        let segments = &self.clocks[node].segments;
        let &(since, phase, frequency) = segments.iter().find(|segment| at >= segment.0).unwrap_or(&segments[2]);
        (phase + i128::from(frequency) * i128::from(at - since)).div_euclid(FRAME) as i64
    }

    fn time_of(&self, node: usize, phase: i128) -> i64 {
        let (since, from, frequency) = self.clocks[node].segments[0];
        since + ((phase - from + i128::from(frequency) - 1) / i128::from(frequency)) as i64
    }

    fn advance(&mut self, until: i64) {
        let until = self.origin + until;
        while let Some(&Reverse((at, node))) = self.heap.peek() {
            if at >= until {
                break;
            }
            let node = node as usize;
            let measured = self.time_of(node, self.clocks[node].target - 1_000 * FRAME);
            let own = self.frames(node, measured);
            let reading: i64 = self.incoming[node]
                .iter()
                .map(|&(source, constant)| constant + self.frames(source as usize, measured - self.latency) - own)
                .sum();
            let clock = &mut self.clocks[node];
            clock.integral += reading * 100_000;
            let frequency = clock.uncorrected + 20_000_000 * reading + clock.integral;
            let (since, phase, before) = clock.segments[0];
            let here = phase + i128::from(before) * i128::from(at - since);
            clock.segments = [(at, here, frequency), clock.segments[0], clock.segments[1]];
            clock.target += 100_000 * FRAME;
            let next = self.time_of(node, self.clocks[node].target);
            // One sift instead of a pop and a push.
            *self.heap.peek_mut().expect("the heap was peeked") = Reverse((next, node as u32));
        }
    }
}
