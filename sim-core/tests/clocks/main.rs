//! Clocks: laws over random networks, and the engine against a frame-by-frame simulation that shares nothing with it.

mod coupled;
mod faults;
mod graphs;
mod laws;
mod naive;
mod oracle;
mod support;
