//! What cannot be compiled is refused with the numbers that say what is missing.

use crate::graphs::{actor, app, cases, channel, live_draft};
use crate::machines::connected_wiring;
use proptest::prelude::*;
use scheduler::{CompileError, Options, compile};
use sim_core::{ActorId, App, Link, LogicalLatency, Machine, Node, NodeId};

/// Two actors; tokens of 100 words go from `a` to `b`.
fn pair() -> App {
    let mut tokens = channel("tokens", (0, &[1]), (1, &[1]), 0);
    tokens.tokens.bits = 6400;
    app(vec![actor("a", &[2]), actor("b", &[3])], vec![tokens])
}

/// Nodes called `p`, `q`, … with the given cores, and links of latency 1.
fn machine(cores: &[u32], links: &[(u32, u32)]) -> Machine {
    let nodes: Vec<Node> = cores.iter().zip('p'..).map(|(&cores, name)| Node::new(name, cores)).collect();
    let link = |&(source, target): &(u32, u32)| Link {
        source: NodeId(source),
        target: NodeId(target),
        latency: LogicalLatency(1),
    };
    Machine::new("small", nodes, links.iter().map(link).collect::<Vec<_>>()).unwrap()
}

fn pinned(pins: &[(u32, u32)]) -> Options {
    let pin = |&(actor, node): &(u32, u32)| (ActorId(actor), NodeId(node));
    Options { pins: pins.iter().map(pin).collect(), ..Options::default() }
}

fn check(machine: &Machine, options: &Options, error: &CompileError, text: &str) {
    let found = compile(&pair(), machine, options).unwrap_err();
    assert_eq!(&found, error);
    assert_eq!(found.to_string(), text);
}

#[test]
fn memory_that_is_too_small() {
    let (node, needed, available) = ("p".into(), 100, 99);
    check(
        &machine(&[1], &[]).memory(99),
        &Options::default(),
        &CompileError::MemoryShort { node, needed, available },
        "node `p` needs 100 words of memory and has 99: 1 short",
    );
    assert!(compile(&pair(), &machine(&[1], &[]).memory(100), &Options::default()).is_ok());
}

#[test]
fn calendars_that_are_too_short() {
    let (calendar, node) = ("the compute calendar".into(), "p".into());
    check(
        &machine(&[1], &[]).calendar_entries(1),
        &Options::default(),
        &CompileError::CalendarShort { calendar, node, needed: 2, available: 1 },
        "the compute calendar needs 2 entries, node `p` holds 1 per calendar: 1 short",
    );
}

#[test]
fn links_whose_calendars_are_too_short() {
    let machine = machine(&[1, 1], &[(0, 1), (1, 0)]).calendar_entries(0);
    let found = compile(&pair(), &machine, &pinned(&[(0, 0), (1, 1)])).unwrap_err();
    assert!(matches!(found, CompileError::CalendarShort { needed: 1, available: 0, .. }), "{found}");
}

#[test]
fn pins_that_no_path_joins() {
    let (channel, from, to) = ("tokens".into(), "q".into(), "p".into());
    check(
        &machine(&[1, 1], &[(0, 1)]),
        &pinned(&[(0, 1), (1, 0)]),
        &CompileError::Unreachable { channel, from, to },
        "channel `tokens` needs a path from `q` to `p`, but no sequence of links leads there",
    );
    assert!(compile(&pair(), &machine(&[1, 1], &[(0, 1)]), &pinned(&[(0, 0), (1, 1)])).is_ok());
}

#[test]
fn machines_in_several_parts() {
    let (machine_name, start, node) = ("small".into(), "p".into(), "r".into());
    check(
        &machine(&[1, 1, 1, 1], &[(0, 1), (2, 3)]),
        &Options::default(),
        &CompileError::Disconnected { machine: machine_name, start, node, apart: 2, nodes: 4 },
        "machine `small` is disconnected: no link joins 2 of its 4 nodes, such as `r`, to `p`",
    );
}

