//! Hand-made calendars, lowered and executed: against figures, an untimed execution, and the machine tick by tick.

mod laws;
mod literal;
mod refusals;
mod resume;
mod rings;
mod support;
mod systems;
