//! The laws of linear theory, over random graphs.

use crate::support::{GIGAHERTZ, options};
use proptest::prelude::*;
use sim_core::clock::{
    BootOptions, ClockEngine, ClockLink, ClockNetwork, ClockNode, Control, Detector, Fault, Femtos, Frequency, Gain,
    Law, Phase, PumpKind, Switch, boot, stability,
};
use sim_core::{IdVec, LinkId, NodeId};

const FRAME: i128 = 1_000_000_000_000_000_000_000_000;

/// A connected graph whose edges are links both ways; link 2e goes along edge e, link 2e + 1 back.
#[derive(Clone, Debug)]
struct Graph {
    ppb: Vec<i64>,
    edges: Vec<(u32, u32)>,
    latency: Femtos,
}

/// A random tree and up to as many chords as nodes; offsets up to `ppb`.
fn graph(nodes: std::ops::Range<usize>, ppb: i64) -> impl Strategy<Value = Graph> {
    (prop::collection::vec((-ppb..=ppb, any::<u32>()), nodes), prop::collection::vec(any::<(u32, u32)>(), 0..6))
        .prop_map(|(nodes, chords)| {
            let count = nodes.len() as u32;
            let tree = (1..count).map(|node| (nodes[node as usize].1 % node, node));
            let mut edges: Vec<_> = tree.chain(chords.iter().map(|&(a, b)| (a % count, b % count))).collect();
            edges.iter_mut().for_each(|edge| *edge = (edge.0.min(edge.1), edge.0.max(edge.1)));
            edges.retain(|(a, b)| a != b);
            edges.sort_unstable();
            edges.dedup();
            let latency = Femtos::nanos(5_000);
            Graph { ppb: nodes.into_iter().map(|(ppb, _)| ppb).collect(), edges, latency }
        })
}

impl Graph {
    fn network(&self) -> ClockNetwork {
        self.network_with(|_, _| ())
    }

    fn network_with(&self, change: impl Fn(usize, &mut ClockNode)) -> ClockNetwork {
        let mut nodes: Vec<_> = self.ppb.iter().map(|ppb| ClockNode::new(GIGAHERTZ.shifted(ppb * 1_000))).collect();
        nodes.iter_mut().enumerate().for_each(|(number, node)| change(number, node));
        let link = |from, to| ClockLink {
            initial: 0,
            set_point: 0,
            depth: Some(32),
            ..ClockLink::new(NodeId(from), NodeId(to), self.latency)
        };
        let links: Vec<_> = self.edges.iter().flat_map(|&(a, b)| [link(a, b), link(b, a)]).collect();
        ClockNetwork::new(nodes, links).unwrap().with_nominal(GIGAHERTZ)
    }

    /// Frequencies without control, less their mean, in frames per nanosecond.
    fn deviations(&self) -> Vec<f64> {
        let mean = self.ppb.iter().sum::<i64>() as f64 / self.ppb.len() as f64;
        self.ppb.iter().map(|&ppb| (ppb as f64 - mean) * 1e-9).collect()
    }

    /// L⁺v for v of zero mean: the solution of (L + 11ᵀ/n) x = v.
    fn pseudo_inverse_times(&self, v: &[f64]) -> Vec<f64> {
        let n = v.len();
        let mut rows: Vec<Vec<f64>> = (0..n).map(|_| vec![1.0 / n as f64; n]).collect();
        for &(a, b) in &self.edges {
            let (a, b) = (a as usize, b as usize);
            (rows[a][a], rows[b][b]) = (rows[a][a] + 1.0, rows[b][b] + 1.0);
            (rows[a][b], rows[b][a]) = (rows[a][b] - 1.0, rows[b][a] - 1.0);
        }
        let mut x = v.to_vec();
        // Symmetric and positive: no pivots are needed.
        for pivot in 0..n {
            for row in (0..n).filter(|&row| row != pivot) {
                let share = rows[row][pivot] / rows[pivot][pivot];
                let upper = rows[pivot].clone();
                rows[row].iter_mut().zip(upper).for_each(|(value, above)| *value -= share * above);
                x[row] -= share * x[pivot];
            }
        }
        (0..n).map(|row| x[row] / rows[row][row]).collect()
    }