#[test]
fn pins_to_switches() {
    check(
        &machine(&[1, 0], &[(0, 1), (1, 0)]),
        &pinned(&[(1, 1)]),
        &CompileError::PinnedToSwitch { actor: "b".into(), node: "q".into() },
        "actor `b` is pinned to `q`, which is a switch: it has no core",
    );
}

#[test]
fn machines_without_cores() {
    check(
        &machine(&[0, 0], &[(0, 1), (1, 0)]),
        &Options::default(),
        &CompileError::NoCores { machine: "small".into(), nodes: 2 },
        "no node of machine `small` has a core: all 2 are switches",
    );
}

/// Ids come from files and arguments in the end: one too many is an error, not a panic.
#[test]
fn pins_to_nodes_and_of_actors_that_do_not_exist() {
    let machine = machine(&[1], &[]);
    assert!(compile(&pair(), &machine, &pinned(&[(0, 1)])).is_err());
    assert!(compile(&pair(), &machine, &pinned(&[(2, 0)])).is_err());
    let mut draft = vec![actor("a", &[1])];
    draft[0].pin = Some(NodeId(7));
    assert!(compile(&app(draft, Vec::new()), &machine, &Options::default()).is_err());
}

#[test]
fn the_callers_pins_win_over_the_applications() {
    let mut own = vec![actor("a", &[1])];
    own[0].pin = Some(NodeId(0));
    let (app, machine) = (app(own, Vec::new()), machine(&[1, 1], &[(0, 1), (1, 0)]));
    for (options, node) in [(Options::default(), NodeId(0)), (pinned(&[(0, 1)]), NodeId(1))] {
        let schedule = compile(&app, &machine, &options).unwrap().schedule.unwrap();
        assert!(schedule.firings.iter().all(|firing| firing.node == node));
    }
}

proptest! {
    #![proptest_config(cases())]

    /// What fits is compiled, and what is refused does not fit.
    #[test]
    fn memory_limits_hold(draft in live_draft(), wiring in connected_wiring(), words in 0..400_u32) {
        let (app, machine) = (draft.app(), wiring.machine().memory(words));
        match compile(&app, &machine, &Options::default()) {
            Ok(compiled) => prop_assert!(compiled.report.memory_words.values().all(|&used| used <= u64::from(words))),
            Err(CompileError::MemoryShort { node, needed, available }) => {
                prop_assert!(machine.node_named(&node).is_some());
                prop_assert!(needed > available && available == u64::from(words));
            }
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        }
    }

    /// The first calendar that is too long is the one that is named, with its length.
    #[test]
    fn calendar_limits_hold(draft in live_draft(), wiring in connected_wiring(), entries in 0..40_u32) {
        let (app, machine) = (draft.app(), wiring.machine());
        let free = compile(&app, &machine, &Options::default());
        let free = free.map_err(|error| TestCaseError::fail(error.to_string()))?.calendars;
        let links = machine.links().iter().flat_map(|(id, link)| {
            let calendar = &free.links[id];
            [(link.source, calendar.gather.len()), (link.target, calendar.scatter.len())]
        });
        let lengths = free.nodes.iter().map(|(id, node)| (id, node.compute.len())).chain(links);
        let short = { lengths }.find(|&(_, needed)| needed > entries as usize);
        match (short, compile(&app, &machine.clone().calendar_entries(entries), &Options::default())) {
            (None, Ok(compiled)) => prop_assert_eq!(compiled.calendars, free),
            (Some((at, length)), Err(CompileError::CalendarShort { node, needed, available, .. })) => {
                prop_assert_eq!(machine.node_named(&node), Some(at));
                prop_assert_eq!((needed, available), (length, entries as usize));
            }
            (short, result) => {
                let result = result.map(|compiled| compiled.report).map_err(|error| error.to_string());
                return Err(TestCaseError::fail(format!("{short:?}: {result:?}")));
            }
        }
    }
}
