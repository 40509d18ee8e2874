//! Laws of the normal form, and of machine files.

use proptest::prelude::*;
use sim_core::machine::{LinkSpec, MachineSpec, NodeSpec, SpecError, limits};
use sim_core::{IdVec, Link, LinkId, LogicalLatency, Machine, MachineError, Node, NodeId, Preset};

fn config() -> ProptestConfig {
    let cases = std::env::var("TIDELOCK_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: cases.unwrap_or(64), failure_persistence: None, ..ProptestConfig::default() }
}

/// A link by the numbers of its ends and its latency.
type Wire = (u32, u32, i64);

fn build(nodes: usize, wires: &[Wire]) -> Result<Machine, MachineError> {
    let nodes: IdVec<_, _> = (0..nodes).map(|node| Node::new(format!("n{node}"), 1)).collect();
    let link = |&(source, target, latency): &Wire| Link {
        source: NodeId(source),
        target: NodeId(target),
        latency: LogicalLatency(latency),
    };
    Machine::new("test", nodes, wires.iter().map(link).collect::<IdVec<_, _>>())
}

fn latencies(machine: &Machine) -> Vec<i64> {
    machine.links().values().map(|link| link.latency.0).collect()
}

fn offsets(machine: &Machine) -> Vec<i64> {
    machine.nodes().values().map(|node| node.offset).collect()
}

fn relabelled(wires: &[Wire], counters: &[i64]) -> Vec<Wire> {
    wires.iter().map(|&(u, v, latency)| (u, v, latency + counters[u as usize] - counters[v as usize])).collect()
}

/// Links without a negative cycle: all answered by a twin (whose latency may differ), or some; some parallel, some to
/// their own node; in one or several parts; then labelled anyhow.
fn wires(nodes_max: u32) -> impl Strategy<Value = (usize, Vec<Wire>)> {
    let twin = prop_oneof![Just([Some(0), Some(2), Some(2)]), Just([None, Some(0), Some(1)])];
    (1..=nodes_max, twin).prop_flat_map(|(nodes, twin)| {
        let wire = (0..nodes, 0..nodes, 0..12_i64, proptest::sample::select(twin.to_vec()));
        let wires = proptest::collection::vec(wire, 0..=2 * nodes as usize).prop_map(|wires| {
            let pair = |(u, v, latency, more): (u32, u32, i64, Option<i64>)| {
                let twin = more.map(|more| (v, u, latency + more));
                std::iter::once((u, v, latency)).chain(twin)
            };
            wires.into_iter().flat_map(pair).collect::<Vec<_>>()
        });
        (wires, counters(nodes as usize))
            .prop_map(move |(wires, counters)| (nodes as usize, relabelled(&wires, &counters)))
    })
}

fn counters(nodes: usize) -> impl Strategy<Value = Vec<i64>> {
    proptest::collection::vec(prop_oneof![-5..5_i64, -1_000_000_000_000..1_000_000_000_000_i64], nodes)
}

/// The normal form as `DESIGN` and the documentation define it, by all-pairs shortest paths (Floyd and Warshall).
mod definition {
    use super::Wire;

    type Matrix = Vec<Vec<Option<i64>>>;

    /// Shortest distances of one link or more under the given weights; diagonals are cycles.
    fn closure(size: usize, edges: impl Iterator<Item = (usize, usize, i64)>) -> Matrix {
        let mut distance: Matrix = vec![vec![None; size]; size];
        for (u, v, weight) in edges {
            distance[u][v] = Some(distance[u][v].map_or(weight, |old| old.min(weight)));
        }
        for via in 0..size {
            for u in 0..size {
                for v in 0..size {
                    if let (Some(first), Some(second)) = (distance[u][via], distance[via][v]) {
                        let sum = (first + second).max(-(1 << 60)); // negative cycles would double and double
                        distance[u][v] = Some(distance[u][v].map_or(sum, |old| old.min(sum)));
                    }
                }
            }
        }
        distance
    }

    fn weights(wires: &[Wire], mean: i64) -> impl Iterator<Item = (usize, usize, i64)> {
        wires.iter().map(move |&(u, v, latency)| (u as usize, v as usize, latency - mean))
    }

    /// The floor of the minimum cycle mean, which must not be negative; 0 without a cycle.
    pub(super) fn mean(nodes: usize, wires: &[Wire]) -> i64 {
        let cycle = |mean| {
            let distance = closure(nodes, weights(wires, mean));
            (0..nodes).filter_map(|node| distance[node][node]).min()
        };
        if cycle(0).is_none() {
            return 0;
        }
        (0..).take_while(|&mean| cycle(mean).is_some_and(|sum| sum >= 0)).last().expect("no cycle is negative")
    }

    /// The relabelling φ of every node.
    pub(super) fn phi(nodes: usize, wires: &[Wire]) -> Vec<i64> {
        let mean = mean(nodes, wires);
        let distance = closure(nodes, weights(wires, mean));
        let together = |u: usize, v: usize| u == v || distance[u][v].is_some() && distance[v][u].is_some();
        let root = |v: usize| (0..nodes).find(|&u| together(u, v)).expect("a node is together with itself");
        let half = |v: usize| match root(v) {
            r if r == v => 0,
            r => (distance[r][v].unwrap() - distance[v][r].unwrap()).div_euclid(2),
        };
        let inner: Vec<i64> = (0..nodes).map(half).collect();
        // Components stand for themselves by their roots.
        let cross = wires.iter().map(|&(u, v, latency)| {
            let (u, v) = (u as usize, v as usize);
            (root(u), root(v), latency + inner[u] - inner[v] - mean)
        });
        let distance = closure(nodes, cross.filter(|&(u, v, _)| u != v));
        let mut moves: Vec<Option<i64>> = vec![None; nodes];
        for start in (0..nodes).filter(|&v| root(v) == v) {
            if moves[start].is_some() {
                continue;
            }
            moves[start] = Some(0);
            loop {
                let before = moves.clone();
                let placed = |moves: &[Option<i64>]| {
                    let moves: Vec<_> = moves.iter().copied().enumerate().collect();
                    moves.into_iter().filter_map(|(u, moved)| Some((u, moved?)))
                };
                let down = |v: usize| placed(&before).filter_map(|(u, moved)| Some(moved + distance[u][v]?)).min();
                let after: Vec<_> = (0..nodes).map(|v| before[v].or_else(|| down(v))).collect();
                let up = |u: usize| placed(&after).filter_map(|(v, moved)| Some(moved - distance[u][v]?)).max();
                moves = (0..nodes).map(|u| after[u].or_else(|| up(u))).collect();
                if moves == before {
                    break;
                }
            }
        }
        (0..nodes).map(|v| inner[v] + moves[root(v)].expect("every component is placed")).collect()
    }
}

proptest! {
    #![proptest_config(config())]

    /// Offsets and latencies are those of the definition, latencies at least the floor of the minimum cycle mean.
    #[test]
    fn normal_form_is_as_defined((nodes, wires) in wires(9)) {
        let machine = build(nodes, &wires).unwrap();
        let phi = definition::phi(nodes, &wires);
        prop_assert_eq!(offsets(&machine), phi.iter().map(|phi| -phi).collect::<Vec<_>>());
        let expected: Vec<_> = relabelled(&wires, &phi).iter().map(|wire| wire.2).collect();
        let mean = definition::mean(nodes, &wires);
        prop_assert!(mean >= 0 && expected.iter().all(|&latency| latency >= mean));
        prop_assert_eq!(latencies(&machine), expected);
    }

    /// In local ticks nothing changes: a link's raw latency follows from the new one and the offsets. So cycle sums stay.
    #[test]
    fn local_ticks_stay((nodes, wires) in wires(30)) {
        let machine = build(nodes, &wires).unwrap();
        let offset = offsets(&machine);
        for (&(u, v, raw), latency) in wires.iter().zip(latencies(&machine)) {
            prop_assert!(latency >= 0);
            prop_assert_eq!(raw, latency + offset[u as usize] - offset[v as usize]);
        }
        prop_assert_eq!(offset[0], 0);
    }

    /// Two labellings of one machine become the same machine; offsets tell the labellings apart.
    #[test]
    fn labellings_do_not_matter(
        ((nodes, wires), counters) in wires(30).prop_flat_map(|(nodes, wires)| (Just((nodes, wires)), counters(nodes)))
    ) {
        let machine = build(nodes, &wires).unwrap();
        let other = build(nodes, &relabelled(&wires, &counters)).unwrap();
        prop_assert_eq!(latencies(&machine), latencies(&other));
        let difference = |v: u32| other.nodes()[NodeId(v)].offset - machine.nodes()[NodeId(v)].offset - counters[v as usize];
        prop_assert_eq!(difference(0), -counters[0]);
        for (u, v, _) in wires {
            prop_assert_eq!(difference(u), difference(v));
        }
    }

    /// A machine in normal form is left as it is, offsets included; so is its file form.
    #[test]
    fn normal_form_and_file_form_are_stable((nodes, wires) in wires(30)) {
        let machine = build(nodes, &wires).unwrap();
        let again = Machine::new("test", machine.nodes().clone(), machine.links().clone());
        prop_assert_eq!(again.as_ref(), Ok(&machine));
        let text = ron::to_string(&MachineSpec::of(&machine)).unwrap();
        let spec: MachineSpec = ron::from_str(&text).unwrap();
        prop_assert_eq!(spec.build(), Ok(machine));
    }

    /// A machine whose links have equal latencies both ways is left as it is.
    #[test]
    fn equal_twins_are_left_alone((nodes, wires) in wires(30)) {
        let both: Vec<Wire> = wires.iter().map(|&(u, v, l)| (u, v, l.abs() % 1000)).collect();
        let both: Vec<Wire> = both.iter().flat_map(|&(u, v, l)| [(u, v, l), (v, u, l)]).collect();
        let machine = build(nodes, &both).unwrap();
        prop_assert_eq!(latencies(&machine), both.iter().map(|wire| wire.2).collect::<Vec<_>>());
        prop_assert!(offsets(&machine).iter().all(|&offset| offset == 0));
    }

    /// A negative cycle is refused, and the cycle that is named is one.
    #[test]
    fn negative_cycles_are_named(
        ((nodes, wires), nodes_of_cycle) in wires(20).prop_flat_map(|(nodes, wires)| {
            let cycle = proptest::sample::subsequence((0..nodes as u32).collect::<Vec<_>>(), 1..=nodes);
            (Just((nodes, wires)), cycle.prop_shuffle())
        }),
        below in 1..4_i64,
    ) {
        let mut wires = wires;
        let next = nodes_of_cycle.iter().cycle().skip(1);
        let mut cycle: Vec<Wire> = nodes_of_cycle.iter().zip(next).map(|(&u, &v)| (u, v, 0)).collect();
        cycle.last_mut().unwrap().2 = -below;
        wires.extend(cycle);
        let Err(MachineError::NegativeCycle { cycle, nodes: names, sum }) = build(nodes, &wires) else {
            panic!("a machine with a negative cycle was accepted");
        };
        let links: Vec<Wire> = cycle.iter().map(|link| wires[link.0 as usize]).collect();
        let next = links.iter().cycle().skip(1);
        prop_assert!(links.iter().zip(next).all(|(link, next)| link.1 == next.0));
        prop_assert_eq!(sum, links.iter().map(|&(_, _, latency)| i128::from(latency)).sum::<i128>());
        prop_assert!(sum < 0);
        prop_assert_eq!(names, links.iter().map(|&(u, ..)| format!("n{u}")).collect::<Vec<_>>());
        prop_assert!(links.iter().all(|link| link.0 >= links[0].0));
    }

    /// Whatever numbers a file holds, there is a machine or a typed error.
    #[test]
    fn extreme_latencies_never_panic(
        wires in proptest::collection::vec(
            (0..4_u32, 0..4_u32, prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), 0..9_i64]), 0..9,
        ),
        offset in any::<i64>(),
    ) {
        let mut nodes = vec![Node::new("a", 1), Node::new("b", 1), Node::new("c", 0), Node::new("d", 1)];
        nodes[1].offset = offset;
        let link = |&(u, v, latency): &Wire| Link { source: NodeId(u), target: NodeId(v), latency: LogicalLatency(latency) };
        if let Ok(machine) = Machine::new("test", nodes, wires.iter().map(link).collect::<IdVec<_, _>>()) {
            prop_assert!(latencies(&machine).iter().all(|latency| (0..=limits::LATENCY).contains(latency)));
            prop_assert!(offsets(&machine).iter().all(|offset| offset.abs() <= limits::OFFSET));
        }
    }
}

