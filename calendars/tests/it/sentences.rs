//! What people read: the sentences of every rule, for calendars with one thing broken.

use crate::cases::{Case, actor, app, channel, empty_calendars, machine};
use crate::written::{feedback, multicast, relay};
use calendars::{CalendarSet, ComputeEntry, FrameEntry, Operand, Repeat, Rotation, Shared, verify, with_names};
use sim_core::Machine;
use sim_core::ids::{ActorId, LinkId, NodeId};

/// Checks that `case` breaks exactly the rules with these sentences.
#[track_caller]
fn check_broken(case: &Case, expected: &[&str]) {
    let violations = verify(&case.app, &case.machine, &case.calendars).expect_err("it is broken");
    let found: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "\n{found:#?}");
}

/// Checks what is broken after `change`.
#[track_caller]
fn check(mut case: Case, change: impl Fn(&mut CalendarSet), expected: &[&str]) {
    change(&mut case.calendars);
    check_broken(&case, expected);
}

const N0: NodeId = NodeId(0);
const N2: NodeId = NodeId(2);
const L0: LinkId = LinkId(0);
const L1: LinkId = LinkId(1);

/// The multicast on a machine whose calendars hold one entry.
fn shallow() -> Case {
    let case = multicast();
    let mut nodes = case.machine.nodes().clone();
    nodes[N0].calendar_entries = Some(1);
    let machine = Machine::new("shallow", nodes, case.machine.links().clone()).unwrap();
    Case { machine, ..case }
}

/// The relay with ticks at the end of time.
fn far_future() -> Case {
    let mut case = relay();
    case.calendars.metacycle = i64::MAX / 64;
    case.calendars.nodes[N2].compute[0].first = 9;
    case
}

/// The feedback with firings longer than the metacycle.
fn short() -> Case {
    let mut case = feedback();
    case.calendars.metacycle = 2;
    case.calendars.nodes[N0].compute[1].slot = 1;
    case
}

/// Two firings of an actor with state and nothing else, on the given nodes, at the given slots.
fn with_state(nodes: [u32; 2], slots: [i64; 2]) -> Case {
    let app = app(vec![actor("s", &[2], true)], Vec::new());
    let machine = machine(&[2, 1], &[]);
    let mut calendars = empty_calendars(&machine, 6, 2);
    for (index, (node, slot)) in (0..).zip(nodes.into_iter().zip(slots)) {
        let (inputs, outputs) = (Shared::default(), Shared::default());
        let place = index;
        let entry = ComputeEntry {
            slot,
            first: 0,
            place,
            core: index,
            actor: ActorId(0),
            index,
            exec: 2,
            repeat: Repeat::ONCE,
            inputs,
            outputs,
        };
        calendars.nodes[NodeId(node)].compute.push(entry);
    }
    Case { app, machine, calendars }
}

fn stateful() -> Case {
    with_state([0, 0], [0, 1])
}

fn stateful_apart() -> Case {
    let mut case = with_state([0, 1], [0, 5]);
    case.calendars.nodes[NodeId(1)].compute[0].core = 0;
    case
}

/// One token per iteration, two iterations per metacycle, from n0 to n1.
fn unrolled() -> Case {
    let app = app(vec![actor("a", &[1], false), actor("b", &[1], false)], vec![channel("c", (0, &[1]), (1, &[1]), 0)]);
    let machine = machine(&[1, 1], &[(0, 1, 0), (1, 0, 0)]);
    let mut calendars = empty_calendars(&machine, 4, 2);
    let word = |index| Shared::from(vec![Operand::new(Rotation::fixed(index), 1)]);
    for index in 0..2 {
        let firing = |actor: u32, slot, inputs, outputs| ComputeEntry {
            slot,
            first: 0,
            place: index,
            core: 0,
            actor: ActorId(actor),
            index,
            exec: 1,
            repeat: Repeat::ONCE,
            inputs,
            outputs,
        };
        let slot = i64::from(index);
        calendars.nodes[N0].compute.push(firing(0, slot, Shared::default(), word(index)));
        calendars.nodes[NodeId(1)].compute.push(firing(1, slot + 2, word(index), Shared::default()));
        let frame = FrameEntry { slot: slot + 1, length: 1, first: 0, place: index, address: Rotation::fixed(index) };
        calendars.links[L0].gather.push(frame);
        calendars.links[L0].scatter.push(frame);
    }
    Case { app, machine, calendars }
}

