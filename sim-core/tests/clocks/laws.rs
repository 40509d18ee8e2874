//! The laws of the abstract frame model, over random networks.

use crate::support::{GIGAHERTZ, case, options};
use proptest::prelude::*;
use sim_core::clock::{
    BootOptions, ClockEngine, ClockLink, ClockNetwork, ClockNode, Control, Controller, Coupling, Femtos, Frequency,
    Gain, GroomLink, Law, Measured, PumpKind, Switch, boot, groom, stability,
};
use sim_core::{IdVec, LinkId, NodeId, Tick};

fn gain(text: &str) -> Gain {
    Gain::per_nanosecond(text.parse().unwrap()).unwrap()
}

fn law(number: usize) -> Control {
    let (kp, ki) = (gain("2e-8"), gain("1e-15"));
    let step = Gain::relative("1e-8".parse().unwrap()).unwrap();
    let relative = Gain::relative("2e-8".parse().unwrap()).unwrap();
    let laws = [
        Law::Free,
        Law::Proportional { kp },
        Law::ProportionalIntegral { kp, ki },
        Law::Reframing { kp, switch: Switch::At(Femtos::nanos(200_000_000)) },
        Law::Pump { kind: PumpKind::Relative, kp: relative, step, steps_most: Some(100_000) },
        Law::AutoReset {
            reset: Gain::relative("0.01".parse().unwrap()).unwrap(),
            kp,
            most: Some(Frequency::hertz(200_000)),
        },
    ];
    laws[number % laws.len()].into()
}

/// A ring both ways at the published rhythm.
fn ring(ppb: &[i64], latency: Femtos, depth: u32) -> ClockNetwork {
    let count = ppb.len() as u32;
    let nodes: Vec<_> = ppb.iter().map(|ppb| ClockNode::new(GIGAHERTZ.shifted(ppb * 1_000))).collect();
    let ends = (0..count).flat_map(|node| [(node, (node + 1) % count), ((node + 1) % count, node)]);
    let link = |(from, to)| ClockLink {
        initial: 0,
        set_point: 0,
        depth: Some(depth),
        ..ClockLink::new(NodeId(from), NodeId(to), latency)
    };
    ClockNetwork::new(nodes, ends.map(link).collect::<Vec<_>>()).unwrap().with_nominal(GIGAHERTZ)
}

