//! Clock engine: controller events per CPU-second, bytes per node, and what a second thread is worth.
//!
//! A torus of a million nodes with four links in, measured every 100 000 ticks, at ±100 ppm. Beside it, in the same run:
//! an event queue on the same case (a binary heap of acts, the same arithmetic for everything else), a plain copy of as
//! many bytes as a round touches, and what two threads are worth on this host for work that shares nothing. Times are of
//! one host; ratios travel. The best of some stretches counts, because neighbours on the host only ever add.
//! `cargo bench -p tidelock-sim-core --bench clocks`; `-- 100` for a torus of 100 × 100.

use sim_core::clock::{
    ClockEngine, ClockLink, ClockNetwork, ClockNode, Control, EngineOptions, Femtos, Frequency, Gain, Law,
};
use sim_core::random::{Keyed, Purpose, Seed};
use sim_core::{LinkId, NodeId};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Instant;

/// Events of a stretch that is timed, and how many stretches are.
const EVENTS: i64 = 16_000_000;
const STRETCHES: usize = 5;

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
    let options = EngineOptions { threads, ..EngineOptions::new(network.nominal()) };
    let mut engine = ClockEngine::new(network, control(), options);
    advance(&mut engine, 1);
    engine
}

fn advance(engine: &mut ClockEngine, rounds: i64) {
    engine.advance(engine.now() + Femtos::nanos(100_000 * rounds));
}

/// Seconds that this process has computed, in all threads, and seconds that went by.
#[derive(Clone, Copy)]
struct Spent {
    cpu: f64,
    wall: f64,
}

/// Seconds of computing so far, as Linux counts them in hundredths; on other systems, of time.
fn cpu(since: Instant) -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Times in user and in system mode: fields 14 and 15, 12 and 13 after the name.
    let fields: Vec<f64> =
        stat.rsplit(')').next().unwrap_or("").split_whitespace().filter_map(|field| field.parse().ok()).collect();
    match fields.get(10..12) {
        Some(times) => times.iter().sum::<f64>() / 100.0,
        None => since.elapsed().as_secs_f64(),
    }
}

/// The best of some stretches, each measure by itself.
fn best(stretches: usize, mut work: impl FnMut()) -> Spent {
    let mut best = Spent { cpu: f64::INFINITY, wall: f64::INFINITY };
    let begin = Instant::now();
    for _ in 0..stretches {
        let (before, start) = (cpu(begin), Instant::now());
        work();
        let spent = Spent { cpu: cpu(begin) - before, wall: start.elapsed().as_secs_f64() };
        best = Spent { cpu: best.cpu.min(spent.cpu), wall: best.wall.min(spent.wall) };
    }
    best
}

/// What two threads are worth for work that shares nothing: how much sooner two do what one would.
fn two_cores() -> f64 {
    let spin = |times: u64| black_box((0..times * 100_000_000).fold(1_u64, |x, i| black_box(x ^ i).wrapping_mul(3)));
    let one = best(STRETCHES, || {
        spin(2);
    });
    let two = best(STRETCHES, || {
        std::thread::scope(|scope| {
            scope.spawn(|| spin(1));
            spin(1);
        });
    });
    one.wall / two.wall
}

fn main() {
    // Cargo says `--bench`.
    let side = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(1_000);
    let network = torus(side);
    let nodes = f64::from(side) * f64::from(side);
    let rounds = (EVENTS / (i64::from(side) * i64::from(side))).max(1);
    let events = nodes * rounds as f64;
    println!("torus of {side} x {side}, {rounds} rounds, best of {STRETCHES}");
    let mut walls = Vec::new();
    let mut one_thread = 0.0;
    for threads in [1, 2] {
        let mut engine = engine(&network, threads);
        let spent = best(STRETCHES, || advance(&mut engine, rounds));
        println!(
            "threads {threads}: {:.3e} events per CPU-second, {:.3e} per second, {:.0} bytes per node",
            events / spent.cpu,
            events / spent.wall,
            engine.bytes() as f64 / nodes
        );
        one_thread = if threads == 1 { events / spent.cpu } else { one_thread };
        walls.push(spent.wall);
    }
    let (ratio, cores) = (walls[0] / walls[1], two_cores());
    let verdict = if cores < 1.8 { "inconclusive, this host does not give two cores now" } else { "of two cores" };
    println!("two threads are {ratio:.2} times one ({verdict}: work that shares nothing gains {cores:.2})");

    let bytes = vec![1_u8; (250.0 * nodes) as usize];
    let mut copy = vec![0_u8; bytes.len()];
    let copied = best(STRETCHES, || black_box(&mut copy).copy_from_slice(&bytes));
    println!("a copy of 250 bytes per node takes {:.2} of a round", copied.cpu / (nodes / one_thread));

    let mut queue = Queue::new(&network);
    let spent = best(1, || queue.advance(300_000_000_000_000));
    let by_queue = 3.0 * nodes / spent.cpu;
    println!("event queue: {by_queue:.3e} events per CPU-second; rounds are {:.1} times that", one_thread / by_queue);
}

const FRAME: i128 = 1_000_000_000_000_000_000_000_000;

/// Clocks of constant oscillators under the same law, one act after the other from a heap.
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