/// The unrolled case, with both stores sharing two addresses in turns but the reader looking at one.
fn alternating() -> Case {
    let mut case = unrolled();
    let two = |phase| Rotation { base: 0, stride: 1, count: 2, phase };
    let (scatter, compute) = (&mut case.calendars.links[L0].scatter, &mut case.calendars.nodes[NodeId(1)].compute);
    for i in 0..2 {
        scatter[i].address = two(i as u32);
        compute[i].inputs[0].address = Rotation { stride: 0, ..two(0) };
    }
    case
}

/// Two channels that ask for different numbers of firings.
fn inconsistent() -> Case {
    let channels = vec![channel("c", (0, &[1]), (1, &[1]), 0), channel("d", (0, &[2]), (1, &[1]), 0)];
    Case { app: app(vec![actor("a", &[1], false), actor("b", &[1], false)], channels), ..relay() }
}

/// An actor that fires 3^21 times per iteration.
fn tireless() -> Case {
    let actors = (0..22).map(|i| actor(&format!("a{i}"), &[1], false)).collect();
    let triple = |i: u32| channel(&format!("c{i}"), (i, &[3]), (i + 1, &[1]), 0);
    Case { app: app(actors, (0..21).map(triple).collect()), ..relay() }
}

#[test]
fn headers() {
    check(relay(), |set| set.version = 7, &["the calendars have version 7, this program knows version 2"]);
    check(
        relay(),
        |set| (set.metacycle, set.unroll) = (0, 0),
        &[
            "a metacycle of 0 ticks is too short, at least 1 is needed",
            "a metacycle holds no iteration, at least 1 is needed",
        ],
    );
    check(relay(), |set| set.nodes = Vec::new().into(), &["there are calendars for 0 nodes, the machine has 3"]);
    check(relay(), |set| set.links = Vec::new().into(), &["there are calendars for 0 links, the machine has 4"]);
    check(
        feedback(),
        |set| set.unroll = u32::MAX,
        &["4294967295 words per metacycle, all copies counted, are more than the 134217728 that can be checked"],
    );
}

#[test]
fn entries_alone() {
    check_broken(&shallow(), &["node#0 compute entry 1: beyond the 1 entries that one calendar of node#0 can hold"]);
    check(
        multicast(),
        |set| set.nodes[N0].compute.swap(0, 1),
        &["node#0 compute entry 1: stands after entries that belong behind it"],
    );
    check(
        relay(),
        |set| set.nodes[N2].compute[0].slot = -3,
        &[
            "node#2 compute entry 0: slot -3 is outside the metacycle of 4 slots",
            "link#1 scatter entry 0: frame 0 is written to address 3 of node#2 and never read",
        ],
    );
    check(
        relay(),
        |set| set.links[L1].gather[0].slot = 3,
        &[
            "link#1 gather entry 0: 2 frames from slot 3 do not fit the metacycle of 4 slots",
            "link#1 scatter entry 0: frame 0, stored at tick 6, is not sent at tick 4",
            "link#0 scatter entry 0: frame 0 is written to address 5 of node#1 and never read",
        ],
    );
    check(
        relay(),
        |set| set.links[L0].gather[0].length = 0,
        &[
            "link#0 gather entry 0: a run of 0 words",
            "link#0 scatter entry 0: frame 0, stored at tick 2, is not sent at tick 1",
            "node#0 compute entry 0: output word 0 is written to address 0 of node#0 and never read",
        ],
    );
    check(
        relay(),
        |set| set.links[L1].scatter[0].place = 1,
        &[
            "link#1 scatter entry 0: place 1 is outside the 1 iterations of a metacycle",
            "link#1 gather entry 0: frame 0, sent at tick 4, is not stored when it arrives at tick 6",
            "node#2 compute entry 0: input word 0 is read at address 3 of node#2, which nothing writes",
        ],
    );
    check(
        relay(),
        |set| set.links[L1].scatter[0].address.count = 0,
        &[
            "link#1 scatter entry 0: its address rotates over 0 copies, at least 1 is needed",
            "link#1 gather entry 0: frame 0, sent at tick 4, is not stored when it arrives at tick 6",
            "node#2 compute entry 0: input word 0 is read at address 3 of node#2, which nothing writes",
        ],
    );
    check(
        relay(),
        |set| {
            set.links[L1].scatter[0].address =
                Rotation { base: u32::MAX, stride: u32::MAX, count: u32::MAX, phase: u32::MAX }
        },
        &[
            "link#1 scatter entry 0: address 18446744065119617026 is outside the 4294967296 words of node#2",
            "link#1 gather entry 0: frame 0, sent at tick 4, is not stored when it arrives at tick 6",
            "node#2 compute entry 0: input word 0 is read at address 3 of node#2, which nothing writes",
        ],
    );
    check_broken(
        &far_future(),
        &[
            "node#2 compute entry 0: its first or its copies lie too far in the future for 64-bit ticks",
            "link#1 scatter entry 0: frame 0 is written to address 3 of node#2 and never read",
        ],
    );
    check(
        relay(),
        |set| set.nodes[N2].compute[0].actor = ActorId(9),
        &[
            "node#2 compute entry 0: names actor#9, but there are 2 actors",
            "actor#1: of its firings in a metacycle, 0 to 0 are in no calendar",
            "link#1 scatter entry 0: frame 0 is written to address 3 of node#2 and never read",
        ],
    );
    check(
        relay(),
        |set| set.nodes[N2].compute[0].core = 1,
        &[
            "node#2 compute entry 0: names core 1, but the node has 1",
            "link#1 scatter entry 0: frame 0 is written to address 3 of node#2 and never read",
        ],
    );
    check(
        relay(),
        |set| set.nodes[N2].compute[0].index = 3,
        &[
            "node#2 compute entry 0: firing 3 of actor#1, which fires 1 times per metacycle",
            "actor#1: of its firings in a metacycle, 0 to 0 are in no calendar",
            "link#1 scatter entry 0: frame 0 is written to address 3 of node#2 and never read",
        ],
    );
    check(
        relay(),
        |set| set.nodes[N2].compute[0].exec = 3,
        &[
            "node#2 compute entry 0: holds its core for 3 ticks, firing 0 of actor#1 takes 2",
            "link#1 scatter entry 0: frame 0 is written to address 3 of node#2 and never read",
        ],
    );
    check(
        feedback(),
        |set| set.nodes[N0].compute[1].place = 0,
        &["node#0 compute entry 1: has place 0, firing 1 of actor#0 belongs to place 1"],
    );
    check(
        relay(),
        |set| set.nodes[N0].compute[0].outputs[0].words = 3,
        &[
            "node#0 compute entry 0: its operands have 3 output words, firing 0 of actor#0 has 2",
            "link#0 gather entry 0: frame 0 is read at address 0 of node#0, which nothing writes",
        ],
    );
}

