//! What threads share, from the standard library. A model checker puts its own in place of these (`tests/progress`).

pub(super) use std::hint::spin_loop;
pub(super) use std::sync::Mutex;
pub(super) use std::sync::atomic::{AtomicBool, AtomicI64, Ordering, fence};
pub(super) use std::thread::{self, Thread};

/// How often a waiting worker looks before it parks.
pub(super) const SPINS: u32 = 2000;
