//! Text pictures of calendars.

use crate::cases::{Case, actor, app, empty_calendars, good_case};
use crate::verify::settings;
use crate::written::{feedback, relay};
use calendars::{ComputeEntry, Repeat, Shared, gantt, verify};
use proptest::prelude::*;
use sim_core::ids::{ActorId, NodeId};

fn draw(case: &Case, width: usize, colour: bool) -> String {
    let verified = verify(&case.app, &case.machine, &case.calendars).expect("the calendars are right");
    gantt::text(&case.app, &case.machine, &case.calendars, &verified, width, colour)
}

#[test]
fn every_slot_has_its_column_if_there_is_room() {
    assert_eq!(
        draw(&relay(), 80, false),
        "\
test on test: metacycle 4 ticks, unroll 1, ticks per column 1
n0 scatter │····│   0 %
n0 compute │A···│  25 %
n0 gather  │·AA·│  50 %
n1 scatter │··AA│  25 %
n1 gather  │AA··│  25 %
n2 scatter │··AA│  50 %
n2 compute │BB··│  50 %
n2 gather  │····│   0 %
n0→n1      │·AA·│  50 %
n1→n2      │AA··│  50 %
n1→n0      │····│   0 %
n2→n1      │····│   0 %
A a  B b  · idle
"
    );
}

/// Few ticks of many: a column shows the actor that holds most of it, and is idle only if all of it is.
#[test]
fn long_metacycles_are_squeezed() {
    let mut case = feedback();
    let set = &mut case.calendars;
    set.metacycle = 1_000_000_000;
    set.nodes[NodeId(0)].compute[1].slot = 500_000_000;
    assert_eq!(
        draw(&case, 40, false),
        "\
test on test: metacycle 1000000000 ticks, unroll 2, ticks per column 47619047.6
n0 compute │A·········A··········│   0 %
A a  · idle
"
    );
    // Three ticks per column: a holds two of the first, b two of the last.
    let pair = app(vec![actor("a", &[2], false), actor("b", &[3], false)], Vec::new());
    let mut set = empty_calendars(&case.machine, 30, 1);
    set.nodes[NodeId(0)].compute = vec![set_firing(0, 0, 2), set_firing(1, 28, 3)];
    let case = Case { app: pair, calendars: set, ..case };
    assert_eq!(
        draw(&case, 29, false),
        "\
test on test: metacycle 30 ticks, unroll 1, ticks per column 3
n0 compute │A········B│   8 %
A a  B b  · idle
"
    );
}

fn set_firing(actor: u32, slot: i64, exec: i64) -> ComputeEntry {
    let (inputs, outputs) = (Shared::default(), Shared::default());
    ComputeEntry {
        slot,
        first: 0,
        place: 0,
        core: actor,
        actor: ActorId(actor),
        index: 0,
        exec,
        repeat: Repeat::ONCE,
        inputs,
        outputs,
    }
}

#[test]
fn colours_are_those_of_the_palette() {
    assert_eq!(
        draw(&feedback(), 40, true),
        "\
test on test: metacycle 4 ticks, unroll 2, ticks per column 1
n0 compute │\x1b[38;2;0;114;178mAAAA\x1b[0m│  75 %
\x1b[38;2;0;114;178mA a\x1b[0m  · idle
"
    );
}

proptest! {
    #![proptest_config(settings())]

    /// Lines are as long as asked for, whatever the calendars.
    #[test]
    fn lines_keep_the_width(seed: u64, width in 40..120_usize) {
        for line in draw(&good_case(seed), width, false).lines().skip(1) {
            prop_assert!(line.chars().count() <= width, "{line}");
        }
    }
}
