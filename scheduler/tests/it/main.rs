//! Laws of the compiler.

mod analysis;
mod cycle_ratio;
mod graphs;
mod machines;
mod pipeline;
mod published;