    /// v′L⁺v
    fn energy(&self) -> f64 {
        let v = self.deviations();
        v.iter().zip(self.pseudo_inverse_times(&v)).map(|(v, x)| v * x).sum()
    }

    fn degree_most(&self) -> f64 {
        let degree = |node| self.edges.iter().filter(|&&(a, b)| a == node || b == node).count();
        (0..self.ppb.len() as u32).map(degree).max().unwrap() as f64
    }

    /// Cycles: there and back along every edge, and one through the tree for every chord.
    fn cycles(&self) -> Vec<Vec<LinkId>> {
        let back_and_forth = (0..self.edges.len() as u32).map(|edge| vec![LinkId(2 * edge), LinkId(2 * edge + 1)]);
        let mut parent: Vec<Option<(u32, LinkId, LinkId)>> = vec![None; self.ppb.len()];
        let (mut seen, mut chords) = (vec![false; self.ppb.len()], Vec::new());
        seen[0] = true;
        let mut rest: Vec<usize> = (0..self.edges.len()).collect();
        while let Some(place) = rest.iter().position(|&edge| {
            let (a, b) = self.edges[edge];
            seen[a as usize] || seen[b as usize]
        }) {
            let edge = rest.remove(place);
            let (a, b) = self.edges[edge];
            let (there, back) = (LinkId(2 * edge as u32), LinkId(2 * edge as u32 + 1));
            match (seen[a as usize], seen[b as usize]) {
                (true, true) => chords.push((a, b, there)),
                (true, false) => parent[b as usize] = Some((a, there, back)),
                _ => parent[a as usize] = Some((b, back, there)),
            }
            (seen[a as usize], seen[b as usize]) = (true, true);
        }
        let to_root = |mut node: u32| {
            let (mut up, mut down) = (Vec::new(), Vec::new());
            while let Some((above, there, back)) = parent[node as usize] {
                up.push(back);
                down.push(there);
                node = above;
            }
            down.reverse();
            (up, down)
        };
        let through_tree = chords.into_iter().map(|(a, b, there)| {
            // Along the chord to b, up to the root, and down to a: links met twice do not matter.
            let ((up, _), (_, down)) = (to_root(b), to_root(a));
            std::iter::once(there).chain(up).chain(down).collect()
        });
        back_and_forth.chain(through_tree).collect()
    }
}

fn gain(text: &str) -> Gain {
    Gain::per_nanosecond(text.parse().unwrap()).unwrap()
}

/// Each node by itself, by the hardware's margin.
fn settled_reframing(stable_for: Femtos, wait: Femtos) -> Law {
    let detector = Detector { margin: 4, stable_for };
    Law::Reframing { kp: gain("2e-8"), switch: Switch::Settled { detector, wait } }
}

fn proportional() -> Control {
    Law::Proportional { kp: gain("2e-8") }.into()
}

fn controls(number: usize) -> Control {
    let (kp, ki) = (gain("2e-8"), gain("1e-15"));
    let relative = |text: &str| Gain::relative(text.parse().unwrap()).unwrap();
    let pump = |kind, kp, step| Law::Pump { kind, kp, step, steps_most: Some(100_000) };
    [
        Law::Free,
        Law::Proportional { kp },
        Law::ProportionalIntegral { kp, ki },
        Law::Reframing { kp, switch: Switch::At(Femtos::nanos(30_000_000)) },
        pump(PumpKind::Relative, relative("2e-8"), relative("1e-8")),
        pump(PumpKind::Additive, kp, gain("5e-7")),
        Law::AutoReset { reset: relative("0.01"), kp, most: Some(Frequency::hertz(200_000)) },
        settled_reframing(Femtos::nanos(5_000_000), Femtos::nanos(3_000_000)),
    ][number]
        .into()
}

