//! The engine against the frame-by-frame simulation.

use crate::naive::Naive;
use crate::support::{Case, case};
use proptest::prelude::*;
use sim_core::clock::{BufferFault, Femtos};

/// Attoseconds as the engine reports them: the first femtosecond not before.
fn femtos(attos: i128) -> Femtos {
    Femtos((attos + 999).div_euclid(1_000))
}

/// A tenth of a frame.
const START: i128 = 100_000_000_000_000_000_000_000;

fn naive_run<'a>(case: &Case, parts: &'a (Vec<crate::naive::Node>, Vec<crate::naive::Link>)) -> Naive<'a> {
    Naive::new(&parts.0, &parts.1, case.gain.into(), START)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Every event, every counter and occupancy, every frame under way.
    #[test]
    fn every_event_is_that_of_the_frame_by_frame_simulation(case in case(2_000_000), threads in 1..4_usize) {
        let parts = case.naive();
        let mut naive = naive_run(&case, &parts);
        let mut engine = case.engine(threads);
        for stop in [700, 2_311, 5_000] {
            let until = Femtos::nanos(stop);
            engine.advance(until);
            naive.advance(until.0 * 1_000);
            let seen = engine.snapshot(Femtos(until.0 - 1));
            // Nothing may happen in the last femtosecond, which the snapshot leaves out.
            let mut again = naive_run(&case, &parts);
            again.advance((until.0 - 1) * 1_000 + 1);
            let view = |pick: fn(&sim_core::clock::LinkView) -> i64| -> Vec<i128> {
                seen.links.values().map(|link| pick(link).into()).collect()
            };
            prop_assert_eq!(view(|link| link.counter), again.counters());
            prop_assert_eq!(view(|link| link.occupancy), again.occupancies());
            prop_assert_eq!(view(|link| link.in_flight), again.in_flight());
        }
        let mut expected: Vec<_> = naive.log.iter().map(|&(node, number, reading, measured, acted, frequency)| {
            (femtos(acted), node as u32, number as u64, reading as i64, femtos(measured), frequency as i64)
        }).collect();
        expected.sort_unstable();
        // Events are kept only once enough have been seen; here all are compared through the counters and the tally.
        prop_assert_eq!(engine.summary().events, expected.len() as u64);
        let mut found: Vec<_> = engine.first_events().iter().map(|event| {
            (event.acted_at, event.node.0, event.number, event.reading, event.measured_at, event.frequency.0)
        }).collect();
        found.sort_unstable();
        prop_assert_eq!(found, expected);
    }

    /// Every over- and underflow: when, which link, which tick.
    #[test]
    fn every_buffer_event_is_that_of_the_frame_by_frame_simulation(case in case(3_000_000), threads in 1..4_usize) {
        let parts = case.naive();
        let mut naive = naive_run(&case, &parts);
        let mut engine = case.engine(threads);
        let begin = Femtos(777_777_777);
        engine.advance(begin);
        engine.centre();
        engine.watch(usize::MAX);
        naive.advance(begin.0 * 1_000);
        naive.centre();
        naive.watching = true;
        for stop in [1_500, 4_000, 9_000] {
            engine.advance(Femtos::nanos(stop));
            naive.advance(Femtos::nanos(stop).0 * 1_000);
        }
        let expected: Vec<_> = naive.failures.iter().map(|failure| {
            let fault = if failure.overflow { BufferFault::Overflow } else { BufferFault::Underflow };
            (femtos(failure.at), failure.link as u32, failure.tick as i64, fault)
        }).collect();
        let mut found: Vec<_> = engine.buffer_events().iter().map(|event| {
            (event.at, event.link.0, event.tick, event.fault)
        }).collect();
        let mut expected = expected;
        expected.sort_unstable();
        found.sort_unstable();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(engine.buffer_event_count(), naive.failures.len() as u64);
    }
}
