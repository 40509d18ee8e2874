//! Tests of calendars through their public interface.

mod brute;
mod cases;
mod files;
mod gantt;
mod mutants;
mod planner;
mod scale;
mod sentences;
mod verify;
mod written;
