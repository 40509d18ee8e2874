//! Small calendars written by hand, to be read along with the rules.

use crate::cases::{Case, actor, app, channel, empty_calendars, machine};
use calendars::{Circular, ComputeEntry, FrameEntry, Operand, Repeat, Rotation};
use sim_core::ids::{ActorId, LinkId, NodeId};

fn operand(address: Rotation, words: u32) -> Operand {
    Operand::new(address, words)
}

fn frames(first: u32, slot: i64, length: u32, base: u32) -> FrameEntry {
    FrameEntry { slot, length, first, place: 0, address: Rotation::fixed(base) }
}

/// `a` on n0 makes a token of two words per metacycle of 4 ticks; switch n1 relays it to `b` on n2. It is on its way for 8 ticks.
pub(crate) fn relay() -> Case {
    let mut c = channel("c", (0, &[1]), (1, &[1]), 0);
    c.tokens.bits = 128;
    let app = app(vec![actor("a", &[1], false), actor("b", &[2], true)], vec![c]);
    let machine = machine(&[1, 0, 1], &[(0, 1, 1), (1, 2, 2), (1, 0, 1), (2, 1, 2)]);
    let mut calendars = empty_calendars(&machine, 4, 1);
    let firing = |first, actor, exec, inputs: Vec<_>, outputs: Vec<_>| ComputeEntry {
        slot: 0,
        first,
        place: 0,
        core: 0,
        actor: ActorId(actor),
        index: 0,
        exec,
        repeat: Repeat::ONCE,
        inputs: inputs.into(),
        outputs: outputs.into(),
    };
    let words = |base| vec![operand(Rotation::fixed(base), 2)];
    calendars.nodes[NodeId(0)].compute = vec![firing(0, 0, 1, vec![], words(0))];
    calendars.links[LinkId(0)].gather = vec![frames(0, 1, 2, 0)];
    calendars.links[LinkId(0)].scatter = vec![frames(0, 2, 2, 5)];
    calendars.links[LinkId(1)].gather = vec![frames(1, 0, 2, 5)];
    calendars.links[LinkId(1)].scatter = vec![frames(1, 2, 2, 3)];
    calendars.nodes[NodeId(2)].compute = vec![firing(2, 1, 2, words(3), vec![])];
    Case { app, machine, calendars }
}

/// An actor without state that feeds itself, with 4 initial tokens, two overlapping firings per metacycle, and two copies of each
/// token's word.
pub(crate) fn feedback() -> Case {
    let app = app(vec![actor("a", &[3], false)], vec![channel("c", (0, &[1]), (0, &[1]), 4)]);
    let machine = machine(&[2], &[]);
    let mut calendars = empty_calendars(&machine, 4, 2);
    let word = |index| vec![operand(Rotation { base: 2 * index, stride: 1, count: 2, phase: 0 }, 1)];
    let firing = |index: u32| ComputeEntry {
        slot: 2 * i64::from(index),
        first: 0,
        place: index,
        core: index,
        actor: ActorId(0),
        index,
        exec: 3,
        repeat: Repeat::ONCE,
        inputs: word(index).into(),
        outputs: word(index).into(),
    };
    calendars.nodes[NodeId(0)].compute = vec![firing(0), firing(1)];
    Case { app, machine, calendars }
}

/// One output of `a` feeds a local consumer and a remote one; the words are written, sent and read separately.
pub(crate) fn multicast() -> Case {
    let near = channel("near", (0, &[1]), (1, &[1]), 0);
    let far = sim_core::Channel { source_port: 0, ..channel("far", (0, &[1]), (2, &[1]), 0) };
    let actors = vec![actor("a", &[1], false), actor("b", &[1], false), actor("d", &[1], false)];
    let app = app(actors, vec![near, far]);
    let machine = machine(&[1, 1], &[(0, 1, 0), (1, 0, 0)]);
    let mut calendars = empty_calendars(&machine, 3, 1);
    let firing = |slot, actor, inputs: Vec<_>, outputs: Vec<_>| ComputeEntry {
        slot,
        first: 0,
        place: 0,
        core: 0,
        actor: ActorId(actor),
        index: 0,
        exec: 1,
        repeat: Repeat::ONCE,
        inputs: inputs.into(),
        outputs: outputs.into(),
    };
    let word = |base| operand(Rotation::fixed(base), 1);
    calendars.nodes[NodeId(0)].compute =
        vec![firing(0, 0, vec![], vec![word(0), word(1)]), firing(1, 1, vec![word(0)], vec![])];
    calendars.links[LinkId(0)].gather = vec![frames(0, 1, 1, 1)];
    calendars.links[LinkId(0)].scatter = vec![frames(0, 1, 1, 0)];
    calendars.nodes[NodeId(1)].compute = vec![firing(2, 2, vec![word(0)], vec![])];
    Case { app, machine, calendars }
}

/// Runs: `a` fires four times per metacycle of 8 ticks, `b` takes two tokens at a time, the first of them an initial one, out of
/// a circular buffer of four words that starts with its last one.
pub(crate) fn runs() -> Case {
    let app =
        app(vec![actor("a", &[1], true), actor("b", &[2, 2], false)], vec![channel("c", (0, &[1]), (1, &[2, 2]), 1)]);
    let machine = machine(&[2], &[]);
    let mut calendars = empty_calendars(&machine, 8, 1);
    let circular = |words, start, advance| {
        let circular = Some(Circular { start, advance, size: 4 });
        vec![Operand { circular, ..operand(Rotation::fixed(5), words) }]
    };
    let run = |actor, slot, (firings, slots), exec, inputs: Vec<_>, outputs: Vec<_>| ComputeEntry {
        slot,
        first: 0,
        place: 0,
        core: actor,
        actor: ActorId(actor),
        index: 0,
        exec,
        repeat: Repeat { firings, slots, indices: 1 },
        inputs: inputs.into(),
        outputs: outputs.into(),
    };
    calendars.nodes[NodeId(0)].compute =
        vec![run(0, 0, (4, 2), 1, vec![], circular(1, 0, 1)), run(1, 1, (2, 4), 2, circular(2, 3, 2), vec![])];
    Case { app, machine, calendars }
}
