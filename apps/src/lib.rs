//! Compiles synchronous-dataflow applications into calendars for a bittide-style machine, and runs them.

pub mod formats;
pub mod builder;
pub mod library;
pub mod math;
pub mod prelude;
pub mod token;

/// Whose derives make tokens and states: `#[zerocopy(crate = "tidelock::zerocopy")]` finds them without a dependency.
pub use zerocopy;
pub mod pictures;
