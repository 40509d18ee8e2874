//! What people read: the sentence of every rule, for calendars with one thing broken.

use crate::cases::Case;
use crate::written::{feedback, multicast, relay};
use calendars::{CalendarSet, Rotation, verify};
use sim_core::ids::{ActorId, LinkId, NodeId};

/// Checks that `change` makes `case` break exactly the rules with these sentences.
#[track_caller]
fn check(case: Case, change: impl Fn(&mut CalendarSet), expected: &[&str]) {
    let mut calendars = case.calendars;
    change(&mut calendars);
    let violations = verify(&case.app, &case.machine, &calendars).expect_err("it is broken");
    let found: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "\n{found:#?}");
}

const N0: NodeId = NodeId(0);
const N2: NodeId = NodeId(2);
const L0: LinkId = LinkId(0);
const L1: LinkId = LinkId(1);

#[test]
fn headers() {
    check(relay(), |set| set.version = 7, &[]);
    check(relay(), |set| (set.metacycle, set.unroll) = (0, 0), &[]);
    check(relay(), |set| set.nodes = Vec::new().into(), &[]);
    check(relay(), |set| set.links = Vec::new().into(), &[]);
}
