//! Runs unmodified Linux programs as node payloads: their time, randomness, threads and network are the node's, so that
//! every run is the same run.
//!
//! A supervisor outside of the program takes its system calls (seccomp user notification), and traces it (ptrace) for the
//! rare rest: images, threads, signals, reads of the time-stamp counter. Nothing of ours runs inside the program but a page
//! that tells the time, in place of the kernel's own. So static programs work as well as dynamic ones.
//!
//! ```text
//! Host ── orders ──► Supervisor ── attempts ──► Kernel          what the program sees: pure, decides every result
//!  any thread         one thread: traces, answers               threads, descriptors, sockets, clocks
//! ```
//!
//! **It is not a sandbox.** A program can read what its user can read, and no care is taken against one that wants out.
//! It makes well-meant programs deterministic.
//!
//! The only crate with `unsafe`, all of it in `sys`.

mod capabilities;
mod filter;
mod host;
mod image;
mod kernel;
mod memory;
mod random;
mod record;
mod signals;
mod spec;
mod supervisor;
mod sys;
mod time;
mod watchdog;
pub mod wire;

pub use capabilities::{Capabilities, Lack, capabilities};
pub use host::{Host, Input, Output, Refused, Report};
pub use image::ImageError;
pub use kernel::{Packet, Segment};
pub use signals::signal_number;
pub use spec::{HostSpec, Switches, TraceLevel, WORKING_DIRECTORY, default_environment};
pub use supervisor::{ExitStatus, HostError, SpawnError};
pub use sys::bootstrap::Stage;
pub use time::{MONOTONIC_BASE, Nanos, REAL_BASE_SECONDS};
