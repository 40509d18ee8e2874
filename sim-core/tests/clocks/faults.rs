//! Faults, start-up in stages, and oscillators that vary.

use crate::support::{GIGAHERTZ, options};
use sim_core::clock::{
    BootError, BootOptions, ClockEngine, ClockLink, ClockNetwork, ClockNode, Control, EditError, EditKind, Fault,
    Femtos, Frequency, Gain, Jitter, Law, NetworkError, Oscillator, Wander, boot,
};
use sim_core::random::Seed;
use sim_core::{LinkId, NodeId};

fn control() -> Control {
    Law::Proportional { kp: Gain::per_nanosecond("2e-8".parse().unwrap()).unwrap() }.into()
}

fn millis(millis: i64) -> Femtos {
    Femtos::nanos(millis * 1_000_000)
}

/// Three nodes, all joined both ways.
fn triangle(change: impl FnOnce(&mut Vec<ClockNode>, &mut Vec<ClockLink>)) -> Result<ClockNetwork, NetworkError> {
    let mut nodes: Vec<_> = [40, -20, 5].map(|ppm| ClockNode::new(GIGAHERTZ.shifted(ppm * 1_000_000))).into();
    let ends = [(0, 1), (1, 0), (1, 2), (2, 1), (2, 0), (0, 2)];
    let link = |(from, to)| ClockLink {
        initial: 0,
        set_point: 0,
        depth: Some(32),
        ..ClockLink::new(NodeId(from), NodeId(to), Femtos::nanos(5_000))
    };
    let mut links: Vec<_> = ends.map(link).into();
    change(&mut nodes, &mut links);
    ClockNetwork::new(nodes, links)
}

fn spread(engine: &ClockEngine) -> f64 {
    engine.summary().spread.map_or(f64::INFINITY, |(low, high)| high.ppm_of(GIGAHERTZ) - low.ppm_of(GIGAHERTZ))
}

/// The cycle 0 → 1 → 2 → 0.
const CYCLE: [LinkId; 3] = [LinkId(0), LinkId(2), LinkId(4)];

/// Law 1 across faults: the sum around a cycle changes by exactly the frames that edits report.
fn accounts(engine: &ClockEngine, start: i64) {
    let views = CYCLE.map(|link| engine.link_view(link, engine.now()));
    let now: i64 = views.iter().map(|view| view.occupancy + view.in_flight).sum();
    let edits = engine.edits().iter().filter(|edit| CYCLE.contains(&edit.link));
    assert_eq!(now - start, edits.map(|edit| edit.frames).sum::<i64>());
}

fn sum_at_start(network: &ClockNetwork) -> i64 {
    let engine = ClockEngine::new(network, control(), options(1, 0));
    CYCLE.map(|link| engine.link_view(link, Femtos(0))).iter().map(|view| view.occupancy + view.in_flight).sum()
}

#[test]
fn a_link_goes_down_and_comes_up_recaptured() {
    let network = triangle(|_, _| ()).unwrap();
    for threads in [1, 3] {
        let mut engine = ClockEngine::new(&network, control(), options(threads, 0));
        engine.schedule(millis(300), Fault::LinkDown(LinkId(0))).unwrap();
        engine.schedule(millis(500), Fault::LinkUp(LinkId(0))).unwrap();
        engine.advance(millis(400));
        assert!(!engine.is_up(LinkId(0)) && engine.is_up(LinkId(1)));
        engine.advance(millis(500) + Femtos(1));
        assert!(engine.is_up(LinkId(0)));
        let view = engine.link_view(LinkId(0), millis(500));
        assert_eq!((view.counter, view.occupancy), (0, 16));
        assert!(engine.edits().iter().all(|edit| edit.kind == EditKind::Recaptured && edit.link == LinkId(0)));
        engine.advance(millis(1_000));
        assert!(spread(&engine) < 1.0);
        accounts(&engine, sum_at_start(&network));
    }
}

