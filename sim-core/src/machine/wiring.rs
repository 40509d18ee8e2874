//! The wiring of presets: which nodes they link, in which order, and the machines that result.

use super::{Link, Machine, Node, Preset};
use crate::ids::NodeId;
use crate::time::LogicalLatency;
use std::ops::Range;

impl Preset {
    /// Number of links, which the number of nodes keeps within 64 bits.
    pub(super) fn count_links(&self) -> u64 {
        let nodes = self.nodes() as u64;
        match self {
            Self::Single => 0,
            Self::Ring { nodes } => grid_links(&[*nodes], true),
            Self::Line { nodes } => grid_links(&[*nodes], false),
            Self::Mesh { sides } => grid_links(sides, false),
            Self::Torus { sides } => grid_links(sides, true),
            Self::Hypercube { dimensions } => u64::from(*dimensions) * nodes,
            Self::Complete { .. } => nodes * (nodes - 1),
            Self::Star { .. } | Self::Tree { .. } => 2 * (nodes - 1),
            Self::FatTree { levels } => u64::from(*levels) * (nodes + 1),
            Self::Hourglass { .. } => nodes * (nodes / 2 - 1) + 2,
        }
    }

    /// How many of the lowest-numbered nodes are switches.
    fn switches(&self) -> u32 {
        match self {
            Self::Star { .. } => 1,
            Self::FatTree { levels } => (1 << levels) - 1,
            _ => 0,
        }
    }

    /// Hands both ends of every pair of links to `pair`, in order.
    fn for_each_pair(&self, mut pair: impl FnMut(u32, u32)) {
        match self {
            Self::Single => {}
            Self::Ring { nodes } => grid_pairs(&[*nodes], true, pair),
            Self::Line { nodes } => grid_pairs(&[*nodes], false, pair),
            Self::Mesh { sides } => grid_pairs(sides, false, pair),
            Self::Torus { sides } => grid_pairs(sides, true, pair),
            Self::Hypercube { dimensions } => grid_pairs(&vec![2; *dimensions as usize], false, pair),
            Self::Complete { nodes } => complete_pairs(0..*nodes, &mut pair),
            Self::Star { hosts } => (1..=*hosts).for_each(|host| pair(0, host)),
            Self::Tree { children, .. } => {
                (1..self.nodes() as u32).for_each(|child| pair((child - 1) / children, child));
            }
            Self::FatTree { levels } => {
                for child in 1..(2 << levels) - 1_u32 {
                    let height = levels - (child + 1).ilog2();
                    (0..1 << height).for_each(|_| pair((child - 1) / 2, child));
                }
            }
            Self::Hourglass { half } => {
                complete_pairs(0..*half, &mut pair);
                pair(half - 1, *half);
                complete_pairs(*half..2 * half, &mut pair);
            }
        }
    }
}

fn grid_links(sides: &[u32], closed: bool) -> u64 {
    let nodes: u64 = sides.iter().map(|&side| u64::from(side)).product();
    let pairs = |&side: &u32| if closed && side > 2 { side } else { side - 1 };
    sides.iter().map(|side| 2 * nodes / u64::from(*side) * u64::from(pairs(side))).sum()
}

fn grid_pairs(sides: &[u32], closed: bool, mut pair: impl FnMut(u32, u32)) {
    let nodes: u32 = sides.iter().product();
    for node in 0..nodes {
        let mut stride = nodes;
        for &side in sides {
            stride /= side;
            if node / stride % side < side - 1 {
                pair(node, node + stride);
            } else if closed && side > 2 {
                pair(node, node - (side - 1) * stride);
            }
        }
    }
}

fn complete_pairs(nodes: Range<u32>, pair: &mut impl FnMut(u32, u32)) {
    for low in nodes.clone() {
        for high in low + 1..nodes.end {
            pair(low, high);
        }
    }
}

impl Machine {
    /// The machine that `preset` spells: latency 1, one core, no limits, called like the preset.
    #[must_use]
    pub fn from_preset(preset: &Preset) -> Self {
        let switches = preset.switches() as usize;
        let node = |number| Node::new(format!("n{number}"), u32::from(number >= switches));
        let nodes = (0..preset.nodes()).map(node).collect();
        let mut links = Vec::with_capacity(preset.count_links() as usize);
        preset.for_each_pair(|a, b| {
            for (source, target) in [(a, b), (b, a)] {
                links.push(Link { source: NodeId(source), target: NodeId(target), latency: LogicalLatency(1) });
            }
        });
        // Every link has a twin of equal latency: this is normal form.
        let mut machine = Self::assemble(preset.to_string(), nodes, links.into());
        machine.shape = Some(preset.clone());
        machine
    }

