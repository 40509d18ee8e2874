//! Laws of partitions: even, deterministic, never worse than slices of the machine's geometry, for any machine and number of
//! shards.

use proptest::prelude::*;
use sim_core::mix::mix64;
use sim_core::program::Program;
use sim_core::shard::{Carrier, CutMatrix, Partition, Partitioner, ShardId};
use sim_core::{App, IdVec, Link, LogicalLatency, Machine, Node, NodeId, Preset, Ticks};
use tidelock::{Options, compile, library};

fn lower(app: &App, machine: &Machine) -> Program {
    let compiled = compile(app, machine, &Options::default()).unwrap();
    calendars::lower(app, machine, &compiled.result().calendars).unwrap()
}

/// All that must hold of a division into `shards`.
fn check(machine: &Machine, program: &Program, shards: u32, carrier: Carrier) -> CutMatrix {
    let partitioner = Partitioner::new(machine, program);
    let partition = partitioner.divide(shards, carrier);
    assert_eq!(partition, Partition::balanced(machine, program, shards, carrier), "it is the same every time");
    assert_eq!(partition.shards(), shards.min(machine.nodes().len() as u32));
    // Also that no shard is empty.
    let listed: IdVec<NodeId, ShardId> = machine.nodes().ids().map(|node| partition.shard_of(node)).collect();
    assert_eq!(Partition::new(listed).as_ref(), Ok(&partition));
    let matrix = CutMatrix::new(machine, program, &partition).unwrap();
    let alone = Partition::balanced(machine, program, u32::MAX, carrier);
    let heaviest = CutMatrix::new(machine, program, &alone).unwrap().shards.iter().map(|node| node.work).max().unwrap();
    let total: u64 = matrix.shards.iter().map(|shard| shard.work).sum();
    let most = total * 103 / (100 * u64::from(partition.shards())) + heaviest;
    for shard in &matrix.shards {
        assert!(shard.work <= most, "{} words of work where {most} may be, of {total}", shard.work);
    }
    let slices = partitioner.slices(shards);
    assert!(partitioner.cost(&partition, carrier) <= partitioner.cost(&slices, carrier));
    assert_eq!(
        matrix.lookahead().unwrap_or(Ticks(i64::MAX)),
        partitioner.lookahead(&partition).unwrap_or(Ticks(i64::MAX))
    );
    matrix
}

/// A machine of `nodes` nodes, with links of several latencies, some of them parallel; a third of the nodes only relays. The
/// last node is a switch that joins them all, and carries nothing: without it they are components of their own.
fn scattered(seed: u64, nodes: u32, density: u32) -> Machine {
    let draw = |purpose: u64, a: u32, b: u32| mix64(mix64(seed ^ purpose) ^ u64::from(a) << 32 ^ u64::from(b));
    let hub = nodes - 1;
    let cores = |node| u32::from(node == 0 || node != hub && draw(1, node, 0) % 3 > 0);
    let component = |node: u32| node % (1 + seed as u32 % 3);
    let mut links = Vec::new();
    for a in 0..hub {
        let (up, down) = ((NodeId(a), NodeId(hub)), (NodeId(hub), NodeId(a)));
        links.extend([up, down].map(|(source, target)| Link { source, target, latency: LogicalLatency(1) }));
        for b in 0..a {
            let linked = component(a) == component(b) && draw(2, a, b) % u64::from(nodes) < u64::from(density);
            let latency = LogicalLatency(1 + (draw(3, a, b) % 60) as i64);
            for _ in 0..u64::from(linked) * (1 + draw(4, a, b) % 2) {
                links.push(Link { source: NodeId(a), target: NodeId(b), latency });
                links.push(Link { source: NodeId(b), target: NodeId(a), latency });
            }
        }
    }
    Machine::new(
        "scattered",
        (0..nodes).map(|node| Node::new(format!("n{node}"), cores(node))).collect::<Vec<_>>(),
        links,
    )
    .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    /// Components, switches, parallel links, mixed latencies: any number of shards is possible, and even.
    #[test]
    fn any_machine_is_divided(seed in any::<u64>(), nodes in 2_u32..40, density in 1_u32..6, wish in any::<u32>()) {
        let machine = scattered(seed, nodes, density);
        let program = lower(&library::dense(&machine).unwrap(), &machine);
        for carrier in [Carrier::Memory, Carrier::Network] {
            check(&machine, &program, 1 + wish % nodes, carrier);
        }
    }
}

