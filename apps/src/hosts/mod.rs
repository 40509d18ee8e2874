//! Fleets: unmodified Linux programs as the payloads of nodes.
//!
//! A fleet file says which program runs on which node. It compiles to an ordinary application: an opaque actor per node, and
//! per pair of nodes a channel that moves one slot of words per iteration. So scheduler, engines, digests and pictures treat
//! it as any other; what is in the words is [`shim::wire`]'s affair. A firing lets its program run until all its threads
//! wait, at one tick of the node's own time.

mod actor;
mod clock;
mod entries;
mod fleet;
mod fleet_file;
mod processors;

pub use actor::NodeError;
pub use clock::{ClockError, NodeClock};
pub use fleet::{BeginError, Beginning, Expectation, Fleet, FleetError, FleetRun, HostNode, HostOutcome, Stop};
pub use fleet_file::{ExpectText, FleetText, NodeText, StopText};