#[test]
fn a_node_stops_and_starts() {
    let network = triangle(|_, _| ()).unwrap();
    let run = |threads| {
        let mut engine = ClockEngine::new(&network, control(), options(threads, 0));
        engine.schedule(millis(200), Fault::NodeStop(NodeId(2))).unwrap();
        engine.schedule(millis(350), Fault::NodeStart(NodeId(2))).unwrap();
        engine.advance(millis(300));
        let stopped = engine.node_view(NodeId(2), millis(300));
        assert_eq!(stopped.frequency, Frequency(0));
        assert_eq!(engine.link_ids().filter(|&link| engine.is_up(link)).count(), 2);
        engine.advance(millis(350));
        assert_eq!(engine.node_view(NodeId(2), millis(350)).phase, stopped.phase);
        engine.advance(millis(900));
        assert!(spread(&engine) < 1.0 && engine.link_ids().all(|link| engine.is_up(link)));
        accounts(&engine, sum_at_start(&network));
        engine.snapshot(millis(900))
    };
    assert_eq!(run(1), run(2));
}

#[test]
fn nodes_start_one_after_the_other_and_boot() {
    let network = triangle(|nodes, _| {
        nodes[1].start = millis(3);
        nodes[2].start = millis(70);
    })
    .unwrap();
    let mut engine = ClockEngine::new(&network, control(), options(1, 0));
    engine.advance(millis(50));
    assert_eq!(engine.node_view(NodeId(2), millis(50)).frequency, Frequency(0));
    let booted = boot(&mut engine, &BootOptions { stable_for: millis(200), ..BootOptions::default() }).unwrap();
    assert!(engine.link_ids().all(|link| engine.link_view(link, booted.at).occupancy == 16));
    accounts(&engine, sum_at_start(&network));
    // Round trips: two latencies of 5 000 ticks and two half-full buffers, but for floors.
    let trip = booted.latencies[LinkId(0)] + booted.latencies[LinkId(1)];
    assert!((10_030..=10_034).contains(&trip), "{trip}");
}

#[test]
fn a_frequency_step_is_absorbed() {
    let network = triangle(|_, _| ()).unwrap();
    let mut engine = ClockEngine::new(&network, control(), options(1, 0));
    let by = Frequency::hertz(10_000);
    engine.schedule(Femtos(400_000_000_012_345), Fault::FrequencyStep { node: NodeId(0), by }).unwrap();
    engine.advance(millis(400));
    let before = engine.node_view(NodeId(0), millis(400)).frequency;
    engine.advance(Femtos(400_000_000_012_346));
    let after = engine.node_view(NodeId(0), Femtos(400_000_000_012_346)).frequency;
    assert_eq!(after.0 - before.0, by.0);
    engine.advance(millis(900));
    assert!(spread(&engine) < 0.5);
    accounts(&engine, sum_at_start(&network));
}

#[test]
fn a_latency_changes_as_fast_as_frames_stay_in_order() {
    let network = triangle(|_, _| ()).unwrap();
    let mut engine = ClockEngine::new(&network, control(), options(1, 0));
    let ramp = |to, over| Fault::Latency { link: LinkId(0), to: Femtos::nanos(to), over };
    let error = engine.schedule(millis(200), ramp(9_000, Femtos::nanos(4_000))).unwrap_err();
    assert!(matches!(error, EditError::Overtaking { .. }), "{error}");
    engine.schedule(millis(200), ramp(9_000, millis(1))).unwrap();
    engine.advance(millis(200));
    let before = engine.link_view(LinkId(0), millis(200)).in_flight;
    engine.advance(millis(202));
    let after = engine.link_view(LinkId(0), millis(202)).in_flight;
    assert!((after - before - 4_000).abs() <= 1, "{before} {after}");
    accounts(&engine, sum_at_start(&network));
    // While a link is down its latency may change at once.
    engine.schedule(millis(210), Fault::LinkDown(LinkId(0))).unwrap();
    engine.schedule(millis(220), ramp(1_000, Femtos(0))).unwrap();
    engine.schedule(millis(230), Fault::LinkUp(LinkId(0))).unwrap();
    engine.advance(millis(700));
    assert!(spread(&engine) < 1.0);
    accounts(&engine, sum_at_start(&network));
}

