//! Checkpoints: a folder from which a run goes on, whatever happened to the processes that executed it.
//!
//! ```text
//! DIR/run/              what is run: written first, never changed (see `spec`)
//! DIR/tick-N/nodes …    the state at tick N: a section file per kind
//! DIR/tick-N/commit     written last: names all of them, with hashes of configuration and calendars
//! ```
//!
//! A folder gets its name when everything in it is on the disk, so that whatever has a name is whole; what is not, or does
//! not belong to the others, is found by hashes and passed over. The newest three are kept.

mod args;
mod keeper;
mod record;
mod section;
mod store;

pub(crate) use args::{CheckpointArgs, Every};
pub(crate) use keeper::{Keeper, Stopped, difference, differs};
pub(crate) use store::{Resumed, Store, command, resume};
