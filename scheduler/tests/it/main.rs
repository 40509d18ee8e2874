//! Laws of the compiler.

mod analysis;
mod bounds;
mod cycle_ratio;
mod graphs;
mod infeasible;
mod machines;
mod metamorphic;
mod pipeline;
mod published;
