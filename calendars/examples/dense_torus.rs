//! Measures the serial engine where it has most to do: a torus whose every link carries a frame in every tick.
//!
//! `cargo run --release -p tidelock-calendars --example dense_torus [side] [ticks]` prints nanoseconds per node and tick
//! for each level of the run digest; a node sends 4 words, stores 4 words and fires once (4 words in, 4 out) per tick.

use calendars::{CalendarSet, ComputeEntry, FrameEntry, LinkCalendar, NodeCalendar, Operand, Repeat, Rotation, lower};
use sim_core::digest::DigestLevel;
use sim_core::ids::{ActorId, IdVec, LinkId, NodeId};
use sim_core::{
    Actor, ActorState, App, Behaviour, Channel, Firing, InitialTokens, InitialValues, Link, LogicalLatency, Machine,
    Node, RunOptions, State, engine,
};
use std::sync::Arc;
use std::time::Instant;

const LATENCY: u32 = 8;
/// A token is produced, sent in the next tick, and consumed as soon as it is visible: so many are under way.
const TOKENS: u32 = LATENCY + 2;
const DEGREE: u32 = 4;

struct Rotate;

impl Behaviour for Rotate {
    fn fire(&self, firing: Firing, _: State<'_>, inputs: &[u64], outputs: &mut [u64]) {
        for (output, input) in outputs.iter_mut().zip(inputs) {
            *output = input.rotate_left(1) ^ firing.index;
        }
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().expect("a number"));
    let side: u32 = arguments.next().unwrap_or(32);
    let ticks = u64::from(arguments.next().unwrap_or(20_000));
    let (machine, app, set) = torus(side);
    let started = Instant::now();
    let program = lower(&app, &machine, &set).expect("the calendars are sound");
    println!("{} nodes, lowered in {:.1} ms", side * side, started.elapsed().as_secs_f64() * 1e3);
    let levels = arguments.next().unwrap_or(3) as usize;
    for digest in [DigestLevel::Off, DigestLevel::State, DigestLevel::Events].into_iter().take(levels) {
        let options = RunOptions { iterations: ticks, digest, ..RunOptions::default() };
        let mut times: Vec<f64> = (0..5).map(|_| nanoseconds(&app, &program, &options)).collect();
        times.sort_by(f64::total_cmp);
        let per = |time: f64| time / (f64::from(side * side) * ticks as f64);
        println!("digest {digest}: {:.1} ns per node-tick (median of 5, best {:.1})", per(times[2]), per(times[0]));
    }
}

fn nanoseconds(app: &App, program: &sim_core::program::Program, options: &RunOptions) -> f64 {
    let mut run = engine::Engine::new(app, program, options).expect("the run fits memory");
    let started = Instant::now();
    run.advance(u64::MAX).expect("no firing panics");
    started.elapsed().as_secs_f64() * 1e9
}

/// Link 4·v + d leads from node v to its neighbour in direction d, and channel 4·v + d goes along it.
fn torus(side: u32) -> (Machine, App, CalendarSet) {
    let nodes = side * side;
    let neighbour = |v: u32, direction: u32| {
        let (x, y) = (v % side, v / side);
        let step = |at: u32, by: u32| (at + by) % side;
        match direction {
            0 => step(x, 1) + side * y,
            1 => step(x, side - 1) + side * y,
            2 => x + side * step(y, 1),
            _ => x + side * step(y, side - 1),
        }
    };
    let links: Vec<(u32, u32)> =
        (0..nodes).flat_map(|v| (0..DEGREE).map(move |d| (v, d))).map(|(v, d)| (v, neighbour(v, d))).collect();
    let actor = |v| Actor {
        name: format!("a{v}"),
        exec: [1].into(),
        state: ActorState::None,
        behaviour: Arc::new(Rotate),
        pin: None,
        fed: false,
        place: None,
    };
    let channel = |(i, &(source, target)): (usize, &(u32, u32))| Channel {
        name: format!("c{i}").into(),
        source: ActorId(source),
        source_port: i as u32 % DEGREE,
        target: ActorId(target),
        target_port: i as u32 % DEGREE,
        produce: [1].into(),
        consume: [1].into(),
        token_bits: 64,
        initial: InitialTokens { count: u64::from(TOKENS), values: InitialValues::Mix },
        place: None,
    };
    let channels: Vec<Channel> = links.iter().enumerate().map(channel).collect();
    let app = App::new("torus", (0..nodes).map(actor).collect::<Vec<_>>(), channels).expect("the torus is sound");
    let link = |&(source, target): &(u32, u32)| Link {
        source: NodeId(source),
        target: NodeId(target),
        latency: LogicalLatency(i64::from(LATENCY)),
    };
    let wires: Vec<Link> = links.iter().map(link).collect();
    let boxes: Vec<Node> = (0..nodes).map(|v| Node::new(format!("n{v}"), 1)).collect();
    let machine = Machine::new("torus", boxes, wires).expect("the torus is sound");
    (machine, app, calendars(nodes))
}

/// A metacycle of one tick. A node's memory: 4 words to send, then 10 copies of each of 4 words to consume.
fn calendars(nodes: u32) -> CalendarSet {
    let output = Rotation::fixed;
    let input = |d: u32| Rotation { base: DEGREE + d * TOKENS, stride: 1, count: TOKENS, phase: 0 };
    let operand = |address| Operand::new(address, 1);
    let firing = |v: u32| ComputeEntry {
        slot: 0,
        first: 0,
        place: 0,
        core: 0,
        actor: ActorId(v),
        index: 0,
        exec: 1,
        repeat: Repeat::ONCE,
        inputs: (0..DEGREE).map(|d| operand(input(d))).collect(),
        outputs: (0..DEGREE).map(|d| operand(output(d))).collect(),
    };
    let frame = |first, address| vec![FrameEntry { slot: 0, length: 1, first, place: 0, address }];
    let link =
        |i: u32| LinkCalendar { gather: frame(1, output(i % DEGREE)), scatter: frame(1 + LATENCY, input(i % DEGREE)) };
    CalendarSet {
        version: CalendarSet::VERSION,
        app: "torus".to_owned(),
        machine: "torus".to_owned(),
        metacycle: 1,
        unroll: 1,
        nodes: (0..nodes).map(|v| NodeCalendar { compute: vec![firing(v)] }).collect::<IdVec<NodeId, _>>(),
        links: (0..nodes * DEGREE).map(|id| link(id).into()).collect::<IdVec<LinkId, _>>(),
    }
}
