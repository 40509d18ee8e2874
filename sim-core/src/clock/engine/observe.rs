//! What can be seen of a simulation: its state at a time, and its summary.

use super::super::controller::Controller;
use super::super::units::{FRAME, Femtos, Frequency, GRAINS, Phase, whole_frames};
use super::shard::NEVER;
use super::statistics::SQUARE_BITS;
use super::{ClockEngine, ClockEvent};
use crate::ids::{IdVec, LinkId, NodeId};

/// A clock at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// Its phase.
    pub phase: Phase,
    /// Its frequency; 0 while it is stopped.
    pub frequency: Frequency,
}

/// A link at a time, in frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkView {
    /// κ, which the controller reads.
    pub counter: i64,
    /// β, frames in the elastic buffer.
    pub occupancy: i64,
    /// γ, frames in flight.
    pub in_flight: i64,
    /// λ, the logical latency.
    pub latency: i64,
}

/// A network at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// When.
    pub at: Femtos,
    /// All nodes.
    pub nodes: IdVec<NodeId, NodeView>,
    /// All links.
    pub links: IdVec<LinkId, LinkView>,
}

/// What is known of a simulation without having kept it.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The time up to which all events have been computed.
    pub until: Femtos,
    /// Events, measured and acted.
    pub events: u64,
    /// Lowest and highest frequency of running clocks at the end of the last full round.
    pub spread: Option<(Frequency, Frequency)>,
    /// The largest difference between clocks at the end of any round.
    pub spread_most: Frequency,
    /// Since when all clocks have been within the tolerance.
    pub settled_at: Option<Femtos>,
    /// Corrections that went beyond what actuators reach: a sign that the loop is unstable.
    pub saturated: u64,
    /// Σ ∫(ω − nominal) dt, in frames, over segments that have ended.
    pub deviation: f64,
    /// Σ ∫(ω − nominal)² dt, in frames² per nanosecond, over segments that have ended.
    pub deviation_squared: f64,
    /// Σ (counter − set point)² over all readings, in frames².
    pub readings_squared: f64,
}

impl<C: Controller> ClockEngine<C> {
    /// The network at `at`, which is not after [`now`](Self::now) and at most one round before it.
    ///
    /// # Panics
    /// For other times: the past is kept only as long as frames are under way.
    #[must_use]
    pub fn snapshot(&self, at: Femtos) -> Snapshot {
        let nodes = (0..self.nodes()).map(|node| self.node_view(NodeId(node as u32), at)).collect();
        let links = self.link_ids().map(|link| self.link_view(link, at)).collect();
        Snapshot { at, nodes, links }
    }

    /// A clock at `at`, within the same limits as a [`snapshot`](Self::snapshot).
    #[must_use]
    pub fn node_view(&self, node: NodeId, at: Femtos) -> NodeView {
        let at = self.local(at);
        let (shard, place) = self.node_place(node);
        let shard = &self.shards[shard];
        let (clock, past) = (&shard.clocks[place], shard.past(place));
        NodeView { phase: Phase(clock.phase_at(past, at)), frequency: Frequency(clock.frequency_at(past, at)) }
    }

    /// A link at `at`, within the same limits as a [`snapshot`](Self::snapshot).
    #[must_use]
    pub fn link_view(&self, link: LinkId, at: Femtos) -> LinkView {
        let at = self.local(at);
        let (shard, wire) = self.wire_place(link);
        let (_, target) = self.target_place(link);
        let shard = &self.shards[shard];
        let wire = shard.wires[wire];
        let class = &self.shared.classes[wire.class as usize];
        let frames = |place: usize, at: i64| {
            whole_frames(shard.clocks[place].phase_at(shard.past(place), at) * i128::from(class.gear))
        };
        let source = wire.source as usize;
        let arrived = frames(source, at - class.latency_at(self.shared.origin, at));
        let (read, centring) = (frames(target, at), i64::from(wire.centring));
        let reading = wire.base + arrived - read;
        let occupancy = if self.draining { 0 } else { reading + centring };
        LinkView {
            counter: reading + self.set_points.of(link),
            occupancy,
            in_flight: frames(source, at) - arrived,
            latency: occupancy - arrived + read,
        }
    }

