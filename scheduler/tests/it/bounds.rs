//! Laws of the bounds that every schedule is printed with, and of how close it comes to them.

use crate::graphs::{actor, acyclic_draft, app, cases};
use crate::machines::connected_wiring;
use proptest::prelude::*;
use scheduler::{Options, compile};
use sim_core::Machine;

proptest! {
    #![proptest_config(cases())]

    /// With memory enough, placement and routing decide; where cores come one to a node, nothing needs rounding either.
    #[test]
    fn acyclic_graphs_meet_the_placed_bound(draft in acyclic_draft(), mut wiring in connected_wiring()) {
        wiring.nodes.iter_mut().for_each(|node| node.cores = node.cores.min(1));
        let compiled = compile(&draft.app(), &wiring.machine(), &Options::default());
        let report = compiled.map_err(|error| TestCaseError::fail(error.to_string()))?.report;
        prop_assert_eq!(report.gap(), 0.0, "{}", report);
    }

    /// With several cores to a node firings must be packed whole. The bound counts that, but whether a chain of firings, which
    /// must not overlap, can be spread over cores in order is not always found out: less than the longest firing is lost then.
    #[test]
    fn acyclic_graphs_lose_less_than_a_firing_to_packing(draft in acyclic_draft(), wiring in connected_wiring()) {
        let app = draft.app();
        let compiled = compile(&app, &wiring.machine(), &Options::default());
        let report = compiled.map_err(|error| TestCaseError::fail(error.to_string()))?.report;
        let longest = app.actors().values().flat_map(|actor| actor.exec.iter()).copied().max().unwrap_or(1).max(1) as i64;
        let rounded = (report.placed_bound.ticks * i64::from(report.unroll)).ceil().to_integer().max(longest);
        prop_assert!(report.metacycle < rounded + longest, "{}", report);
    }
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
