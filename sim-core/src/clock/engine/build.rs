//! From a network to the flat arrays of an engine at time 0.

use super::super::controller::Controller;
use super::super::network::{ClockLink, ClockNetwork, ClockNode};
use super::super::oscillator::Cursor;
use super::super::units::{Frequency, PHASE_LIMIT, whole_frames};
use super::detector::Asks;
use super::edit::{Agenda, Reach};
use super::line::{Clock, Segment};
use super::shard::{Class, Loop, NEVER, Rhythm, Shard, Shared, Varying, Wire, ticks};
use super::steady::Wave;
use super::{ClockEngine, EngineOptions, PerLink};
use crate::csr::Csr;
use crate::ids::{Id, IdVec, LinkId, NodeId};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn engine<C: Controller>(network: &ClockNetwork, control: C, options: EngineOptions) -> ClockEngine<C> {
    let nodes = network.nodes();
    let (rhythms, rhythm_of) = rhythms(nodes);
    let (classes, class_of) = classes(network);
    let shared = Shared {
        control,
        classes,
        rhythms,
        reachable: network.reachable(),
        nominal: network.nominal().0,
        per_frame: network.common_gear(),
        origin: 0,
        detectors: [None; 2],
        steady: false,
        log: options.first_events > 0,
    };
    let incoming = Csr::group(nodes.len(), network.links().iter().map(|(id, link)| (link.target, id)));
    let depth = usize::try_from(network.segments() - 2).expect("the past of a clock is limited");
    let (mut shards, mut order) = (Vec::new(), vec![0; network.links().len()]);
    let mut wires = 0;
    for range in ranges(network, options.threads.get()) {
        let links = range.clone().flat_map(|node| incoming.row(NodeId(node)));
        for &link in links {
            order[link.index()] = wires;
            wires += 1;
        }
        shards.push(shard(network, &shared, &incoming, range, depth, &rhythm_of, &class_of));
    }
    if order.iter().enumerate().all(|(link, &place)| link == place as usize) {
        order = Vec::new();
    }
    let round = network.shortest_period();
    let mut agenda = Agenda::default();
    for (id, node) in nodes.iter().filter(|(_, node)| node.start.0 > 0) {
        agenda.start(id, node.start.grains());
    }
    let mut engine = ClockEngine {
        shared,
        shards,
        options,
        now: 0,
        round,
        next_round: round,
        together: 1,
        settled_at: None,
        spread: None,
        spread_most: Frequency(0),
        events: Vec::new(),
        order,
        set_points: PerLink::new(network.links().values().map(|link| link.set_point), 0),
        depths: PerLink::new(network.links().values().map(|link| link.depth), None),
        agenda,
        reach: Reach::of(network),
        stopped: nodes.iter().filter(|(_, node)| node.start.0 > 0).map(|(id, _)| id).collect(),
        down: BTreeSet::new(),
        edits: Vec::new(),
        draining: false,
        watch: None,
    };
    let detector = engine.shared.control.detector();
    engine.set_detector(Asks::Control, detector);
    engine.set_waves(network);
    engine.exchange();
    engine.set_out(network);
    engine
}

fn rhythms(nodes: &IdVec<NodeId, ClockNode>) -> (Vec<Rhythm>, Vec<u16>) {
    let mut numbers: BTreeMap<(u64, u64), u16> = BTreeMap::new();
    let mut rhythms = Vec::new();
    let number = |node: &ClockNode| {
        *numbers.entry((node.period, node.delay)).or_insert_with(|| {
            let (period_phase, delay_phase) = (ticks(node.period), ticks(node.delay));
            rhythms.push(Rhythm { period: node.period, period_phase, delay_phase });
            u16::try_from(rhythms.len() - 1).expect("rhythms are limited")
        })
    };
    let of = nodes.values().map(number).collect();
    (rhythms, of)
}

fn classes(network: &ClockNetwork) -> (Vec<Class>, Vec<u32>) {
    let common = network.common_gear();
    let mut numbers: BTreeMap<(i128, u32, bool), u32> = BTreeMap::new();
    let mut classes = Vec::new();
    let number = |link: &ClockLink| {
        let up = [link.source, link.target].iter().all(|&node| network.nodes()[node].start.0 == 0);
        *numbers.entry((link.latency.grains(), link.gear, up)).or_insert_with(|| {
            let gear = i64::from(link.gear);
            classes.push(Class {
                latency: link.latency.grains() as i64,
                gear,
                weight: common / gear,
                up,
                plain: gear == 1,
                ramp: None,
            });
            classes.len() as u32 - 1
        })
    };
    let of = network.links().values().map(number).collect();
    (classes, of)
}

/// Ranges of nodes with about equally many links and nodes.
fn ranges(network: &ClockNetwork, parts: usize) -> Vec<std::ops::Range<u32>> {
    let nodes = network.nodes().len();
    let parts = parts.min(nodes);
    let mut work = vec![1_u64; nodes];
    for link in network.links().values() {
        work[link.target.index()] += 1;
    }
    let all: u64 = work.iter().sum();
    let mut ranges = Vec::new();
    let (mut begin, mut done) = (0, 0);
    for (node, work) in work.iter().enumerate() {
        done += work;
        let (part, rest) = (ranges.len() as u64 + 1, nodes - 1 - node);
        let last = parts - ranges.len() == 1;
        if !last && (done * parts as u64 >= all * part || rest < parts - ranges.len()) {
            ranges.push(begin..node as u32 + 1);
            begin = node as u32 + 1;
        }
    }
    ranges.push(begin..nodes as u32);
    ranges
}

