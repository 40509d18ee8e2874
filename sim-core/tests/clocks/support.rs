//! Random networks for tests, and their form for the naive simulation.

use crate::naive;
use proptest::prelude::*;
use sim_core::NodeId;
use sim_core::clock::{
    ClockEngine, ClockLink, ClockNetwork, ClockNode, Control, Decimal, EngineOptions, Femtos, Frequency, Gain, Law,
};
use std::num::NonZeroUsize;

pub(crate) const GIGAHERTZ: Frequency = Frequency::hertz(1_000_000_000);

/// A small network: nodes of their own frequency and rhythm, links of their own latency and depth.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) nodes: Vec<(i64, u64, u64)>,
    pub(crate) links: Vec<(u32, u32, i64, u32)>,
    pub(crate) gain: i64,
}

/// A ring both ways, so that it is connected, and some more links. Offsets in ppb up to `ppb`.
pub(crate) fn case(ppb: i64) -> impl Strategy<Value = Case> {
    (2..6_u32, any::<bool>()).prop_flat_map(move |(count, alike)| {
        let node = (-ppb..=ppb, 60_u64..400, 1_u64..40);
        let latency = 0_i64..200_000;
        let more = (0..count, 1..count.max(2), 0..300_000_i64, 1_u32..12);
        (
            prop::collection::vec(node, count as usize),
            prop::collection::vec((latency, 1_u32..12), 2 * count as usize),
            prop::collection::vec(more, 0..4),
            0_i64..40_000,
        )
            .prop_map(move |(mut nodes, ring, more, gain)| {
                if alike {
                    let (_, period, delay) = nodes[0];
                    nodes.iter_mut().for_each(|node| (node.1, node.2) = (period, delay));
                }
                let next = |node: u32| (node + 1) % count;
                let there = (0..count).map(|node| (node, next(node)));
                let back = (0..count).map(|node| (next(node), node));
                let mut links: Vec<_> = there
                    .chain(back)
                    .zip(ring)
                    .map(|((from, to), (latency, depth))| (from, to, latency, depth))
                    .collect();
                links.extend(
                    more.into_iter().map(|(from, by, latency, depth)| (from, (from + by) % count, latency, depth)),
                );
                links.retain(|&(from, to, ..)| from != to);
                Case { nodes, links, gain: gain * 1_000_000 }
            })
    })
}

impl Case {
    pub(crate) fn network(&self) -> ClockNetwork {
        let node = |&(ppb, period, delay): &(i64, u64, u64)| ClockNode {
            period,
            delay,
            ..ClockNode::new(GIGAHERTZ.shifted(ppb * 1_000))
        };
        let link = |&(from, to, picos, depth): &(u32, u32, i64, u32)| ClockLink {
            initial: i64::from(depth).min(3),
            set_point: 2,
            depth: Some(depth),
            ..ClockLink::new(NodeId(from), NodeId(to), Femtos(i128::from(picos) * 1_000))
        };
        let (nodes, links): (Vec<_>, Vec<_>) =
            (self.nodes.iter().map(node).collect(), self.links.iter().map(link).collect());
        ClockNetwork::new(nodes, links).unwrap()
    }

    pub(crate) fn control(&self) -> Control {
        let gain: Decimal = format!("{}e-15", self.gain).parse().unwrap();
        Law::Proportional { kp: Gain::per_nanosecond(gain).unwrap() }.into()
    }

    pub(crate) fn naive(&self) -> (Vec<naive::Node>, Vec<naive::Link>) {
        let network = self.network();
        let node = |node: &ClockNode| naive::Node {
            frequency: node.oscillator.base().0.into(),
            period: node.period.into(),
            delay: node.delay.into(),
        };
        let link = |link: &ClockLink| naive::Link {
            source: link.source.0 as usize,
            target: link.target.0 as usize,
            latency: link.latency.0 * 1_000,
            initial: link.initial.into(),
            set_point: link.set_point.into(),
            depth: link.depth.unwrap().into(),
        };
        (network.nodes().values().map(node).collect(), network.links().values().map(link).collect())
    }

    pub(crate) fn engine(&self, threads: usize) -> ClockEngine {
        let network = self.network();
        ClockEngine::new(&network, self.control(), options(threads, 1_000_000))
    }
}

pub(crate) fn options(threads: usize, first_events: usize) -> EngineOptions {
    EngineOptions { threads: NonZeroUsize::new(threads).unwrap(), first_events, ..EngineOptions::new(GIGAHERTZ) }
}
