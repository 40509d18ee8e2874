//! Whole runs under virtual time: random systems, delays, naps, deaths and rifts, thousands of seeds in seconds.

use crate::toy::{Toy, Wire, expected, shards};
use proptest::prelude::*;
use sim_core::random::Seed;
use std::time::Duration;
use tidelock_net_runtime::memory::{End, Weather, run};
use tidelock_net_runtime::proto::session::{Event, Phase};
use tidelock_net_runtime::proto::{Cause, ShardId, Stop};

const MS: Duration = Duration::from_millis(1);

/// A ring in both directions.
fn ring(count: u32) -> Vec<Wire> {
    (0..count).flat_map(|id| [Wire::dense(id, (id + 1) % count, 1), Wire::dense((id + 1) % count, id, 2)]).collect()
}

fn weather(seed: u64) -> Weather {
    Weather { timeout: 300 * MS, delay: MS..3 * MS, ..Weather::fair(Seed(seed)) }
}

fn finished(ends: &[End<Toy>], expected: &[u64]) {
    for (end, expected) in ends.iter().zip(expected) {
        assert_eq!(*end.session.phase(), Phase::Finished);
        assert_eq!(end.session.worker().state, *expected);
    }
    // Shard 0 has a part of everybody.
    let parts = ends[0].events.iter().filter_map(|event| match event {
        Event::Part { from, bytes } => Some((*from, u64::from_le_bytes(bytes.as_slice().try_into().unwrap()))),
        _ => None,
    });
    let mut parts: Vec<_> = parts.collect();
    parts.sort_unstable();
    let all: Vec<_> = (0..).map(ShardId).zip(expected.iter().copied()).collect();
    assert_eq!(parts, all);
}

/// All shards but those in `except` have stopped, with one reason.
fn stopped(ends: &[End<Toy>], except: &[usize]) -> Stop {
    let reasons = ends.iter().enumerate().filter(|(id, _)| !except.contains(id)).map(|(_, end)| end.session.phase());
    let reasons: Vec<_> = reasons.cloned().collect();
    // Without shard 0 each knows only its own tick.
    let same = |phase: &Phase, stop: &Stop| matches!(phase, Phase::Stopped(s) if (s.cause, s.shard) == (stop.cause, stop.shard));
    match &reasons[0] {
        Phase::Stopped(stop) if reasons.iter().all(|phase| same(phase, stop)) => stop.clone(),
        _ => panic!("{reasons:?}"),
    }
}

#[test]
fn a_nap_is_waited_for() {
    let mut weather = weather(1);
    weather.naps.push((ShardId(2), 20 * MS..250 * MS));
    finished(&run(shards(4, &ring(4), 60, 9), &weather), &expected(4, &ring(4), 60));
}

#[test]
fn a_long_wait_is_told() {
    let mut weather = weather(1);
    weather.timeout = Duration::from_secs(60);
    weather.naps.push((ShardId(1), 20 * MS..Duration::from_secs(12)));
    let ends = run(shards(3, &ring(3), 60, 9), &weather);
    let slow = |event: &Event| matches!(event, Event::Slow { neighbour: ShardId(1), waited } if *waited >= Duration::from_secs(5));
    // After 5 and after 10 seconds.
    assert_eq!(ends[0].events.iter().filter(|event| slow(event)).count(), 2);
    finished(&ends, &expected(3, &ring(3), 60));
}

/// Whoever dies, whenever: all others stop and name it.
#[test]
fn a_death_stops_all_others_with_one_reason() {
    for seed in 0..40 {
        let (dead, at) = ((seed % 4) as u32, MS * (5 + seed as u32));
        let mut weather = weather(seed);
        weather.deaths.push((ShardId(dead), at));
        let ends = run(shards(4, &ring(4), 600, 9), &weather);
        let stop = stopped(&ends, &[dead as usize]);
        assert_eq!((stop.cause, stop.shard), (Cause::Lost, ShardId(dead)), "seed {seed}");
        assert!(ends.iter().enumerate().all(|(id, end)| id == dead as usize || end.at.is_some()), "seed {seed}");
    }
}

