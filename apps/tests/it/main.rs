//! Tests of the package as its users see it.

mod formats;
//! Integration tests of the package, one module per subject.
mod builder;
mod compile_fail;
mod library;
mod token_game;
