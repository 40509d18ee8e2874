//! The object format of the compiler: calendars, their rules, their files, and their lowering to a program.
//!
//! Knows the rules of the machine and nothing of how a scheduler works.

pub mod format;
pub mod lower;

pub use format::{CalendarSet, ComputeEntry, FrameEntry, LinkCalendar, NodeCalendar, Operand, Rotation};
pub use lower::{EntryPlace, LowerError, lower};