/// Applications that keep some nodes idle and others busy.
#[test]
fn nodes_without_work_are_divided_too() {
    let apps = [library::cd2dat().unwrap(), library::fft(3, |sample| sample as f64).unwrap()];
    for app in &apps {
        for preset in ["torus:4x4", "star:9", "fat-tree:3", "hourglass:5"] {
            let machine = Machine::from_preset(&preset.parse::<Preset>().unwrap()).latency(1);
            let program = lower(app, &machine);
            for shards in [1, 2, 3, machine.nodes().len() as u32, 1000] {
                check(&machine, &program, shards, Carrier::Network);
            }
        }
    }
}

/// Two complete graphs that one edge joins are cut there, however their nodes are numbered.
#[test]
fn the_narrow_place_is_found() {
    let half = 12;
    // Both halves get nodes in turn, so that the order of numbers is of no help.
    let side = |node: u32| node % 2;
    let pairs = (0..2 * half).flat_map(|a| (0..a).map(move |b| (a, b)));
    let joined = pairs.filter(|&(a, b)| side(a) == side(b) || (a, b) == (1, 0));
    let link = |a, b| Link { source: NodeId(a), target: NodeId(b), latency: LogicalLatency(2) };
    let links: Vec<Link> = joined.flat_map(|(a, b)| [link(a, b), link(b, a)]).collect();
    let nodes: Vec<Node> = (0..2 * half).map(|node| Node::new(format!("n{node}"), 1)).collect();
    let machine = Machine::new("two halves", nodes, links).unwrap();
    let program = lower(&library::dense(&machine).unwrap(), &machine);
    let matrix = check(&machine, &program, 2, Carrier::Network);
    assert_eq!(matrix.cuts.iter().map(|cut| cut.links).collect::<Vec<_>>(), [1, 1]);
}

/// A ring of pairs: within a pair links are short and carry as much as the long ones between pairs. Whoever looked at words
/// alone would as soon cut a pair.
#[test]
fn long_links_are_cut_rather_than_short_ones() {
    let nodes = 24_u32;
    // The slices of the order cut pairs, which are (1, 2), (3, 4), …, (23, 0).
    let latency = |a: u32| LogicalLatency(if a % 2 == 1 { 1 } else { 40 });
    let link = |a: u32, b: u32, latency| Link { source: NodeId(a), target: NodeId(b), latency };
    let links: Vec<Link> =
        (0..nodes).flat_map(|a| [link(a, (a + 1) % nodes, latency(a)), link((a + 1) % nodes, a, latency(a))]).collect();
    let names: Vec<Node> = (0..nodes).map(|node| Node::new(format!("n{node}"), 1)).collect();
    let machine = Machine::new("pairs", names, links).unwrap();
    let program = lower(&library::dense(&machine).unwrap(), &machine);
    for shards in [2, 3, 4, 6] {
        let matrix = check(&machine, &program, shards, Carrier::Network);
        assert!(matrix.lookahead().unwrap() >= Ticks(41), "{shards}: {:?}", matrix.lookahead());
        assert_eq!(matrix.words(), u64::from(2 * shards) * matrix.metacycle.unsigned_abs());
    }
}

/// Grids are cut straight: no partition of a torus into slabs or blocks has fewer words.
#[test]
fn tori_are_cut_straight() {
    let machine = Machine::torus([16, 16]).latency(8);
    let program = lower(&library::dense(&machine).unwrap(), &machine);
    // Links of slabs, in both directions. Blocks for 8 shards have fewer, but more neighbours.
    for (shards, links) in [(2, 64), (4, 128), (8, 256)] {
        let words = check(&machine, &program, shards, Carrier::Memory).words();
        assert!(words <= links * program.metacycle().unsigned_abs(), "{shards} shards: {words}");
    }
}
