//! Laws of the bounds that every schedule is printed with, and of how close it comes to them.

use crate::graphs::{acyclic_draft, cases};
use crate::machines::connected_wiring;
use proptest::prelude::*;
use scheduler::{Options, compile};

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

    /// With several cores to a node the bound may be a fraction. Then the period is what is left after rounding up to
    /// whole ticks, for any number of iterations to which this schedule could have been repeated.
    #[test]
    fn acyclic_graphs_lose_no_more_than_rounding(draft in acyclic_draft(), wiring in connected_wiring(), max_unroll in 1..=12_u32) {
        let app = draft.app();
        let compiled = compile(&app, &wiring.machine(), &Options { max_unroll, ..Options::default() });
        let report = compiled.map_err(|error| TestCaseError::fail(error.to_string()))?.report;
        let longest = app.actors().values().flat_map(|actor| &actor.exec).copied().max().unwrap_or(1).max(1) as i64;
        for unroll in (1..=max_unroll / report.unroll).map(|times| i64::from(times * report.unroll)) {
            let rounded = (report.placed_bound.ticks * unroll).ceil().to_integer().max(longest);
            prop_assert!(report.iteration_period * unroll <= rounded.into(), "with U = {unroll}: {report}");
        }
    }
}
