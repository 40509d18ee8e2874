//! What dividing a machine costs, and what it gains over slices of the geometry: `dense` on tori of 1 k, 64 k and 1 M nodes,
//! and on machines of random links. `cargo bench -p tidelock --bench partition`; `-- 256` for sides up to 256 alone.

use sim_core::mix::mix64;
use sim_core::program::Program;
use sim_core::shard::{Carrier, CutMatrix, Partition, Partitioner};
use sim_core::{Link, LogicalLatency, Machine, Node, NodeId};
use std::time::Instant;
use tidelock::library::dense;

fn main() {
    let most = std::env::args().skip(1).find_map(|word| word.parse::<u32>().ok()).unwrap_or(1024);
    println!("machine            nodes  shards  lower s  slices s  divide s  ns/node  words, slices  words, divided");
    for side in [32, 256, 1024].into_iter().filter(|&side| side <= most) {
        measure(&format!("torus:{side}x{side}"), &Machine::torus([side, side]).latency(8));
    }
    for nodes in [1 << 10, 1 << 16].into_iter().filter(|&nodes| nodes <= most * most) {
        measure(&format!("geometric:{nodes}"), &scattered(nodes));
    }
}

fn measure(name: &str, machine: &Machine) {
    let nodes = machine.nodes().len();
    let app = dense(machine).expect("every node has a core");
    let compiled = scheduler::compile(&app, machine, &scheduler::Options::default()).expect("it compiles");
    let begin = Instant::now();
    let program = calendars::lower(&app, machine, &compiled.calendars).expect("it lowers");
    let lower = begin.elapsed().as_secs_f64();
    drop(compiled);
    for shards in [2, 8] {
        let begin = Instant::now();
        let slices = Partitioner::new(machine, &program).slices(shards);
        let slicing = begin.elapsed().as_secs_f64();
        let begin = Instant::now();
        let divided = Partition::balanced(machine, &program, shards, Carrier::Network);
        let dividing = begin.elapsed().as_secs_f64();
        let [a, b] = [&slices, &divided].map(|partition| words(machine, &program, partition));
        let per = dividing * 1e9 / nodes as f64;
        println!(
            "{name:16} {nodes:>7}  {shards:>6}  {lower:>7.3}  {slicing:>8.3}  {dividing:>8.3}  {per:>7.0}  {a:>13}  {b:>14}"
        );
    }
}

fn words(machine: &Machine, program: &Program, partition: &Partition) -> u64 {
    CutMatrix::new(machine, program, partition).expect("ticks can be counted").words()
}

/// Nodes at random places of a square, each linked with its neighbours in a grid of cells: numbers tell nothing of places.
fn scattered(nodes: u32) -> Machine {
    let side = f64::from(nodes).sqrt() as u32;
    let cell = |node: u32| {
        let draw = mix64(u64::from(node));
        ((draw >> 8) as u32 % side, (draw >> 40) as u32 % side)
    };
    let mut cells = vec![Vec::new(); (side * side) as usize];
    (0..nodes).for_each(|node| cells[(cell(node).1 * side + cell(node).0) as usize].push(node));
    let mut links = Vec::new();
    for node in 0..nodes {
        let (x, y) = cell(node);
        for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            let (x, y) = ((x + dx) % side, (y + dy) % side);
            for &other in cells[(y * side + x) as usize].iter().filter(|&&other| (dx, dy) != (0, 0) || other > node) {
                let link = |source, target| Link { source, target, latency: LogicalLatency(8) };
                links.extend([link(NodeId(node), NodeId(other)), link(NodeId(other), NodeId(node))]);
            }
        }
    }
    // A switch that carries nothing joins those that have no neighbour.
    let hub = NodeId(nodes);
    let link = |source, target| Link { source, target, latency: LogicalLatency(8) };
    links.extend((0..nodes).map(NodeId).flat_map(|node| [link(node, hub), link(hub, node)]));
    let names: Vec<Node> = (0..=nodes).map(|node| Node::new(format!("n{node}"), u32::from(node < nodes))).collect();
    Machine::new("geometric", names, links).expect("it is one")
}
