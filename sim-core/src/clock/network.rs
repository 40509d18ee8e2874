//! Clock networks: oscillators, links with physical latency, elastic buffers. Checked once, then only read.
//!
//! Source of the model: Lall, Cascaval, Izzard & Spalink, "Modeling and control of bittide synchronization", 2021
//! (arXiv 2109.14111), the abstract frame model.

use super::oscillator::Oscillator;
use super::units::{FRAME, Femtos, Frequency, PHASE_LIMIT, Phase, gcd};
use crate::ids::{IdVec, LinkId, NodeId};

/// Limits on clock networks; beyond them building one is an error.
pub mod limits {
    /// Ticks of a measuring period.
    pub const PERIOD: u64 = 1 << 46;
    /// Femtoseconds of a link's latency, and of a measuring period: 0.25 s.
    pub const LATENCY: i128 = 250_000_000_000_000;
    /// Frames of a buffer's depth, of a set point, of an occupancy at the start.
    pub const FRAMES: i64 = 1 << 30;
    /// Frames per tick of a link.
    pub const GEAR: u32 = 1 << 10;
    /// Least common multiple of all gears.
    pub const GEARS: i64 = 1 << 20;
    /// Highest frequency in microhertz: 1 THz. The lowest is 1 kHz.
    pub const FREQUENCY: (i64, i64) = (1_000_000_000, 1_000_000_000_000_000_000);
    /// Segments of one clock that must be remembered: (longest latency + longest period) over the shortest segment.
    pub const SEGMENTS: i128 = 1 << 12;
}

/// One node's clock and how often its controller looks at it.
#[derive(Clone, Debug, PartialEq)]
pub struct ClockNode {
    /// The uncorrected frequency.
    pub oscillator: Oscillator,
    /// Phase when it starts.
    pub phase: Phase,
    /// Local ticks from one measurement to the next.
    pub period: u64,
    /// Local ticks from measuring to acting; shorter than the period.
    pub delay: u64,
    /// When it starts. Until then it does not tick, and its links are down.
    pub start: Femtos,
    /// Correction before the first measurement acts: a warm start.
    pub warm: Frequency,
}

impl ClockNode {
    /// A clock of constant frequency that starts at time 0 with a phase of 0.1 frames, is measured every 100 000 ticks,
    /// and corrected 1 000 ticks later.
    #[must_use]
    pub fn new(frequency: Frequency) -> Self {
        let oscillator = Oscillator::constant(frequency);
        Self {
            oscillator,
            phase: Phase(FRAME / 10),
            period: 100_000,
            delay: 1_000,
            start: Femtos(0),
            warm: Frequency(0),
        }
    }
}

/// A directed link with its elastic buffer at the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockLink {
    /// The sending node.
    pub source: NodeId,
    /// The receiving node.
    pub target: NodeId,
    /// Physical time that a frame is under way.
    pub latency: Femtos,
    /// Frames sent per tick of the source, and read per tick of the target.
    pub gear: u32,
    /// Counter and occupancy at the start, in frames.
    pub initial: i64,
    /// Counter that the controller aims at, in frames.
    pub set_point: i64,
    /// Frames that the buffer holds; `None` is unlimited.
    pub depth: Option<u32>,
}

impl ClockLink {
    /// A link of one frame per tick that starts with 50 frames, its set point, in an unlimited buffer.
    #[must_use]
    pub const fn new(source: NodeId, target: NodeId, latency: Femtos) -> Self {
        Self { source, target, latency, gear: 1, initial: 50, set_point: 50, depth: None }
    }
}

/// Nodes and links that were checked.
///
/// ```
/// use sim_core::NodeId;
/// use sim_core::clock::{ClockLink, ClockNetwork, ClockNode, Femtos, Frequency};
///
/// let nodes = [100, -100].map(|ppm| ClockNode::new(Frequency::hertz(1_000_000_000).shifted(ppm * 1_000_000)));
/// let link = |source, target| ClockLink::new(NodeId(source), NodeId(target), Femtos::nanos(5_000));
/// let pair = ClockNetwork::new(nodes.to_vec(), vec![link(0, 1), link(1, 0)])?;
/// assert_eq!(pair.nominal(), Frequency::hertz(1_000_000_000));
/// # Ok::<(), sim_core::clock::NetworkError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ClockNetwork {
    nodes: IdVec<NodeId, ClockNode>,
    links: IdVec<LinkId, ClockLink>,
    nominal: Frequency,
}