#[test]
fn resources() {
    check(
        feedback(),
        |set| {
            set.nodes[N0].compute[1].index = 0;
            set.nodes[N0].compute[1].place = 0;
        },
        &[
            "node#0 compute entry 1: firing 0 of actor#0 is already node#0 compute entry 0",
            "actor#0: of its firings in a metacycle, 1 to 1 are in no calendar",
        ],
    );
    check(
        feedback(),
        |set| {
            set.nodes[N0].compute.remove(1);
        },
        &["actor#0: of its firings in a metacycle, 1 to 1 are in no calendar"],
    );
    check(
        feedback(),
        |set| set.nodes[N0].compute[1].core = 0,
        &[
            "node#0 compute entry 1: takes core 0 in slot 2, which node#0 compute entry 0 holds",
            "node#0 compute entry 0: takes core 0 in slot 0, which node#0 compute entry 1 holds",
        ],
    );
    check_broken(
        &short(),
        &[
            "node#0 compute entry 0: holds its core for 3 ticks, a metacycle has 2",
            "node#0 compute entry 1: holds its core for 3 ticks, a metacycle has 2",
        ],
    );
    check(
        multicast(),
        |set| {
            let e = set.links[L0].gather[0];
            set.links[L0].gather.push(e);
        },
        &[
            "link#0 gather entry 1: takes slot 1, which link#0 gather entry 0 holds",
            "link#0 gather entry 1: frame 0, sent at tick 1, is not stored when it arrives at tick 1",
        ],
    );
    check_broken(
        &stateful(),
        &[
            "node#0 compute entry 1: actor#0 has state, and this firing starts at tick 1, before the firing before it, node#0 compute entry 0, ends at 2",
        ],
    );
    check_broken(
        &stateful_apart(),
        &[
            "node#1 compute entry 0: actor#0 has state, and its firing 0 is node#0 compute entry 0 on another node",
            "node#0 compute entry 0: actor#0 has state, and this firing starts at tick 6, before the firing before it, node#1 compute entry 0, ends at 7",
        ],
    );
}

