//! The compiler: a pure function of (application, machine, options) to a schedule and its calendars.

pub mod analysis;
mod bounds;
mod buffers;
mod compile;
mod distance;
mod emit;
mod firing_runs;
mod packing;
mod placement;
mod problem;
mod ring;
mod routing;
pub mod schedule;
mod slotting;
mod together;

pub use bounds::{Bound, BoundKind};
pub use compile::{CompileError, Compiled, Options, Report, Warning, compile};
pub use schedule::Schedule;
