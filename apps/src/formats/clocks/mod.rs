//! Specifications of clock networks: our own RON, and the JSON in which published cases state theirs.
//!
//! Both become a [`ClockSpec`]: a checked network, a control law, and what is to be watched and when. Decimals are kept
//! exactly, whatever their unit.

mod decimal;
mod json;
mod place;
mod quantity;
mod ron;
mod uniform;

pub use json::read_clocks_json;
pub use quantity::{QuantityError, frequency, parts_per_trillion, time};
pub use ron::read_clocks_ron;
pub use uniform::Uniform;

use super::FormatError;
use sim_core::clock::{Boot, ClockLink, ClockNetwork, Control, ControlError, EditError, Fault, Femtos, NetworkError};
use sim_core::{IdVec, Link, LinkId, LogicalLatency, Machine, MachineError, Node};
use std::ops::Range;

/// A clock simulation as a file states it.
#[derive(Clone, Debug)]
pub struct ClockSpec {
    /// Its name.
    pub name: String,
    /// Names of nodes, by id.
    pub nodes: Vec<String>,
    /// Oscillators, links, buffers.
    pub network: ClockNetwork,
    /// The control law of all nodes.
    pub control: Control,
    /// How long to simulate.
    pub until: Femtos,
    /// Times at which the whole network is to be stated.
    pub samples: Vec<Femtos>,
    /// Whether buffers are kept empty until clocks have settled.
    pub drain: bool,
    /// What goes wrong, in the order of the file.
    pub faults: Vec<(Femtos, Fault)>,
    /// The machine whose clocks these are, if the file names one.
    pub machine: Option<Machine>,
}

impl ClockSpec {
    /// The machine that these clocks make, with the latencies that boot has captured: the one that the file names, or
    /// one of a core per node.
    ///
    /// # Errors
    /// [`MachineError`]: latencies beyond what machines may have.
    pub fn booted_machine(&self, boot: &Boot) -> Result<Machine, MachineError> {
        let nodes: Vec<Node> = match &self.machine {
            Some(machine) => machine.nodes().values().map(|node| Node { offset: 0, ..node.clone() }).collect(),
            None => self.nodes.iter().map(|name| Node::new(name, 1)).collect(),
        };
        let link = |(id, link): (LinkId, &ClockLink)| {
            let latency = LogicalLatency(boot.latencies[id]);
            Link { source: link.source, target: link.target, latency }
        };
        Machine::new(&self.name, nodes, self.network.links().iter().map(link).collect::<IdVec<_, _>>())
    }
}

/// Why entries do not make a clock simulation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClockFileError {
    /// Not the JSON form.
    #[error("{message}")]
    Json {
        /// What the parser says.
        message: String,
        /// Where.
        span: Range<usize>,
    },
    /// A number with a unit that is none.
    #[error(transparent)]
    Quantity(#[from] QuantityError),
    /// Nodes and links that are no network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Gains that are no law.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A fault that cannot be.
    #[error(transparent)]
    Fault(#[from] EditError),
    /// A number that does not fit.
    #[error("`{what}` is {found}, which does not fit: {allowed}")]
    Number {
        /// The field.
        what: &'static str,
        /// The number as it was read.
        found: String,
        /// What fits.
        allowed: &'static str,
    },
    /// A name that nothing has.
    #[error("there is no {what} `{name}`")]
    NoSuch {
        /// "node", "controller", …
        what: &'static str,
        /// The name.
        name: String,
        /// Names that there are.
        known: String,
    },
    /// Fields that contradict each other.
    #[error("{message}")]
    Fields {
        /// What is wrong with them.
        message: &'static str,
    },
    /// Any of the others, with its place.
    #[error("{error}")]
    Placed {
        /// What is wrong.
        error: Box<ClockFileError>,
        /// Where.
        span: Range<usize>,
    },
}

impl ClockFileError {
    /// The bytes of the text that the error is about, where they are known.
    #[must_use]
    pub fn span(&self) -> Option<Range<usize>> {
        match self {
            Self::Json { span, .. } | Self::Placed { span, .. } => Some(span.clone()),
            _ => None,
        }
    }

    /// What the user may do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Placed { error, .. } => error.help(),
            Self::NoSuch { known, .. } if !known.is_empty() => Some(format!("there are {known}")),
            Self::Quantity(_) => Some("write numbers with their units: \"125MHz\", \"100ppm\", \"5ms\"".to_owned()),
            Self::Network(NetworkError::DelayTooLong { .. }) => {
                Some("measure less often, or act sooner: the delay is the time from measuring to acting".to_owned())
            }
            _ => None,
        }
    }

    /// A name of this kind of error that does not change between releases.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json { .. } => "clocks::json",
            Self::Quantity(_) => "clocks::quantity",
            Self::Network(_) => "clocks::network",
            Self::Control(_) => "clocks::control",
            Self::Fault(_) => "clocks::fault",
            Self::Number { .. } => "clocks::number",
            Self::NoSuch { .. } => "clocks::no_such",
            Self::Fields { .. } => "clocks::fields",
            Self::Placed { error, .. } => error.code(),
        }
    }
}

/// Reads a clock specification in either form: text that begins with `{` is JSON, other text is RON.
///
/// # Errors
/// [`FormatError`], the first that is found.
pub fn read_clocks(bytes: &[u8]) -> Result<ClockSpec, FormatError> {
    let text = super::read_text(bytes)?;
    if text.trim_start_matches('\u{feff}').trim_start().starts_with('{') {
        Ok(read_clocks_json(text)?)
    } else {
        read_clocks_ron(text)
    }
}
