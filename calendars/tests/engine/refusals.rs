//! Broken calendars are refused by name, and never panic.

use crate::rings::{Ring, ring};
use calendars::{CalendarSet, EntryPlace, FrameEntry, LowerError, Rotation, lower};
use proptest::prelude::*;
use sim_core::RunOptions;
use sim_core::digest::DigestLevel;
use sim_core::ids::{ActorId, LinkId, NodeId};

const NODE: NodeId = NodeId(0);
const LINK: LinkId = LinkId(0);

/// Breaks a good system, and demands an error.
fn check(breaking: impl Fn(&mut CalendarSet), expected: impl Fn(&LowerError) -> bool) {
    let Ring { app, machine, mut set } = ring(1);
    assert!(lower(&app, &machine, &set).is_ok());
    breaking(&mut set);
    match lower(&app, &machine, &set) {
        Err(error) if expected(&error) => {}
        other => panic!("found {:?}", other.err()),
    }
}

#[test]
fn refusals_name_the_entry() {
    use LowerError as E;
    let in_gather = |entry: &EntryPlace| matches!(entry, EntryPlace::Gather { link: LINK, .. });
    let in_scatter = |entry: &EntryPlace| matches!(entry, EntryPlace::Scatter { link: LINK, .. });
    let in_compute = |entry: &EntryPlace| matches!(entry, EntryPlace::Compute { node: NODE, .. });
    check(|set| set.metacycle = 0, |e| *e == E::Metacycle { metacycle: 0 });
    check(|set| set.unroll = 0, |e| *e == E::NoIteration);
    check(
        |set| set.nodes = CalendarSet::clone(set).nodes.values().take(1).cloned().collect(),
        |e| matches!(e, E::OtherMachine { nodes: 1, .. }),
    );
    check(|set| set.links[LINK].gather[0].slot = -1, |e| matches!(e, E::Slot { entry, .. } if in_gather(entry)));
    check(|set| set.links[LINK].gather[0].length = u32::MAX, |e| *e == E::TooManyEvents);
    check(
        |set| set.links[LINK].scatter[0].slot += 1 << 40,
        |e| matches!(e, E::Slot { entry, .. } if in_scatter(entry)),
    );
    check(|set| set.links[LINK].scatter[0].place += 9, |e| matches!(e, E::Place { entry, .. } if in_scatter(entry)));
    check(|set| set.links[LINK].scatter[0].first += 1, |e| matches!(e, E::Unmatched { entry, .. } if in_gather(entry)));
    check(|set| set.links[LINK].gather.truncate(0), |e| matches!(e, E::Unmatched { entry, .. } if in_scatter(entry)));
    check(
        |set| set.links[LINK].gather[0].address.count = 0,
        |e| matches!(e, E::NoCopies { entry } if in_gather(entry)),
    );
    check(
        |set| set.links[LINK].scatter[0].address = Rotation { base: 0, stride: 1 << 16, count: 1 << 16, phase: 0 },
        |e| {
            matches!(e, E::Address { entry, address } if in_scatter(entry) && *address == ((1 << 16) - 1) << 16)
                || matches!(e, E::Memory { .. })
        },
    );
    check(
        |set| {
            let first: FrameEntry = set.links[LINK].gather[0];
            set.links[LINK].gather.push(first);
        },
        |e| matches!(e, E::SlotTaken { entry } if in_gather(entry)),
    );
    check(
        |set| set.nodes[NODE].compute[0].actor = ActorId(99),
        |e| matches!(e, E::NoSuchActor { entry, actor: ActorId(99), .. } if in_compute(entry)),
    );
    check(|set| set.nodes[NODE].compute.clear(), |e| matches!(e, E::FiringCount { found: 0, .. }));
    check(
        |set| set.nodes[NODE].compute[0].index += 7,
        |e| matches!(e, E::FiringIndex { entry, .. } if in_compute(entry)),
    );
    check(|set| set.nodes[NODE].compute[0].exec = 0, |e| matches!(e, E::Slot { entry, .. } if in_compute(entry)));
    check(
        |set| set.nodes[NODE].compute[0].inputs.clear(),
        |e| matches!(e, E::OperandWords { entry, side: "input", found: 0, .. } if in_compute(entry)),
    );
    check(
        |set| set.nodes[NODE].compute[0].outputs[0].words += 1,
        |e| matches!(e, E::OperandWords { entry, side: "output", .. } if in_compute(entry)),
    );
}

#[test]
fn state_has_one_home() {
    // A ring of which the sink fires more than once in a metacycle.
    let Ring { app, machine, mut set } = (0..).map(ring).find(|ring| ring.set.unroll > 1).unwrap();
    let sink = app.actor_named("sink").unwrap();
    let last = NodeId(u32::try_from(set.nodes.len() - 1).unwrap());
    let position = set.nodes[last].compute.iter().position(|e| e.actor == sink).unwrap();
    let moved = set.nodes[last].compute.remove(position);
    set.nodes[NODE].compute.push(moved);
    assert!(matches!(lower(&app, &machine, &set), Err(LowerError::TwoHomes { actor, .. }) if actor == sink));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// Whatever one field is set to, calendars are lowered (and then executed) or refused.
    #[test]
    fn one_wrong_field_never_panics(seed in 0_u64..40, which in 0_usize..17, entry in any::<prop::sample::Index>(), value in wild()) {
        let Ring { app, machine, mut set } = ring(seed);
        break_field(&mut set, which, entry, value);
        if let Ok(program) = lower(&app, &machine, &set) {
            // Tokens of the wrong firing may still be executed; an engine may only refuse what it cannot count or hold.
            // Without a digest, which would go through every epoch of a pause that may be as long as time allows.
            let options = RunOptions { iterations: 3, digest: DigestLevel::Off, ..RunOptions::default() };
            let _ = sim_core::engine::run(&app, &program, &options);
        }
    }
}

fn wild() -> impl Strategy<Value = i64> {
    prop_oneof![-2_i64..10, any::<u32>().prop_map(i64::from), any::<i64>(), Just(i64::MAX), Just(i64::MIN)]
}

/// Changes one field; the second half of the links are idle twins.
fn break_field(set: &mut CalendarSet, which: usize, entry: prop::sample::Index, value: i64) {
    let narrow = value as u32;
    let link = LinkId(entry.index(set.links.len() / 2) as u32);
    let node = NodeId(entry.index(set.nodes.len()) as u32);
    let frames = if value % 2 == 0 { &mut set.links[link].gather } else { &mut set.links[link].scatter };
    let frame = entry.index(frames.len());
    let compute = &mut set.nodes[node].compute;
    let firing = entry.index(compute.len());
    match which {
        0 => set.metacycle = value,
        1 => set.unroll = narrow,
        2 => frames[frame].slot = value,
        3 => frames[frame].length = narrow,
        4 => frames[frame].first = narrow,
        5 => frames[frame].place = narrow,
        6 => frames[frame].address.base = narrow,
        7 => frames[frame].address.stride = narrow,
        8 => frames[frame].address.count = narrow,
        9 => frames[frame].address.phase = narrow,
        10 => compute[firing].slot = value,
        11 => compute[firing].first = narrow,
        12 => compute[firing].place = narrow,
        13 => compute[firing].index = narrow,
        14 => compute[firing].exec = value,
        15 => compute[firing].inputs[0].words = narrow,
        _ => compute[firing].inputs[0].address.count = narrow,
    }
}
