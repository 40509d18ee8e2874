//! Clocks: oscillators, elastic buffers, and the control that makes logical latencies constant.
//!
//! The abstract frame model of the bittide papers. Clock i has a phase θ_i(t), counted in frames; its frequency is what
//! its oscillator gives plus a correction, which its controller makes from the elastic buffers of its incoming links. A
//! link e from j to i has two quantities, never one:
//!
//! ```text
//! counter     κ_e(t) = κ0_e + ⌊θ_j(t − l_e)⌋ − ⌊θ_i(t)⌋      unbounded; what controllers read
//! occupancy   β_e(t) = λ_e  + ⌊θ_j(t − l_e)⌋ − ⌊θ_i(t)⌋      frames in the buffer, bounded by its depth
//! in flight   γ_e(t) = ⌊θ_j(t)⌋ − ⌊θ_j(t − l_e)⌋
//! ```
//!
//! λ_e is the logical latency: the receiver's tick in which a frame is read, less the sender's tick in which it was sent.
//! Centring a buffer changes λ and β by the frames inserted or dropped, never κ.
//!
//! All arithmetic that a floor depends on is exact: time counts attoseconds, frequency microhertz, phase their product.
//! An event is the first attosecond at which a phase has reached its target.
//! Sources: Lall, Cascaval, Izzard & Spalink (arXiv 2109.14111); Callisto.jl; bittide-hardware.

mod boot;
mod controller;
mod coupled;
mod engine;
mod groom;
mod network;
mod oscillator;
mod stability;
mod units;

pub use boot::{Boot, BootError, BootOptions, boot};
pub use controller::{Control, ControlError, ControlState, Controller, Gain, Law, Measured, PumpKind, Switch};
pub use coupled::{CoupledFault, CoupledRun, CoupledTick, Coupling};
pub use engine::{
    BufferEvent, BufferFault, ClockEngine, ClockEvent, Detector, Edit, EditError, EditKind, EngineOptions, Fault,
    LinkView, NodeView, Snapshot, Summary,
};
pub use groom::{GroomError, GroomLink, Grooming, groom};
pub use network::{ClockLink, ClockNetwork, ClockNode, NetworkError, limits};
pub use oscillator::{Jitter, Oscillator, Wander};
pub use stability::{Stability, stability};
pub use units::{Decimal, DecimalError, Femtos, Frequency, Phase, round_half_even};