    /// λ of a link: what is captured as its UGN. While buffers are drained, what it would be if they were not from now on.
    #[must_use]
    pub fn logical_latency(&self, link: LinkId) -> i64 {
        if self.draining {
            return self.link_view(link, self.now()).latency;
        }
        let (shard, wire) = self.wire_place(link);
        let wire = self.shards[shard].wires[wire];
        wire.base + i64::from(wire.centring)
    }

    /// Lowest and highest occupancy of a link's buffer that was measured since the start, or since it was last changed;
    /// `None` if it was not measured.
    #[must_use]
    pub fn occupancies(&self, link: LinkId) -> Option<(i64, i64)> {
        if self.draining {
            return Some((0, 0));
        }
        let (shard, wire) = self.wire_place(link);
        let wire = self.shards[shard].wires[wire];
        (wire.least <= wire.most).then_some((wire.least.into(), wire.most.into()))
    }

    /// When a clock's phase reached `tick` whole frames, if that is not long ago: a round and the longest latency are
    /// remembered. `None` if it has not yet.
    #[must_use]
    pub fn time_of_tick(&self, node: NodeId, tick: i64) -> Option<Femtos> {
        let (shard, place) = self.node_place(node);
        let shard = &self.shards[shard];
        let (clock, past) = (&shard.clocks[place], shard.past(place));
        let wanted = i128::from(tick) * FRAME;
        let mut high = clock.until.min((self.now - self.shared.origin) as i64);
        if clock.phase_at(past, high) < wanted {
            return None;
        }
        let oldest = clock.segments(past).map(|segment| segment.since).filter(|&since| since < NEVER).min()?;
        let mut low = oldest.max(high - NEVER / 2);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if clock.phase_at(past, middle) < wanted { low = middle } else { high = middle }
        }
        Some(Femtos::of_grains(self.shared.origin + i128::from(high)))
    }

    /// The span of a round.
    #[must_use]
    pub fn round(&self) -> Femtos {
        Femtos((self.round / GRAINS).max(1))
    }

    /// Frames per tick of a link.
    #[must_use]
    pub fn gear(&self, link: LinkId) -> i64 {
        self.class(link).gear
    }

    /// Number of nodes.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.shards.iter().map(super::Shard::nodes).sum()
    }

    /// Number of links.
    #[must_use]
    pub fn links(&self) -> usize {
        self.shards.iter().map(|shard| shard.wires.len()).sum()
    }

    /// The first events by time, as many as the options ask for.
    #[must_use]
    pub fn first_events(&self) -> &[ClockEvent] {
        &self.events
    }

    /// What is known of the simulation so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let tally = self.tally();
        Summary {
            until: self.now(),
            events: tally.events,
            spread: self.spread,
            spread_most: self.spread_most,
            settled_at: self.settled_at.map(Femtos::of_grains),
            saturated: tally.saturated,
            deviation: tally.deviation as f64 / 1e24,
            // µHz² · as = 10⁻¹² · 10⁻¹⁸ s⁻¹; a frame² per ns is 10⁹ s⁻¹.
            deviation_squared: tally.deviation_squared as f64 * (1_u64 << SQUARE_BITS) as f64 / 1e39,
            readings_squared: tally.squares as f64,
        }
    }

    /// Bytes of memory that the engine holds for nodes and links.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let links = self.order.capacity() * size_of::<u32>() + self.set_points.bytes() + self.depths.bytes();
        self.shards.iter().map(super::Shard::bytes).sum::<usize>() + links
    }

    fn local(&self, at: Femtos) -> i64 {
        assert!(at.grains() <= self.now, "asked for {at}, computed until {}", self.now());
        i64::try_from(at.grains() - self.shared.origin).expect("the time is not long ago")
    }
}