#[test]
fn machines_and_applications() {
    check_broken(
        &inconsistent(),
        &["channel#1: no numbers of firings per iteration balance the rates of the application here"],
    );
    check_broken(
        &tireless(),
        &[
            "actor#21 would fire more than 4294967295 times per metacycle",
            "15690529803 words per metacycle, all copies counted, are more than the 134217728 that can be checked",
        ],
    );
}

#[test]
fn frames() {
    check(
        relay(),
        |set| set.links[L0].gather[0].slot = 0,
        &[
            "link#0 gather entry 0: frame 0, sent at tick 0, is not stored when it arrives at tick 1",
            "link#0 scatter entry 0: frame 1, stored at tick 3, is not sent at tick 2",
            "link#0 gather entry 0: frame 0 is at address 0 of node#0 a word of node#0 compute entry 0: the places 0 and 0 should be equal, and the activations, which differ by 1",
            "node#2 compute entry 0: input word 0 has to be word 0 of token 0 of channel#0 in activation 0, found is word 1 of token 0 of channel#0 from node#0 compute entry 0 → link#0 gather entry 0 → link#0 scatter entry 0 → link#1 gather entry 0 → link#1 scatter entry 0",
        ],
    );
    check(
        unrolled(),
        |set| set.links[L0].scatter[0].place = 1,
        &["link#0 scatter entry 0: frame 0 is stored at place 1, and link#0 gather entry 0 sends it at place 0"],
    );
}

