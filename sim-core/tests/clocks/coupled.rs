//! Values do not depend on clocks: words through the FIFOs of drifting clocks are those of logical ticks alone.

use crate::naive::{Naive, next_state};
use crate::support::{Case, case};
use proptest::prelude::*;
use sim_core::clock::{BufferFault, ClockEngine, Femtos};

/// States of all nodes after each of `ticks` ticks, by logical latencies: no clock, no buffer.
fn ideal(case: &Case, engine: &ClockEngine, ticks: usize) -> Vec<Vec<u64>> {
    let latencies: Vec<i64> = engine.link_ids().map(|link| engine.logical_latency(link)).collect();
    // Per node the state before tick 1, then after each tick.
    let mut states = vec![vec![0_u64]; case.nodes.len()];
    for tick in 1..=ticks {
        let next: Vec<u64> = (0..case.nodes.len())
            .map(|node| {
                let incoming = case.links.iter().zip(&latencies).filter(|(link, _)| link.1 as usize == node);
                // What is read in this tick was sent in an earlier one, of the state before that one.
                let words = incoming.map(|(link, &latency)| {
                    let sent = tick as i64 - latency;
                    if sent < 1 { 0 } else { states[link.0 as usize][sent as usize - 1] }
                });
                next_state(states[node][tick - 1], words)
            })
            .collect();
        states.iter_mut().zip(next).for_each(|(states, next)| states.push(next));
    }
    states
}

/// Runs both; every state before the first failure is the ideal one, and failures are the same. Says if there was one.
fn check(case: &Case, threads: usize, nanos: i64) -> Result<bool, TestCaseError> {
    let parts = case.naive();
    let mut naive = Naive::new(&parts.0, &parts.1, case.gain.into(), 100_000_000_000_000_000_000_000);
    naive.watching = true;
    let mut engine = case.engine(threads);
    let before = engine.clone();
    engine.watch(usize::MAX);
    let end = Femtos::nanos(nanos);
    engine.advance(end);
    naive.advance(end.0 * 1_000);
    let first = naive.failures.first().map(|failure| {
        let fault = if failure.overflow { BufferFault::Overflow } else { BufferFault::Underflow };
        (Femtos((failure.at + 999).div_euclid(1_000)), failure.link as u32, failure.tick as i64, fault)
    });
    let found = engine.buffer_events().first().map(|event| (event.at, event.link.0, event.tick, event.fault));
    prop_assert_eq!(found, first);
    let until = naive.failures.first().map_or(i128::MAX, |failure| failure.at);
    let most = naive.ticked.iter().map(Vec::len).max().unwrap_or(0);
    let ideal = ideal(case, &before, most);
    for (node, ticked) in naive.ticked.iter().enumerate() {
        for (tick, &(_, state)) in ticked.iter().enumerate().take_while(|(_, (at, _))| *at < until) {
            prop_assert_eq!(state, ideal[node][tick + 1], "node {}, tick {}", node, tick + 1);
        }
    }
    Ok(first.is_some())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Coupled = ideal: as long as drift stays within the depth of buffers, every state of every node.
    #[test]
    fn drift_within_the_depth_of_buffers_changes_no_word(mut case in case(150_000), threads in 1..4_usize) {
        case.links.iter_mut().for_each(|link| link.3 += 5);
        prop_assert!(!check(&case, threads, 6_000)?);
    }

    /// With buffers that may be too shallow the first failure is the same, and all before it is ideal.
    #[test]
    fn the_first_failure_is_that_of_the_frame_by_frame_simulation(case in case(3_000_000), threads in 1..4_usize) {
        check(&case, threads, 6_000)?;
    }

    /// Buffers that are too shallow for certain: clocks that nobody corrects.
    #[test]
    fn buffers_that_are_too_shallow_fail(mut case in case(100_000), apart in 2_000_000..4_000_000_i64) {
        (case.gain, case.nodes[0].0) = (0, apart);
        case.links.iter_mut().for_each(|link| link.3 = 4);
        prop_assert!(check(&case, 1, 9_000)?);
    }
}