/// A fault and the millisecond in which it happens, and in which it is undone.
fn faults() -> impl Strategy<Value = Vec<(i64, u32, u8)>> {
    prop::collection::vec((1..40_i64, any::<u32>(), 0..5_u8), 0..5)
}

fn schedule(engine: &mut ClockEngine, graph: &Graph, faults: &[(i64, u32, u8)]) {
    let millis = |millis: i64| Femtos::nanos(millis * 1_000_000 + 77);
    let (nodes, links) = (graph.ppb.len() as u32, 2 * graph.edges.len() as u32);
    for &(at, which, kind) in faults {
        let (node, link) = (NodeId(which % nodes), LinkId(which % links));
        let both: Vec<Fault> = match kind {
            0 => vec![Fault::LinkDown(link), Fault::LinkUp(link)],
            1 => vec![Fault::NodeStop(node), Fault::NodeStart(node)],
            2 => vec![Fault::FrequencyStep { node, by: Frequency::hertz(20_000) }],
            3 => vec![Fault::Latency { link, to: Femtos::nanos(7_000), over: Femtos::nanos(500_000) }],
            _ => vec![Fault::Latency { link, to: Femtos::nanos(900), over: Femtos::nanos(500_000) }],
        };
        for (fault, at) in both.into_iter().zip([at, at + 7]) {
            engine.schedule(millis(at), fault).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Law 1: around every cycle Σ(β + γ) changes by exactly the frames that edits report, under every controller, every
    /// fault, staggered starts, draining, centring, and over- and underflows.
    #[test]
    fn every_frame_is_accounted_for(
        graph in graph(2..7, 100_000), number in 0..8_usize, faults in faults(), centre in 1..60_i64,
        late in prop::option::of((any::<usize>(), 0..20_i64)), drain in any::<bool>(), threads in 1..3_usize,
    ) {
        let late = late.map(|(node, millis)| (node % graph.ppb.len(), Femtos::nanos(millis * 1_000_000 + 5)));
        let network = graph.network_with(|number, node| {
            node.start = late.filter(|&(late, _)| late == number).map_or(node.start, |(_, start)| start);
        });
        let mut engine = ClockEngine::new(&network, controls(number), options(threads, 0));
        let cycles = graph.cycles();
        let sum = |engine: &ClockEngine, cycle: &[LinkId]| -> i64 {
            let views = cycle.iter().map(|&link| engine.link_view(link, engine.now()));
            views.map(|view| view.occupancy + view.in_flight).sum()
        };
        let start: Vec<i64> = cycles.iter().map(|cycle| sum(&engine, cycle)).collect();
        schedule(&mut engine, &graph, &faults);
        if drain {
            engine.drain();
        }
        for stop in 1..=12 {
            let until = Femtos::nanos(stop * 5_123_457);
            if (stop - 1) * 5 < centre && centre <= stop * 5 {
                engine.centre();
                engine.watch(usize::MAX);
            }
            engine.advance(until);
            if engine.is_draining() {
                // Every frame is discarded or lacked; how many, the edit that ends it says.
                prop_assert!(engine.link_ids().all(|link| engine.link_view(link, until).occupancy == 0));
                continue;
            }
            for (cycle, start) in cycles.iter().zip(&start) {
                let count = |link| cycle.iter().filter(|&&other| other == link).count() as i64;
                let edits: i64 = engine.edits().iter().map(|edit| edit.frames * count(edit.link)).sum();
                prop_assert_eq!(sum(&engine, cycle) - start, edits);
            }
        }
    }

    /// Law 1 with integer gears: Σ (L/g)(β + γ) around every cycle stays within ± Σ L/g of what latencies make it, L being
    /// the least common multiple of the gears, under every controller and fault; and every latency changes by exactly the
    /// frames that edits report.
    #[test]
    fn gears_keep_the_scaled_sum_within_its_bound(
        graph in graph(2..7, 100_000), gears in prop::collection::vec(1..7_u32, 8), number in 0..8_usize, faults in faults(),
        centre in 1..60_i64, threads in 1..3_usize,
    ) {
        let plain = graph.network();
        let links: IdVec<LinkId, ClockLink> =
            plain.links().iter().map(|(id, link)| ClockLink { gear: gears[id.0 as usize % 8], ..*link }).collect();
        let network = ClockNetwork::new(plain.nodes().clone(), links).unwrap();
        let most = network.common_gear();
        let mut engine = ClockEngine::new(&network, controls(number), options(threads, 0));
        let start: Vec<i64> = engine.link_ids().map(|link| engine.logical_latency(link)).collect();
        schedule(&mut engine, &graph, &faults);
        for stop in 1..=12 {
            if (stop - 1) * 5 < centre && centre <= stop * 5 {
                engine.centre();
                engine.watch(usize::MAX);
            }
            engine.advance(Femtos::nanos(stop * 5_123_457));
            for link in engine.link_ids() {
                let edits = engine.edits().iter().filter(|edit| edit.link == link).map(|edit| edit.frames);
                prop_assert_eq!(engine.logical_latency(link) - start[link.0 as usize], edits.sum::<i64>());
            }
            for cycle in graph.cycles() {
                let (mut sum, mut bound) = (0, 0);
                for link in cycle {
                    let (view, share) = (engine.link_view(link, engine.now()), most / engine.gear(link));
                    (sum, bound) = (sum + share * (view.occupancy + view.in_flight - view.latency), bound + share);
                }
                prop_assert!(sum.abs() <= bound, "{sum} {bound}");
            }
        }
    }

    /// Law 5: a node measures when its phase has the fraction that it started with, so that every reading is biased by that
    /// fraction less a half.
    #[test]
    fn readings_are_biased_by_the_fraction_of_the_phase(
        mut graph in graph(2..6, 9), tenths in prop::collection::vec(0..10_i128, 6), latency in 0..9_000_i64,
    ) {
        // So far apart that fractions of what arrives between measurements go around evenly, on every link.
        const APART: [i64; 6] = [0, 3_819, 7_639, 1_459, 5_279, 9_091];
        graph.latency = Femtos::nanos(latency);
        graph.ppb.iter_mut().zip(APART).for_each(|(ppb, apart)| *ppb = 10_000 * *ppb + apart);
        let network = graph.network_with(|number, node| node.phase = Phase(tenths[number] * FRAME / 10));
        let events = 2_000 * graph.ppb.len();
        let mut engine = ClockEngine::new(&network, Control::from(Law::Free), options(1, events));
        let latencies: Vec<f64> = engine.link_ids().map(|link| engine.logical_latency(link) as f64).collect();
        engine.advance(Femtos::nanos(200_000_000));
        let phase = |node: NodeId, nanos: f64| {
            tenths[node.0 as usize] as f64 / 10.0 + nanos * (1.0 + graph.ppb[node.0 as usize] as f64 * 1e-9)
        };
        let links = network.links();
        let incoming = |node| engine.link_ids().filter(move |&link| links[link].target == node);
        for node in network.nodes().ids() {
            let (mut bias, mut count) = (0.0, 0.0);
            for event in engine.first_events().iter().filter(|event| event.node == node) {
                let at = event.measured_at.as_nanos();
                let fluid = |link: LinkId| {
                    let source = links[link].source;
                    latencies[link.0 as usize] + phase(source, at - latency as f64) - phase(node, at)
                };
                bias += event.reading as f64 - incoming(node).map(fluid).sum::<f64>();
                count += 1.0;
            }
            let links = incoming(node).count() as f64;
            let expected = links * (tenths[node.0 as usize] as f64 / 10.0 - 0.5);
            prop_assert!(count > 1_000.0 && (bias / count - expected).abs() < 0.02 * links, "{} {}", bias / count, expected);
        }
    }

    /// Law 8: counters that start elsewhere relabel logical latencies; what is left of them around any cycle is the same,
    /// and never negative.
    #[test]
    fn relabelling_leaves_round_trips(graph in graph(2..5, 100_000), labels in prop::collection::vec(0..1_000_000_i128, 5)) {
        let captured = |shift: bool| {
            let relabelled = |number: usize, node: &mut ClockNode| {
                node.phase.0 += if shift { labels[number] * FRAME } else { 0 };
            };
            let mut engine = ClockEngine::new(&graph.network_with(relabelled), proportional(), options(1, 0));
            let waits = BootOptions { stable_for: Femtos::nanos(100_000_000), ..BootOptions::default() };
            boot(&mut engine, &waits).map(|booted| booted.latencies)
        };
        let (plain, relabelled) = (captured(false).unwrap(), captured(true).unwrap());
        for (edge, &(a, b)) in graph.edges.iter().enumerate() {
            let link = LinkId(2 * edge as u32);
            let by = (labels[b as usize] - labels[a as usize]) as i64;
            prop_assert_eq!(relabelled[link], plain[link] + by);
        }
        for cycle in graph.cycles() {
            let sum = |latencies: &IdVec<LinkId, i64>| cycle.iter().map(|&link| latencies[link]).sum::<i64>();
            prop_assert_eq!(sum(&plain), sum(&relabelled));
            prop_assert!(sum(&plain) >= 0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Law 2: proportional control settles at ω = (Σω_u + k_P Σ l ω_u,src) / (n + k_P Σ l), and counters proportionally to
    /// −L⁺ω_u / k_P, but for a frame of bias per link.
    #[test]
    fn proportional_control_settles_at_the_formulas(graph in graph(2..6, 100_000)) {
        let mut engine = ClockEngine::new(&graph.network(), proportional(), options(1, 0));
        engine.advance(Femtos(2 * Femtos::PER_SECOND));
        let (kp, latency, nodes) = (2e-8, graph.latency.as_nanos(), graph.ppb.len() as f64);
        let uncorrected = |node: u32| 1.0 + graph.ppb[node as usize] as f64 * 1e-9;
        let sum: f64 = (0..graph.ppb.len() as u32).map(uncorrected).sum();
        let sent: f64 = graph.edges.iter().map(|&(a, b)| latency * (uncorrected(a) + uncorrected(b))).sum();
        let expected = (sum + kp * sent) / (nodes + kp * 2.0 * latency * graph.edges.len() as f64);
        let (low, high) = engine.summary().spread.unwrap();
        for found in [low, high] {
            prop_assert!((found.per_nanosecond() - expected).abs() <= kp * graph.degree_most(), "{found} {expected}");
        }
        let x = graph.pseudo_inverse_times(&graph.deviations());
        for (edge, &(a, b)) in graph.edges.iter().enumerate() {
            for (link, expected) in [(2 * edge, x[a as usize] - x[b as usize]), (2 * edge + 1, x[b as usize] - x[a as usize])] {
                let counter = engine.link_view(LinkId(link as u32), engine.now()).counter as f64;
                prop_assert!((counter - expected / kp).abs() <= 2.0 + nodes, "{counter} {}", expected / kp);
            }
        }
    }

    /// Law 3: below the sampled bound clocks converge, above it they diverge.
    #[test]
    fn gains_are_stable_below_the_bound_only(mut graph in graph(2..7, 50_000), above in any::<bool>()) {
        graph.latency = Femtos::nanos(100);
        graph.ppb[0] += 200_000; // Something to correct.
        let network = graph.network();
        let most = stability(&network, &proportional()).unwrap().gain_most;
        let kp = gain(&format!("{:.3e}", most * if above { 1.25 } else { 0.8 }));
        let mut engine = ClockEngine::new(&network, Control::from(Law::Proportional { kp }), options(1, 0));
        let mut spread = |millis: i64| {
            engine.advance(Femtos::nanos(millis * 1_000_000));
            let (low, high) = engine.summary().spread.unwrap();
            (high.0 - low.0) as f64 / 1e15
        };
        let (early, late) = (spread(2), spread(60));
        if above {
            // Up to where actuators saturate, an eighth from where they began; that was within 0.0003.
            prop_assert!(late > 0.05, "{early} {late}");
        } else {
            // A frame more or less goes on being corrected.
            prop_assert!(late <= 3.0 * kp.as_f64() / 1e15 * graph.degree_most(), "{early} {late}");
        }
    }

    /// Law 4, first half: Σ ∫(ω − ω_ss)² dt = v′L⁺v / 2k_P.
    #[test]
    fn the_energy_of_frequencies_is_that_of_resistances(mut graph in graph(2..6, 50_000)) {
        graph.ppb[0] += 100_000;
        // Deviations are stated to the mean.
        let mean = graph.ppb.iter().sum::<i64>() / graph.ppb.len() as i64;
        let network = graph.network_with(|_, node| node.phase = Phase(FRAME / 2));
        let network = network.with_nominal(GIGAHERTZ.shifted(mean * 1_000));
        let mut engine = ClockEngine::new(&network, proportional(), options(1, 0));
        engine.advance(Femtos(2 * Femtos::PER_SECOND));
        let ratio = engine.summary().deviation_squared / (graph.energy() / (2.0 * 2e-8));
        prop_assert!((0.97..1.05).contains(&ratio), "{ratio}");
    }

    /// Law 4, second half: with integral action Σ over links ∫(β − off)² dt = v′L⁺v / k_P k_I, and each node's sum of
    /// readings goes to zero.
    #[test]
    fn the_energy_of_readings_is_that_of_resistances(mut graph in graph(2..6, 50_000)) {
        graph.ppb[0] += 100_000;
        let mut engine = ClockEngine::new(&graph.network(), controls(2), options(1, 0));
        engine.advance(Femtos(3 * Femtos::PER_SECOND));
        // Every reading stands for a period.
        let integral = engine.summary().readings_squared * 1e5;
        let ratio = integral / (graph.energy() / (2e-8 * 1e-15));
        prop_assert!((0.97..1.03).contains(&ratio), "{ratio}");
        for node in 0..graph.ppb.len() as u32 {
            let links = engine.link_ids().filter(|&link| engine.target(link) == NodeId(node));
            let sum: i64 = links.map(|link| engine.link_view(link, engine.now()).counter).sum();
            prop_assert!(sum.abs() <= 2 + 2 * graph.degree_most() as i64, "{sum}");
        }
    }

    /// Law 7: reframing returns counters to their set points, but for latencies that do not cancel around cycles, and
    /// keeps frequencies.
    #[test]
    fn reframing_recentres_and_keeps_frequencies(graph in graph(2..5, 100_000)) {
        let switch = Switch::At(Femtos(2 * Femtos::PER_SECOND));
        let law = Law::Reframing { kp: gain("2e-8"), switch };
        let mut engine = ClockEngine::new(&graph.network(), Control::from(law), options(1, 0));
        engine.advance(Femtos(2 * Femtos::PER_SECOND));
        let before = engine.summary().spread.unwrap().0;
        engine.advance(Femtos(5 * Femtos::PER_SECOND));
        let after = engine.summary().spread.unwrap().0;
        prop_assert!((before.0 - after.0).abs() as f64 <= 2e-8 * 1e15 * graph.degree_most(), "{before} {after}");
        for link in engine.link_ids() {
            let counter = engine.link_view(link, engine.now()).counter;
            prop_assert!(counter.abs() <= 5, "{counter}");
        }
    }

    /// Law 7 as the hardware does it: every node finds out by itself that its links are stable.
    #[test]
    fn reframing_by_each_node_recentres_and_keeps_frequencies(graph in graph(2..5, 100_000)) {
        let second = Femtos(Femtos::PER_SECOND);
        let plain = {
            let mut engine = ClockEngine::new(&graph.network(), proportional(), options(1, 0));
            engine.advance(Femtos(2 * Femtos::PER_SECOND));
            engine.summary().spread.unwrap().0
        };
        let mut engine = ClockEngine::new(&graph.network(), Control::from(settled_reframing(second, second)), options(1, 0));
        engine.advance(Femtos(6 * Femtos::PER_SECOND));
        let after = engine.summary().spread.unwrap().0;
        prop_assert!((plain.0 - after.0).abs() as f64 <= 2.0 * 2e-8 * 1e15 * graph.degree_most(), "{plain} {after}");
        for link in engine.link_ids() {
            let counter = engine.link_view(link, engine.now()).counter;
            prop_assert!(counter.abs() <= 8 + 2 * graph.ppb.len() as i64, "{counter}");
        }
    }

    /// Law 6: a pump of 10 ppb ends with all clocks within one step, if steps lead them to a common frequency (else counters
    /// go on drifting), a frame is half a step (with finer gains one waits for several frames, with coarser ones every frame
    /// is followed by more than a step), and no node has more than four neighbours (its own drift counts once for each). On
    /// the way it is no faster than a step per measurement.
    #[test]
    fn pumps_end_within_one_step(mut graph in graph(2..7, 50)) {
        prop_assume!(graph.degree_most() <= 4.0);
        graph.ppb.iter_mut().for_each(|ppb| *ppb *= 10);
        let relative = |text: &str| Gain::relative(text.parse().unwrap()).unwrap();
        let (kp, step) = (relative("5e-9"), relative("1e-8"));
        let law = Law::Pump { kind: PumpKind::Relative, kp, step, steps_most: None };
        let mut engine = ClockEngine::new(&graph.network(), Control::from(law), options(1, 20_000));
        let mut now = Femtos(6 * Femtos::PER_SECOND);
        engine.advance(now);
        // A step of the fastest oscillator, and what rounding to microhertz adds.
        let step_most = Frequency::hertz(10).0 + Frequency::hertz(1).0 / 100;
        for _ in 0..200 {
            let (low, high) = engine.summary().spread.unwrap();
            prop_assert!(high.0 - low.0 <= step_most, "{low} {high}");
            now = now + Femtos::nanos(1_000_000);
            engine.advance(now);
        }
        let mut before: Vec<i64> = graph.ppb.iter().map(|ppb| GIGAHERTZ.shifted(ppb * 1_000).0).collect();
        for event in engine.first_events() {
            let last = std::mem::replace(&mut before[event.node.0 as usize], event.frequency.0);
            prop_assert!((event.frequency.0 - last).abs() <= step_most, "{} after {last}", event.frequency);
        }
    }

    /// Whether buffers were drained or passed frames, boot yields the same machine, and centring by half a buffer fills
    /// drained ones.
    #[test]
    fn drained_buffers_boot_to_the_same_latencies(graph in graph(2..6, 100_000), threads in 1..3_usize) {
        let run = |drain| {
            let mut engine = ClockEngine::new(&graph.network(), proportional(), options(threads, 0));
            let waits = BootOptions { stable_for: Femtos::nanos(100_000_000), drain, ..BootOptions::default() };
            let booted = boot(&mut engine, &waits).unwrap();
            (engine.snapshot(booted.at), booted)
        };
        let ((passed, by_passing), (drained, by_draining)) = (run(false), run(true));
        prop_assert_eq!(passed, drained);
        prop_assert_eq!(&by_passing.latencies, &by_draining.latencies);
        prop_assert!(by_draining.centred_by.values().all(|&frames| frames == 16));
    }

    /// The stability detector is the hardware's, transcribed: of two nodes every reading is that of one link.
    #[test]
    fn links_are_stable_as_the_hardware_counts(
        graph in graph(2..3, 20_000), margin in 0..20_i64, millis in 1..60_i64, down in 1..150_i64,
    ) {
        let stable_for = Femtos::nanos(millis * 1_000_000);
        let mut engine = ClockEngine::new(&graph.network(), proportional(), options(1, 10_000));
        engine.schedule(Femtos::nanos(down * 1_000_000 + 3), Fault::LinkDown(LinkId(0))).unwrap();
        engine.schedule(Femtos::nanos(down * 1_000_000 + 400_003), Fault::LinkUp(LinkId(0))).unwrap();
        engine.detect(Detector { margin, stable_for });
        for stop in (5..200).step_by(5) {
            let now = Femtos::nanos(stop * 1_000_000);
            engine.advance(now);
            let unstable: Vec<LinkId> = engine.unstable_links().collect();
            for link in [LinkId(0), LinkId(1)] {
                let anew = Femtos::nanos(if link.0 == 0 && stop > down { down * 1_000_000 + 400_003 } else { 0 });
                let (mut stored, mut since) = (i64::MIN, anew);
                let events = engine.first_events().iter().filter(|event| event.node == engine.target(link));
                // A change takes effect on what acts at its time or later, also if it was measured before.
                for event in events.filter(|event| event.acted_at >= anew) {
                    if event.reading.abs_diff(stored) > margin.unsigned_abs() {
                        (stored, since) = (event.reading, event.measured_at);
                    }
                }
                prop_assert_eq!(unstable.contains(&link), now - since < stable_for, "{} at {}", link, now);
            }
        }
    }

    /// After boot with published gains and constant oscillators, every buffer of 32 frames stays within ± 16 of its middle.
    #[test]
    fn booted_buffers_stay_within_sixteen(graph in graph(2..6, 100_000), number in 1..3_usize) {
        let mut engine = ClockEngine::new(&graph.network(), controls(number), options(1, 0));
        let waits = BootOptions { stable_for: Femtos::nanos(500_000_000), limit: Femtos(8 * Femtos::PER_SECOND), ..BootOptions::default() };
        // Law 5: integral action moves some graphs on for longer.
        let Ok(booted) = boot(&mut engine, &waits) else { return Ok(()) };
        engine.watch(10);
        engine.advance(Femtos(booted.at.0 + Femtos::PER_SECOND));
        prop_assert_eq!(engine.buffer_events(), &[]);
        for (_, occupancy) in engine.watched_occupancies().iter() {
            let (least, most) = occupancy.unwrap();
            prop_assert!(least >= 0 && most <= 32, "{least} … {most}");
        }
    }
}

/// Several rounds that pass over the nodes together are rounds one after the other, on any number of threads, and those of
/// the general form, which a varying oscillator anywhere asks for.
#[test]
fn waves_are_invisible() {
    const NODES: u32 = 2_500;
    let network = |varying: bool| {
        let offset = |node: u32| i64::from(node) * 7_919 % 2_001 - 1_000;
        let mut nodes: Vec<_> =
            (0..NODES).map(|node| ClockNode::new(GIGAHERTZ.shifted(offset(node) * 100_000))).collect();
        let link =
            |from, to| ClockLink { depth: Some(32), ..ClockLink::new(NodeId(from), NodeId(to), Femtos::nanos(5_000)) };
        let ring = |node, by| link(node, (node + NODES + by - 60) % NODES);
        let links: Vec<_> = (0..NODES).flat_map(|node| [57, 61, 63, 59].map(|by| ring(node, by))).collect();
        if varying {
            let alone = ClockNode::new(GIGAHERTZ);
            nodes.push(ClockNode { oscillator: alone.oscillator.clone().drifting(Frequency::hertz(1)), ..alone });
        }
        ClockNetwork::new(nodes, links).unwrap().with_nominal(GIGAHERTZ)
    };
    let end = Femtos::nanos(4_012_345);
    let run = |varying, threads, step: i64| {
        let control = controls(2);
        let mut engine = ClockEngine::new(&network(varying), control, options(threads, 0));
        while engine.now() < end {
            engine.advance(Femtos(engine.now().0 + step as i128).min(end));
        }
        let seen = engine.snapshot(end);
        let nodes: Vec<_> = seen.nodes.values().take(NODES as usize).copied().collect();
        (nodes, seen.links, engine.summary().readings_squared, (!varying).then(|| engine.summary()))
    };
    let expected = run(false, 1, 99_000_000_000);
    assert!(expected.0.iter().any(|node| node.frequency != expected.0[0].frequency));
    for (threads, step) in [(1, end.0 as i64), (2, end.0 as i64), (3, 777_000_000_000)] {
        assert_eq!(run(false, threads, step), expected, "{threads} threads");
    }
    let general = run(true, 2, end.0 as i64);
    assert_eq!((&general.0, &general.1, general.2), (&expected.0, &expected.1, expected.2));
}
