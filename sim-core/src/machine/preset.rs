//! Machine presets: the regular topologies that have a short spelling.
//!
//! Nodes are called `n0`, `n1`, … and numbered row-major in grids, breadth-first in trees. They have one core each,
//! except switches, and no limit on memory. Links come in pairs of latency 1, one each way: link 2k + 1 answers link 2k.
//! In a grid the pairs are ordered by node and dimension, from each node to its successor (the first one after the last
//! one, if the grid is closed); in a tree by child, coming from its parent; elsewhere by both ends, the lower one first.
//! A side of 1 gives no link, a side of 2 one link each way, closed or not.

use super::limits;
use std::fmt;
use std::str::FromStr;

/// A regular topology, spelt like `torus:4x4`.
///
/// Parsing makes one. Its variants can be matched but not made elsewhere, so that every preset is within [`limits`].
///
/// ```
/// use sim_core::machine::{Machine, Preset};
///
/// let preset: Preset = "torus:4x4".parse()?;
/// let machine = Machine::from_preset(&preset);
/// assert_eq!((machine.name(), machine.nodes().len(), machine.links().len()), ("torus:4x4", 16, 64));
/// # Ok::<(), sim_core::machine::PresetError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Preset {
    /// `single`: one node.
    Single,
    /// `ring:8`: each node linked to the next, the last one to the first.
    #[non_exhaustive]
    Ring {
        /// Nodes around the ring.
        nodes: u32,
    },
    /// `line:4`: each node linked to the next.
    #[non_exhaustive]
    Line {
        /// Nodes along the line.
        nodes: u32,
    },
    /// `mesh:3x4`: a grid of any dimension.
    #[non_exhaustive]
    Mesh {
        /// Nodes along each dimension, the fastest-running one last.
        sides: Vec<u32>,
    },
    /// `torus:4x4x4`: a grid of any dimension that is closed around each.
    #[non_exhaustive]
    Torus {
        /// Nodes around each dimension, the fastest-running one last.
        sides: Vec<u32>,
    },
    /// `hypercube:4`: nodes whose numbers differ in one bit are linked.
    #[non_exhaustive]
    Hypercube {
        /// Number of bits.
        dimensions: u32,
    },
    /// `complete:8`: every node linked to every other.
    #[non_exhaustive]
    Complete {
        /// Number of nodes.
        nodes: u32,
    },
    /// `star:8`: a switch, node 0, in the midst of hosts.
    #[non_exhaustive]
    Star {
        /// Number of hosts.
        hosts: u32,
    },
    /// `tree:2x3`: each node linked to its children; all compute.
    #[non_exhaustive]
    Tree {
        /// Children of every node that is not a leaf.
        children: u32,
        /// Levels below the root.
        levels: u32,
    },
    /// `fat-tree:3`: a binary tree of switches above leaves that compute. An edge at height h is 2^h parallel links
    /// each way; that between a leaf and its switch has height 0. So all leaves can send upwards at full rate.
    #[non_exhaustive]
    FatTree {
        /// Levels of switches: 2^`levels` leaves below 2^`levels` − 1 switches.
        levels: u32,
    },
    /// `hourglass:4`: two complete graphs; the last node of the first is linked to the first node of the second.
    #[non_exhaustive]
    Hourglass {
        /// Nodes of each complete graph.
        half: u32,
    },
}

/// Why a text is not a preset, or a preset not a machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresetError {
    /// Not the name of a topology.
    #[error("no machine preset is called `{found}`; there are {}", examples())]
    Unknown {
        /// The text before the colon.
        found: String,
    },
    /// Not as many numbers as the topology has.
    #[error("`{found}` has {sizes} sizes, write it like `{example}`")]
    Sizes {
        /// The text.
        found: String,
        /// How many sizes it has.
        sizes: usize,
        /// A legal spelling.
        example: &'static str,
    },
    /// Something that is not a number.
    #[error("`{size}` in `{found}` is not a number below 2^32, write it like `{example}`")]
    NotANumber {
        /// The text.
        found: String,
        /// The part of it.
        size: String,
        /// A legal spelling.
        example: &'static str,
    },
    /// A size of nothing.
    #[error("`{preset}` has a size of 0, it must be at least 1")]
    Zero {
        /// The preset.
        preset: String,
    },
    /// Too many dimensions.
    #[error("`{preset}` has {dimensions} sides, allowed are at most {}", DIMENSIONS)]
    Dimensions {
        /// The preset.
        preset: String,
        /// How many there are.
        dimensions: usize,
    },
    /// More nodes than a machine may have.
    #[error("`{preset}` has more than {} nodes, the most that a machine may have", limits::NODES)]
    TooManyNodes {
        /// The preset.
        preset: String,
    },
    /// More links than a machine may have.
    #[error("`{preset}` has {links} links, allowed are at most {}", limits::LINKS)]
    TooManyLinks {
        /// The preset.
        preset: String,
        /// How many there are.
        links: u64,
    },
}

/// Sides of a grid: as many as may be longer than 1.
const DIMENSIONS: usize = limits::NODES.ilog2() as usize;

/// What the presets of one name have in common.
struct Family {
    /// Its name and, after a colon, sizes separated by `x`.
    example: &'static str,
    /// Number of sizes; `None` is any number but 0.
    sizes: Option<usize>,
    /// The preset of that many sizes.
    make: fn(Vec<u32>) -> Preset,
}

impl Family {
    fn name(&self) -> &'static str {
        self.example.split(':').next().expect("a split text has a first part")
    }
}