/// Why nodes and links do not make a clock network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// No node at all.
    #[error("the clock network has no nodes")]
    Empty,
    /// A link to nowhere.
    #[error("{link} ends at {node}, but there are {nodes} nodes")]
    NoSuchNode {
        /// The link.
        link: LinkId,
        /// The id that it names.
        node: NodeId,
        /// How many nodes there are.
        nodes: usize,
    },
    /// A frequency that no clock has.
    #[error("{node} has a frequency of {found}, it must be between {} and {}", Frequency(limits::FREQUENCY.0), Frequency(limits::FREQUENCY.1))]
    Frequency {
        /// The node.
        node: NodeId,
        /// Its lowest or highest uncorrected frequency.
        found: Frequency,
    },
    /// An oscillator whose profile is not one.
    #[error("the oscillator of {node} {reason}")]
    Oscillator {
        /// The node.
        node: NodeId,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A controller that would act after its next measurement.
    #[error(
        "{node} is measured every {period} ticks and corrected {delay} ticks later: the delay must be shorter than the period"
    )]
    DelayTooLong {
        /// The node.
        node: NodeId,
        /// Ticks between measurements.
        period: u64,
        /// Ticks from measuring to acting.
        delay: u64,
    },
    /// A measuring period beyond the arithmetic.
    #[error(
        "{node} is measured every {period} ticks, allowed are at most {} and {}",
        limits::PERIOD,
        Femtos(limits::LATENCY)
    )]
    PeriodTooLong {
        /// The node.
        node: NodeId,
        /// Ticks between measurements.
        period: u64,
    },
    /// A phase or a start before time 0.
    #[error("{node} starts with a phase of {frames:.1} frames at {start}, neither may be negative")]
    Start {
        /// The node.
        node: NodeId,
        /// Whole frames of its phase.
        frames: i64,
        /// When it starts.
        start: Femtos,
    },
    /// Frames that arrive before they are sent, or far too late.
    #[error("{link} from {from} to {to} has a latency of {latency}, allowed are 0 s to {}", Femtos(limits::LATENCY))]
    Latency {
        /// The link.
        link: LinkId,
        /// The sending node.
        from: NodeId,
        /// The receiving node.
        to: NodeId,
        /// Its latency.
        latency: Femtos,
    },
    /// A buffer that holds nothing, or a number of frames beyond the arithmetic.
    #[error("{link} from {from} to {to} has {what} of {found} frames, allowed are {least} to {most}")]
    Frames {
        /// The link.
        link: LinkId,
        /// The sending node.
        from: NodeId,
        /// The receiving node.
        to: NodeId,
        /// "a buffer", "a set point", …
        what: &'static str,
        /// How many frames.
        found: i64,
        /// The fewest allowed.
        least: i64,
        /// The most allowed.
        most: i64,
    },
    /// Gears that have too little in common.
    #[error(
        "the gears of all links up to {link} have the least common multiple {multiple}, allowed are at most {}",
        limits::GEARS
    )]
    Gears {
        /// The link whose gear is one too many.
        link: LinkId,
        /// The least common multiple with it.
        multiple: i64,
    },
    /// Clocks so unlike that too much of the past would have to be kept.
    #[error(
        "a latency and period of {longest} against segments of {shortest} would need {segments} segments of every clock's past, allowed are {}",
        limits::SEGMENTS
    )]
    Segments {
        /// Longest latency plus longest period.
        longest: Femtos,
        /// Shortest time between two changes of a frequency.
        shortest: Femtos,
        /// Segments to be remembered.
        segments: i128,
    },
}

impl ClockNetwork {
    /// Checks nodes and links.
    ///
    /// # Errors
    /// [`NetworkError`], the first that is found.
    pub fn new(
        nodes: impl Into<IdVec<NodeId, ClockNode>>,
        links: impl Into<IdVec<LinkId, ClockLink>>,
    ) -> Result<Self, NetworkError> {
        let (nodes, links) = (nodes.into(), links.into());
        if nodes.is_empty() {
            return Err(NetworkError::Empty);
        }
        for (id, node) in nodes.iter() {
            check_node(id, node)?;
        }
        for (id, link) in links.iter() {
            check_link(id, link, nodes.len())?;
        }
        check_gears(&links)?;
        let sum: i128 = nodes.values().map(|node| i128::from(node.oscillator.base().0)).sum();
        let nominal = Frequency((sum / nodes.len() as i128) as i64);
        let network = Self { nodes, links, nominal };
        let segments = network.segments();
        if segments > limits::SEGMENTS {
            let (longest, shortest) =
                (Femtos::of_grains(network.longest()), Femtos::of_grains(network.shortest_segment()));
            return Err(NetworkError::Segments { longest, shortest, segments });
        }
        Ok(network)
    }

    /// The same network with another nominal frequency, to which deviations are stated. At first it is the mean of the
    /// uncorrected ones.
    #[must_use]
    pub fn with_nominal(self, nominal: Frequency) -> Self {
        Self { nominal, ..self }
    }

    /// All nodes.
    #[must_use]
    pub fn nodes(&self) -> &IdVec<NodeId, ClockNode> {
        &self.nodes
    }

    /// All links.
    #[must_use]
    pub fn links(&self) -> &IdVec<LinkId, ClockLink> {
        &self.links
    }

    /// The frequency to which deviations are stated.
    #[must_use]
    pub fn nominal(&self) -> Frequency {
        self.nominal
    }

    /// The least common multiple of all gears.
    #[must_use]
    pub fn common_gear(&self) -> i64 {
        self.links.values().fold(1, |all, link| common_multiple(all, link.gear))
    }