    fn from_sizes(preset: Preset) -> Self {
        let preset = preset.checked().unwrap_or_else(|error| panic!("{error}"));
        Self::from_preset(&preset)
    }

    /// One node.
    #[must_use]
    pub fn single() -> Self {
        Self::from_sizes(Preset::Single)
    }

    /// `nodes` nodes around a ring.
    ///
    /// # Panics
    /// If `nodes` is 0 or too large ([`limits`](super::limits)). For sizes that are not the program's own, parse a [`Preset`].
    #[must_use]
    pub fn ring(nodes: u32) -> Self {
        Self::from_sizes(Preset::Ring { nodes })
    }

    /// `nodes` nodes along a line.
    ///
    /// # Panics
    /// If `nodes` is 0 or too large ([`limits`](super::limits)). For sizes that are not the program's own, parse a [`Preset`].
    #[must_use]
    pub fn line(nodes: u32) -> Self {
        Self::from_sizes(Preset::Line { nodes })
    }

    /// A grid with `sides[d]` nodes along dimension d.
    ///
    /// # Panics
    /// If there is no side, a side is 0, or they are too large ([`limits`](super::limits)). For sizes that are not the program's own, parse a [`Preset`].
    #[must_use]
    pub fn mesh(sides: impl Into<Vec<u32>>) -> Self {
        Self::from_sizes(Preset::Mesh { sides: sides.into() })
    }

    /// A grid that is closed around every dimension d of `sides[d]` nodes.
    ///
    /// # Panics
    /// If there is no side, a side is 0, or they are too large ([`limits`](super::limits)). For sizes that are not the program's own, parse a [`Preset`].
    #[must_use]
    pub fn torus(sides: impl Into<Vec<u32>>) -> Self {
        Self::from_sizes(Preset::Torus { sides: sides.into() })
    }

    /// 2^`dimensions` nodes, linked where their numbers differ in one bit.
    ///
    /// # Panics
    /// If `dimensions` is too large ([`limits`](super::limits)). For sizes that are not the program's own, parse a [`Preset`].
    #[must_use]
    pub fn hypercube(dimensions: u32) -> Self {
        Self::from_sizes(Preset::Hypercube { dimensions })
    }

    /// `nodes` nodes, each linked to every other.
    ///
    /// # Panics
    /// If `nodes` is 0 or too large ([`limits`](super::limits)). For sizes that are not the program's own, parse a [`Preset`].
    #[must_use]
    pub fn complete(nodes: u32) -> Self {
        Self::from_sizes(Preset::Complete { nodes })
    }

    /// A switch, node 0, in the midst of `hosts` hosts.
    ///
    /// # Panics
    /// If `hosts` is 0 or too large ([`limits`](super::limits)). For sizes that are not the program's own, parse a [`Preset`].
    #[must_use]
    pub fn star(hosts: u32) -> Self {
        Self::from_sizes(Preset::Star { hosts })
    }

    /// A tree of nodes that all compute, with `levels` levels below the root.
    ///
    /// # Panics
    /// If `children` is 0, or they are too large ([`limits`](super::limits)). For sizes that are not the program's own, parse a [`Preset`].
    #[must_use]
    pub fn tree(children: u32, levels: u32) -> Self {
        Self::from_sizes(Preset::Tree { children, levels })
    }

    /// 2^`levels` nodes below a binary tree of switches whose links double at every level.
    ///
    /// # Panics
    /// If `levels` is too large ([`limits`](super::limits)). For sizes that are not the program's own, parse a [`Preset`].
    #[must_use]
    pub fn fat_tree(levels: u32) -> Self {
        Self::from_sizes(Preset::FatTree { levels })
    }

    /// Two complete graphs of `half` nodes each, joined by one link each way.
    ///
    /// # Panics
    /// If `half` is 0 or too large ([`limits`](super::limits)). For sizes that are not the program's own, parse a [`Preset`].
    #[must_use]
    pub fn hourglass(half: u32) -> Self {
        Self::from_sizes(Preset::Hourglass { half })
    }
}