fn shard<C: Controller>(
    network: &ClockNetwork,
    shared: &Shared<C>,
    incoming: &Csr<NodeId, LinkId>,
    range: std::ops::Range<u32>,
    depth: usize,
    rhythm_of: &[u16],
    class_of: &[u32],
) -> Shard<C::State> {
    let mut shard = Shard::new(range.start, depth);
    let own = range.len();
    let own_links = || range.clone().flat_map(|node| incoming.row(NodeId(node)));
    let mut copied: Vec<u32> = own_links().map(|&link| network.links()[link].source.0).collect();
    copied.retain(|node| !range.contains(node));
    copied.sort_unstable();
    copied.dedup();
    shard.past = vec![Segment::NONE; (own + copied.len()) * depth];
    shard.clocks.reserve_exact(own + copied.len());
    shard.wires.reserve_exact(own_links().count());
    shard.loops.reserve_exact(own);
    shard.starts.reserve_exact(own);
    for node in range.clone() {
        let (id, node) = (NodeId(node), &network.nodes()[NodeId(node)]);
        shard.clocks.push(first_clock(node));
        shard.loops.push(Loop {
            measure_at: if node.start.0 == 0 { 0 } else { NEVER },
            excess: 0,
            uncorrected: node.oscillator.base().0,
            state: shared.control.start(id, node.warm),
        });
        for &link in incoming.row(id) {
            let source = network.links()[link].source.0;
            let place = if range.contains(&source) {
                source - range.start
            } else {
                (own + copied.partition_point(|&copy| copy < source)) as u32
            };
            shard.wires.push(first_wire(network, link, place, class_of[link.index()]));
        }
        shard.starts.push(shard.wires.len() as u32);
    }
    if shared.rhythms.len() > 1 {
        shard.rhythm = range.clone().map(|node| rhythm_of[node as usize]).collect();
    }
    if network.nodes().values().any(|node| !node.oscillator.is_constant()) {
        let varying = |node: &ClockNode| Varying {
            oscillator: node.oscillator.clone(),
            cursor: Cursor::default(),
            correction: 0,
            target: 0,
            act_at: NEVER,
            number: 0,
        };
        shard.varying = range.clone().map(|node| varying(&network.nodes()[NodeId(node)])).collect();
    }
    shard.clocks.extend(copied.iter().map(|&node| first_clock(&network.nodes()[NodeId(node)])));
    shard.copied = copied;
    shard
}

/// A clock at time 0: before, it ran at its uncorrected frequency, or stood still. It is not known any further yet.
fn first_clock(node: &ClockNode) -> Clock {
    let frequency = if node.start.0 == 0 { uncorrected_at_start(node) } else { 0 };
    assert!(node.phase.0 < PHASE_LIMIT, "networks are checked");
    Clock {
        phase: node.phase.0 - i128::from(frequency) * i128::from(NEVER),
        until: 0,
        since: -NEVER,
        frequency,
        since_before: -NEVER,
        frequency_before: frequency,
        slope: 0,
        slope_before: 0,
    }
}

/// A link at time 0, with the constants that give it its initial occupancy.
fn first_wire(network: &ClockNetwork, link: LinkId, source: u32, class: u32) -> Wire {
    let ClockLink { source: from, target: to, latency, gear, initial, set_point, .. } = network.links()[link];
    let (from, to) = (&network.nodes()[from], &network.nodes()[to]);
    let gear = i128::from(gear);
    let before = if from.start.0 == 0 { uncorrected_at_start(from) } else { 0 };
    let sent = from.phase.0 - latency.grains() * i128::from(before);
    let constant = initial - whole_frames(sent * gear) + whole_frames(to.phase.0 * gear);
    Wire { source, class, base: constant - set_point, centring: set_point as i32, least: i32::MAX, most: i32::MIN }
}

/// Whether clocks remember enough for several rounds at once.
///
/// If every link has one back, then a node cannot be ahead of its neighbour by more than what frames and delays of both
/// take: it waits for the neighbour's clock. Phases are then asked for no further back than that.
fn may_run_ahead(network: &ClockNetwork) -> bool {
    let mut pairs: Vec<(NodeId, NodeId)> = network.links().values().map(|link| (link.source, link.target)).collect();
    pairs.sort_unstable();
    pairs.iter().all(|&(source, target)| pairs.binary_search(&(target, source)).is_ok())
        && 2 * (network.longest() - network.shortest_period()) <= network.longest()
}

/// The uncorrected frequency at time 0 and before.
fn uncorrected_at_start(node: &ClockNode) -> i64 {
    Cursor::default().piece(&node.oscillator, NodeId(0), 0).frequency
}

impl<C: Controller> ClockEngine<C> {
    /// Lets rounds be computed together where that is of use.
    fn set_waves(&mut self, network: &ClockNetwork) {
        for shard in &mut self.shards {
            shard.wave = Wave::of(shard);
        }
        let least = self.shards.iter().map(|shard| shard.wave.rounds).min().unwrap_or(1);
        if least > 1 && may_run_ahead(network) {
            self.together = least;
        }
    }

    /// Lets all clocks run that start at time 0.
    fn set_out(&mut self, network: &ClockNetwork) {
        for index in 0..self.shards.len() {
            for place in 0..self.shards[index].nodes() {
                let shard = &mut self.shards[index];
                if shard.loops[place].measure_at == NEVER {
                    (shard.clocks[place].until, shard.clocks[place].since) = (NEVER, 0);
                    continue;
                }
                let warm = network.nodes()[NodeId(shard.first + place as u32)].warm;
                shard.launch(&self.shared, place, warm.0);
            }
        }
        self.exchange();
    }
}