    /// How long the network can be simulated before phases, times gears, become too long.
    #[must_use]
    pub fn time_most(&self) -> Femtos {
        let gear = self.links.values().map(|link| i128::from(link.gear)).max().unwrap_or(1);
        let started = self.nodes.values().map(|node| node.phase.0).max().unwrap_or(0);
        Femtos::of_grains((PHASE_LIMIT / gear - started) / i128::from(self.reachable().1))
    }

    /// Frequencies that controllers may reach: an eighth beyond the slowest and the fastest oscillator.
    pub(super) fn reachable(&self) -> (i64, i64) {
        let all = || self.nodes.values().map(|node| node.oscillator.extremes());
        let slowest = all().map(|(low, _)| low.0).min().unwrap_or(1);
        let fastest = all().map(|(_, high)| high.0).max().unwrap_or(1);
        (slowest - slowest / 8, fastest + fastest / 8)
    }

    /// Attoseconds of the shortest nominal measuring period.
    pub(super) fn shortest_period(&self) -> i128 {
        let period = |node: &ClockNode| i128::from(node.period) * FRAME / i128::from(node.oscillator.base().0);
        self.nodes.values().map(period).min().unwrap_or(1).max(1)
    }

    /// The shortest time between two changes of one clock's frequency.
    pub(super) fn shortest_segment(&self) -> i128 {
        let fastest = i128::from(self.reachable().1);
        let segment = |node: &ClockNode| {
            (i128::from(node.period) * FRAME / fastest).min(node.oscillator.shortest_piece().unwrap_or(i128::MAX))
        };
        self.nodes.values().map(segment).min().unwrap_or(1).max(1)
    }

    /// How far back from the newest segment's start a phase may be asked for.
    pub(super) fn longest(&self) -> i128 {
        let slowest = i128::from(self.reachable().0);
        let delay = self.nodes.values().map(|node| i128::from(node.delay) * FRAME / slowest).max().unwrap_or(0);
        self.shortest_period() + delay + self.longest_latency()
    }

    /// Attoseconds of the longest latency.
    pub(super) fn longest_latency(&self) -> i128 {
        self.links.values().map(|link| link.latency.grains()).max().unwrap_or(0)
    }

    /// Segments of a clock that are kept, the newest included.
    pub(super) fn segments(&self) -> i128 {
        // A varying oscillator has pieces between acts as well.
        let varying = self.nodes.values().any(|node| !node.oscillator.is_constant());
        2 + self.longest() / self.shortest_segment() * if varying { 2 } else { 1 }
    }
}

fn check_node(id: NodeId, node: &ClockNode) -> Result<(), NetworkError> {
    node.oscillator.check().map_err(|reason| NetworkError::Oscillator { node: id, reason })?;
    let (low, high) = node.oscillator.extremes();
    for found in [low, high] {
        if found.0 < limits::FREQUENCY.0 || found.0 > limits::FREQUENCY.1 {
            return Err(NetworkError::Frequency { node: id, found });
        }
    }
    let ClockNode { period, delay, .. } = *node;
    if delay >= period {
        return Err(NetworkError::DelayTooLong { node: id, period, delay });
    }
    if period > limits::PERIOD || i128::from(period) * FRAME / i128::from(low.0) > Femtos(limits::LATENCY).grains() {
        return Err(NetworkError::PeriodTooLong { node: id, period });
    }
    if node.phase.0 < 0 || node.phase.0 > PHASE_LIMIT / 2 || node.start.0 < 0 {
        return Err(NetworkError::Start { node: id, frames: node.phase.0.div_euclid(FRAME) as i64, start: node.start });
    }
    Ok(())
}

fn check_gears(links: &IdVec<LinkId, ClockLink>) -> Result<(), NetworkError> {
    let mut multiple = 1;
    for (link, ClockLink { gear, .. }) in links.iter() {
        multiple = common_multiple(multiple, *gear);
        if multiple > limits::GEARS {
            return Err(NetworkError::Gears { link, multiple });
        }
    }
    Ok(())
}

fn common_multiple(all: i64, gear: u32) -> i64 {
    all / gcd(all.unsigned_abs().into(), gear.into()) as i64 * i64::from(gear)
}

fn check_link(id: LinkId, link: &ClockLink, nodes: usize) -> Result<(), NetworkError> {
    let (from, to) = (link.source, link.target);
    if let Some(node) = [from, to].into_iter().find(|node| node.0 as usize >= nodes) {
        return Err(NetworkError::NoSuchNode { link: id, node, nodes });
    }
    if link.latency.0 < 0 || link.latency.0 > limits::LATENCY {
        return Err(NetworkError::Latency { link: id, from, to, latency: link.latency });
    }
    let frames = [
        ("a buffer", link.depth.map_or(1, i64::from), 1, limits::FRAMES),
        ("a set point", link.set_point, -limits::FRAMES, limits::FRAMES),
        ("an occupancy at the start", link.initial, -limits::FRAMES, limits::FRAMES),
        ("a gear", link.gear.into(), 1, limits::GEAR.into()),
    ];
    for (what, found, least, most) in frames {
        if !(least..=most).contains(&found) {
            return Err(NetworkError::Frames { link: id, from, to, what, found, least, most });
        }
    }
    Ok(())
}
