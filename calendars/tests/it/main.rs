//! Tests of calendars through their public interface.

mod brute;
mod cases;
mod mutants;
mod sentences;
mod verify;
mod written;
