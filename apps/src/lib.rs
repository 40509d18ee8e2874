//! Compiles synchronous-dataflow applications into calendars for a bittide-style machine, and runs them.

pub mod benchmarks;
pub mod builder;
mod cli;
pub mod formats;
pub mod hosts;
pub mod library;
pub mod math;
pub mod pictures;
pub mod pipeline;
pub mod prelude;
pub mod sharding;
pub mod token;
pub mod verification;

pub use cli::{command_line, main};
pub use pipeline::{Compiled, Iterations, Run, RunError, compile};
pub use scheduler::{CompileError, Options};
pub use sim_core::Machine;
pub use sim_core::clock as clocks;

/// Whose derives make tokens and states: `#[zerocopy(crate = "tidelock::zerocopy")]` finds them without a dependency.
pub use zerocopy;

/// The programs of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