const FAMILIES: [Family; 11] = [
    Family { example: "single", sizes: Some(0), make: |_| Preset::Single },
    Family { example: "ring:8", sizes: Some(1), make: |sizes| Preset::Ring { nodes: sizes[0] } },
    Family { example: "line:4", sizes: Some(1), make: |sizes| Preset::Line { nodes: sizes[0] } },
    Family { example: "mesh:3x4", sizes: None, make: |sides| Preset::Mesh { sides } },
    Family { example: "torus:4x4", sizes: None, make: |sides| Preset::Torus { sides } },
    Family { example: "hypercube:4", sizes: Some(1), make: |sizes| Preset::Hypercube { dimensions: sizes[0] } },
    Family { example: "complete:8", sizes: Some(1), make: |sizes| Preset::Complete { nodes: sizes[0] } },
    Family { example: "star:8", sizes: Some(1), make: |sizes| Preset::Star { hosts: sizes[0] } },
    Family { example: "tree:2x3", sizes: Some(2), make: |sizes| Preset::Tree { children: sizes[0], levels: sizes[1] } },
    Family { example: "fat-tree:3", sizes: Some(1), make: |sizes| Preset::FatTree { levels: sizes[0] } },
    Family { example: "hourglass:4", sizes: Some(1), make: |sizes| Preset::Hourglass { half: sizes[0] } },
];

fn examples() -> String {
    FAMILIES.map(|family| family.example).join(", ")
}

impl FromStr for Preset {
    type Err = PresetError;

    fn from_str(text: &str) -> Result<Self, PresetError> {
        let (name, sizes) = match text.split_once(':') {
            Some((name, sizes)) => (name, sizes.split('x').collect()),
            None => (text, Vec::new()),
        };
        let family = FAMILIES.iter().find(|family| family.name() == name);
        let Family { example, sizes: expected, make } =
            family.ok_or_else(|| PresetError::Unknown { found: name.to_owned() })?;
        if expected.map_or(sizes.is_empty(), |expected| expected != sizes.len()) {
            return Err(PresetError::Sizes { found: text.to_owned(), sizes: sizes.len(), example });
        }
        let number = |size: &str| {
            let digits = size.bytes().all(|byte| byte.is_ascii_digit()); // else `+8` would be a number
            size.parse().ok().filter(|_| digits).ok_or_else(|| PresetError::NotANumber {
                found: text.to_owned(),
                size: size.to_owned(),
                example,
            })
        };
        make(sizes.into_iter().map(number).collect::<Result<_, _>>()?).checked()
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single => f.write_str("single"),
            Self::Ring { nodes } => write!(f, "ring:{nodes}"),
            Self::Line { nodes } => write!(f, "line:{nodes}"),
            Self::Mesh { sides } => write!(f, "mesh:{}", by(sides)),
            Self::Torus { sides } => write!(f, "torus:{}", by(sides)),
            Self::Hypercube { dimensions } => write!(f, "hypercube:{dimensions}"),
            Self::Complete { nodes } => write!(f, "complete:{nodes}"),
            Self::Star { hosts } => write!(f, "star:{hosts}"),
            Self::Tree { children, levels } => write!(f, "tree:{children}x{levels}"),
            Self::FatTree { levels } => write!(f, "fat-tree:{levels}"),
            Self::Hourglass { half } => write!(f, "hourglass:{half}"),
        }
    }
}

/// Sides as in "3x4".
fn by(sides: &[u32]) -> String {
    sides.iter().map(u32::to_string).collect::<Vec<_>>().join("x")
}

impl Preset {
    /// This preset, if it is legal.
    pub(super) fn checked(self) -> Result<Self, PresetError> {
        let preset = || self.to_string();
        let smallest = match &self {
            Self::Mesh { sides } | Self::Torus { sides } => {
                if !(1..=DIMENSIONS).contains(&sides.len()) {
                    return Err(PresetError::Dimensions { preset: preset(), dimensions: sides.len() });
                }
                sides.iter().copied().min().expect("there are sides")
            }
            Self::Ring { nodes: size } | Self::Line { nodes: size } | Self::Complete { nodes: size } => *size,
            Self::Star { hosts: size } | Self::Hourglass { half: size } | Self::Tree { children: size, .. } => *size,
            // With 0 levels or dimensions these are a single node.
            Self::Single | Self::Hypercube { .. } | Self::FatTree { .. } => 1,
        };
        if smallest == 0 {
            return Err(PresetError::Zero { preset: preset() });
        }
        if self.count_nodes().is_none() {
            return Err(PresetError::TooManyNodes { preset: preset() });
        }
        let links = self.count_links();
        if links > limits::LINKS as u64 {
            return Err(PresetError::TooManyLinks { preset: preset(), links });
        }
        Ok(self)
    }

    /// Number of nodes.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.count_nodes().expect("presets are checked") as usize
    }

    /// Number of nodes, if they are not too many.
    fn count_nodes(&self) -> Option<u64> {
        let product = |sides: &[u32]| sides.iter().try_fold(1_u64, |nodes, &side| nodes.checked_mul(side.into()));
        let nodes = match self {
            Self::Single => 1,
            Self::Ring { nodes } | Self::Line { nodes } | Self::Complete { nodes } => (*nodes).into(),
            Self::Mesh { sides } | Self::Torus { sides } => product(sides)?,
            Self::Hypercube { dimensions } => 1_u64.checked_shl(*dimensions)?,
            Self::Star { hosts } => u64::from(*hosts) + 1,
            Self::Tree { children, levels } => (0..*levels).try_fold(1, |subtree, _| {
                Some(subtree * u64::from(*children) + 1).filter(|&nodes| nodes <= limits::NODES as u64)
            })?,
            Self::FatTree { levels } => 1_u64.checked_shl(levels.checked_add(1)?)? - 1,
            Self::Hourglass { half } => 2 * u64::from(*half),
        };
        (nodes <= limits::NODES as u64).then_some(nodes)
    }
}