#[test]
fn memory() {
    check(
        feedback(),
        |set| set.nodes[N0].compute[1].inputs[0].address.count = 3,
        &[
            "node#0 compute entry 1: output word 0 has 2 copies, but node#0 compute entry 1, which uses address 2 of node#0 too, has 3",
            "node#0 compute entry 1: input word 0 is read at address 4 of node#0, which nothing writes",
        ],
    );
    check(
        feedback(),
        |set| set.nodes[N0].compute[0].outputs[0].address.base = 6,
        &[
            "node#0 compute entry 0: input word 0 is read at address 0 of node#0, which nothing writes",
            "node#0 compute entry 0: output word 0 is written to address 6 of node#0 and never read",
        ],
    );
    check(
        multicast(),
        |set| set.nodes[N0].compute[0].outputs[1].address.base = 0,
        &[
            "node#0 compute entry 0: output word 1 is written to address 0 of node#0 in the same tick as a word of node#0 compute entry 0",
            "node#0 compute entry 0: output word 0 is written to address 0 of node#0 and never read",
            "link#0 gather entry 0: frame 0 is read at address 1 of node#0, which nothing writes",
            "node#0 compute entry 1: input word 0 has to be word 0 of token 0 of channel#0 in activation 0, found is word 0 of token 0 of channel#1 from node#0 compute entry 0",
        ],
    );
    check(
        relay(),
        |set| set.links[L1].gather[0].slot = 2,
        &[
            "link#1 scatter entry 0: frame 0, stored at tick 6, is not sent at tick 4",
            "link#1 gather entry 0: frame 0, sent at tick 6, is not stored when it arrives at tick 8",
        ],
    );
    check(
        relay(),
        |set| {
            set.nodes[N2].compute[0].first = 3;
        },
        &[
            "node#2 compute entry 0: input word 0 has to be word 0 of token 0 of channel#0 in activation 0, found is word 0 of token 1 of channel#0 from node#0 compute entry 0 → link#0 gather entry 0 → link#0 scatter entry 0 → link#1 gather entry 0 → link#1 scatter entry 0",
        ],
    );
    check(
        relay(),
        |set| {
            set.links[L1].gather[0].first = 2;
            set.links[L1].scatter[0].first = 2;
        },
        &[
            "link#1 gather entry 0: frame 0 is at address 5 of node#1 a word of link#0 scatter entry 0: the places 0 and 0 should be equal, and the activations, which differ by -1",
        ],
    );
    check(
        multicast(),
        |set| set.links[L0].gather[0].address.base = 0,
        &[
            "node#0 compute entry 0: output word 1 is written to address 1 of node#0 and never read",
            "node#1 compute entry 0: input word 0 has to be word 0 of token 0 of channel#1 in activation 0, found is word 0 of token 0 of channel#0 from node#0 compute entry 0 → link#0 gather entry 0 → link#0 scatter entry 0",
        ],
    );
    check(
        feedback(),
        |set| {
            for e in &mut set.nodes[N0].compute {
                e.inputs[0].address = Rotation::fixed(2 * e.index);
                e.outputs[0].address = Rotation::fixed(2 * e.index);
            }
        },
        &[
            "node#0 compute entry 0: input word 0 and node#0 compute entry 0: input word 0 both expect a word of an initial token at address 0 of node#0",
            "node#0 compute entry 0: input word 0 needs a word of an initial token at address 0 of node#0 up to tick 6, and node#0 compute entry 0 replaces it at 3",
            "node#0 compute entry 1: input word 0 and node#0 compute entry 1: input word 0 both expect a word of an initial token at address 2 of node#0",
            "node#0 compute entry 1: input word 0 needs a word of an initial token at address 2 of node#0 up to tick 8, and node#0 compute entry 1 replaces it at 5",
            "node#0 compute entry 0: input word 0 has to be word 0 of token 4 of channel#0 in activation 2, found is word 0 of token 6 of channel#0 from node#0 compute entry 0",
            "node#0 compute entry 1: input word 0 has to be word 0 of token 5 of channel#0 in activation 2, found is word 0 of token 7 of channel#0 from node#0 compute entry 1",
        ],
    );
    check(
        feedback(),
        |set| {
            for e in &mut set.nodes[N0].compute {
                e.outputs[0].address.phase = 1;
            }
        },
        &[
            "node#0 compute entry 0: input word 0 needs a word of an initial token at address 1 of node#0 up to tick 6, and node#0 compute entry 0 replaces it at 3",
            "node#0 compute entry 1: input word 0 needs a word of an initial token at address 3 of node#0 up to tick 8, and node#0 compute entry 1 replaces it at 5",
            "node#0 compute entry 0: input word 0 has to be word 0 of token 4 of channel#0 in activation 2, found is word 0 of token 6 of channel#0 from node#0 compute entry 0",
            "node#0 compute entry 1: input word 0 has to be word 0 of token 5 of channel#0 in activation 2, found is word 0 of token 7 of channel#0 from node#0 compute entry 1",
        ],
    );
    check(
        feedback(),
        |set| {
            let l = &mut set.nodes[N0].compute;
            (l[0].inputs, l[1].inputs) = (l[1].inputs.clone(), l[0].inputs.clone());
        },
        &[
            "node#0 compute entry 1: input word 0 at address 0 of node#0 is needed for 3 ticks, and node#0 compute entry 0 replaces it after 1",
            "node#0 compute entry 1: input word 0 needs a word of an initial token at address 0 of node#0 up to tick 4, and node#0 compute entry 0 replaces it at 3",
            "node#0 compute entry 0: input word 0 has to be word 0 of token 4 of channel#0 in activation 2, found is word 0 of token 5 of channel#0 from node#0 compute entry 1",
            "node#0 compute entry 1: input word 0 has to be word 0 of token 5 of channel#0 in activation 2, found is word 0 of token 4 of channel#0 from node#0 compute entry 0",
        ],
    );
    check_broken(
        &alternating(),
        &[
            "node#1 compute entry 0: input word 0 is at address 0 of node#1 what link#0 scatter entry 0 wrote 1 activations before, and at another copy what link#0 scatter entry 0 wrote 0 before",
            "node#1 compute entry 1: input word 0 is at address 0 of node#1 what link#0 scatter entry 1 wrote 0 activations before, and at another copy what link#0 scatter entry 0 wrote 0 before",
            "link#0 scatter entry 1: frame 0 is written to address 1 of node#1 and never read",
            "link#0 scatter entry 0: frame 0 is written to address 1 of node#1 and never read",
            "node#1 compute entry 1: input word 0 has to be word 0 of token 1 of channel#0 in activation 0, found is word 0 of token 0 of channel#0 from node#0 compute entry 0 → link#0 gather entry 0 → link#0 scatter entry 0",
        ],
    );
}

/// Whoever knows application and machine can tell the names of all ids in a sentence.
#[test]
fn ids_get_names() {
    let case = relay();
    let told = |sentence: &str| with_names(sentence, &case.app, &case.machine);
    assert_eq!(told("actor#1: token 3 of channel#0 at node#2"), "actor#1 `b`: token 3 of channel#0 `c` at node#2 `n2`");
    assert_eq!(told("link#0 gather entry 1 → link#1"), "link#0 `n0→n1` gather entry 1 → link#1 `n1→n2`");
    for alone in ["", "#", "node#", "node#9", "actor#99999999999999999999 at #1", "λ #0 and entry#0"] {
        assert_eq!(told(alone), alone);
    }
}
