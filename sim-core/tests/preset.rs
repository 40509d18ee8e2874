//! Presets: counts, shapes, spellings.

use proptest::prelude::*;
use sim_core::machine::{PresetError, limits};
use sim_core::{Id, LogicalLatency, Machine, NodeId, Preset};
use std::collections::BTreeMap;

fn config() -> ProptestConfig {
    let cases = std::env::var("TIDELOCK_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: cases.unwrap_or(64), failure_persistence: None, ..ProptestConfig::default() }
}

fn machine(spelling: &str) -> Machine {
    Machine::from_preset(&spelling.parse().unwrap())
}

/// Legal spellings of small machines.
fn spelling() -> impl Strategy<Value = String> {
    let sides = |longest: u32| {
        proptest::collection::vec(1..=longest, 1..4).prop_map(|sides| {
            let sides: Vec<_> = sides.iter().map(u32::to_string).collect();
            sides.join("x")
        })
    };
    prop_oneof![
        Just("single".to_owned()),
        (1..20_u32).prop_map(|n| format!("ring:{n}")),
        (1..20_u32).prop_map(|n| format!("line:{n}")),
        sides(5).prop_map(|sides| format!("mesh:{sides}")),
        sides(5).prop_map(|sides| format!("torus:{sides}")),
        (0..6_u32).prop_map(|n| format!("hypercube:{n}")),
        (1..12_u32).prop_map(|n| format!("complete:{n}")),
        (1..12_u32).prop_map(|n| format!("star:{n}")),
        (1..4_u32, 0..4_u32).prop_map(|(children, levels)| format!("tree:{children}x{levels}")),
        (0..6_u32).prop_map(|n| format!("fat-tree:{n}")),
        (1..8_u32).prop_map(|n| format!("hourglass:{n}")),
    ]
}

proptest! {
    #![proptest_config(config())]

    /// A preset is spelt as it was parsed, and so is the machine's name.
    #[test]
    fn spellings_survive(text in spelling()) {
        let preset: Preset = text.parse().unwrap();
        prop_assert_eq!(preset.to_string(), text.as_str());
        let machine = Machine::from_preset(&preset);
        prop_assert_eq!(machine.name(), text);
        prop_assert_eq!(machine.shape(), Some(&preset));
        prop_assert_eq!(machine.nodes().len(), preset.nodes());
    }

    /// Link 2k + 1 answers link 2k, everything has latency 1, no link ends where it begins, and all hangs together.
    #[test]
    fn links_come_in_pairs(text in spelling()) {
        let machine = machine(&text);
        for pair in machine.links().as_slice().chunks(2) {
            prop_assert_eq!((pair[0].source, pair[0].target), (pair[1].target, pair[1].source));
            prop_assert!(pair[0].source != pair[0].target);
            prop_assert!(pair.iter().all(|link| link.latency == LogicalLatency(1)));
        }
        let mut reached = vec![NodeId(0)];
        for i in 0.. {
            let Some(&node) = reached.get(i) else { break };
            for &link in machine.outgoing(node) {
                let target = machine.links()[link].target;
                if !reached.contains(&target) {
                    reached.push(target);
                }
            }
        }
        prop_assert_eq!(reached.len(), machine.nodes().len());
    }

    /// Building from parts, with all checks, changes nothing.
    #[test]
    fn presets_are_in_normal_form(text in spelling(), ticks in 0..1000_u32) {
        let preset = machine(&text).latency(ticks);
        let parts = Machine::new(text, preset.nodes().clone(), preset.links().clone()).unwrap();
        prop_assert_eq!(parts.links(), preset.links());
        prop_assert_eq!(parts.nodes(), preset.nodes());
        prop_assert!(preset.links().values().all(|link| link.latency == LogicalLatency(ticks.into())));
    }

    /// Whatever is typed, there is a preset of legal size or a typed error that prints.
    #[test]
    fn arbitrary_text_never_panics(
        text in "(single|ring|line|mesh|torus|hypercube|complete|star|tree|fat-tree|hourglass|.{0,5}):?([0-9]{0,12}x?){0,30}.?"
    ) {
        match text.parse::<Preset>() {
            Ok(preset) => prop_assert!((1..=limits::NODES).contains(&preset.nodes())),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}

/// Spelling, nodes, links, and how many nodes have each out-degree.
type Counts = (&'static str, usize, usize, &'static [(usize, usize)]);

#[test]
fn presets_have_their_nodes_links_and_degrees() {
    let cases: &[Counts] = &[
        ("single", 1, 0, &[(0, 1)]),
        ("ring:1", 1, 0, &[(0, 1)]),
        ("ring:2", 2, 2, &[(1, 2)]),
        ("ring:3", 3, 6, &[(2, 3)]),
        ("ring:8", 8, 16, &[(2, 8)]),
        ("line:1", 1, 0, &[(0, 1)]),
        ("line:4", 4, 6, &[(1, 2), (2, 2)]),
        ("mesh:1", 1, 0, &[(0, 1)]),
        ("mesh:3x4", 12, 34, &[(2, 4), (3, 6), (4, 2)]),
        ("mesh:2x2x2", 8, 24, &[(3, 8)]),
        ("torus:1x1", 1, 0, &[(0, 1)]),
        ("torus:1x5", 5, 10, &[(2, 5)]),
        ("torus:2x2", 4, 8, &[(2, 4)]),
        ("torus:2x3", 6, 18, &[(3, 6)]),
        ("torus:4x4", 16, 64, &[(4, 16)]),
        ("torus:4x4x4", 64, 384, &[(6, 64)]),
        ("hypercube:0", 1, 0, &[(0, 1)]),
        ("hypercube:4", 16, 64, &[(4, 16)]),
        ("complete:8", 8, 56, &[(7, 8)]),
        ("star:8", 9, 16, &[(1, 8), (8, 1)]),
        ("tree:2x3", 15, 28, &[(1, 8), (2, 1), (3, 6)]),
        ("tree:1x3", 4, 6, &[(1, 2), (2, 2)]),
        ("tree:5x0", 1, 0, &[(0, 1)]),
        ("fat-tree:0", 1, 0, &[(0, 1)]),
        ("fat-tree:3", 15, 48, &[(1, 8), (4, 4), (8, 3)]),
        ("hourglass:1", 2, 2, &[(1, 2)]),
        ("hourglass:4", 8, 26, &[(3, 6), (4, 2)]),
    ];
    for &(text, nodes, links, degrees) in cases {
        let machine = machine(text);
        let mut found = BTreeMap::new();
        for node in machine.nodes().ids() {
            assert_eq!(machine.outgoing(node).len(), machine.incoming(node).len(), "{text}");
            *found.entry(machine.outgoing(node).len()).or_insert(0) += 1;
        }
        assert_eq!((machine.nodes().len(), machine.links().len()), (nodes, links), "{text}");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), degrees, "{text}");
    }
}

/// The first link of each pair, in order.
#[test]
fn nodes_are_numbered_as_documented() {
    let pairs = |text| {
        let machine = machine(text);
        let links = machine.links().values().step_by(2);
        links.map(|link| (link.source.index(), link.target.index())).collect::<Vec<_>>()
    };
    assert_eq!(pairs("mesh:2x3"), [(0, 3), (0, 1), (1, 4), (1, 2), (2, 5), (3, 4), (4, 5)]);
    assert_eq!(pairs("ring:3"), [(0, 1), (1, 2), (2, 0)]);
    assert_eq!(pairs("hypercube:2"), [(0, 2), (0, 1), (1, 3), (2, 3)]);
    assert_eq!(pairs("star:2"), [(0, 1), (0, 2)]);
    assert_eq!(pairs("tree:2x2"), [(0, 1), (0, 2), (1, 3), (1, 4), (2, 5), (2, 6)]);
    assert_eq!(pairs("fat-tree:2"), [(0, 1), (0, 1), (0, 2), (0, 2), (1, 3), (1, 4), (2, 5), (2, 6)]);
    assert_eq!(pairs("hourglass:3"), [(0, 1), (0, 2), (1, 2), (2, 3), (3, 4), (3, 5), (4, 5)]);
}

#[test]
fn only_hubs_and_inner_nodes_of_fat_trees_are_switches() {
    let switches = |text| {
        let machine = machine(text);
        machine.nodes().iter().filter(|(_, node)| node.cores == 0).map(|(id, _)| id.0).collect::<Vec<_>>()
    };
    assert_eq!(switches("star:8"), [0]);
    assert_eq!(switches("fat-tree:2"), [0, 1, 2]);
    assert_eq!(switches("tree:2x2"), []);
    assert!(machine("torus:4x4").nodes().values().all(|node| node.cores == 1 && node.memory_words.is_none()));
    assert_eq!(machine("ring:3").nodes().values().map(|node| &*node.name).collect::<Vec<_>>(), ["n0", "n1", "n2"]);
}

#[test]
fn functions_make_what_spellings_make() {
    let pairs = [
        (Machine::single(), "single"),
        (Machine::ring(8), "ring:8"),
        (Machine::line(4), "line:4"),
        (Machine::mesh([3, 4]), "mesh:3x4"),
        (Machine::torus(vec![4, 4, 4]), "torus:4x4x4"),
        (Machine::hypercube(4), "hypercube:4"),
        (Machine::complete(8), "complete:8"),
        (Machine::star(8), "star:8"),
        (Machine::tree(2, 3), "tree:2x3"),
        (Machine::fat_tree(3), "fat-tree:3"),
        (Machine::hourglass(4), "hourglass:4"),
    ];
    for (made, spelt) in pairs {
        assert_eq!(made, machine(spelt));
    }
}

#[test]
fn errors_say_what_is_legal() {
    let check = |text: &str, expected: &str| {
        let error = text.parse::<Preset>().unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(
        "rung:8",
        "no machine preset is called `rung`; there are single, ring:8, line:4, mesh:3x4, torus:4x4, hypercube:4, \
         complete:8, star:8, tree:2x3, fat-tree:3, hourglass:4",
    );
    check("ring", "`ring` has 0 sizes, write it like `ring:8`");
    check("ring:3x4", "`ring:3x4` has 2 sizes, write it like `ring:8`");
    check("single:1", "`single:1` has 1 sizes, write it like `single`");
    check("tree:2", "`tree:2` has 1 sizes, write it like `tree:2x3`");
    check("torus", "`torus` has 0 sizes, write it like `torus:4x4`");
    check("torus:4x", "`` in `torus:4x` is not a number below 2^32, write it like `torus:4x4`");
    check("ring:+8", "`+8` in `ring:+8` is not a number below 2^32, write it like `ring:8`");
    check("mesh:3x0", "`mesh:3x0` has a size of 0, it must be at least 1");
    check("torus:99999x99999", "`torus:99999x99999` has more than 16777216 nodes, the most that a machine may have");
    check("complete:20000", "`complete:20000` has 399980000 links, allowed are at most 134217728");
    let many = format!("torus:1{}", "x1".repeat(24));
    assert_eq!(many.parse::<Preset>(), Err(PresetError::Dimensions { preset: many, dimensions: 25 }));
    for text in ["hypercube:25", "hypercube:4294967295", "fat-tree:4294967295", "tree:1x4294967295", "star:16777216"] {
        assert_eq!(text.parse::<Preset>(), Err(PresetError::TooManyNodes { preset: text.to_owned() }));
    }
}

#[test]
#[should_panic(expected = "`ring:0` has a size of 0")]
fn functions_refuse_what_spellings_refuse() {
    let _ = Machine::ring(0);
}
