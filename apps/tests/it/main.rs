//! Tests of the package as its users see it, one module per subject.

mod architecture;
mod builder;
mod cli;
mod clocks;
mod compile_fail;
mod formats;
mod library;
mod token_game;
mod verification;
