//! The topology picture: nodes, switches and links of a machine, and how busy a set of calendars keeps them.

pub(crate) mod draw;
mod labels;
mod layout;
mod stress;

use super::axis::{counted, grouped};
use calendars::{CalendarSet, ComputeEntry};
use sim_core::{Id, LinkId, Machine, NodeId, Preset};

/// How the nodes lie. A layout that does not fit the number of nodes is replaced by [`Layout::Force`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Lines, meshes and tori: node (plane · rows + row) · columns + column. Several planes are drawn in oblique
    /// projection. Links between nodes that are not neighbours in the grid are drawn as stubs if they wrap around it.
    Grid {
        /// Nodes side by side.
        columns: usize,
        /// Nodes one below the other.
        rows: usize,
        /// Nodes one behind the other.
        planes: usize,
    },
    /// A chain in node order, folded into rows when it is long.
    Line,
    /// On a circle in node order, from the top, clockwise.
    Circle,
    /// One node in the middle, the others around it.
    Star {
        /// The node in the middle.
        hub: usize,
    },
    /// Trees: per node its level, 0 at the top; nodes of a level are spread evenly in node order.
    Levels(Vec<u32>),
    /// Nodes below the number on one circle, the others on a second one beside it, the nodes of the links between them
    /// facing each other.
    Circles {
        /// Nodes of the first circle.
        first: usize,
    },
    /// Distances on paper close to numbers of hops.
    Force,
}

impl Layout {
    /// The layout that shows the shape of `machine` best.
    #[must_use]
    pub fn of(machine: &Machine) -> Self {
        match machine.shape() {
            Some(Preset::Single | Preset::Line { .. }) => Self::Line,
            Some(Preset::Ring { .. } | Preset::Complete { .. }) => Self::Circle,
            Some(Preset::Mesh { sides, .. }) => Self::grid(sides, Self::Line),
            Some(Preset::Torus { sides, .. }) => Self::grid(sides, Self::Circle),
            Some(Preset::Star { .. }) => Self::Star { hub: 0 },
            Some(Preset::Tree { children, .. }) => Self::tree(*children, machine.nodes().len()),
            Some(Preset::FatTree { .. }) => Self::tree(2, machine.nodes().len()),
            Some(Preset::Hourglass { half, .. }) => Self::Circles { first: *half as usize },
            Some(Preset::Hypercube { .. }) | None => Self::Force,
        }
    }

    /// A grid of up to three sides longer than 1; `flat` for one of a single row.
    fn grid(sides: &[u32], flat: Self) -> Self {
        let long: Vec<usize> = sides.iter().filter(|&&side| side > 1).map(|&side| side as usize).collect();
        match long[..] {
            [] | [_] => flat,
            [rows, columns] => Self::Grid { columns, rows, planes: 1 },
            [planes, rows, columns] => Self::Grid { columns, rows, planes },
            _ => Self::Force,
        }
    }

    /// The levels of a tree whose nodes are numbered breadth-first.
    fn tree(children: u32, nodes: usize) -> Self {
        let mut levels = Vec::with_capacity(nodes);
        let mut width = 1_usize;
        for level in 0.. {
            levels.extend(std::iter::repeat_n(level, width.min(nodes - levels.len())));
            if levels.len() == nodes {
                break;
            }
            width = width.saturating_mul(children as usize);
        }
        Self::Levels(levels)
    }
}

/// A node of the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct TopologyNode {
    /// Its name.
    pub name: String,
    /// Whether it is a switch, which has no core.
    pub switch: bool,
    /// Share of its cores' ticks that firings hold, from 0 to 1.
    pub busy: f64,
}

/// A directed link of the picture. Parallel ones share an arrow.
#[derive(Clone, Debug, PartialEq)]
pub struct TopologyLink {
    /// The sending node: an index into [`TopologyScene::nodes`].
    pub from: usize,
    /// The receiving node.
    pub to: usize,
    /// Share of its slots that carry frames, from 0 to 1.
    pub busy: f64,
}

/// All that a topology picture says.
#[derive(Clone, Debug, PartialEq)]
pub struct TopologyScene {
    /// The heading.
    pub title: String,
    /// A grey line below the heading.
    pub subtitle: String,
    /// A grey line at the foot.
    pub footer: String,
    /// How nodes lie.
    pub layout: Layout,
    /// Whether the figures of use mean anything; without, it is a picture of the bare machine.
    pub measured: bool,
    /// All nodes.
    pub nodes: Vec<TopologyNode>,
    /// All links.
    pub links: Vec<TopologyLink>,
}

impl TopologyScene {
    /// The scene of `machine`, with the use that `calendars` make of it if there are any.
    ///
    /// # Panics
    /// If the calendars are those of another machine.
    #[must_use]
    pub fn new(machine: &Machine, calendars: Option<&CalendarSet>, layout: Layout) -> Self {
        let share = |ticks: i128, units: u32| {
            let metacycle = calendars.map_or(1, |set| set.metacycle);
            if units == 0 { 0.0 } else { ticks as f64 / (metacycle as f64 * f64::from(units)) }
        };
        let held = |e: &ComputeEntry| i128::from(e.exec) * i128::from(e.repeat.firings);
        let computed = |id: NodeId| calendars.map_or(0, |set| set.nodes[id].compute.iter().map(held).sum());
        let sent =
            |id: LinkId| calendars.map_or(0, |set| set.links[id].gather.iter().map(|e| i128::from(e.length)).sum());
        let node = |(id, node): (NodeId, &sim_core::Node)| TopologyNode {
            name: node.name.to_string(),
            switch: node.cores == 0,
            busy: share(computed(id), node.cores),
        };
        let link = |(id, link): (LinkId, &sim_core::Link)| TopologyLink {
            from: link.source.index(),
            to: link.target.index(),
            busy: share(sent(id), 1),
        };
        let size = format!("{} · {}", counted(machine.nodes().len(), "node"), counted(machine.links().len(), "link"));
        let (title, subtitle) = match calendars {
            Some(set) => {
                let ticks = if set.metacycle == 1 { "tick" } else { "ticks" };
                let title = format!("{} on {}", set.app, machine.name());
                (title, format!("{size} · use in a metacycle of {} {ticks}", grouped(set.metacycle)))
            }
            None => (machine.name().to_owned(), size),
        };
        Self {
            title,
            subtitle,
            footer: super::version_line(),
            layout,
            measured: calendars.is_some(),
            nodes: machine.nodes().iter().map(node).collect(),
            links: machine.links().iter().map(link).collect(),
        }
    }
}