#[test]
fn who_sleeps_too_long_finds_itself_expelled() {
    for sleeper in 0..3 {
        let mut weather = weather(3);
        weather.naps.push((ShardId(sleeper), 20 * MS..900 * MS));
        let ends = run(shards(3, &ring(3), 600, 9), &weather);
        assert_eq!(stopped(&ends, &[sleeper as usize]).shard, ShardId(sleeper));
        let Phase::Stopped(stop) = ends[sleeper as usize].session.phase() else { panic!("it must stop") };
        assert!(matches!(stop.cause, Cause::Expelled | Cause::Lost), "{stop}");
        assert!(ends.iter().all(|end| end.session.worker().position_now() < 600), "nobody gets to the end");
    }
}

#[test]
fn a_short_rift_costs_time_only() {
    let mut weather = weather(5);
    weather.rifts.push((ShardId(1), ShardId(2), 10 * MS..280 * MS));
    finished(&run(shards(4, &ring(4), 60, 9), &weather), &expected(4, &ring(4), 60));
}

#[test]
fn a_long_rift_stops_both_sides() {
    // Between two that are not shard 0, all agree; shard 0 cut off from everybody is named by them, and names one of them.
    let mut one = weather(5);
    one.rifts.push((ShardId(1), ShardId(2), 10 * MS..900 * MS));
    let stop = stopped(&run(shards(4, &ring(4), 600, 9), &one), &[]);
    assert!(stop.cause == Cause::Lost && [ShardId(1), ShardId(2)].contains(&stop.shard));
    let mut both = weather(6);
    both.rifts = (1..4).map(|other| (ShardId(0), ShardId(other), 10 * MS..900 * MS)).collect();
    let ends = run(shards(4, &ring(4), 600, 9), &both);
    assert!(ends.iter().all(|end| matches!(end.session.phase(), Phase::Stopped(stop) if stop.cause == Cause::Lost)));
}

#[test]
fn a_failing_firing_ends_the_run_everywhere() {
    for broken in 0..3 {
        let mut all = shards(3, &ring(3), 60, 9);
        all[broken].1.panics_at = Some(31);
        let stop = stopped(&run(all, &weather(7)), &[]);
        assert_eq!((stop.cause, stop.shard), (Cause::CheckFailed, ShardId(broken as u32)));
        assert!(stop.message.contains("tick 31"), "{stop}");
    }
}

#[test]
fn an_interruption_ends_all_at_one_tick() {
    for seed in 0..20 {
        let mut weather = weather(seed);
        weather.interrupt = Some(MS * (10 + 3 * seed as u32));
        let ends = run(shards(4, &ring(4), 6000, 9), &weather);
        assert_eq!(stopped(&ends, &[]).cause, Cause::Interrupted);
        let tick = ends[0].session.worker().position_now();
        assert!(ends.iter().all(|end| end.session.worker().position_now() == tick) && tick < 6000);
    }
}

/// Any wires between a few shards, with latencies from 0 and any period.
fn system() -> impl Strategy<Value = (u32, Vec<Wire>)> {
    (1_u32..5).prop_flat_map(|count| {
        let wire = (0..count, 0..count, 0_i64..5, 1_i64..7, 0_i64..7);
        let wire = wire.prop_map(|(from, to, latency, period, offset)| Wire {
            from,
            to,
            latency,
            period,
            offset: offset % period,
        });
        (Just(count), proptest::collection::vec(wire, 0..10))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Shards, delays, windows, credits and cuts never change the result.
    #[test]
    fn shards_are_invisible(
        (count, wires) in system(), seed in any::<u64>(), end in 1_i64..200, credit in 1_i64..40, windows in any::<u64>(),
    ) {
        let wires: Vec<Wire> = wires.into_iter().filter(|wire| wire.from != wire.to).collect();
        let mut all = shards(count, &wires, end, credit);
        for (id, (_, toy)) in all.iter_mut().enumerate() {
            // No window exceeds what its shard may be ahead, in either way.
            let incoming = wires.iter().filter(|wire| wire.to as usize == id).map(|wire| wire.latency + 1);
            let largest = incoming.min().unwrap_or(credit).min(credit) as u64;
            toy.window = (1 + (windows >> (8 * id)) % largest) as i64;
        }
        finished(&run(all, &weather(seed)), &expected(count, &wires, end));
    }
}
