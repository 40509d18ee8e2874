//! Laws of every run, on random systems.

use crate::literal;
use crate::rings::{Ring, ring};
use crate::support::{assert_streams, everything, run};
use proptest::prelude::*;
use sim_core::digest::DigestLevel;
use sim_core::engine::Engine;
use sim_core::shard::{Partition, ShardId};
use sim_core::{Machine, RunOptions, Ticks};

pub(crate) fn config() -> ProptestConfig {
    let cases = std::env::var("TIDELOCK_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases.unwrap_or(64)) }
}

pub(crate) fn level() -> impl Strategy<Value = DigestLevel> {
    prop_oneof![Just(DigestLevel::Off), Just(DigestLevel::State), Just(DigestLevel::Events)]
}

/// Gives the nodes of `machine` to shards like `wishes`, renumbered without gaps.
pub(crate) fn partition(machine: &Machine, wishes: &[u32]) -> Partition {
    let wishes: Vec<u32> = wishes.iter().copied().cycle().take(machine.nodes().len()).collect();
    let mut used = wishes.clone();
    used.sort_unstable();
    used.dedup();
    let shard = |wish: &u32| ShardId(used.binary_search(wish).unwrap() as u32);
    Partition::new(wishes.iter().map(shard).collect()).unwrap()
}

proptest! {
    #![proptest_config(config())]

    /// The tokens are those of an untimed execution.
    #[test]
    fn streams_equal_the_untimed_execution(seed in any::<u64>(), iterations in 0_u64..40) {
        let Ring { app, machine, set } = ring(seed);
        let outcome = run(&app, &machine, &set, &everything(&app, iterations, DigestLevel::Off));
        assert_streams(&app, &outcome, iterations);
    }

    /// Ticks, streams and run digest are those of the machine executed tick by tick.
    #[test]
    fn outcomes_equal_the_literal_machine(seed in any::<u64>(), iterations in 0_u64..12, level in level()) {
        let Ring { app, machine, set } = ring(seed);
        let options = everything(&app, iterations, level);
        prop_assert_eq!(run(&app, &machine, &set, &options), literal::run(&app, &machine, &set, &options));
    }

    /// Threads, windows and traces change nothing.
    #[test]
    fn outcomes_are_those_of_any_number_of_threads(
        seed in any::<u64>(), iterations in 0_u64..60, level in level(), shards in prop::collection::vec(0_u32..4, 8),
        window in prop::option::of(1_i64..40), trace in any::<bool>(), pieces in 1_u64..40,
    ) {
        let Ring { app, machine, set } = ring(seed);
        let program = calendars::lower(&app, &machine, &set).unwrap();
        let plain = everything(&app, iterations, level);
        let options = RunOptions { window: window.map(Ticks), trace, ..plain.clone() };
        let mut engine = Engine::parallel(&app, &program, &options, &partition(&machine, &shards)).unwrap();
        while !engine.advance(pieces).unwrap().done {}
        prop_assert_eq!(engine.finish(), literal::run(&app, &machine, &set, &plain));
    }

    /// It does not matter in which pieces a run is executed.
    #[test]
    fn pieces_make_the_whole(
        seed in any::<u64>(), iterations in 0_u64..300, level in level(), pieces in prop::collection::vec(0_u64..9, 1..9)
    ) {
        let Ring { app, machine, set } = ring(seed);
        let options = everything(&app, iterations, level);
        let program = calendars::lower(&app, &machine, &set).unwrap();
        let mut engine = Engine::new(&app, &program, &options).unwrap();
        // Pieces of nothing would never get there.
        let rounds = if pieces.iter().all(|&piece| piece == 0) { 0 } else { usize::MAX };
        for &metacycles in pieces.iter().cycle().take(rounds) {
            let before = engine.progress();
            let progress = engine.advance(metacycles).unwrap();
            prop_assert!(progress.tick >= before.tick);
            if progress.done {
                prop_assert_eq!(progress.tick, progress.end);
                break;
            }
        }
        engine.advance(u64::MAX).unwrap();
        prop_assert_eq!(engine.finish(), run(&app, &machine, &set, &options));
    }

    /// A run that is stopped yields a prefix of the whole run's tokens.
    #[test]
    fn a_stopped_run_is_a_prefix(seed in any::<u64>(), iterations in 1_u64..40, metacycles in 0_u64..30) {
        let Ring { app, machine, set } = ring(seed);
        let options = everything(&app, iterations, DigestLevel::State);
        let program = calendars::lower(&app, &machine, &set).unwrap();
        let mut engine = Engine::new(&app, &program, &options).unwrap();
        engine.advance(metacycles).unwrap();
        let (part, whole) = (engine.finish(), run(&app, &machine, &set, &options));
        prop_assert!(part.iterations <= whole.iterations);
        for (id, channel) in app.channels().iter() {
            prop_assert!(whole.recorded[&id].starts_with(&part.recorded[&id]));
            let tokens = part.channels[&id].tokens;
            prop_assert!(tokens >= part.iterations);
            prop_assert_eq!(tokens * u64::from(channel.token_words()), part.recorded[&id].len() as u64);
        }
    }
}