fn star(leaves: u32) -> ClockNetwork {
    let nodes: Vec<_> = (0..=leaves)
        .map(|node| ClockNode::new(GIGAHERTZ.shifted((i64::from(node) * 7_919 % 2_001 - 1_000) * 1_000)))
        .collect();
    let link = |from, to| ClockLink::new(NodeId(from), NodeId(to), Femtos::nanos(5_000));
    let links: Vec<_> = (1..=leaves).flat_map(|leaf| [link(0, leaf), link(leaf, 0)]).collect();
    ClockNetwork::new(nodes, links).unwrap().with_nominal(GIGAHERTZ)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Law 1: around a cycle, frames in buffers and in flight are constant, floors included, whatever the controller.
    #[test]
    fn frames_around_a_cycle_are_constant(ppb in prop::collection::vec(-100_000_i64..100_000, 3..7), number in 0..6_usize) {
        let network = ring(&ppb, Femtos(3_333_333_333), 32);
        let mut engine = ClockEngine::new(&network, law(number), options(1, 0));
        let cycle: Vec<LinkId> = engine.link_ids().step_by(2).collect();
        let sum = |engine: &ClockEngine, at| {
            let views = cycle.iter().map(|&link| engine.link_view(link, at));
            views.map(|view| view.occupancy + view.in_flight).sum::<i64>()
        };
        let start = sum(&engine, Femtos(0));
        for stop in 1..20 {
            let at = Femtos(stop * 17_777_777_777_777);
            engine.advance(at);
            // Centring, over- and underflows change it by what they report.
            let edits = engine.edits().iter().filter(|edit| cycle.contains(&edit.link));
            prop_assert_eq!(sum(&engine, at) - start, edits.map(|edit| edit.frames).sum::<i64>());
            if stop == 10 {
                engine.centre();
                engine.watch(usize::MAX);
            }
        }
        prop_assert!(number > 0 || engine.buffer_event_count() > 0 || ppb.iter().all(|offset| *offset == ppb[0]));
    }

    /// The number of threads is invisible.
    #[test]
    fn threads_are_invisible(case in case(500_000), threads in 2..6_usize) {
        let run = |threads| {
            let mut engine = case.engine(threads);
            engine.advance(Femtos::nanos(20_000));
            (engine.summary(), engine.snapshot(Femtos::nanos(20_000)), engine.first_events().to_vec())
        };
        prop_assert_eq!(run(1), run(threads));
    }

    /// Observing, in whatever steps, changes nothing.
    #[test]
    fn stops_are_invisible(case in case(500_000), stops in prop::collection::vec(1_i64..30_000, 1..20)) {
        let end = Femtos::nanos(30_000);
        let mut once = case.engine(1);
        once.advance(end);
        let mut often = case.engine(2);
        let mut stops = stops;
        stops.sort_unstable();
        for stop in stops {
            often.advance(Femtos::nanos(stop));
        }
        often.advance(end);
        prop_assert_eq!(once.snapshot(end), often.snapshot(end));
        prop_assert_eq!(once.summary(), often.summary());
    }

    /// Centring leaves every frequency as it is, to the last bit.
    #[test]
    fn centring_leaves_frequencies(ppb in prop::collection::vec(-100_000_i64..100_000, 3..6), number in 1..6_usize) {
        let network = ring(&ppb, Femtos::nanos(5_000), 32);
        let run = |centre: bool| {
            let mut engine = ClockEngine::new(&network, law(number), options(1, 0));
            engine.advance(Femtos::nanos(50_000_000));
            if centre {
                engine.centre();
                assert!(engine.link_ids().all(|link| engine.link_view(link, engine.now()).occupancy == 16));
            }
            let end = Femtos::nanos(100_000_000);
            engine.advance(end);
            engine.snapshot(end).nodes
        };
        prop_assert_eq!(run(false), run(true));
    }

    /// Law 9: grooming gives every link its scheduled latency by inserting frames, or names a cycle that forbids it.
    #[test]
    fn grooming_reaches_the_schedule_or_names_a_cycle(
        ends in prop::collection::vec((0..6_u32, 0..6_u32, -30_i64..60, -30_i64..60), 1..20),
    ) {
        let links: IdVec<LinkId, GroomLink> = ends.iter().map(|&(source, target, captured, scheduled)| {
            GroomLink { source: NodeId(source), target: NodeId(target), captured, scheduled }
        }).collect();
        match groom(6, &links) {
            Ok(grooming) => for (id, link) in links.iter() {
                let q = &grooming.relabelled_by;
                let latency = link.captured + q[link.target] - q[link.source] + grooming.frames[id];
                prop_assert!(grooming.frames[id] >= 0);
                prop_assert_eq!(latency, link.scheduled);
            },
            Err(error) => {
                prop_assert!(error.captured > error.scheduled);
                let next = error.cycle.iter().cycle().skip(1);
                prop_assert!(error.cycle.iter().zip(next).all(|(&a, &b)| links[a].target == links[b].source));
                let sum: i128 = error.cycle.iter().map(|&link| i128::from(links[link].captured)).sum();
                prop_assert_eq!(sum, error.captured);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// After boot with published gains and constant oscillators buffers of 32 frames stay within ± 16 of their middle,
    /// round trips are what they were before, and every node's clock carries a run without a fault.
    #[test]
    fn booted_buffers_hold(ppb in prop::collection::vec(-100_000_i64..100_000, 3..7)) {
        let network = ring(&ppb, Femtos::nanos(168), 32);
        let mut engine = ClockEngine::new(&network, law(1), options(1, 0));
        let before: Vec<i64> = engine.link_ids().map(|link| engine.logical_latency(link)).collect();
        let booted = boot(&mut engine, &BootOptions::default()).unwrap();
        for (link, &by) in booted.centred_by.iter() {
            prop_assert_eq!(booted.latencies[link], before[link.0 as usize] + by);
        }
        let mut coupling = Coupling::new(engine, &IdVec::filled(0, ppb.len()));
        let run = coupling.run(Tick(5_000_000), 1_000_000);
        prop_assert_eq!(run.fault, None);
        for (_, occupancy) in run.occupancies.iter() {
            let (least, most) = occupancy.unwrap();
            prop_assert!(least >= 0 && most <= 32, "{least} … {most}");
        }
        prop_assert_eq!(run.ticks.len(), 6);
        for pair in run.ticks.windows(2) {
            prop_assert!(pair[0].began.values().zip(pair[1].began.values()).all(|(a, b)| a < b));
        }
        for (tick, (link, &seen)) in run.ticks.iter().flat_map(|tick| tick.occupancies.iter().map(move |seen| (tick, seen))) {
            let (least, most) = run.occupancies[link].unwrap();
            prop_assert!((least..=most).contains(&seen), "{seen} in tick {}", tick.tick);
        }
    }
}

/// Law 2: proportional control settles where the formula says, but for the bias of floors.
#[test]
fn proportional_control_settles_at_the_formula() {
    let ppm = [36.0, -50.0, 90.0, -70.0, -35.0, -30.0, 55.0, 22.0];
    let network = ring(&ppm.map(|ppm| (ppm * 1e3) as i64), Femtos::nanos(5_000), 32);
    let mut engine = ClockEngine::new(&network, law(1), options(1, 0));
    engine.advance(Femtos(2 * Femtos::PER_SECOND));
    let (kp, latency) = (2e-8, 5_000.0);
    let uncorrected: f64 = ppm.iter().sum::<f64>() * 1e-6 + 8.0;
    let sent: f64 = ppm.iter().map(|ppm| 2.0 * latency * (1.0 + ppm * 1e-6)).sum();
    let expected = (uncorrected + kp * sent) / (8.0 + kp * 16.0 * latency);
    let (low, high) = engine.summary().spread.unwrap();
    // At most one frame of bias per link and node.
    for found in [low, high] {
        assert!((found.per_nanosecond() - expected).abs() <= kp * 2.0, "{found} {expected}");
    }
}

/// Law 3: at default gains a star of 900 leaves converges, one of 1 100 diverges.
#[test]
fn a_star_of_900_converges_and_one_of_1100_diverges() {
    let run = |leaves| {
        let network = star(leaves);
        let bound = stability(&network, &law(1)).unwrap();
        let mut engine = ClockEngine::new(&network, law(1), options(1, 0));
        engine.advance(Femtos::nanos(3_000_000));
        let (low, high) = engine.summary().spread.unwrap();
        let early = high.0 - low.0;
        engine.advance(Femtos::nanos(9_000_000));
        let (low, high) = engine.summary().spread.unwrap();
        (bound.is_stable(), early, high.0 - low.0)
    };
    let (stable, early, late) = run(900);
    assert!(stable && late < early, "{early} {late}");
    let (stable, early, late) = run(1_100);
    assert!(!stable && late > 2 * early, "{early} {late}");
}

/// Law 4, and Callisto's own criterion: the energy of a triangle's frequencies is α²R / 2k_P.
#[test]
fn the_energy_of_a_triangle_is_that_of_its_resistance() {
    let network = ring(&[100_000, -100_000, 0], Femtos::nanos(5_000), 32);
    let mut engine = ClockEngine::new(&network, law(2), options(1, 0));
    engine.advance(Femtos::nanos(200_000_000));
    let expected = 1e-4 * 1e-4 * (2.0 / 3.0) / (2.0 * 2e-8);
    let ratio = engine.summary().deviation_squared / expected;
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
}

/// Law 6: a pump ends with a spread of one step, and is no faster than a step per interval on the way.
#[test]
fn a_pump_ends_within_one_step() {
    let network = ring(&[5_000, -4_000, 2_000, -1_000], Femtos::nanos(5_000), 32);
    let mut engine = ClockEngine::new(&network, law(4), options(1, 0));
    let step = 10; // hertz: 10 ppb of a gigahertz
    let mut last = engine.snapshot(Femtos(0));
    for millis in (0..2_000).step_by(100) {
        let at = Femtos::nanos(millis * 1_000_000);
        engine.advance(at + Femtos(1));
        let now = engine.snapshot(at);
        for (node, view) in now.nodes.iter() {
            let change = (view.frequency.0 - last.nodes[node].frequency.0).abs();
            assert!(change <= 1_001 * step * 1_000_010, "{change}");
        }
        last = now;
    }
    let (low, high) = engine.summary().spread.unwrap();
    let spread = (high.0 - low.0) as f64 / 1e6;
    assert!((9.9..10.2).contains(&spread) || spread < 0.2, "{spread}");
}

/// Law 7: reframing lets buffers return to their set points, and frequencies to what they were.
#[test]
fn reframing_empties_readings_and_keeps_the_frequency() {
    let network = ring(&[30_000, -50_000, 10_000, 10_000], Femtos::nanos(5_000), 32);
    let mut engine = ClockEngine::new(&network, law(3), options(1, 0));
    let furthest = |engine: &ClockEngine| {
        let counters = engine.link_ids().map(|link| engine.link_view(link, engine.now()).counter.abs());
        counters.max().unwrap()
    };
    engine.advance(Femtos::nanos(199_900_000));
    let (before, (low, _)) = (furthest(&engine), engine.summary().spread.unwrap());
    engine.advance(Femtos(2 * Femtos::PER_SECOND));
    let (after, (late, _)) = (furthest(&engine), engine.summary().spread.unwrap());
    assert!(before > 300 && after <= 5, "{before} {after}");
    assert!((low.0 - late.0).abs() < 1_000_000_000, "{low} {late}");
}

/// A law of one's own: half the proportional gain, by the mean of readings.
#[test]
fn anybody_can_write_a_law() {
    #[derive(Clone)]
    struct Mean;
    impl Controller for Mean {
        type State = u32;
        fn start(&self, _: NodeId, _: Frequency) -> u32 {
            0
        }
        fn correct(&self, measured: &Measured<'_>, calls: &mut u32) -> Frequency {
            *calls += 1;
            assert_eq!(measured.readings.iter().sum::<i64>(), measured.sum);
            Frequency(measured.sum * 20_000_000 / measured.readings.len().max(1) as i64)
        }
    }
    let network = ring(&[30_000, -50_000, 10_000], Femtos::nanos(5_000), 32);
    let mut engine = ClockEngine::new(&network, Mean, options(2, 0));
    engine.advance(Femtos::nanos(600_000_000));
    assert!(engine.summary().settled_at.is_some());
}

/// A day of simulated time at 1 GHz, at a slow rhythm: nothing overflows, and law 1 still holds.
#[test]
fn a_day_does_not_overflow() {
    let mut network = ring(&[300, -100, 20], Femtos::nanos(5_000), 32);
    let nodes: Vec<_> = network
        .nodes()
        .values()
        .map(|node| ClockNode { period: 200_000_000, delay: 1_000_000, ..node.clone() })
        .collect();
    network = ClockNetwork::new(nodes, network.links().clone()).unwrap();
    let kp = gain("2e-11");
    let mut engine = ClockEngine::new(&network, Control::from(Law::Proportional { kp }), options(1, 0));
    let day = Femtos(86_400 * Femtos::PER_SECOND);
    assert!(network.time_most() > day);
    engine.advance(day);
    let sum = |link: u32| {
        let view = engine.link_view(LinkId(link), day);
        view.occupancy + view.in_flight - view.latency
    };
    assert_eq!(sum(0) + sum(2) + sum(4), 0);
    assert!(engine.summary().settled_at.is_some());
}
