//! The compiler: a pure function of (application, machine, options) to a schedule and its calendars.

pub mod analysis;
