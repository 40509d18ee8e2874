//! Compiles synchronous-dataflow applications into calendars for a bittide-style machine, and runs them.

pub mod pictures;
