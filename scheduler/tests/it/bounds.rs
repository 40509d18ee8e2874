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

    /// With several cores to a node the bound may be a fraction, and firings must be packed whole: the metacycle is then the
    /// bound rounded up, and less than the longest firing more.
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

/// Temporary: how often and why there is a gap.
#[test]
#[ignore = "census"]
fn census() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
    let mut runner = TestRunner::new_with_rng(cases(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let drafts = (acyclic_draft(), connected_wiring());
    let (mut gaps, mut all) = (0, 0);
    for _ in 0..cases().cases {
        let (draft, wiring) = drafts.new_tree(&mut runner).unwrap().current();
        let app = draft.app();
        let report = compile(&app, &wiring.machine(), &Options::default()).unwrap().report;
        all += 1;
        if report.gap() > 0.0 {
            gaps += 1;
            let actors: Vec<_> = app.actors().values().map(|a| (a.exec.to_vec(), a.has_state())).collect();
            let selfs: Vec<_> =
                app.channels().values().filter(|c| c.source == c.target).map(|c| (c.source, c.initial.count)).collect();
            let q = scheduler::analysis::repetition(&app).unwrap();
            let q: Vec<_> = app.actors().ids().map(|a| q.firings(a)).collect();
            let cores: Vec<_> = wiring.nodes.iter().map(|n| n.cores).collect();
            println!(
                "GAP {} vs {} {:?} U {} | actors {actors:?} q {q:?} selfs {selfs:?} cores {cores:?}",
                report.iteration_period, report.placed_bound.ticks, report.placed_bound.kind, report.unroll
            );
        }
    }
    println!("{gaps} gaps in {all}");
}