/// A profile is followed exactly: 40 ppm up within 0.1 s, and down again.
#[test]
fn a_profile_is_an_exact_quadratic() {
    let oscillator = Oscillator::constant(GIGAHERTZ).with_profile(vec![
        (millis(100), Frequency(0)),
        (millis(200), Frequency::hertz(40_000)),
        (millis(300), Frequency(0)),
    ]);
    let node = ClockNode { oscillator, ..ClockNode::new(GIGAHERTZ) };
    let network = ClockNetwork::new(vec![node], Vec::new()).unwrap();
    let mut engine = ClockEngine::new(&network, Control::from(Law::Free), options(1, 0));
    // Phase beyond nominal: the area below the profile, in frames.
    for (at, frequency, beyond) in
        [(150, 20_000.0, 500.0), (200, 40_000.0, 2_000.0), (250, 20_000.0, 3_500.0), (400, 0.0, 4_000.0)]
    {
        engine.advance(millis(at) + Femtos(1));
        let view = engine.node_view(NodeId(0), millis(at));
        let ahead = view.phase.as_frames() - at as f64 * 1e6 - 0.1;
        assert!((ahead - beyond).abs() < 1e-3, "{at}: {ahead}");
        let hertz = (view.frequency.0 - GIGAHERTZ.0) as f64 / 1e6;
        assert!((hertz - frequency).abs() < 1e-3, "{at}: {hertz}");
    }
}

#[test]
fn drift_wander_and_jitter_are_seeded_and_followed() {
    let network = |seed| {
        triangle(|nodes, _| {
            nodes[0].oscillator = nodes[0].oscillator.clone().drifting(Frequency::hertz(2_000));
            let wander = Wander { interval: millis(1), step: Frequency::hertz(50), seed: Seed(seed) };
            nodes[1].oscillator = nodes[1].oscillator.clone().wandering(wander);
            let jitter = Jitter { most: Femtos(5_000_000), seed: Seed(seed) };
            nodes[2].oscillator = nodes[2].oscillator.clone().jittering(jitter);
        })
        .unwrap()
    };
    let run = |seed, threads| {
        let mut engine = ClockEngine::new(&network(seed), control(), options(threads, 0));
        engine.advance(millis(600));
        (spread(&engine), engine.snapshot(millis(600)))
    };
    let (spread, seen) = run(1, 1);
    assert!(spread < 1.0, "{spread}");
    assert_eq!(run(1, 3).1, seen);
    assert_ne!(run(2, 1).1, seen);
}

#[test]
fn what_cannot_boot_says_why() {
    let geared = triangle(|_, links| links[3].gear = 2).unwrap();
    let mut engine = ClockEngine::new(&geared, control(), options(1, 0));
    assert_eq!(boot(&mut engine, &BootOptions::default()), Err(BootError::Geared { link: LinkId(3), gear: 2 }));
    let network = triangle(|_, _| ()).unwrap();
    let mut engine = ClockEngine::new(&network, Control::from(Law::Free), options(1, 0));
    let options = BootOptions { limit: millis(20), ..BootOptions::default() };
    let error = boot(&mut engine, &options).unwrap_err();
    assert!(matches!(error, BootError::NotSettled { links: 6, .. }), "{error}");
}

#[test]
fn bad_networks_are_told() {
    let told = |change: fn(&mut Vec<ClockNode>, &mut Vec<ClockLink>)| triangle(change).unwrap_err().to_string();
    assert!(told(|_, links| links[1].latency = Femtos(-1)).contains("latency of -1 fs"));
    assert!(told(|_, links| links[1].depth = Some(0)).contains("a buffer of 0 frames"));
    assert!(told(|nodes, _| nodes[1].delay = 100_000).contains("must be shorter than the period"));
    assert!(told(|nodes, _| nodes[1].oscillator = Oscillator::constant(Frequency(0))).contains("has a frequency of"));
    assert!(told(|_, links| links[1].target = NodeId(7)).contains("there are 3 nodes"));
    let primes = |_: &mut Vec<ClockNode>, links: &mut Vec<ClockLink>| {
        links.iter_mut().zip([997, 991, 983, 977, 971, 967]).for_each(|(link, gear)| link.gear = gear);
    };
    assert!(told(primes).contains("least common multiple"));
}