/// One link each way, a switch without a way back, a second part: small enough to follow by hand.
#[test]
fn components_are_placed_by_their_tightest_paths() {
    // 0 ⇄ 1 (2 and 4), 1 → 2 (9), 0 → 2 (5), 3 → 2 (7), 4 ⇄ 5 (1 and 1), labelled as it is.
    let wires = [(0, 1, 2), (1, 0, 4), (1, 2, 9), (0, 2, 5), (3, 2, 7), (4, 5, 1), (5, 4, 1)];
    let machine = build(6, &wires).unwrap();
    // m = 1; node 1 gets φ = ⌊(1 − 3) / 2⌋ = −1, node 2 then min(9 − 1, 5) − 1 = 4, node 3 then 4 − (7 − 1) = −2.
    assert_eq!(latencies(&machine), [3, 3, 4, 1, 1, 1, 1]);
    assert_eq!(offsets(&machine), [0, 1, -4, 2, 0, 0]);
}

#[test]
fn a_negative_cycle_reads_well() {
    let error = build(3, &[(1, 2, 5), (2, 1, -8)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the latencies around the cycle `n1` → `n2` → `n1` have the sum -3, it must not be negative"
    );
    let ring: Vec<Wire> = (0..20).map(|node| (node, (node + 1) % 20, -1)).collect();
    let text = build(20, &ring).unwrap_err().to_string();
    assert!(text.contains("`n7` → (12 more nodes) → `n0` have the sum -20"), "{text}");
}

#[test]
fn a_latency_beyond_the_limit_is_refused() {
    let long = limits::LATENCY + 1;
    let error = build(2, &[(0, 1, long), (1, 0, long)]).unwrap_err();
    let (from, to) = ("n0".to_owned(), "n1".to_owned());
    assert_eq!(error, MachineError::LatencyTooLong { link: LinkId(0), from, to, latency: long.into() });
}

#[test]
fn an_offset_beyond_the_limit_is_refused() {
    let mut node = Node::new("far", 1);
    node.offset = limits::OFFSET + 1;
    let (name, offset) = (node.name.clone(), node.offset.into());
    let error = Machine::new("test", vec![node], vec![]).unwrap_err();
    assert_eq!(error, MachineError::OffsetTooLarge { node: NodeId(0), name: name.to_string(), offset });
}

#[test]
fn setters_reach_the_nodes_and_links_that_they_say() {
    let machine = Machine::star(3).latency(7).cores(4).memory(100).calendar_entries(9);
    assert_eq!(latencies(&machine), [7; 6]);
    assert_eq!(machine.nodes().values().map(|node| node.cores).collect::<Vec<_>>(), [0, 4, 4, 4]);
    assert!(machine.nodes().values().all(|node| node.memory_words == Some(100)));
    assert!(machine.nodes().values().all(|node| node.calendar_entries == Some(9)));
    // Between components the normal form takes back what it can.
    assert_eq!(latencies(&build(2, &[(0, 1, 3), (0, 1, 5)]).unwrap().latency(4)), [0, 0]);
}

fn spec() -> MachineSpec {
    MachineSpec::of(&Machine::ring(3).latency(2))
}

#[test]
fn defaults_of_a_file_are_one_core_and_no_limits() {
    let text = r#"(version: 1, name: "pair", nodes: [(name: "a"), (name: "b", cores: 0)], links: [(source: "a", target: "b", latency: 3), (source: "b", target: "a", latency: 5)])"#;
    let machine = ron::from_str::<MachineSpec>(text).unwrap().build().unwrap();
    assert_eq!(machine.nodes()[NodeId(0)], Node::new("a", 1));
    assert_eq!(machine.nodes()[NodeId(1)], Node { offset: 1, ..Node::new("b", 0) });
    assert_eq!((latencies(&machine), machine.shape()), (vec![4, 4], None));
}

#[test]
fn a_preset_with_everything_set_survives_its_file() {
    let machine = Machine::torus([3, 4]).latency(5).cores(2).memory(64).calendar_entries(8);
    let text = ron::to_string(&MachineSpec::of(&machine)).unwrap();
    let again = ron::from_str::<MachineSpec>(&text).unwrap().build().unwrap();
    assert_eq!(again, machine);
    assert_eq!(again.shape().map(Preset::to_string).as_deref(), Some("torus:3x4"));
}

#[test]
fn unknown_fields_are_refused() {
    let error = ron::from_str::<MachineSpec>(r#"(version: 1, name: "x", nodes: [(name: "a", core: 2)], links: [])"#);
    let text = error.unwrap_err().to_string();
    assert!(text.contains("`core`") && text.contains("`cores`") && text.contains("Node"), "{text}");
}

#[test]
fn file_errors_name_what_is_wrong() {
    let check = |change: fn(&mut MachineSpec), expected: &str| {
        let mut spec = spec();
        change(&mut spec);
        let error = spec.build().unwrap_err();
        let cause = std::error::Error::source(&error).map_or(String::new(), |cause| format!(": {cause}"));
        assert_eq!(format!("{error}{cause}"), expected);
    };
    check(|spec| spec.version = 2, "the machine file has version 2, known is 1");
    check(
        |spec| spec.links[1].target = "n9".into(),
        "link#1 from `n1` to `n9` ends at a node that does not exist: `n9`",
    );
    check(|spec| spec.nodes[2].name = "n0".into(), "link#2 from `n1` to `n2` ends at a node that does not exist: `n2`");
    check(
        |spec| spec.nodes.push(NodeSpec { offset: 3, ..spec.nodes[0].clone() }),
        "the machine has 4 nodes, its shape `ring:3` has 3",
    );
    check(
        |spec| spec.shape = Some("ring".into()),
        "the machine's shape is not a preset: `ring` has 0 sizes, write it like `ring:8`",
    );
    check(
        |spec| spec.links = vec![LinkSpec { source: "n0".into(), target: "n0".into(), latency: -2 }],
        "the latencies around the cycle `n0` → `n0` have the sum -2, it must not be negative",
    );
    let twice = |spec: &mut MachineSpec| (spec.shape, spec.nodes) = (None, vec![spec.nodes[0].clone(); 2]);
    let mut twins = MachineSpec { links: vec![], ..spec() };
    twice(&mut twins);
    let second = NodeId(1);
    assert_eq!(twins.build(), Err(SpecError::Machine(MachineError::DuplicateNode { name: "n0".into(), second })));
}
