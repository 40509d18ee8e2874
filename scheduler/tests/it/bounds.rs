//! Laws of the bounds that every schedule is printed with, and of how close it comes to them.

use crate::graphs::{Draft, actor, acyclic_draft, app, cases, channel, ordered_draft};
use crate::machines::connected_wiring;
use proptest::prelude::*;
use scheduler::{Options, Report, compile};
use sim_core::Machine;

proptest! {
    #![proptest_config(cases())]

    /// With memory enough, placement and routing decide, however many cores a node has: the bound counts whole firings.
    #[test]
    fn acyclic_graphs_meet_the_placed_bound(draft in acyclic_draft(), wiring in connected_wiring()) {
        let report = report(&draft, &wiring.machine())?;
        prop_assert_eq!(report.gap(), 0.0, "{}", report);
    }

    /// Firings that must not overlap need no more time on nodes with one core.
    #[test]
    fn ordered_actors_meet_it_on_single_cores(draft in ordered_draft(), wiring in connected_wiring()) {
        let report = report(&draft, &wiring.machine().cores(1))?;
        prop_assert_eq!(report.gap(), 0.0, "{}", report);
    }

    /// On several cores, what is left of a packing may be in an order that a chain of firings cannot follow: that costs less
    /// than a firing.
    #[test]
    fn ordered_actors_cost_less_than_a_firing(draft in ordered_draft(), wiring in connected_wiring()) {
        let report = report(&draft, &wiring.machine())?;
        let longest = draft.actors.iter().flat_map(|actor| actor.exec.iter()).max().copied().unwrap_or(1).max(1);
        let excess = report.iteration_period - report.placed_bound.ticks;
        prop_assert!(excess < (longest as i64).into(), "{}", report);
    }
}

fn report(draft: &Draft, machine: &Machine) -> Result<Report, TestCaseError> {
    let compiled = compile(&draft.app(), machine, &Options::default());
    Ok(compiled.map_err(|error| TestCaseError::fail(error.to_string()))?.report)
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
