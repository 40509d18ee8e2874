//! Laws of the bounds that every schedule is printed with, and of how close it comes to them.

use crate::graphs::{actor, acyclic_draft, app, cases, channel};
use crate::machines::connected_wiring;
use proptest::prelude::*;
use scheduler::{Options, compile};
use sim_core::Machine;

proptest! {
    #![proptest_config(cases())]

    /// With memory enough, placement and routing decide, however many cores a node has: the bound counts whole firings.
    #[test]
    fn acyclic_graphs_meet_the_placed_bound(draft in acyclic_draft(), wiring in connected_wiring()) {
        let compiled = compile(&draft.app(), &wiring.machine(), &Options::default());
        let report = compiled.map_err(|error| TestCaseError::fail(error.to_string()))?.report;
        prop_assert_eq!(report.gap(), 0.0, "{}", report);
    }
}

/// Three firings of 4 ticks, one after the other, beside one of 5 and one of 9: on two cores 13 ticks are enough only if the
/// chain is divided, and its parts do not overlap.
#[test]
fn chains_are_divided_among_cores() {
    let actors = vec![actor("short", &[5]), actor("long", &[9]), actor("chain", &[4])];
    let channels = vec![channel("input", (0, &[3]), (2, &[1]), 0), channel("order", (2, &[1]), (2, &[1]), 1)];
    let options = Options { max_unroll: 1, ..Options::default() };
    let report = compile(&app(actors, channels), &Machine::single().cores(2), &options).unwrap().report;
    assert_eq!((report.metacycle, report.gap()), (13, 0.0), "{report}");
}

/// Three firings of 4 ticks and two of 1 are 7 ticks per core of two, but no core can have exactly that: one has 8. The bound
/// says so where one iteration must fit; two iterations fit 14 ticks.
#[test]
fn the_bound_counts_whole_firings() {
    let actors = [4, 4, 4, 1, 1].iter().enumerate().map(|(i, &exec)| actor(&format!("a{i}"), &[exec])).collect();
    let (app, machine) = (app(actors, Vec::new()), Machine::single().cores(2));
    let period = |max_unroll| {
        let report = compile(&app, &machine, &Options { max_unroll, ..Options::default() }).unwrap().report;
        assert_eq!(report.gap(), 0.0, "{report}");
        (report.iteration_period.to_integer(), report.unroll)
    };
    assert_eq!(period(1), (8, 1));
    assert_eq!(period(2), (7, 2));
}
