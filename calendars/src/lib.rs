//! The object format of the compiler: calendars, their rules, their files, and their lowering to a program.
//!
//! Knows the rules of the machine and nothing of how a scheduler works.

pub mod diff;
pub mod files;
pub mod format;
pub mod gantt;
pub mod literal;
pub mod lower;
pub mod verify;

pub use diff::{Diff, Difference, diff};
pub use files::{CalendarFileError, from_ron, to_ron};
pub use format::{
    CalendarSet, Circular, ComputeEntry, EntryFiring, FrameEntry, LinkCalendar, NodeCalendar, Operand, Repeat,
    Rotation, Stretch,
};
pub use lower::{EntryPlace, LowerError, lower};
pub use sim_core::shared::{Pool, Shared};
pub use verify::{Verified, Violation, verify, with_names};
